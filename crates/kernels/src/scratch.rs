//! Scratch memory that is used again: each thread keeps the buffers it has given back.
//!
//! A fresh buffer costs a page fault for every 4 KiB, three times the cost of writing it. Buffers hold whatever was in them;
//! nothing here is zeroed. They start at a cache line.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cell::RefCell;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// Bytes of a cache line, and of the widest vector.
const LINE: usize = 64;

/// Bytes of a page, and of a huge page of x86-64 and (with 4 KiB pages) aarch64.
const PAGE: usize = 4 << 10;
const HUGE: usize = 2 << 20;

/// Bytes from which a buffer gets huge pages of its own: the transforms write 36 streams, and operands of 512 channels have lane blocks in
/// 64 places. In small pages each is a miss of the TLB, and 14 MB of them are more than its second level holds.
const LARGE: usize = 256 << 10;

/// Buffers that a thread keeps: a convolution holds at most four at a time, and two of them nest.
const KEPT: usize = 8;

thread_local! {
    static FREE: RefCell<Vec<Block>> = const { RefCell::new(Vec::new()) };
}

/// An aligned allocation.
struct Block {
    pointer: NonNull<f32>,
    layout: Layout,
}

impl Block {
    fn new(len: usize) -> Self {
        let bytes = len.saturating_mul(size_of::<f32>());
        let unit = if bytes >= LARGE { HUGE } else { PAGE };
        let layout = Layout::from_size_align(bytes.next_multiple_of(unit), if unit == HUGE { HUGE } else { LINE })
            .expect("scratch sizes follow from tensors that are addressable");
        // SAFETY: the layout has a size of at least 4 KiB.
        let pointer = unsafe { alloc(layout) };
        let pointer = NonNull::new(pointer).unwrap_or_else(|| handle_alloc_error(layout));
        if unit == HUGE {
            advise_huge(pointer, layout.size());
        }
        // SAFETY: the allocation has this size. Zeros make it initialised; it is written once in its life.
        unsafe { pointer.as_ptr().write_bytes(0, layout.size()) };
        Self { pointer: pointer.cast(), layout }
    }

    fn capacity(&self) -> usize {
        self.layout.size() / size_of::<f32>()
    }
}

/// Asks the kernel for huge pages; where it has none the memory is as good as any other.
fn advise_huge(pointer: NonNull<u8>, size: usize) {
    #[cfg(all(target_os = "linux", not(miri)))]
    // SAFETY: advice about whole pages of an allocation that is ours; it changes no contents.
    unsafe {
        libc::madvise(pointer.as_ptr().cast(), size, libc::MADV_HUGEPAGE);
    }
    #[cfg(not(all(target_os = "linux", not(miri))))]
    let _ = (pointer, size);
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout.
        unsafe { dealloc(self.pointer.as_ptr().cast(), self.layout) };
    }
}

/// A buffer of floats with arbitrary, initialised contents; goes back to its thread when dropped.
pub(crate) struct Scratch {
    block: Option<Block>,
    len: usize,
    /// Whether the block goes back to a thread, or is freed.
    recycled: bool,
}

// SAFETY: a `Scratch` owns its block.
unsafe impl Send for Scratch {}

// SAFETY: a `Scratch` owns its block; shared access reads floats only.
unsafe impl Sync for Scratch {}

impl Scratch {
    /// A buffer of `len` floats: the smallest kept one that is large enough, else a new one.
    pub(crate) fn take(len: usize) -> Self {
        let len = len.max(1);
        let kept = FREE.with_borrow_mut(|free| {
            let fits = free.iter().enumerate().filter(|(_, block)| block.capacity() >= len);
            let best = fits.min_by_key(|(_, block)| block.capacity()).map(|(i, _)| i);
            best.map(|i| free.swap_remove(i))
        });
        Self { block: Some(kept.unwrap_or_else(|| Block::new(len))), len, recycled: true }
    }

    /// Memory of its own, for what is kept: freed when dropped.
    pub(crate) fn owned(len: usize) -> Self {
        Self { block: Some(Block::new(len.max(1))), len, recycled: false }
    }

    fn pointer(&self) -> NonNull<f32> {
        self.block.as_ref().expect("the block leaves only in drop").pointer
    }
}

impl std::fmt::Debug for Scratch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Scratch({} floats)", self.len)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let Some(block) = self.block.take() else { return };
        if !self.recycled {
            return;
        }
        // A thread that is ending has no list any more: the block is freed then.
        let _ = FREE.try_with(|free| {
            let mut free = free.borrow_mut();
            free.push(block);
            if free.len() > KEPT {
                let smallest = free.iter().enumerate().min_by_key(|(_, block)| block.capacity()).map(|(i, _)| i);
                smallest.map(|i| free.swap_remove(i))
            } else {
                None
            }
        });
    }
}

impl Deref for Scratch {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: the block has at least `len` floats, zeroed when it was allocated.
        unsafe { std::slice::from_raw_parts(self.pointer().as_ptr(), self.len) }
    }
}

impl DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as above, and the block is owned.
        unsafe { std::slice::from_raw_parts_mut(self.pointer().as_ptr(), self.len) }
    }
}

/// Rounds a distance between streams up to an odd number of cache lines, so that streams that advance together fall into
/// different sets of a cache: 36 streams at a multiple of 4 KiB would share the 8 ways of one set.
pub(crate) fn odd_lines(floats: usize) -> usize {
    const FLOATS: usize = LINE / size_of::<f32>();
    (floats.div_ceil(FLOATS) | 1) * FLOATS
}
