//! Softmax and cross-entropy by their definition. `logits [n, k]`.

/// Computes [`crate::loss::softmax`] by its definition.
pub fn softmax(logits: &[f32], n: usize, k: usize, y: &mut [f32]) {
    for (z, y) in logits.chunks_exact(k).zip(y.chunks_exact_mut(k)).take(n) {
        let max = z.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f64 = z.iter().map(|&z| (f64::from(z) - f64::from(max)).exp()).sum();
        for (y, &z) in y.iter_mut().zip(z) {
            *y = ((f64::from(z) - f64::from(max)).exp() / sum) as f32;
        }
    }
}

/// Computes [`crate::loss::softmax_cross_entropy`] by its definition.
pub fn softmax_cross_entropy(
    logits: &[f32],
    targets: &[f32],
    n: usize,
    k: usize,
    losses: &mut [f32],
    dlogits: &mut [f32],
) {
    for i in 0..n {
        let (z, t) = (&logits[i * k..][..k], &targets[i * k..][..k]);
        let max = z.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f64 = z.iter().map(|&z| (f64::from(z) - f64::from(max)).exp()).sum();
        let log_sum = sum.ln() + f64::from(max);
        losses[i] = z.iter().zip(t).map(|(&z, &t)| f64::from(t) * (log_sum - f64::from(z))).sum::<f64>() as f32;
        for j in 0..k {
            dlogits[i * k + j] = ((f64::from(z[j]) - log_sum).exp() - f64::from(t[j])) as f32;
        }
    }
}
