//! One-dimensional transforms of Winograd's minimal filtering, F(4, 3) and F(2, 3).
//!
//! In the notation of Lavin & Gray 2016 (section 4), `y = Aᵀ [(G g) ⊙ (Bᵀ d)]` for a filter `g` of
//! 3, data `d` of `N = M + 2` and `M` outputs `y`. In two dimensions each transform is applied to
//! the columns and then to the rows. The weight gradient is the transpose of the same bilinear
//! form: `dg = Gᵀ [(A dy) ⊙ (Bᵀ d)]`.
//!
//! Interpolation points are 0, ±1, ±2 and infinity for F(4, 3), and 0, ±1 and infinity for F(2, 3).

use std::marker::PhantomData;

use pulp::Simd;

use crate::vector::{Aligned, fma, load, negated_fma, store};

/// Transforms of F(M, 3) with tiles of `N = M + 2`.
pub(crate) trait WinogradTransforms<const M: usize, const N: usize>: Copy + Send + Sync + 'static {
    /// Transforms data: `Bᵀ d`.
    fn data<S: Simd>(simd: S, d: [S::f32s; N]) -> [S::f32s; N];
    /// Transforms a filter: `G g`.
    fn filter<S: Simd>(simd: S, g: [S::f32s; 3]) -> [S::f32s; N];
    /// Transforms products into outputs: `Aᵀ m`.
    fn output<S: Simd>(simd: S, m: [S::f32s; N]) -> [S::f32s; M];
    /// Transforms an output gradient: `A dy`.
    fn gradient<S: Simd>(simd: S, dy: [S::f32s; M]) -> [S::f32s; N];
    /// Transforms products into a filter gradient: `Gᵀ m`.
    fn weights<S: Simd>(simd: S, m: [S::f32s; N]) -> [S::f32s; 3];
}

/// One of the five transforms, from `E` to `N` values.
///
/// A type and not a closure: only a function marked `inline(always)` is certain to be inlined, and
/// a call with vectors in its arguments costs as much as the transform.
pub(crate) trait Transform<const E: usize, const N: usize> {
    /// Transforms one column or row.
    fn apply<S: Simd>(simd: S, values: [S::f32s; E]) -> [S::f32s; N];
}

/// Applies [`WinogradTransforms::data`].
pub(crate) struct DataTransform<W, const M: usize, const N: usize>(PhantomData<W>);

/// Applies [`WinogradTransforms::filter`].
pub(crate) struct FilterTransform<W, const M: usize, const N: usize>(PhantomData<W>);

/// Applies [`WinogradTransforms::output`].
pub(crate) struct OutputTransform<W, const M: usize, const N: usize>(PhantomData<W>);

/// Applies [`WinogradTransforms::gradient`].
pub(crate) struct GradientTransform<W, const M: usize, const N: usize>(PhantomData<W>);

/// Applies [`WinogradTransforms::weights`].
pub(crate) struct FilterGradientTransform<W, const M: usize, const N: usize>(PhantomData<W>);

impl<W: WinogradTransforms<M, N>, const M: usize, const N: usize> Transform<N, N> for DataTransform<W, M, N> {
    #[inline(always)]
    fn apply<S: Simd>(simd: S, values: [S::f32s; N]) -> [S::f32s; N] {
        W::data(simd, values)
    }
}

impl<W: WinogradTransforms<M, N>, const M: usize, const N: usize> Transform<3, N> for FilterTransform<W, M, N> {
    #[inline(always)]
    fn apply<S: Simd>(simd: S, values: [S::f32s; 3]) -> [S::f32s; N] {
        W::filter(simd, values)
    }
}

impl<W: WinogradTransforms<M, N>, const M: usize, const N: usize> Transform<N, M> for OutputTransform<W, M, N> {
    #[inline(always)]
    fn apply<S: Simd>(simd: S, values: [S::f32s; N]) -> [S::f32s; M] {
        W::output(simd, values)
    }
}

impl<W: WinogradTransforms<M, N>, const M: usize, const N: usize> Transform<M, N> for GradientTransform<W, M, N> {
    #[inline(always)]
    fn apply<S: Simd>(simd: S, values: [S::f32s; M]) -> [S::f32s; N] {
        W::gradient(simd, values)
    }
}

impl<W: WinogradTransforms<M, N>, const M: usize, const N: usize> Transform<N, 3> for FilterGradientTransform<W, M, N> {
    #[inline(always)]
    fn apply<S: Simd>(simd: S, values: [S::f32s; N]) -> [S::f32s; 3] {
        W::weights(simd, values)
    }
}

/// Addresses of the vectors of a square.
pub(crate) trait Addresses {
    /// Returns the address of the vector at row `i`, column `j`.
    fn address(&self, i: usize, j: usize) -> *const f32;
}

/// Square in memory: `(i, j)` is at `from + i row + j column`.
#[derive(Clone, Copy)]
pub(crate) struct Strided {
    pub(crate) from: *const f32,
    pub(crate) row: usize,
    pub(crate) column: usize,
}

