//! Linear layer by its definition. `x [n, c]`, `w [k, c]`, `y [n, k]`.

/// Computes [`crate::linear::forward`] by its definition.
pub fn forward(x: &[f32], w: &[f32], bias: Option<&[f32]>, n: usize, c: usize, k: usize, relu: bool, y: &mut [f32]) {
    for (i, j) in (0..n).flat_map(|i| (0..k).map(move |j| (i, j))) {
        let products = x[i * c..][..c].iter().zip(&w[j * c..][..c]).map(|(&x, &w)| f64::from(x) * f64::from(w));
        let sum = products.sum::<f64>() + bias.map_or(0.0, |bias| f64::from(bias[j]));
        y[i * k + j] = if relu && sum < 0.0 { 0.0 } else { sum as f32 };
    }
}

/// Computes [`crate::linear::dx`] by its definition.
pub fn dx(dy: &[f32], w: &[f32], n: usize, c: usize, k: usize, dx: &mut [f32]) {
    for (i, j) in (0..n).flat_map(|i| (0..c).map(move |j| (i, j))) {
        dx[i * c + j] = (0..k).map(|l| f64::from(dy[i * k + l]) * f64::from(w[l * c + j])).sum::<f64>() as f32;
    }
}

/// Computes [`crate::linear::dw`] by its definition.
pub fn dw(x: &[f32], dy: &[f32], n: usize, c: usize, k: usize, dw: &mut [f32]) {
    for (l, j) in (0..k).flat_map(|l| (0..c).map(move |j| (l, j))) {
        dw[l * c + j] = (0..n).map(|i| f64::from(dy[i * k + l]) * f64::from(x[i * c + j])).sum::<f64>() as f32;
    }
}
