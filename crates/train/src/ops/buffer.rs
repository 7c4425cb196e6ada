//! The buffer pool: activations and gradients live in recycled memory that starts at a cache line.
//!
//! A training step asks for the same sizes again and again. Fresh memory costs a page fault per 4 KiB (a first touch runs
//! at a third of the copy rate) and a fill with zeros; a recycled buffer costs neither, whatever global allocator the
//! program uses. What a taken buffer holds is unspecified but initialised: the kernels write every value.
//!
//! Images of hundreds of sizes, as dense evaluation sees them, ask for hundreds of sizes of maps, few of them twice. So
//! the memory in use and in the pool together stays within twice the most that was in use at a time: what was freed
//! longest ago goes back to the allocator. A step of training stays below that: all of its activations are in use at the
//! end of its forward pass, and the backward pass adds a few gradients. VGG-A at 16 images, most of whose sizes occur
//! once, maps as much in six steps with the bound as without: 43 buffers of 4 MB or more, 40 of them in the first two.

use burn::tensor::Bytes;
use burn_std::{AccessError, AccessPolicy, AllocationController, AllocationProperty};
use residual_kernels::memory::{AlignedBuffer, CACHE_LINE};
use std::collections::BTreeMap;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Bytes from which a buffer gets huge pages, two of them: what is left of the last is not rounded up.
const HUGE_FROM: usize = 4 << 20;

/// The memory in use and in the pool together, by the most that was in use at a time.
const TIMES: usize = 2;

/// Floats that may be kept whatever was in use: 256 MB, where work is small and varied.
const SPARE: usize = 64 << 20;

/// Free memory and what is known of the rest. Lengths are in floats.
struct Pool {
    /// By length; the most recently freed is at the end and is taken first (it is still in cache).
    free: BTreeMap<usize, Vec<Freed>>,
    /// The length of all that is free.
    kept: usize,
    /// The length of all that is in use.
    used: usize,
    /// The most that was in use at a time.
    most: usize,
    /// Buffers freed so far.
    clock: u64,
    /// What may be kept whatever was in use.
    spare: usize,
}

struct Freed {
    memory: AlignedBuffer,
    /// When, by the pool's clock.
    at: u64,
}

impl Pool {
    const fn new(spare: usize) -> Self {
        Self { free: BTreeMap::new(), kept: 0, used: 0, most: 0, clock: 0, spare }
    }

    /// Free memory for `len` floats, if there is any; up to an eighth too large will do.
    fn take(&mut self, len: usize) -> Option<AlignedBuffer> {
        // The least memory is a page.
        let (&len, buffers) = self.free.range_mut(len..=len + (len / 8).max(1024)).next()?;
        let Freed { memory, .. } = buffers.pop()?;
        if buffers.is_empty() {
            // Images of many sizes would leave a key for each behind.
            self.free.remove(&len);
        }
        self.kept -= memory.len();
        Some(memory)
    }

    /// Memory of `len` floats is in use from now on.
    fn lend(&mut self, len: usize) {
        self.used += len;
        self.most = self.most.max(self.used);
    }

    /// Takes back what was lent; returns what is too much now, for the caller to drop outside of the lock.
    fn put(&mut self, memory: AlignedBuffer) -> Vec<AlignedBuffer> {
        self.used -= memory.len();
        self.kept += memory.len();
        self.clock += 1;
        self.free.entry(memory.len()).or_default().push(Freed { memory, at: self.clock });
        let mut surplus = Vec::new();
        while self.used + self.kept > self.spare.max(TIMES * self.most) {
            let Some(memory) = self.oldest() else { break };
            self.kept -= memory.len();
            surplus.push(memory);
        }
        surplus
    }

    /// What was freed longest ago, taken out.
    fn oldest(&mut self) -> Option<AlignedBuffer> {
        let ages = self.free.iter().filter_map(|(&len, buffers)| Some((buffers.first()?.at, len)));
        let (_, len) = ages.min()?;
        let buffers = self.free.get_mut(&len)?;
        let Freed { memory, .. } = buffers.remove(0);
        if buffers.is_empty() {
            self.free.remove(&len);
        }
        Some(memory)
    }
}

static POOL: Mutex<Pool> = Mutex::new(Pool::new(SPARE));

fn pool() -> MutexGuard<'static, Pool> {
    // A panic elsewhere cannot leave the pool half changed: nothing that is done under the lock panics.
    POOL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Gives all free memory back to the allocator, for a program that goes on to something of another size.
pub fn trim() {
    let free = {
        let mut pool = pool();
        (pool.kept, pool.most) = (0, pool.used);
        std::mem::take(&mut pool.free)
    };
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
        let recycled = pool().take(len);
        let memory = recycled.unwrap_or_else(|| AlignedBuffer::new(len, HUGE_FROM));
        pool().lend(memory.len());
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
struct Recycled(ManuallyDrop<AlignedBuffer>);

impl Drop for Recycled {
    fn drop(&mut self) {
        // SAFETY: taken once: nothing touches the field after `drop`.
        let memory = unsafe { ManuallyDrop::take(&mut self.0) };
        let surplus = pool().put(memory);
        drop(surplus);
    }
}

impl AllocationController for Recycled {
    fn alloc_align(&self) -> usize {
        CACHE_LINE
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

    /// Takes `len` floats; the second says whether they are new.
    fn lent(pool: &mut Pool, len: usize) -> (AlignedBuffer, bool) {
        let recycled = pool.take(len);
        let is_new = recycled.is_none();
        let memory = recycled.unwrap_or_else(|| AlignedBuffer::new(len, usize::MAX));
        pool.lend(memory.len());
        (memory, is_new)
    }

    #[test]
    fn of_ever_new_sizes_those_used_last_are_kept_and_no_more_than_a_few_times_what_was_in_use() {
        let (mut pool, unit) = (Pool::new(0), 32 << 10);
        // Sizes at which no buffer serves another.
        for len in (7..60).map(|i| i * unit / 7) {
            let (one, other) = (lent(&mut pool, len), lent(&mut pool, len));
            assert!(one.1 && other.1, "{len}");
            drop((pool.put(one.0), pool.put(other.0)));
            let kept: usize = pool.free.values().flatten().map(|freed| freed.memory.len()).sum();
            assert_eq!((pool.used, pool.kept), (0, kept));
            assert!(kept <= TIMES * pool.most, "{kept} of {}", pool.most);
            let again = lent(&mut pool, len);
            assert!(!again.1, "{len}");
            drop(pool.put(again.0));
        }
        assert!(lent(&mut pool, unit).1, "the first of them are gone");
    }

    #[test]
    fn a_step_that_repeats_needs_no_new_memory() {
        let (mut pool, unit) = (Pool::new(0), 32 << 10);
        // Three layers of each size; each but the first passes two gradients of its size through.
        let sizes: Vec<usize> = (0..5).flat_map(|stage| [unit >> stage; 3]).collect();
        for step in 0..3 {
            let (mut held, mut new) = (Vec::new(), 0);
            let mut take = |pool: &mut Pool, len| {
                let (memory, is_new) = lent(pool, len);
                new += usize::from(is_new);
                memory
            };
            for &len in &sizes {
                held.push(take(&mut pool, len));
            }
            for &len in sizes.iter().rev() {
                let gradients = [take(&mut pool, len), take(&mut pool, len)];
                for memory in gradients.into_iter().chain(held.pop()) {
                    assert!(pool.put(memory).is_empty(), "step {step}");
                }
            }
            assert!(step == 0 || new == 0, "step {step}");
        }
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
