//! Linear layers: `x [n, c]`, `w [k, c]`, `y [n, k]`, all row by row.
//!
//! The forward pass takes the rows of `w` for positions and those of `x` for output channels: the large matrix is then read once, vector by
//! vector, and only the small one is transposed into panels. For up to `DOTS` images it is dot products, as fast as `w` can be
//! read. The gradients are products by the `gemm` crate.

use pulp::{Simd, WithSimd};

use crate::conv::patches::{ConvWeights, PatchGrid, correlate};
use crate::conv::{BlockEpilogue, PassEpilogue};
use crate::isa::Isa;
use crate::matrix::{MatrixView, gemm};
use crate::tasks::{self, DisjointSlice, TASK_LEN};
use crate::vector::{fma, load};
use crate::workspace::Workspace;

/// Images up to which a row of `w` is read again from cache for each, rather than packed.
const DOTS: usize = 3;

/// `y = x wᵀ + bias`, then a ReLU if `relu`.
pub fn forward(x: &[f32], w: &[f32], bias: Option<&[f32]>, n: usize, c: usize, k: usize, relu: bool, y: &mut [f32]) {
    assert!(
        x.len() == n * c && w.len() == k * c && y.len() == n * k,
        "x, w and y must be [{n}, {c}], [{k}, {c}], [{n}, {k}]"
    );
    assert!(bias.is_none_or(|bias| bias.len() == k), "bias must have {k} values");
    if n == 0 || k == 0 {
        return;
    }
    let end = |j: usize, sum: f32| {
        let value = sum + bias.map_or(0.0, |bias| bias[j]);
        if relu && value < 0.0 { 0.0 } else { value }
    };
    if n <= DOTS || c == 0 {
        dots(x, w, n, c, k, end, y);
        return;
    }
    let mut transposed = Workspace::take(k * n);
    let weights = ConvWeights::forward(x, c, n, 1);
    let epilogue = PassEpilogue::Block(BlockEpilogue::Overwrite);
    correlate(Isa::active(), &PatchGrid::pointwise([k, 1, 1, c]), weights, None, w.into(), epilogue, &mut transposed);
    /// Rows of `y` and features of a task: squares whose lines stay in L1.
    const SQUARE: usize = 32;
    let (transposed, y) = (&transposed[..], DisjointSlice::new(y));
    let columns = k.div_ceil(SQUARE);
    let run = |task: usize| {
        let (top, left) = (task / columns * SQUARE, task % columns * SQUARE);
        for i in top..n.min(top + SQUARE) {
            let features = left..k.min(left + SQUARE);
            // SAFETY: this part of row `i` is this task's alone.
            let y = unsafe { y.range(i * k + features.start..i * k + features.end) };
            y.iter_mut().zip(features).for_each(|(y, j)| *y = end(j, transposed[j * n + i]));
        }
    };
    let count = n.div_ceil(SQUARE) * columns;
    if n * k <= TASK_LEN { tasks::serial(count, run) } else { tasks::for_each(count, run) }
}

/// `y[i, j] = end(j, x[i] · w[j])`, a task for some rows of `w`.
fn dots(x: &[f32], w: &[f32], n: usize, c: usize, k: usize, end: impl Fn(usize, f32) -> f32 + Sync, y: &mut [f32]) {
    let isa = Isa::active();
    let rows = (TASK_LEN / c.max(1)).max(1).next_multiple_of(Dots::ROWS);
    let y = DisjointSlice::new(y);
    let run = |task: usize| {
        for first in (task * rows..k.min((task + 1) * rows)).step_by(Dots::ROWS) {
            let count = Dots::ROWS.min(k - first);
            for i in 0..n {
                // Rows beyond the last are the first again.
                let rows = std::array::from_fn(|r| &w[(first + if r < count { r } else { 0 }) * c..][..c]);
                let sums = isa.run(Dots { x: &x[i * c..(i + 1) * c], rows });
                // SAFETY: these features of row `i` are this task's alone.
                let y = unsafe { y.range(i * k + first..i * k + first + count) };
                y.iter_mut().zip(sums).enumerate().for_each(|(j, (y, sum))| *y = end(first + j, sum));
            }
        }
    };
    let count = k.div_ceil(rows);
    if k * c <= tasks::SERIAL_LEN { tasks::serial(count, run) } else { tasks::for_each(count, run) }
}

/// Dot products of one vector with a few others.
struct Dots<'a> {
    x: &'a [f32],
    rows: [&'a [f32]; Dots::ROWS],
}

impl Dots<'_> {
    /// Rows at a time: four streams from memory, and each value of `x` is read once for four products.
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

/// `dx = dy w`.
pub fn dx(dy: &[f32], w: &[f32], n: usize, c: usize, k: usize, dx: &mut [f32]) {
    assert!(
        dy.len() == n * k && w.len() == k * c && dx.len() == n * c,
        "dy, w and dx must be [{n}, {k}], [{k}, {c}], [{n}, {c}]"
    );
    gemm(MatrixView::rows(dy, n, k), MatrixView::rows(w, k, c), dx);
}

/// `dw = dyᵀ x`.
pub fn dw(x: &[f32], dy: &[f32], n: usize, c: usize, k: usize, dw: &mut [f32]) {
    assert!(
        x.len() == n * c && dy.len() == n * k && dw.len() == k * c,
        "x, dy and dw must be [{n}, {c}], [{n}, {k}], [{k}, {c}]"
    );
    gemm(MatrixView::rows(dy, n, k).transposed(), MatrixView::rows(x, n, c), dw);
}
