//! Software prefetch of memory that is needed soon, a few cache lines at a time during computations
//! that need no memory.
//!
//! A block of a Winograd convolution reads pixels, multiplies for a while in L1 and L2, and writes
//! pixels. Without prefetch the memory is idle during the products, and the products wait for the
//! pixels: with 16 channels that took half as long again as with everything in the caches.
//! Inference prefetches the next panel of weights in the same way. Long streams need none of this:
//! the processor detects them.

use std::ops::Range;

use crate::memory::CACHE_LINE;
use crate::vector::{prefetch_l2, prefetch_write};

/// Floats of a cache line.
pub(crate) const LINE_FLOATS: usize = CACHE_LINE / size_of::<f32>();

/// Prefetch of contiguous memory in parts of a few cache lines.
#[derive(Clone, Copy)]
pub(crate) struct Prefetch {
    next: *const f32,
    lines: usize,
    /// Lines of a part.
    part: usize,
}

impl Prefetch {
    /// Prefetches nothing.
    pub(crate) const NONE: Self = Self { next: std::ptr::null(), lines: 0, part: 0 };

    /// Prefetches the floats of `range` from `start` on, in `parts` parts. Nothing is read: any
    /// address is allowed.
    pub(crate) fn new(start: *const f32, range: Range<usize>, parts: usize) -> Self {
        let lines = range.len().div_ceil(LINE_FLOATS);
        Self { next: start.wrapping_add(range.start), lines, part: lines.div_ceil(parts.max(1)) }
    }

    /// Prefetches the next part for reading.
    #[inline(always)]
    pub(crate) fn read_next(&mut self) {
        self.each(prefetch_l2);
    }

    /// Prefetches the next part for writing.
    #[inline(always)]
    pub(crate) fn write_next(&mut self) {
        self.each(prefetch_write);
    }

    #[inline(always)]
    fn each(&mut self, prefetch: impl Fn(*const f32)) {
        let count = self.part.min(self.lines);
        for _ in 0..count {
            prefetch(self.next);
            self.next = self.next.wrapping_add(LINE_FLOATS);
        }
        self.lines -= count;
    }
}
