//! Vector operations on raw pointers, and those that `pulp`'s `Simd` trait lacks.
//!
//! All functions are `#[inline(always)]`, so that they are compiled inside the function that
//! [`crate::Isa::run`] makes for an instruction set. `S::F32_LANES` is 16, 8 or 4.

use pulp::Simd;

use crate::isa::PORTABLE_LANES;

/// Vectors on the stack, aligned to a cache line.
///
/// `pulp`'s vectors are aligned like single floats, and a store across a page boundary takes dozens
/// of cycles: at some stack depths one such store took a quarter of a transform's time.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(crate) struct Aligned<T>(pub(crate) T);

/// Largest number of lanes of any instruction set.
pub(crate) const MAX_LANES: usize = 16;

/// Loads a whole vector.
///
/// # Safety
/// `S::F32_LANES` floats must be readable at `from`.
#[inline(always)]
pub(crate) unsafe fn load<S: Simd>(_: S, from: *const f32) -> S::f32s {
    // SAFETY: the caller lets a vector be read; `f32s` is plain data of that many floats.
    unsafe { from.cast::<S::f32s>().read_unaligned() }
}

/// Stores a whole vector.
///
/// # Safety
/// `S::F32_LANES` floats must be writable at `to`.
#[inline(always)]
pub(crate) unsafe fn store<S: Simd>(_: S, to: *mut f32, value: S::f32s) {
    // SAFETY: the caller lets a vector be written.
    unsafe { to.cast::<S::f32s>().write_unaligned(value) }
}

/// Loads the first `count` lanes and sets the others to zero.
///
/// Tails go through the stack: they are rare, and without AVX-512 this is as fast as a masked load.
///
/// # Safety
/// `count` floats must be readable at `from`; `count` must be at most `S::F32_LANES`.
#[inline(always)]
pub(crate) unsafe fn load_first<S: Simd>(simd: S, from: *const f32, count: usize) -> S::f32s {
    if count >= S::F32_LANES {
        // SAFETY: the caller lets a whole vector be read.
        return unsafe { load(simd, from) };
    }
    let mut lanes = [0f32; MAX_LANES];
    // SAFETY: `count` is below the number of lanes, which is at most 16.
    unsafe {
        for (i, lane) in lanes.iter_mut().enumerate().take(count) {
            *lane = *from.add(i);
        }
        load(simd, lanes.as_ptr())
    }
}

/// Stores the first `count` lanes.
///
/// # Safety
/// `count` floats must be writable at `to`; `count` must be at most `S::F32_LANES`.
#[inline(always)]
pub(crate) unsafe fn store_first<S: Simd>(simd: S, to: *mut f32, value: S::f32s, count: usize) {
    if count >= S::F32_LANES {
        // SAFETY: the caller lets a whole vector be written.
        return unsafe { store(simd, to, value) };
    }
    let mut lanes = [0f32; MAX_LANES];
    // SAFETY: `count` is below the number of lanes, which is at most 16.
    unsafe {
        store(simd, lanes.as_mut_ptr(), value);
        for (i, &lane) in lanes.iter().enumerate().take(count) {
            *to.add(i) = lane;
        }
    }
}

/// Tells whether `S` has a fused multiply-add instruction. The portable path on x86 has none;
/// `pulp` calls libm for each lane there, at 0.7 to 2 GFLOP/s a thread.
#[inline(always)]
fn has_fma<S: Simd>() -> bool {
    S::F32_LANES > PORTABLE_LANES || cfg!(any(target_arch = "aarch64", target_feature = "fma"))
}

/// Computes `a * b + c`, with one rounding if the instruction set has FMA.
#[inline(always)]
pub(crate) fn fma<S: Simd>(simd: S, a: S::f32s, b: S::f32s, c: S::f32s) -> S::f32s {
    match has_fma::<S>() {
        true => simd.mul_add_e_f32s(a, b, c),
        false => simd.add_f32s(simd.mul_f32s(a, b), c),
    }
}

/// Computes `c - a * b`, with one rounding if the instruction set has FMA.
#[inline(always)]
pub(crate) fn negated_fma<S: Simd>(simd: S, a: S::f32s, b: S::f32s, c: S::f32s) -> S::f32s {
    match has_fma::<S>() {
        true => simd.negate_mul_add_e_f32s(a, b, c),
        false => simd.sub_f32s(c, simd.mul_f32s(a, b)),
    }
}

/// Computes `max(value, 0)`; NaN stays NaN.
#[inline(always)]
pub(crate) fn relu<S: Simd>(simd: S, value: S::f32s) -> S::f32s {
    let zero = simd.splat_f32s(0.0);
    // AVX's maximum returns its second operand if either is NaN, and is one instruction;
    // `f32::max`, which the portable path uses, drops NaN.
    if cfg!(target_arch = "x86_64") && S::F32_LANES >= 8 {
        return simd.max_f32s(zero, value);
    }
    simd.select_f32s(simd.less_than_f32s(value, zero), zero, value)
}

/// Prefetch hint of x86 for all levels of the cache.
const INTO_L1: i32 = 3;

/// Prefetch hint of x86 for all levels but L1.
const INTO_L2: i32 = 2;

/// Prefetches the cache line at `from` into L1. Any address is allowed.
#[inline(always)]
pub(crate) fn prefetch(from: *const f32) {
    prefetch_hint::<INTO_L1>(from);
}

/// Prefetches the cache line at `from` into L2, so that L1 keeps what is in use. Any address is
/// allowed.
#[inline(always)]
pub(crate) fn prefetch_l2(from: *const f32) {
    prefetch_hint::<INTO_L2>(from);
}

/// Prefetches the cache line at `from` with a hint of x86; does nothing elsewhere.
#[inline(always)]
fn prefetch_hint<const HINT: i32>(from: *const f32) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: a hint that cannot fault; SSE is part of x86-64.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<HINT>(from.cast());
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = from;
}

/// Prefetches the cache line at `from` for writing, taking it out of other caches. Any address is
/// allowed.
#[inline(always)]
pub(crate) fn prefetch_write(from: *const f32) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: a hint that cannot fault, and does nothing on processors that do not know it.
    unsafe {
        std::arch::asm!("prefetchw [{}]", in(reg) from, options(nostack, preserves_flags, readonly));
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = from;
}
