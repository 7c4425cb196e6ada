//! How every kernel is threaded: work cut into numbered pieces by shape, run on rayon's current pool.
//!
//! Each output element belongs to one piece. What is summed over is cut by shape, never by the number of threads, and partial
//! sums are added in the order of the piece numbers afterwards. So the bits are the same with 1, 2 or 64 threads.

use std::marker::PhantomData;
use std::ops::Range;

use rayon::prelude::*;

use crate::isa::FlushDenormals;

/// Elements in a piece of an element-wise kernel: 64 KiB of each operand, so that the operands of one piece stay in a
/// 512 KiB L2, and long enough (about 5 µs) to pay for rayon's 1 µs hand-over.
pub(crate) const PIECE: usize = 16 * 1024;

/// Below this many elements a memory-bound kernel runs on the calling thread: two pieces of it take less time than waking
/// a sleeping worker (5 to 20 µs).
pub(crate) const SERIAL: usize = 2 * PIECE;

/// Runs `f(0) … f(count - 1)` with denormals flushed, on the pool where there is something to share.
pub(crate) fn for_each(count: usize, f: impl Fn(usize) + Sync) {
    if count <= 1 || rayon::current_num_threads() == 1 {
        serial(count, f);
    } else {
        (0..count).into_par_iter().with_max_len(1).for_each(|piece| {
            let _flush = FlushDenormals::new();
            f(piece);
        });
    }
}

/// Runs all pieces on the calling thread: the same bits as [`for_each`], for work too small to share.
pub(crate) fn serial(count: usize, f: impl Fn(usize)) {
    let _flush = FlushDenormals::new();
    (0..count).for_each(f);
}

/// [`for_each`] over `0..len` in ranges of `piece` elements; small work stays on the calling thread.
pub(crate) fn for_ranges(len: usize, piece: usize, f: impl Fn(usize, Range<usize>) + Sync) {
    let count = len.div_ceil(piece);
    let run = |i: usize| f(i, i * piece..len.min((i + 1) * piece));
    if len <= SERIAL { serial(count, run) } else { for_each(count, run) }
}

/// A mutable slice that several pieces write, each its own part.
pub(crate) struct Parts<'a, T> {
    pointer: *mut T,
    len: usize,
    borrow: PhantomData<&'a mut [T]>,
}

// SAFETY: `Parts` gives access only through `unsafe` methods whose contract is that concurrent accesses do not overlap.
unsafe impl<T: Send> Sync for Parts<'_, T> {}
// SAFETY: it stands for a `&mut [T]`, which may be sent where `T` may.
unsafe impl<T: Send> Send for Parts<'_, T> {}

impl<'a, T> Parts<'a, T> {
    pub(crate) fn new(slice: &'a mut [T]) -> Self {
        Self { pointer: slice.as_mut_ptr(), len: slice.len(), borrow: PhantomData }
    }

    /// The elements of `range`.
    ///
    /// # Safety
    /// While the returned slice lives, no other piece may touch an element of `range`.
    #[inline(always)]
    #[expect(clippy::mut_from_ref, reason = "disjointness is the caller's promise")]
    pub(crate) unsafe fn range(&self, range: Range<usize>) -> &mut [T] {
        assert!(range.start <= range.end && range.end <= self.len, "a piece lies outside of its slice");
        // SAFETY: in bounds by the assertion; alone on it by the contract.
        unsafe { std::slice::from_raw_parts_mut(self.pointer.add(range.start), range.end - range.start) }
    }

    /// Where the slice starts: an address, not to be read or written through.
    #[inline(always)]
    pub(crate) fn address(&self) -> *const T {
        self.pointer
    }

    /// A pointer to `len` elements from `start`, for pieces whose parts interleave.
    ///
    /// # Safety
    /// The elements written through the pointer must not be touched by another piece meanwhile.
    #[inline(always)]
    pub(crate) unsafe fn pointer(&self, start: usize, len: usize) -> *mut T {
        assert!(start <= self.len && len <= self.len - start, "a piece lies outside of its slice");
        // SAFETY: in bounds by the assertion.
        unsafe { self.pointer.add(start) }
    }
}
