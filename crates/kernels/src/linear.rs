//! Fully connected layers: `x [n, c]`, `w [k, c]`, `y [n, k]`, all row-major.
//!
//! The forward pass takes the rows of `w` as positions and those of `x` as output channels: the
//! large matrix is read once, vector by vector, and only the small one is packed into panels. Up to
//! three images are dot products, as fast as `w` can be read. The gradients are products by the
//! `gemm` crate.

use pulp::{Simd, WithSimd};

use crate::conv::patches::{ConvWeights, PatchGrid, correlate};
use crate::conv::{BlockEpilogue, PassEpilogue};
use crate::isa::Isa;
use crate::matrix::{MatrixView, gemm};
use crate::tasks::{self, DisjointSlice, TASK_LEN};
use crate::vector::{fma, load};
use crate::workspace::Workspace;

/// Number of images up to which the forward pass is dot products, which read a row of `w` from
/// cache again for each image.
const DOTS: usize = 3;

/// Computes `y = x wᵀ + bias`, then a ReLU if `relu`.
///
/// # Panics
/// If `x`, `w` or `y` is not `[n, c]`, `[k, c]` or `[n, k]`, or `bias` does not have `k` values.
///
/// ```
/// use residual_kernels::linear;
///
/// // Two images of three features, two classes.
/// let x = [1., 2., 3., 0., 0., 1.];
/// let w = [1., 0., 0., 0., 1., 1.];
/// let mut y = [0.; 4];
/// linear::forward(&x, &w, Some(&[10., 20.]), 2, 3, 2, false, &mut y);
/// assert_eq!(y, [11., 25., 10., 21.]);
/// ```
pub fn forward(x: &[f32], w: &[f32], bias: Option<&[f32]>, n: usize, c: usize, k: usize, relu: bool, y: &mut [f32]) {
    assert!(
        x.len() == n * c && w.len() == k * c && y.len() == n * k,
        "x, w and y must be [{n}, {c}], [{k}, {c}], [{n}, {k}]"
    );
    assert!(bias.is_none_or(|bias| bias.len() == k), "bias must have {k} values");
    if n == 0 || k == 0 {
        return;
    }
    let epilogue = |j: usize, sum: f32| {
        let value = sum + bias.map_or(0.0, |bias| bias[j]);
        if relu && value < 0.0 { 0.0 } else { value }
    };
    if n <= DOTS || c == 0 {
        dots(x, w, n, c, k, epilogue, y);
        return;
    }
    let mut transposed = Workspace::take(k * n);
    let weights = ConvWeights::forward(x, c, n, 1);
    let overwrite = PassEpilogue::Block(BlockEpilogue::Overwrite);
    correlate(Isa::active(), &PatchGrid::pointwise([k, 1, 1, c]), weights, None, w.into(), overwrite, &mut transposed);
    /// Side of the squares of `y` that a task transposes: their lines stay in L1.
    const SQUARE: usize = 32;
    let (transposed, y) = (&transposed[..], DisjointSlice::new(y));
    let columns = k.div_ceil(SQUARE);
    let run = |task: usize| {
        let (top, left) = (task / columns * SQUARE, task % columns * SQUARE);
        for i in top..n.min(top + SQUARE) {
            let features = left..k.min(left + SQUARE);
            // SAFETY: this part of row `i` belongs to this task alone.
            let y = unsafe { y.range(i * k + features.start..i * k + features.end) };
            y.iter_mut().zip(features).for_each(|(y, j)| *y = epilogue(j, transposed[j * n + i]));
        }
    };
    let count = n.div_ceil(SQUARE) * columns;
    if n * k <= TASK_LEN { tasks::serial(count, run) } else { tasks::for_each(count, run) }
}

