//! Memory for floats that starts at a cache line and is backed by huge pages where it is large.
//!
//! A kernel reads a map of 8 MB along a dozen rows at a time, and a transform writes 36 streams: in
//! pages of 4 KiB each row and stream is a TLB miss, whose page walk is twice as long on a virtual
//! machine. Nothing is recycled here: kernels reuse their own workspace, and callers may pool these
//! buffers.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// Bytes of a cache line and of the widest vector: the alignment of every [`AlignedBuffer`].
pub const CACHE_LINE: usize = 64;

/// Bytes of a page.
const PAGE: usize = 4 << 10;

/// Bytes of a huge page of x86-64 and, with 4 KiB pages, aarch64.
const HUGE: usize = 2 << 20;

/// Owned, zeroed floats that start at a cache line.
pub struct AlignedBuffer {
    pointer: NonNull<f32>,
    layout: Layout,
}

impl AlignedBuffer {
    /// Allocates at least `len` zeros.
    ///
    /// A buffer of `huge_from` bytes or more starts at a huge page, and the part of it that fills
    /// huge pages is backed by them if the system has any.
    ///
    /// # Panics
    /// If the size in bytes overflows.
    pub fn new(len: usize, huge_from: usize) -> Self {
        let addressable = "sizes follow from tensors that are addressable";
        let bytes = len.max(1).checked_mul(size_of::<f32>()).and_then(|bytes| bytes.checked_next_multiple_of(PAGE));
        let bytes = bytes.expect(addressable);
        let huge = bytes >= huge_from;
        let layout = Layout::from_size_align(bytes, if huge { HUGE } else { CACHE_LINE }).expect(addressable);
        // SAFETY: the layout has a size of at least 4 KiB.
        let pointer = unsafe { alloc(layout) };
        let pointer = NonNull::new(pointer).unwrap_or_else(|| handle_alloc_error(layout));
        if huge {
            advise_huge(pointer, layout.size());
        }
        // SAFETY: the allocation has this size and is not shared yet.
        unsafe { pointer.as_ptr().write_bytes(0, layout.size()) };
        Self { pointer: pointer.cast(), layout }
    }
}

/// Asks the operating system for huge pages; without them the memory is usable all the same.
fn advise_huge(pointer: NonNull<u8>, size: usize) {
    #[cfg(all(target_os = "linux", not(miri)))]
    // SAFETY: the range is one allocation that the caller owns; the advice changes no contents.
    unsafe {
        libc::madvise(pointer.as_ptr().cast(), size, libc::MADV_HUGEPAGE);
    }
    #[cfg(not(all(target_os = "linux", not(miri))))]
    let _ = (pointer, size);
}

impl Drop for AlignedBuffer {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout.
        unsafe { dealloc(self.pointer.as_ptr().cast(), self.layout) };
    }
}

// SAFETY: the buffer owns its allocation.
unsafe impl Send for AlignedBuffer {}

// SAFETY: a shared buffer can only be read.
unsafe impl Sync for AlignedBuffer {}

impl Deref for AlignedBuffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: the allocation has this many floats, zeroed when it was made.
        unsafe { std::slice::from_raw_parts(self.pointer.as_ptr(), self.layout.size() / size_of::<f32>()) }
    }
}

impl DerefMut for AlignedBuffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: the allocation has this many initialised floats, and `&mut self` borrows them
        // alone.
        unsafe { std::slice::from_raw_parts_mut(self.pointer.as_ptr(), self.layout.size() / size_of::<f32>()) }
    }
}

impl std::fmt::Debug for AlignedBuffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AlignedBuffer({} floats)", self.len())
    }
}