impl Addresses for Strided {
    #[inline(always)]
    fn address(&self, i: usize, j: usize) -> *const f32 {
        self.from.wrapping_add(i * self.row + j * self.column)
    }
}

/// Source of the values of a square.
pub(crate) trait TileSource<S: Simd> {
    /// Loads the vector at row `i`, column `j`.
    ///
    /// # Safety
    /// The vector must be inside the square and readable.
    unsafe fn at(&self, simd: S, i: usize, j: usize) -> S::f32s;
}

impl<S: Simd, P: Addresses> TileSource<S> for P {
    #[inline(always)]
    unsafe fn at(&self, simd: S, i: usize, j: usize) -> S::f32s {
        // SAFETY: the caller lets the vector be read.
        unsafe { load(simd, self.address(i, j)) }
    }
}

/// Destination of the rows of a transformed square, one after the other: a row that is used at once
/// stays in registers.
pub(crate) trait TileSink<S: Simd, const N: usize> {
    /// Takes row `i`.
    ///
    /// # Safety
    /// The destination of the row must be writable.
    unsafe fn row(&mut self, simd: S, i: usize, row: [S::f32s; N]);
}

/// Stores point `(i, j)` at `to + (i N + j) step`.
pub(crate) struct PointSink {
    pub(crate) to: *mut f32,
    pub(crate) step: usize,
}

impl<S: Simd, const N: usize> TileSink<S, N> for PointSink {
    #[inline(always)]
    unsafe fn row(&mut self, simd: S, i: usize, row: [S::f32s; N]) {
        for j in 0..N {
            // SAFETY: the caller lets the row be written.
            unsafe { store(simd, self.to.add((i * N + j) * self.step), row[j]) };
        }
    }
}

/// Applies a transform to the columns and then to the rows of a square.
///
/// # Safety
/// - `source` must be readable for `E x E` vectors,
/// - `sink` must be writable for `N` rows of `N`.
#[inline(always)]
pub(crate) unsafe fn transform_2d<S: Simd, T: Transform<E, N>, const E: usize, const N: usize>(
    simd: S,
    source: &impl TileSource<S>,
    sink: &mut impl TileSink<S, N>,
) {
    let zero = simd.splat_f32s(0.0);
    let mut half = Aligned([[zero; E]; N]);
    for j in 0..E {
        let mut column = [zero; E];
        for (i, value) in column.iter_mut().enumerate() {
            // SAFETY: `i` and `j` are below `E`.
            *value = unsafe { source.at(simd, i, j) };
        }
        let column = T::apply(simd, column);
        for i in 0..N {
            half.0[i][j] = column[i];
        }
    }
    for i in 0..N {
        // SAFETY: `i` is below `N`.
        unsafe { sink.row(simd, i, T::apply(simd, half.0[i])) };
    }
}

/// Algorithm F(4, 3).
#[derive(Clone, Copy)]
pub(crate) struct F4;

/// Algorithm F(2, 3).
#[derive(Clone, Copy)]
pub(crate) struct F2;

impl WinogradTransforms<4, 6> for F4 {
    #[inline(always)]
    fn data<S: Simd>(s: S, d: [S::f32s; 6]) -> [S::f32s; 6] {
        let (two, four, five) = (s.splat_f32s(2.0), s.splat_f32s(4.0), s.splat_f32s(5.0));
        let even = negated_fma(s, four, d[2], d[4]);
        let odd = negated_fma(s, four, d[1], d[3]);
        let (near, step) = (s.sub_f32s(d[4], d[2]), s.sub_f32s(d[3], d[1]));
        [
            fma(s, four, d[0], negated_fma(s, five, d[2], d[4])),
            s.add_f32s(even, odd),
            s.sub_f32s(even, odd),
            fma(s, two, step, near),
            negated_fma(s, two, step, near),
            fma(s, four, d[1], negated_fma(s, five, d[3], d[5])),
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
            negated_fma(s, sixth, g[1], ends),
            fma(s, twelfth, g[1], far),
            negated_fma(s, twelfth, g[1], far),
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
            negated_fma(s, two, far_odd, far_even),
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
            fma(s, quarter, m[0], negated_fma(s, sixth, sum, s.mul_f32s(twenty_fourth, far_sum))),
            fma(s, sixth, difference, s.mul_f32s(twelfth, far_difference)),
            fma(s, sixth, s.sub_f32s(far_sum, sum), m[5]),
        ]
    }
}

impl WinogradTransforms<2, 4> for F2 {
    #[inline(always)]
    fn data<S: Simd>(s: S, d: [S::f32s; 4]) -> [S::f32s; 4] {
        [s.sub_f32s(d[0], d[2]), s.add_f32s(d[1], d[2]), s.sub_f32s(d[2], d[1]), s.sub_f32s(d[1], d[3])]
    }

    #[inline(always)]
    fn filter<S: Simd>(s: S, g: [S::f32s; 3]) -> [S::f32s; 4] {
        let half = s.splat_f32s(0.5);
        let ends = s.mul_f32s(half, s.add_f32s(g[0], g[2]));
        [g[0], fma(s, half, g[1], ends), negated_fma(s, half, g[1], ends), g[2]]
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
