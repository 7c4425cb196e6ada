//! Workspace of the kernels: buffers that each thread keeps and reuses.
//!
//! A new buffer costs a page fault for every 4 KiB, three times the cost of writing it. A reused
//! buffer keeps its old contents. Buffers start at a cache line.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

use crate::memory::AlignedBuffer;
use crate::prefetch::LINE_FLOATS;

/// Bytes from which a buffer gets huge pages.
///
/// The transforms write 36 streams, and operands of 512 channels have 64 lane blocks: in small
/// pages each is a TLB miss, and 14 MB of them exceed the second-level TLB.
const HUGE_FROM: usize = 256 << 10;

/// Floats of a huge page, to which large buffers are rounded up.
const HUGE: usize = (2 << 20) / size_of::<f32>();

/// Buffers that a thread keeps: a convolution holds at most four at a time, and two convolutions
/// nest.
const KEPT: usize = 8;

thread_local! {
    static FREE: RefCell<Vec<AlignedBuffer>> = const { RefCell::new(Vec::new()) };
}

fn fresh(len: usize) -> AlignedBuffer {
    let whole = if len.saturating_mul(size_of::<f32>()) >= HUGE_FROM { len.next_multiple_of(HUGE) } else { len };
    AlignedBuffer::new(whole, HUGE_FROM)
}

/// Buffer of floats with arbitrary, initialised contents, which its thread keeps when it is
/// dropped.
pub(crate) struct Workspace {
    memory: Option<AlignedBuffer>,
    len: usize,
    /// Whether the memory is kept when dropped, or freed.
    recycled: bool,
}

impl Workspace {
    /// Takes a buffer of `len` floats: the smallest kept one that is large enough, else a new one.
    pub(crate) fn take(len: usize) -> Self {
        let len = len.max(1);
        let kept = FREE.with_borrow_mut(|free| {
            let fits = free.iter().enumerate().filter(|(_, memory)| memory.len() >= len);
            let best = fits.min_by_key(|(_, memory)| memory.len()).map(|(i, _)| i);
            best.map(|i| free.swap_remove(i))
        });
        Self { memory: Some(kept.unwrap_or_else(|| fresh(len))), len, recycled: true }
    }

    /// Allocates a buffer that is freed when dropped, for values that live long.
    pub(crate) fn owned(len: usize) -> Self {
        Self { memory: Some(fresh(len.max(1))), len, recycled: false }
    }
}

impl std::fmt::Debug for Workspace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Workspace({} floats)", self.len)
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        let Some(memory) = self.memory.take() else { return };
        if !self.recycled {
            return;
        }
        // A thread that exits has dropped its list: the memory is freed then.
        let _ = FREE.try_with(|free| {
            let mut free = free.borrow_mut();
            free.push(memory);
            if free.len() > KEPT {
                let smallest = free.iter().enumerate().min_by_key(|(_, memory)| memory.len()).map(|(i, _)| i);
                smallest.map(|i| free.swap_remove(i))
            } else {
                None
            }
        });
    }
}

impl Deref for Workspace {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.memory.as_ref().expect("the memory leaves only in drop")[..self.len]
    }
}

impl DerefMut for Workspace {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.memory.as_mut().expect("the memory leaves only in drop")[..self.len]
    }
}

/// Rounds the distance between streams up to an odd number of cache lines.
///
/// Streams that advance together then fall into different sets of a cache: 36 streams at a multiple
/// of 4 KiB would share the 8 ways of one set.
pub(crate) fn odd_lines(floats: usize) -> usize {
    (floats.div_ceil(LINE_FLOATS) | 1) * LINE_FLOATS
}
