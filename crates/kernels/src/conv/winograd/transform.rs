//! The one-dimensional transforms of Winograd's minimal filtering, F(4, 3) and F(2, 3).
//!
//! With the names of Lavin & Gray 2016 (section 4): `y = Aᵀ [(G g) ⊙ (Bᵀ d)]` for a filter `g` of 3, data `d` of `N = M + 2` and `M`
//! outputs `y`. In two dimensions each transform is applied to the columns and then to the rows. The weight gradient is
//! the transpose of the same bilinear form: `dg = Gᵀ [(A dy) ⊙ (Bᵀ d)]`.
//!
//! Interpolation points are 0, ±1, ±2 and infinity for F(4, 3), and 0, ±1 and infinity for F(2, 3).

use std::marker::PhantomData;

use pulp::Simd;

use crate::vector::{fma, load, store};

/// F(M, 3) with tiles of `N = M + 2`.
pub(crate) trait Minimal<const M: usize, const N: usize>: Copy + Send + Sync + 'static {
    /// `Bᵀ d`: data.
    fn data<S: Simd>(simd: S, d: [S::f32s; N]) -> [S::f32s; N];
    /// `G g`: filter.
    fn filter<S: Simd>(simd: S, g: [S::f32s; 3]) -> [S::f32s; N];
    /// `Aᵀ m`: output.
    fn output<S: Simd>(simd: S, m: [S::f32s; N]) -> [S::f32s; M];
    /// `A dy`: output gradient.
    fn gradient<S: Simd>(simd: S, dy: [S::f32s; M]) -> [S::f32s; N];
    /// `Gᵀ m`: filter gradient.
    fn weights<S: Simd>(simd: S, m: [S::f32s; N]) -> [S::f32s; 3];
}

/// One of the five transforms of a minimal filtering, `E → N` values. A type and not a closure: only what is marked so is certain to
/// be inlined, and a call with vectors in its arguments costs as much as the transform.
pub(crate) trait Transform<const E: usize, const N: usize> {
    /// Applies it to one column or row.
    fn apply<S: Simd>(simd: S, values: [S::f32s; E]) -> [S::f32s; N];
}

/// [`Minimal::data`].
pub(crate) struct Data<W, const M: usize, const N: usize>(PhantomData<W>);

/// [`Minimal::filter`].
pub(crate) struct Filter<W, const M: usize, const N: usize>(PhantomData<W>);

/// [`Minimal::output`].
pub(crate) struct Output<W, const M: usize, const N: usize>(PhantomData<W>);

/// [`Minimal::gradient`].
pub(crate) struct Gradient<W, const M: usize, const N: usize>(PhantomData<W>);

/// [`Minimal::weights`].
pub(crate) struct Weights<W, const M: usize, const N: usize>(PhantomData<W>);

impl<W: Minimal<M, N>, const M: usize, const N: usize> Transform<N, N> for Data<W, M, N> {
    #[inline(always)]
    fn apply<S: Simd>(simd: S, values: [S::f32s; N]) -> [S::f32s; N] {
        W::data(simd, values)
    }
}

impl<W: Minimal<M, N>, const M: usize, const N: usize> Transform<3, N> for Filter<W, M, N> {
    #[inline(always)]
    fn apply<S: Simd>(simd: S, values: [S::f32s; 3]) -> [S::f32s; N] {
        W::filter(simd, values)
    }
}

impl<W: Minimal<M, N>, const M: usize, const N: usize> Transform<N, M> for Output<W, M, N> {
    #[inline(always)]
    fn apply<S: Simd>(simd: S, values: [S::f32s; N]) -> [S::f32s; M] {
        W::output(simd, values)
    }
}

impl<W: Minimal<M, N>, const M: usize, const N: usize> Transform<M, N> for Gradient<W, M, N> {
    #[inline(always)]
    fn apply<S: Simd>(simd: S, values: [S::f32s; M]) -> [S::f32s; N] {
        W::gradient(simd, values)
    }
}

impl<W: Minimal<M, N>, const M: usize, const N: usize> Transform<N, 3> for Weights<W, M, N> {
    #[inline(always)]
    fn apply<S: Simd>(simd: S, values: [S::f32s; N]) -> [S::f32s; 3] {
        W::weights(simd, values)
    }
}

