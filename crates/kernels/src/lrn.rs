//! Local response normalisation across channels (Krizhevsky 2012, section 3.3), as `torch.nn.LocalResponseNorm` scales it:
//! `y = x / (k + alpha / size * sum of squares in the window)^beta`. `x [rows, c]`, the window is over `c`.
//!
//! Only VGG's A-LRN uses it.

use crate::pieces::{self, PIECE, Parts};

/// The constants of the normalisation.
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
    /// `k + alpha / size * squares` for every channel of one row.
    fn denominators(&self, x: &[f32], d: &mut [f32]) {
        let scale = self.alpha / self.size as f32;
        for (j, d) in d.iter_mut().enumerate() {
            let (from, to) = (j.saturating_sub(self.size / 2), (j + (self.size - 1) / 2 + 1).min(x.len()));
            *d = self.k + scale * x[from..to].iter().map(|x| x * x).sum::<f32>();
        }
    }

    /// `d^-beta`; the usual exponent 3/4 is two square roots.
    fn power(&self, d: f32) -> f32 {
        if self.beta == 0.75 {
            let root = d.sqrt();
            1.0 / (root * root.sqrt())
        } else {
            d.powf(-self.beta)
        }
    }
}

/// See the module.
pub fn forward(x: &[f32], c: usize, lrn: &Lrn, y: &mut [f32]) {
    check(x.len(), c, lrn, y.len());
    let y = Parts::new(y);
    pieces::for_ranges(x.len(), c * (PIECE / c).max(1), |_, range| {
        // SAFETY: the ranges do not overlap.
        let y = unsafe { y.range(range.clone()) };
        for (x, y) in x[range].chunks_exact(c).zip(y.chunks_exact_mut(c)) {
            lrn.denominators(x, y);
            y.iter_mut().zip(x).for_each(|(y, &x)| *y = x * lrn.power(*y));
        }
    });
}

/// The gradient of [`forward`]: `dx_i = dy_i d_i^-beta - 2 alpha beta / size x_i Σ_j dy_j y_j / d_j`, the sum over the
/// channels whose window holds `i`.
pub fn backward(x: &[f32], y: &[f32], dy: &[f32], c: usize, lrn: &Lrn, dx: &mut [f32]) {
    check(x.len(), c, lrn, dx.len());
    assert!(y.len() == x.len() && dy.len() == x.len(), "x, y and dy must be equally large");
    let slope = 2.0 * lrn.alpha * lrn.beta / lrn.size as f32;
    let dx = Parts::new(dx);
    pieces::for_ranges(x.len(), c * (PIECE / c).max(1), |_, range| {
        // SAFETY: the ranges do not overlap.
        let dx = unsafe { dx.range(range.clone()) };
        let (mut d, mut ratio) = (vec![0f32; c], vec![0f32; c]);
        let inputs = x[range.clone()].chunks_exact(c).zip(y[range.clone()].chunks_exact(c));
        for (((x, y), dy), dx) in inputs.zip(dy[range.clone()].chunks_exact(c)).zip(dx.chunks_exact_mut(c)) {
            lrn.denominators(x, &mut d);
            for j in 0..c {
                ratio[j] = dy[j] * y[j] / d[j];
            }
            for i in 0..c {
                let (from, to) = (i.saturating_sub((lrn.size - 1) / 2), (i + lrn.size / 2 + 1).min(c));
                let sum: f32 = ratio[from..to].iter().sum();
                dx[i] = dy[i] * lrn.power(d[i]) - slope * x[i] * sum;
            }
        }
    });
}

fn check(x_len: usize, c: usize, lrn: &Lrn, out_len: usize) {
    assert!(lrn.size > 0, "the window of a local response normalisation must hold a channel");
    assert!(c > 0 && x_len.is_multiple_of(c) && out_len == x_len, "all arrays must be [rows, {c}]");
}
