//! Softmax and cross-entropy over `logits [n, k]`, a row per image.

use crate::tasks::{self, DisjointSlice};

/// Number of elements above which threads share the rows: an exponential takes about 3 ns, 4096 of
/// them 12 µs.
const SHARE: usize = 4096;

/// Computes `y = softmax(logits)`, row by row.
///
/// # Panics
/// If `logits` or `y` is not `[n, k]`, or `k` is zero.
///
/// ```
/// let mut probabilities = [0.; 4];
/// residual_kernels::loss::softmax(&[0., 0., 0., 0.], 1, 4, &mut probabilities);
/// assert_eq!(probabilities, [0.25; 4]);
/// ```
pub fn softmax(logits: &[f32], n: usize, k: usize, y: &mut [f32]) {
    assert!(k > 0 && logits.len() == n * k && y.len() == n * k, "logits and y must be [{n}, {k}]");
    let y = DisjointSlice::new(y);
    each_row(n, k, |i| {
        // SAFETY: row `i` belongs to this task alone.
        let y = unsafe { y.range(i * k..(i + 1) * k) };
        let (_, sum) = exponentials(&logits[i * k..][..k], y);
        y.iter_mut().for_each(|y| *y /= sum);
    });
}

/// Computes the cross-entropy of each row, `losses [n]`, and the gradient of their sum,
/// `dlogits = softmax(logits) - targets` (not divided by `n`).
///
/// `targets [n, k]` are probabilities: one-hot, smoothed or mixed.
///
/// # Panics
/// If a slice does not have the size named above, or `k` is zero.
pub fn softmax_cross_entropy(
    logits: &[f32],
    targets: &[f32],
    n: usize,
    k: usize,
    losses: &mut [f32],
    dlogits: &mut [f32],
) {
    assert!(k > 0 && logits.len() == n * k && dlogits.len() == n * k, "logits and dlogits must be [{n}, {k}]");
    assert!(targets.len() == n * k && losses.len() == n, "targets must be [{n}, {k}] and losses [{n}]");
    let (losses, dlogits) = (DisjointSlice::new(losses), DisjointSlice::new(dlogits));
    each_row(n, k, |i| {
        // SAFETY: row `i` belongs to this task alone.
        let (loss, d) = unsafe { (losses.range(i..i + 1), dlogits.range(i * k..(i + 1) * k)) };
        let (z, t) = (&logits[i * k..][..k], &targets[i * k..][..k]);
        let (max, sum) = exponentials(z, d);
        let log_sum = f64::from(sum).ln();
        // Differences to the maximum first, so that large logits lose no digits.
        let cost = |(&z, &t): (&f32, &f32)| f64::from(t) * (log_sum - (f64::from(z) - f64::from(max)));
        loss[0] = z.iter().zip(t).map(cost).sum::<f64>() as f32;
        for (d, &t) in d.iter_mut().zip(t) {
            *d = *d / sum - t;
        }
    });
}

/// Computes `y = exp(z - max z)`; returns the maximum and the sum.
fn exponentials(z: &[f32], y: &mut [f32]) -> (f32, f32) {
    let max = z.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0f64;
    for (y, &z) in y.iter_mut().zip(z) {
        *y = (z - max).exp();
        sum += f64::from(*y);
    }
    (max, sum as f32)
}

/// Runs `f` for each row, on several threads if there are many elements.
fn each_row(n: usize, k: usize, f: impl Fn(usize) + Sync) {
    if n * k <= SHARE {
        return tasks::serial(n, f);
    }
    let rows = (SHARE / k).max(1);
    tasks::for_each(n.div_ceil(rows), |task| (task * rows..n.min((task + 1) * rows)).for_each(&f));
}
