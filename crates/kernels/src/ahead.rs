//! Memory that is needed soon, asked for a few lines at a time while something is computed that needs none.
//!
//! A block of a Winograd convolution reads pixels, multiplies for a while in L1 and L2, and writes pixels. Without this the memory rests while
//! the products are computed, and the products wait while the pixels come: at 16 channels half as long again as with everything in
//! the caches. Inference asks for the next panel of weights in the same way. Not for what is read in long streams, which the processor notices itself.

use std::ops::Range;

use crate::memory::LINE;
use crate::vector::{prefetch_l2, prefetch_to_write};

/// Contiguous memory in parts of a few cache lines.
#[derive(Clone, Copy)]
pub(crate) struct Lines {
    next: *const f32,
    lines: usize,
    /// Lines of a part.
    part: usize,
}

/// Floats of a cache line.
const FLOATS: usize = LINE / size_of::<f32>();

impl Lines {
    pub(crate) const NONE: Self = Self { next: std::ptr::null(), lines: 0, part: 0 };

    /// The floats of `range` from `start` on, in `parts` parts. Nothing of it is read: any address is allowed.
    pub(crate) fn new(start: *const f32, range: Range<usize>, parts: usize) -> Self {
        let lines = range.len().div_ceil(FLOATS);
        Self { next: start.wrapping_add(range.start), lines, part: lines.div_ceil(parts.max(1)) }
    }

    /// Asks for the next part, to be read.
    #[inline(always)]
    pub(crate) fn read(&mut self) {
        self.each(prefetch_l2);
    }

    /// Asks for the next part, to be written.
    #[inline(always)]
    pub(crate) fn write(&mut self) {
        self.each(prefetch_to_write);
    }

    #[inline(always)]
    fn each(&mut self, ask: impl Fn(*const f32)) {
        let count = self.part.min(self.lines);
        for _ in 0..count {
            ask(self.next);
            self.next = self.next.wrapping_add(FLOATS);
        }
        self.lines -= count;
    }
}
