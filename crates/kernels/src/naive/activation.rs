//! Element-wise functions by their definition.

use crate::activation::Mask;

/// Computes [`crate::activation::relu`] by its definition.
pub fn relu(x: &[f32], y: &mut [f32]) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y = if x < 0.0 { 0.0 } else { x };
    }
}

/// Computes [`crate::activation::relu_backward`] by its definition.
pub fn relu_backward(y: &[f32], dy: &[f32], dx: &mut [f32]) {
    for i in 0..dx.len() {
        dx[i] = if y[i] > 0.0 { dy[i] } else { 0.0 };
    }
}

/// Computes [`crate::activation::bias_relu_backward`] by its definition.
pub fn bias_relu_backward(y: Option<&[f32]>, dy: &[f32], k: usize, dz: &mut [f32], dbias: &mut [f32]) {
    for i in 0..dy.len() {
        dz[i] = if y.is_none_or(|y| y[i] > 0.0) { dy[i] } else { 0.0 };
    }
    for (j, dbias) in dbias.iter_mut().enumerate() {
        *dbias = dz[j..].iter().step_by(k).map(|&v| f64::from(v)).sum::<f64>() as f32;
    }
}

/// Computes [`crate::activation::dropout`] by its definition.
pub fn dropout(x: &[f32], p: f32, key: [u64; 3], y: &mut [f32]) {
    let mask = Mask::new(p, key);
    for (i, (y, &x)) in y.iter_mut().zip(x).enumerate() {
        *y = if mask.keeps(i) { x * mask.scale() } else { 0.0 };
    }
}
