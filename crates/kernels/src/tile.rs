//! The micro-kernels: products that stay in registers, and the table of their sizes.
//!
//! Operands are packed by lanes. `[rows, depth]` is stored `[depth / L, rows, L]` (L lanes): the vectors in which channels-last data
//! arrive are stored whole, and a few rows of eight channels are three cache lines in a row. [`outer`] multiplies such an
//! operand by panels `[depth, NV L]` of columns: its depth is the channels. [`gram`] multiplies two of them over their rows:
//! its depth is the positions, which is what weight gradients sum over.

use pulp::Simd;

use crate::vector::{fma, load, store};

/// Rows and vectors of the tiles, chosen so that accumulators, one row of `b` and a broadcast fit in the registers.
///
/// | registers | `outer` | `gram` | reason |
/// | --- | --- | --- | --- |
/// | 16 (AVX2, SSE2) | 6 x 2 | 4 x 3 | 12 accumulators hide the 4 cycles of two FMA units; 8 and 7 loads for 12 FMA |
/// | 32 (AVX-512, NEON) | 14 x 2 | 8 x 3 | 28 and 24 accumulators; the broadcast is part of the FMA |
pub(crate) struct Table;

impl Table {
    /// Rows of [`outer`]'s tile.
    pub(crate) const fn outer_rows(registers: usize) -> usize {
        if registers >= 32 { 14 } else { 6 }
    }
}

/// Vectors of [`outer`]'s tile: the width of a packed panel of columns.
pub(crate) const OUTER_VECTORS: usize = 2;

/// Vectors of [`gram`]'s tile.
pub(crate) const GRAM_VECTORS: usize = 3;

/// `acc[r][v] = Σ_d a[r, d] b[d, v]` with `a` by lanes (row `r` at `a + r L`, lane blocks `a_step` floats apart) and `b` a panel
/// of rows of `b_step` floats.
///
/// # Safety
/// `a` must be readable for `MR` rows of `depth`, `b` for `depth` rows of `NV` vectors.
#[inline(always)]
pub(crate) unsafe fn outer<S: Simd, const MR: usize, const NV: usize>(
    simd: S,
    depth: usize,
    mut a: *const f32,
    a_step: usize,
    mut b: *const f32,
    b_step: usize,
) -> [[S::f32s; NV]; MR] {
    let lanes = S::F32_LANES;
    let mut acc = [[simd.splat_f32s(0.0); NV]; MR];
    for _ in 0..depth / lanes {
        for lane in 0..lanes {
            // SAFETY: in bounds by the contract.
            unsafe { outer_step(simd, a.add(lane), b.add(lane * b_step), &mut acc) };
        }
        a = a.wrapping_add(a_step);
        b = b.wrapping_add(lanes * b_step);
    }
    for lane in 0..depth % lanes {
        // SAFETY: in bounds by the contract.
        unsafe { outer_step(simd, a.add(lane), b.add(lane * b_step), &mut acc) };
    }
    acc
}

/// One step of the depth of [`outer`].
///
/// # Safety
/// As [`outer`].
#[inline(always)]
unsafe fn outer_step<S: Simd, const MR: usize, const NV: usize>(
    simd: S,
    a: *const f32,
    b: *const f32,
    acc: &mut [[S::f32s; NV]; MR],
) {
    let mut columns = [simd.splat_f32s(0.0); NV];
    // SAFETY: the contract.
    unsafe {
        for v in 0..NV {
            columns[v] = load(simd, b.add(v * S::F32_LANES));
        }
        for r in 0..MR {
            let row = simd.splat_f32s(*a.add(r * S::F32_LANES));
            for v in 0..NV {
                acc[r][v] = fma(simd, row, columns[v], acc[r][v]);
            }
        }
    }
}

/// `acc[r][v] (+)= Σ_t a[t, r] b_v[t]` over `rows` positions `t`, with `a` and each `b_v` one lane block: position `t` at `+ t L`, the
/// blocks of `b` `b_step` floats apart. Adds to what is at `out` if `accumulate`; output rows are `out_step` floats apart.
///
/// # Safety
/// The blocks must be readable for `rows` positions, `MR` lanes and `NV` blocks, and `out` writable for `MR` rows of `NV` vectors.
#[inline(always)]
pub(crate) unsafe fn gram<S: Simd, const MR: usize, const NV: usize>(
    simd: S,
    rows: usize,
    a: *const f32,
    b: *const f32,
    b_step: usize,
    accumulate: bool,
    out: *mut f32,
    out_step: usize,
) {
    let lanes = S::F32_LANES;
    let mut acc = [[simd.splat_f32s(0.0); NV]; MR];
    // SAFETY: all accesses are inside the operands by the contract.
    unsafe {
        for t in 0..rows {
            let mut columns = [simd.splat_f32s(0.0); NV];
            for (v, column) in columns.iter_mut().enumerate() {
                *column = load(simd, b.add(v * b_step + t * lanes));
            }
            for (r, acc) in acc.iter_mut().enumerate() {
                let row = simd.splat_f32s(*a.add(t * lanes + r));
                for (acc, &column) in acc.iter_mut().zip(&columns) {
                    *acc = fma(simd, row, column, *acc);
                }
            }
        }
        for (r, acc) in acc.iter().enumerate() {
            for (v, &acc) in acc.iter().enumerate() {
                let to = out.add(r * out_step + v * lanes);
                let sum = if accumulate { simd.add_f32s(load(simd, to), acc) } else { acc };
                store(simd, to, sum);
            }
        }
    }
}

/// Calls `$body` with the constant `MR` equal to `$rows`, for 1 to 6, or to 14 rows where there are 32 registers.
macro_rules! with_rows {
    ($simd:ty, $rows:expr, $mr:ident => $body:expr) => {
        match $rows {
            1 => {
                const $mr: usize = 1;
                $body
            }
            2 => {
                const $mr: usize = 2;
                $body
            }
            3 => {
                const $mr: usize = 3;
                $body
            }
            4 => {
                const $mr: usize = 4;
                $body
            }
            5 => {
                const $mr: usize = 5;
                $body
            }
            6 => {
                const $mr: usize = 6;
                $body
            }
            8 if <$simd>::REGISTER_COUNT >= 32 => {
                const $mr: usize = 8;
                $body
            }
            14 if <$simd>::REGISTER_COUNT >= 32 => {
                const $mr: usize = 14;
                $body
            }
            _ => unreachable!("rows are cut by `next_rows`"),
        }
    };
}
pub(crate) use with_rows;

/// Rows of the next tile when `left` rows are left: sizes that [`with_rows`] knows.
#[inline(always)]
pub(crate) fn next_rows<S: Simd>(left: usize) -> usize {
    if S::REGISTER_COUNT >= 32 {
        match left {
            14.. => 14,
            8..14 => 8,
            _ => left.min(6),
        }
    } else {
        left.min(6)
    }
}
