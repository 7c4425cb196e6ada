//! Workspace memory that is used again: each thread keeps the buffers it has given back.
//!
//! A fresh buffer costs a page fault for every 4 KiB, three times the cost of writing it. Buffers hold whatever was in them;
//! nothing here is zeroed. They start at a cache line.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

use crate::memory::{AlignedBuffer, CACHE_LINE};

/// Bytes from which a buffer gets huge pages: the transforms write 36 streams, and operands of 512 channels have lane blocks in 64 places.
/// In small pages each is a miss of the TLB, and 14 MB of them are more than its second level holds.
const HUGE_FROM: usize = 256 << 10;

/// Floats of a huge page: buffers that get any are rounded up to whole ones.
const HUGE: usize = (2 << 20) / size_of::<f32>();

/// Buffers that a thread keeps: a convolution holds at most four at a time, and two of them nest.
const KEPT: usize = 8;

thread_local! {
    static FREE: RefCell<Vec<AlignedBuffer>> = const { RefCell::new(Vec::new()) };
}

fn fresh(len: usize) -> AlignedBuffer {
    let whole = if len.saturating_mul(size_of::<f32>()) >= HUGE_FROM { len.next_multiple_of(HUGE) } else { len };
    AlignedBuffer::new(whole, HUGE_FROM)
}

/// A buffer of floats with arbitrary, initialised contents; goes back to its thread when dropped.
pub(crate) struct Workspace {
    memory: Option<AlignedBuffer>,
    len: usize,
    /// Whether the memory goes back to a thread, or is freed.
    recycled: bool,
}

impl Workspace {
    /// A buffer of `len` floats: the smallest kept one that is large enough, else a new one.
    pub(crate) fn take(len: usize) -> Self {
        let len = len.max(1);
        let kept = FREE.with_borrow_mut(|free| {
            let fits = free.iter().enumerate().filter(|(_, memory)| memory.len() >= len);
            let best = fits.min_by_key(|(_, memory)| memory.len()).map(|(i, _)| i);
            best.map(|i| free.swap_remove(i))
        });
        Self { memory: Some(kept.unwrap_or_else(|| fresh(len))), len, recycled: true }
    }

    /// AlignedBuffer of its own, for what is kept: freed when dropped.
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
        // A thread that is ending has no list any more: the memory is freed then.
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

/// Rounds a distance between streams up to an odd number of cache lines, so that streams that advance together fall into
/// different sets of a cache: 36 streams at a multiple of 4 KiB would share the 8 ways of one set.
pub(crate) fn odd_lines(floats: usize) -> usize {
    const FLOATS: usize = CACHE_LINE / size_of::<f32>();
    (floats.div_ceil(FLOATS) | 1) * FLOATS
}