/// Where the values of a square come from.
pub(crate) trait Source<S: Simd> {
    /// The vector at row `i`, column `j`.
    ///
    /// # Safety
    /// The square must hold it.
    unsafe fn at(&self, simd: S, i: usize, j: usize) -> S::f32s;
}

/// A square in memory: `(i, j)` at `from + i row + j column`.
#[derive(Clone, Copy)]
pub(crate) struct Strided {
    pub(crate) from: *const f32,
    pub(crate) row: usize,
    pub(crate) column: usize,
}

impl<S: Simd> Source<S> for Strided {
    #[inline(always)]
    unsafe fn at(&self, simd: S, i: usize, j: usize) -> S::f32s {
        // SAFETY: the contract.
        unsafe { load(simd, self.from.add(i * self.row + j * self.column)) }
    }
}

/// Applies a transform to the columns and then to the rows of a square.
///
/// # Safety
/// The source must hold `E x E` vectors.
#[inline(always)]
pub(crate) unsafe fn square<S: Simd, T: Transform<E, N>, const E: usize, const N: usize>(
    simd: S,
    source: &impl Source<S>,
) -> [[S::f32s; N]; N] {
    let zero = simd.splat_f32s(0.0);
    let mut half = [[zero; E]; N];
    for j in 0..E {
        let mut column = [zero; E];
        for (i, value) in column.iter_mut().enumerate() {
            // SAFETY: the contract.
            *value = unsafe { source.at(simd, i, j) };
        }
        let column = T::apply(simd, column);
        for i in 0..N {
            half[i][j] = column[i];
        }
    }
    let mut full = [[zero; N]; N];
    for i in 0..N {
        full[i] = T::apply(simd, half[i]);
    }
    full
}

/// [`square`], with point `(i, j)` stored at `to + (i N + j) step`.
///
/// # Safety
/// As [`square`], and all points must be writable for a vector.
#[inline(always)]
pub(crate) unsafe fn store_square<S: Simd, T: Transform<E, N>, const E: usize, const N: usize>(
    simd: S,
    source: &impl Source<S>,
    to: *mut f32,
    step: usize,
) {
    // SAFETY: the contract.
    let full = unsafe { square::<S, T, E, N>(simd, source) };
    for i in 0..N {
        for j in 0..N {
            // SAFETY: the contract.
            unsafe { store(simd, to.add((i * N + j) * step), full[i][j]) };
        }
    }
}

/// F(4, 3).
#[derive(Clone, Copy)]
pub(crate) struct F4;

/// F(2, 3).
#[derive(Clone, Copy)]
pub(crate) struct F2;

impl Minimal<4, 6> for F4 {
    #[inline(always)]
    fn data<S: Simd>(s: S, d: [S::f32s; 6]) -> [S::f32s; 6] {
        let (two, four, five) = (s.splat_f32s(2.0), s.splat_f32s(4.0), s.splat_f32s(5.0));
        let even = s.negate_mul_add_e_f32s(four, d[2], d[4]);
        let odd = s.negate_mul_add_e_f32s(four, d[1], d[3]);
        let (near, step) = (s.sub_f32s(d[4], d[2]), s.sub_f32s(d[3], d[1]));
        [
            fma(s, four, d[0], s.negate_mul_add_e_f32s(five, d[2], d[4])),
            s.add_f32s(even, odd),
            s.sub_f32s(even, odd),
            fma(s, two, step, near),
            s.negate_mul_add_e_f32s(two, step, near),
            fma(s, four, d[1], s.negate_mul_add_e_f32s(five, d[3], d[5])),
        ]
    }

    #[inline(always)]
    fn filter<S: Simd>(s: S, g: [S::f32s; 3]) -> [S::f32s; 6] {
        let (sixth, quarter) = (s.splat_f32s(-1.0 / 6.0), s.splat_f32s(0.25));
        let (twelfth, twenty_fourth) = (s.splat_f32s(1.0 / 12.0), s.splat_f32s(1.0 / 24.0));
        let ends = s.mul_f32s(sixth, s.add_f32s(g[0], g[2]));
        let far = fma(s, twenty_fourth, g[0], s.mul_f32s(s.splat_f32s(1.0 / 6.0), g[2]));
        [
            s.mul_f32s(quarter, g[0]),
            fma(s, sixth, g[1], ends),
            s.negate_mul_add_e_f32s(sixth, g[1], ends),
            fma(s, twelfth, g[1], far),
            s.negate_mul_add_e_f32s(twelfth, g[1], far),
            g[2],
        ]
    }

