//! Updates of weights: SGD, moving averages, sums. Arrays are flat.

use crate::isa::Isa;
use crate::tasks::{self, DisjointSlice, TASK_LEN};

/// Constants of stochastic gradient descent with momentum. The weight decay is added to the
/// gradient, as in PyTorch and in both papers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sgd {
    /// Learning rate.
    pub lr: f32,
    /// Momentum; 0 for none.
    pub momentum: f32,
    /// L2 penalty: added to the gradient as `weight_decay * w`.
    pub weight_decay: f32,
    /// Whether the step is Nesterov's, along `g + momentum * v`.
    pub nesterov: bool,
}

/// Updates one weight tensor by one step: `g = dw + weight_decay w`, `v = momentum v + g`,
/// `w -= lr v` (Nesterov: `w -= lr (g + momentum v)`). `v` starts at zero, so that the first step
/// is that of PyTorch.
///
/// # Panics
/// If the slices are not equally large.
pub fn sgd(w: &mut [f32], dw: &[f32], v: &mut [f32], sgd: &Sgd) {
    assert!(w.len() == dw.len() && w.len() == v.len(), "w, dw and v must be equally large");
    let isa = Isa::active();
    let Sgd { lr, momentum, weight_decay, nesterov } = *sgd;
    let (w, v) = (DisjointSlice::new(w), DisjointSlice::new(v));
    tasks::for_ranges(dw.len(), TASK_LEN, |_, range| {
        // SAFETY: the ranges do not overlap.
        let (w, v) = unsafe { (w.range(range.clone()), v.range(range.clone())) };
        let all = w.iter_mut().zip(v).zip(&dw[range]);
        if nesterov {
            isa.run(|| {
                for ((w, v), &dw) in all {
                    let g = dw + weight_decay * *w;
                    *v = momentum * *v + g;
                    *w -= lr * (g + momentum * *v);
                }
            });
        } else {
            isa.run(|| {
                for ((w, v), &dw) in all {
                    *v = momentum * *v + (dw + weight_decay * *w);
                    *w -= lr * *v;
                }
            });
        }
    });
}

/// Updates the exponential moving average of the weights: `shadow = decay shadow + (1 - decay) w`.
///
/// # Panics
/// If the slices are not equally large.
pub fn ema(shadow: &mut [f32], w: &[f32], decay: f32) {
    assert!(shadow.len() == w.len(), "shadow and w must be equally large");
    zip_in_place(shadow, w, |shadow, w| decay * shadow + (1.0 - decay) * w);
}

/// Computes `x += y`.
///
/// # Panics
/// If the slices are not equally large.
pub fn add(x: &mut [f32], y: &[f32]) {
    assert!(x.len() == y.len(), "x and y must be equally large");
    zip_in_place(x, y, |x, y| x + y);
}

/// Computes `x *= a`.
pub fn scale(x: &mut [f32], a: f32) {
    let isa = Isa::active();
    let (len, x) = (x.len(), DisjointSlice::new(x));
    tasks::for_ranges(len, TASK_LEN, |_, range| {
        // SAFETY: the ranges do not overlap.
        let x = unsafe { x.range(range) };
        isa.run(|| x.iter_mut().for_each(|x| *x *= a));
    });
}

/// Returns the sum of squares, for the norm of a gradient. The order of the additions depends on
/// the length alone.
pub fn sum_of_squares(x: &[f32]) -> f64 {
    /// Number of independent sums: four AVX2 vectors, enough to hide the latency of an addition.
    const LANES: usize = 32;
    let isa = Isa::active();
    let mut partial = vec![0f64; x.len().div_ceil(TASK_LEN)];
    let parts = DisjointSlice::new(&mut partial);
    tasks::for_ranges(x.len(), TASK_LEN, |i, range| {
        let mut sums = [0f32; LANES];
        let x = &x[range];
        isa.run(|| {
            for x in x.chunks(LANES) {
                x.iter().zip(&mut sums).for_each(|(&x, sum)| *sum += x * x);
            }
        });
        // SAFETY: element `i` belongs to task `i` alone.
        let total = unsafe { parts.range(i..i + 1) };
        total[0] = sums.iter().map(|&sum| f64::from(sum)).sum();
    });
    partial.iter().sum()
}

/// Computes `x = f(x, y)`, element by element.
fn zip_in_place(x: &mut [f32], y: &[f32], f: impl Fn(f32, f32) -> f32 + Sync) {
    let isa = Isa::active();
    let x = DisjointSlice::new(x);
    tasks::for_ranges(y.len(), TASK_LEN, |_, range| {
        // SAFETY: the ranges do not overlap.
        let x = unsafe { x.range(range.clone()) };
        let y = &y[range];
        isa.run(|| x.iter_mut().zip(y).for_each(|(x, &y)| *x = f(*x, y)));
    });
}