/// Computes `y[i, j] = epilogue(j, x[i] · w[j])`. A task takes some rows of `w`.
fn dots(
    x: &[f32],
    w: &[f32],
    n: usize,
    c: usize,
    k: usize,
    epilogue: impl Fn(usize, f32) -> f32 + Sync,
    y: &mut [f32],
) {
    let isa = Isa::active();
    let rows = (TASK_LEN / c.max(1)).max(1).next_multiple_of(Dots::ROWS);
    let y = DisjointSlice::new(y);
    let run = |task: usize| {
        for first in (task * rows..k.min((task + 1) * rows)).step_by(Dots::ROWS) {
            let count = Dots::ROWS.min(k - first);
            for i in 0..n {
                // Rows beyond the last repeat the first.
                let rows = std::array::from_fn(|r| &w[(first + if r < count { r } else { 0 }) * c..][..c]);
                let sums = isa.run(Dots { x: &x[i * c..(i + 1) * c], rows });
                // SAFETY: these features of row `i` belong to this task alone.
                let y = unsafe { y.range(i * k + first..i * k + first + count) };
                y.iter_mut().zip(sums).enumerate().for_each(|(j, (y, sum))| *y = epilogue(first + j, sum));
            }
        }
    };
    let count = k.div_ceil(rows);
    if k * c <= tasks::SERIAL_LEN { tasks::serial(count, run) } else { tasks::for_each(count, run) }
}

/// Dot products of one vector with a few others, computed together.
struct Dots<'a> {
    x: &'a [f32],
    rows: [&'a [f32]; Dots::ROWS],
}

impl Dots<'_> {
    /// Number of rows: four streams from memory, and each value of `x` is read once for four
    /// products.
    const ROWS: usize = 4;

    /// Accumulators of a row: with four rows, enough to hide the latency of an FMA.
    const SUMS: usize = 2;
}

impl WithSimd for Dots<'_> {
    type Output = [f32; Dots::ROWS];

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
        const ROWS: usize = Dots::ROWS;
        const SUMS: usize = Dots::SUMS;
        let lanes = S::F32_LANES;
        let (x, c) = (self.x, self.x.len());
        let mut sums = [[simd.splat_f32s(0.0); SUMS]; ROWS];
        let step = SUMS * lanes;
        for at in (0..c / step * step).step_by(step) {
            for v in 0..SUMS {
                // SAFETY: all rows have `c` values.
                unsafe {
                    let x = load(simd, x.as_ptr().add(at + v * lanes));
                    for r in 0..ROWS {
                        let w = load(simd, self.rows[r].as_ptr().add(at + v * lanes));
                        sums[r][v] = fma(simd, x, w, sums[r][v]);
                    }
                }
            }
        }
        std::array::from_fn(|r| {
            let mut total = sums[r][0];
            for v in 1..SUMS {
                total = simd.add_f32s(total, sums[r][v]);
            }
            let tail = c / step * step;
            let rest: f32 = x[tail..].iter().zip(&self.rows[r][tail..]).map(|(x, w)| x * w).sum();
            simd.reduce_sum_f32s(total) + rest
        })
    }
}

/// Computes the input gradient, `dx = dy w`.
///
/// # Panics
/// If `dy`, `w` or `dx` is not `[n, k]`, `[k, c]` or `[n, c]`.
pub fn dx(dy: &[f32], w: &[f32], n: usize, c: usize, k: usize, dx: &mut [f32]) {
    assert!(
        dy.len() == n * k && w.len() == k * c && dx.len() == n * c,
        "dy, w and dx must be [{n}, {k}], [{k}, {c}], [{n}, {c}]"
    );
    gemm(MatrixView::rows(dy, n, k), MatrixView::rows(w, k, c), dx);
}

/// Computes the weight gradient, `dw = dyᵀ x`.
///
/// # Panics
/// If `x`, `dy` or `dw` is not `[n, c]`, `[n, k]` or `[k, c]`.
pub fn dw(x: &[f32], dy: &[f32], n: usize, c: usize, k: usize, dw: &mut [f32]) {
    assert!(
        x.len() == n * c && dy.len() == n * k && dw.len() == k * c,
        "x, dy and dw must be [{n}, {c}], [{n}, {k}], [{k}, {c}]"
    );
    gemm(MatrixView::rows(dy, n, k).transposed(), MatrixView::rows(x, n, c), dw);
}
