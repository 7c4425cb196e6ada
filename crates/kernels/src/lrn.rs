//! Local response normalisation across channels (Krizhevsky 2012, section 3.3), for VGG's A-LRN.
//!
//! `y = x / (k + alpha / size * sum of squares in the window)^beta`, scaled as
//! `torch.nn.LocalResponseNorm`. `x [rows, c]`, the window is over `c`.

use crate::isa::Isa;
use crate::tasks::{self, DisjointSlice, TASK_LEN};
use crate::workspace::Workspace;

/// Constants of a local response normalisation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lrn {
    /// Channels in a window: `size / 2` before the channel, `(size - 1) / 2` after it.
    pub size: usize,
    /// Weight of the squares; divided by `size`.
    pub alpha: f32,
    /// Exponent.
    pub beta: f32,
    /// Added to the squares.
    pub k: f32,
}

impl Lrn {
    /// Computes `x · (k + alpha / size · sums)^-beta`, where `y` holds the sums of squares before.
    #[inline(always)]
    fn scaled(&self, x: &[f32], y: &mut [f32]) {
        let scale = self.alpha / self.size as f32;
        let pairs = y.iter_mut().zip(x);
        // The usual exponent, 3/4, is two square roots.
        match self.beta == 0.75 {
            true => pairs.for_each(|(y, &x)| *y = x * three_quarters(self.k + scale * *y)),
            false => pairs.for_each(|(y, &x)| *y = x * (self.k + scale * *y).powf(-self.beta)),
        }
    }
}

/// Computes `d^(-3/4)`.
#[inline(always)]
fn three_quarters(d: f32) -> f32 {
    let root = d.sqrt();
    1.0 / (root * root.sqrt())
}

/// Sums the `size` values of `padded` from `j` on into `out[j]`, one shifted row after the other,
/// so that the loop is vectorised. `padded` has `size - 1` values more than `out`.
#[inline(always)]
fn window_sums(padded: &[f32], size: usize, out: &mut [f32]) {
    out.copy_from_slice(&padded[..out.len()]);
    for shift in 1..size {
        out.iter_mut().zip(&padded[shift..]).for_each(|(out, value)| *out += value);
    }
}

/// Computes the normalisation of `x [rows, c]`.
///
/// # Panics
/// If `x` is not `[rows, c]`, `y` is not as large, or the window is empty.
pub fn forward(x: &[f32], c: usize, lrn: &Lrn, y: &mut [f32]) {
    check(x.len(), c, lrn, y.len());
    let (isa, before) = (Isa::active(), lrn.size / 2);
    let y = DisjointSlice::new(y);
    tasks::for_ranges(x.len(), c * (TASK_LEN / c).max(1), |_, range| {
        // SAFETY: the ranges do not overlap.
        let y = unsafe { y.range(range.clone()) };
        // Squares of a row, padded with zeros.
        let mut squares = Workspace::take(c + lrn.size - 1);
        squares.fill(0.0);
        isa.run(|| {
            for (x, y) in x[range].chunks_exact(c).zip(y.chunks_exact_mut(c)) {
                squares[before..before + c].iter_mut().zip(x).for_each(|(square, x)| *square = x * x);
                window_sums(&squares, lrn.size, y);
                lrn.scaled(x, y);
            }
        });
    });
}

/// Computes the gradient of [`forward`]:
/// `dx_i = dy_i d_i^-beta - 2 alpha beta / size x_i Σ_j dy_j y_j / d_j`, the sum over the channels
/// whose window holds `i`.
///
/// # Panics
/// If `x` is not `[rows, c]`, another slice is not as large, or the window is empty.
pub fn backward(x: &[f32], y: &[f32], dy: &[f32], c: usize, lrn: &Lrn, dx: &mut [f32]) {
    check(x.len(), c, lrn, dx.len());
    assert!(y.len() == x.len() && dy.len() == x.len(), "x, y and dy must be equally large");
    let (isa, before, after) = (Isa::active(), lrn.size / 2, (lrn.size - 1) / 2);
    let (scale, slope) = (lrn.alpha / lrn.size as f32, 2.0 * lrn.alpha * lrn.beta / lrn.size as f32);
    let dx = DisjointSlice::new(dx);
    tasks::for_ranges(x.len(), c * (TASK_LEN / c).max(1), |_, range| {
        // SAFETY: the ranges do not overlap.
        let dx = unsafe { dx.range(range.clone()) };
        // Rows padded with zeros, and two sums of a row.
        let [mut squares, mut ratios] = [(); 2].map(|()| Workspace::take(c + lrn.size - 1));
        let [mut sums, mut weighted] = [(); 2].map(|()| Workspace::take(c));
        squares.fill(0.0);
        ratios.fill(0.0);
        isa.run(|| {
            let inputs = x[range.clone()].chunks_exact(c).zip(y[range.clone()].chunks_exact(c));
            for (((x, y), dy), dx) in inputs.zip(dy[range.clone()].chunks_exact(c)).zip(dx.chunks_exact_mut(c)) {
                squares[before..before + c].iter_mut().zip(x).for_each(|(square, x)| *square = x * x);
                window_sums(&squares, lrn.size, &mut sums);
                dx.copy_from_slice(&sums);
                lrn.scaled(dy, dx);
                // The windows that hold a channel form its own window mirrored.
                let ratio = ratios[after..after + c].iter_mut().zip(dy).zip(y).zip(&*sums);
                ratio.for_each(|(((ratio, dy), y), sum)| *ratio = dy * y / (lrn.k + scale * sum));
                window_sums(&ratios, lrn.size, &mut weighted);
                dx.iter_mut().zip(x).zip(&*weighted).for_each(|((dx, x), sum)| *dx -= slope * x * sum);
            }
        });
    });
}

fn check(x_len: usize, c: usize, lrn: &Lrn, out_len: usize) {
    assert!(lrn.size > 0, "the window of a local response normalisation must hold a channel");
    assert!(c > 0 && x_len.is_multiple_of(c) && out_len == x_len, "all arrays must be [rows, {c}]");
}
