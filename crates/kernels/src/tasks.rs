//! Threading of all kernels: work is split by shape into numbered tasks, which run on rayon's
//! current thread pool.
//!
//! Each output element belongs to one task. Sums are split by shape, never by the number of
//! threads, and partial sums are added in the order of the task numbers. So the bits are the same
//! with 1, 2 or 64 threads.

use std::marker::PhantomData;
use std::ops::Range;

use rayon::prelude::*;

use crate::isa::FlushDenormals;

/// Elements of a task of an element-wise kernel: 64 KiB of each operand. The operands of a task
/// stay in a 512 KiB L2, and a task is long enough (about 5 µs) to pay for rayon's 1 µs hand-over.
pub(crate) const TASK_LEN: usize = 16 * 1024;

/// Elements up to which a memory-bound kernel runs on the calling thread: two tasks take less time
/// than waking a sleeping worker (5 to 20 µs).
pub(crate) const SERIAL_LEN: usize = 2 * TASK_LEN;

/// Runs `f(0) … f(count - 1)` with denormals flushed, on the thread pool if there are several
/// tasks.
pub(crate) fn for_each(count: usize, f: impl Fn(usize) + Sync) {
    if count <= 1 || rayon::current_num_threads() == 1 {
        serial(count, f);
    } else {
        (0..count).into_par_iter().with_max_len(1).for_each(|task| {
            let _flush = FlushDenormals::new();
            f(task);
        });
    }
}

/// Runs all tasks on the calling thread, for work too small to share: the same bits as
/// [`for_each`].
pub(crate) fn serial(count: usize, f: impl Fn(usize)) {
    let _flush = FlushDenormals::new();
    (0..count).for_each(f);
}

/// Runs [`for_each`] over `0..len` in ranges of `task_len` elements; small work stays on the
/// calling thread.
pub(crate) fn for_ranges(len: usize, task_len: usize, f: impl Fn(usize, Range<usize>) + Sync) {
    let count = len.div_ceil(task_len);
    let run = |i: usize| f(i, i * task_len..len.min((i + 1) * task_len));
    if len <= SERIAL_LEN { serial(count, run) } else { for_each(count, run) }
}

/// Mutable slice that several tasks write, each its own part.
pub(crate) struct DisjointSlice<'a, T> {
    pointer: *mut T,
    len: usize,
    borrow: PhantomData<&'a mut [T]>,
}

// SAFETY: access goes through `unsafe` methods whose callers promise that concurrent accesses are
// disjoint.
unsafe impl<T: Send> Sync for DisjointSlice<'_, T> {}
// SAFETY: the type stands for a `&mut [T]`, which is `Send` where `T` is.
unsafe impl<T: Send> Send for DisjointSlice<'_, T> {}

impl<'a, T> DisjointSlice<'a, T> {
    pub(crate) fn new(slice: &'a mut [T]) -> Self {
        Self { pointer: slice.as_mut_ptr(), len: slice.len(), borrow: PhantomData }
    }

    /// Borrows the elements of `range`.
    ///
    /// # Safety
    /// While the returned slice lives, no other task may access an element of `range`.
    #[inline(always)]
    #[expect(clippy::mut_from_ref, reason = "disjointness is the caller's promise")]
    pub(crate) unsafe fn range(&self, range: Range<usize>) -> &mut [T] {
        assert!(range.start <= range.end && range.end <= self.len, "a task lies outside of its slice");
        // SAFETY: in bounds by the assertion; not aliased by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.pointer.add(range.start), range.end - range.start) }
    }

    /// Returns the address of the slice, not to be read or written through.
    #[inline(always)]
    pub(crate) fn address(&self) -> *const T {
        self.pointer
    }

    /// Returns a pointer to `len` elements from `start`, for tasks whose parts interleave.
    ///
    /// # Safety
    /// While the pointer is used, no other task may access the elements that are written through
    /// it.
    #[inline(always)]
    pub(crate) unsafe fn pointer(&self, start: usize, len: usize) -> *mut T {
        assert!(start <= self.len && len <= self.len - start, "a task lies outside of its slice");
        // SAFETY: in bounds by the assertion.
        unsafe { self.pointer.add(start) }
    }
}
