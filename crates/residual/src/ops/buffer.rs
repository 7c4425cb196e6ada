//! The buffer pool: activations and gradients live in recycled memory that starts at a cache line.
//!
//! A training step asks for the same sizes again and again. Fresh memory costs a page fault per 4 KiB (a first touch runs
//! at a third of the copy rate) and a fill with zeros; a recycled buffer costs neither, whatever global allocator the
//! program uses. What a taken buffer holds is unspecified but initialised: the kernels write every value.

use burn::tensor::Bytes;
use burn_std::{AccessError, AccessPolicy, AllocationController, AllocationProperty};
use residual_kernels::memory::{LINE, Memory};
use std::collections::BTreeMap;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Bytes from which a buffer gets huge pages, two of them: what is left of the last is not rounded up.
const HUGE_FROM: usize = 4 << 20;

/// Free memory, by its length in floats; the most recently freed is at the end and is taken first (it is still in cache).
struct Pool {
    free: BTreeMap<usize, Vec<Memory>>,
}

static POOL: Mutex<Pool> = Mutex::new(Pool { free: BTreeMap::new() });

fn pool() -> MutexGuard<'static, Pool> {
    // A panic elsewhere cannot leave the map half changed: both operations on it are single calls.
    POOL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Gives all free memory back to the allocator, for a program that goes on to something of another size.
pub fn trim() {
    let free = std::mem::take(&mut pool().free);
    drop(free);
}

/// A buffer of `len` floats on its way to becoming a tensor.
pub(super) struct Buffer {
    memory: Recycled,
    len: usize,
}

impl Buffer {
    /// Takes memory for `len` floats out of the pool; a buffer up to an eighth too large will do.
    pub(super) fn take(len: usize) -> Self {
        let recycled = {
            let mut pool = pool();
            // The least memory is a page.
            let fitting = pool.free.range_mut(len..=len + (len / 8).max(1024)).find(|(_, buffers)| !buffers.is_empty());
            fitting.and_then(|(_, buffers)| buffers.pop())
        };
        let memory = recycled.unwrap_or_else(|| Memory::new(len, HUGE_FROM));
        Self { memory: Recycled(ManuallyDrop::new(memory)), len }
    }

    /// The floats, to be written.
    pub(super) fn as_mut(&mut self) -> &mut [f32] {
        &mut self.memory.0[..self.len]
    }

    /// The floats as Burn's storage, without a copy.
    pub(super) fn into_bytes(self) -> Bytes {
        let len = self.len * size_of::<f32>();
        // SAFETY: `Recycled` owns at least `len` bytes, all of them initialised (zeroed when allocated, only ever
        // overwritten with initialised values), and frees them when it is dropped.
        unsafe { Bytes::from_controller(Box::new(self.memory), len) }
    }
}

/// Memory that returns to the pool when the last tensor lets go of it.
struct Recycled(ManuallyDrop<Memory>);

impl Drop for Recycled {
    fn drop(&mut self) {
        // SAFETY: taken once: nothing touches the field after `drop`.
        let memory = unsafe { ManuallyDrop::take(&mut self.0) };
        pool().free.entry(memory.len()).or_default().push(memory);
    }
}

impl AllocationController for Recycled {
    fn alloc_align(&self) -> usize {
        LINE
    }

    fn property(&self) -> AllocationProperty {
        AllocationProperty::Other
    }

    unsafe fn memory_mut(&mut self, _policy: AccessPolicy) -> Result<&mut [MaybeUninit<u8>], AccessError> {
        let floats: &mut [f32] = &mut self.0;
        // SAFETY: the same memory under a type of the same layout; the caller writes only initialised data.
        Ok(unsafe { std::slice::from_raw_parts_mut(floats.as_mut_ptr().cast(), size_of_val(floats)) })
    }

    fn memory(&self, _policy: AccessPolicy) -> Result<&[MaybeUninit<u8>], AccessError> {
        let floats: &[f32] = &self.0;
        // SAFETY: initialised bytes are valid as `MaybeUninit`.
        Ok(unsafe { std::slice::from_raw_parts(floats.as_ptr().cast(), size_of_val(floats)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_buffer_is_taken_again() {
        let len = 123_457;
        let mut first = Buffer::take(len);
        let address = first.as_mut().as_ptr();
        drop(first.into_bytes());
        assert_eq!(Buffer::take(len).as_mut().as_ptr(), address);
    }

    #[test]
    fn a_buffer_is_aligned_to_a_cache_line_and_has_the_length_asked_for() {
        for len in [1, 15, 16, 17, 1000] {
            let mut buffer = Buffer::take(len);
            assert_eq!(buffer.as_mut().len(), len);
            assert_eq!(buffer.as_mut().as_ptr() as usize % 64, 0);
            assert_eq!(buffer.into_bytes().len(), len * 4);
        }
    }
}