    #[inline(always)]
    fn output<S: Simd>(s: S, m: [S::f32s; 6]) -> [S::f32s; 4] {
        let (two, four, eight) = (s.splat_f32s(2.0), s.splat_f32s(4.0), s.splat_f32s(8.0));
        let (sum, difference) = (s.add_f32s(m[1], m[2]), s.sub_f32s(m[1], m[2]));
        let (far_sum, far_difference) = (s.add_f32s(m[3], m[4]), s.sub_f32s(m[3], m[4]));
        [
            s.add_f32s(s.add_f32s(m[0], sum), far_sum),
            fma(s, two, far_difference, difference),
            fma(s, four, far_sum, sum),
            fma(s, eight, far_difference, s.add_f32s(difference, m[5])),
        ]
    }

    #[inline(always)]
    fn gradient<S: Simd>(s: S, d: [S::f32s; 4]) -> [S::f32s; 6] {
        let (two, four) = (s.splat_f32s(2.0), s.splat_f32s(4.0));
        let (even, odd) = (s.add_f32s(d[0], d[2]), s.add_f32s(d[1], d[3]));
        let far_even = fma(s, four, d[2], d[0]);
        let far_odd = fma(s, four, d[3], d[1]);
        [
            d[0],
            s.add_f32s(even, odd),
            s.sub_f32s(even, odd),
            fma(s, two, far_odd, far_even),
            s.negate_mul_add_e_f32s(two, far_odd, far_even),
            d[3],
        ]
    }

    #[inline(always)]
    fn weights<S: Simd>(s: S, m: [S::f32s; 6]) -> [S::f32s; 3] {
        let (sixth, quarter) = (s.splat_f32s(1.0 / 6.0), s.splat_f32s(0.25));
        let (twelfth, twenty_fourth) = (s.splat_f32s(1.0 / 12.0), s.splat_f32s(1.0 / 24.0));
        let (sum, difference) = (s.add_f32s(m[1], m[2]), s.sub_f32s(m[2], m[1]));
        let (far_sum, far_difference) = (s.add_f32s(m[3], m[4]), s.sub_f32s(m[3], m[4]));
        [
            fma(s, quarter, m[0], s.negate_mul_add_e_f32s(sixth, sum, s.mul_f32s(twenty_fourth, far_sum))),
            fma(s, sixth, difference, s.mul_f32s(twelfth, far_difference)),
            fma(s, sixth, s.sub_f32s(far_sum, sum), m[5]),
        ]
    }
}

impl Minimal<2, 4> for F2 {
    #[inline(always)]
    fn data<S: Simd>(s: S, d: [S::f32s; 4]) -> [S::f32s; 4] {
        [s.sub_f32s(d[0], d[2]), s.add_f32s(d[1], d[2]), s.sub_f32s(d[2], d[1]), s.sub_f32s(d[1], d[3])]
    }

    #[inline(always)]
    fn filter<S: Simd>(s: S, g: [S::f32s; 3]) -> [S::f32s; 4] {
        let half = s.splat_f32s(0.5);
        let ends = s.mul_f32s(half, s.add_f32s(g[0], g[2]));
        [g[0], fma(s, half, g[1], ends), s.negate_mul_add_e_f32s(half, g[1], ends), g[2]]
    }

    #[inline(always)]
    fn output<S: Simd>(s: S, m: [S::f32s; 4]) -> [S::f32s; 2] {
        [s.add_f32s(m[0], s.add_f32s(m[1], m[2])), s.sub_f32s(s.sub_f32s(m[1], m[2]), m[3])]
    }

    #[inline(always)]
    fn gradient<S: Simd>(s: S, d: [S::f32s; 2]) -> [S::f32s; 4] {
        [d[0], s.add_f32s(d[0], d[1]), s.sub_f32s(d[0], d[1]), s.neg_f32s(d[1])]
    }

    #[inline(always)]
    fn weights<S: Simd>(s: S, m: [S::f32s; 4]) -> [S::f32s; 3] {
        let half = s.splat_f32s(0.5);
        let sum = s.mul_f32s(half, s.add_f32s(m[1], m[2]));
        [s.add_f32s(m[0], sum), s.mul_f32s(half, s.sub_f32s(m[1], m[2])), s.add_f32s(sum, m[3])]
    }
}
