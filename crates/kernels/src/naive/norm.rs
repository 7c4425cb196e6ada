//! Batch normalisation by its definition (Ioffe & Szegedy 2015). `x [rows, c]`.

use crate::norm::Norm;

/// Computes [`crate::norm::statistics`] by its definition.
pub fn statistics(x: &[f32], c: usize, mean: &mut [f32], var: &mut [f32]) {
    let rows = (x.len() / c) as f64;
    for j in 0..c {
        let column = || x[j..].iter().step_by(c).map(|&v| f64::from(v));
        let m = column().sum::<f64>() / rows;
        mean[j] = m as f32;
        var[j] = (column().map(|v| (v - m) * (v - m)).sum::<f64>() / rows) as f32;
    }
}

/// Computes [`crate::norm::forward`] by its definition.
pub fn forward(x: &[f32], c: usize, norm: &Norm<'_>, skip: Option<&[f32]>, relu: bool, y: &mut [f32]) {
    for i in 0..x.len() {
        let mut v = f64::from(norm.gamma[i % c]) * hat(x, c, norm, i) + f64::from(norm.beta[i % c]);
        v += skip.map_or(0.0, |skip| f64::from(skip[i]));
        y[i] = if relu && v < 0.0 { 0.0 } else { v as f32 };
    }
}

/// Returns the normalised value of element `i`.
fn hat(x: &[f32], c: usize, norm: &Norm<'_>, i: usize) -> f64 {
    let j = i % c;
    (f64::from(x[i]) - f64::from(norm.mean[j])) / (f64::from(norm.var[j]) + f64::from(norm.eps)).sqrt()
}

/// Returns `dy` where the ReLU was active, else zero.
fn masked(y: Option<&[f32]>, dy: &[f32], i: usize) -> f64 {
    if y.is_none_or(|y| y[i] > 0.0) { f64::from(dy[i]) } else { 0.0 }
}

/// Computes [`crate::norm::backward`] by its definition.
pub fn backward(
    x: &[f32],
    y: Option<&[f32]>,
    dy: &[f32],
    c: usize,
    norm: &Norm<'_>,
    dx: &mut [f32],
    dskip: Option<&mut [f32]>,
    dgamma: &mut [f32],
    dbeta: &mut [f32],
) {
    let rows = (x.len() / c) as f64;
    for j in 0..c {
        let column = || (j..x.len()).step_by(c);
        let sum_g: f64 = column().map(|i| masked(y, dy, i)).sum();
        let sum_gh: f64 = column().map(|i| masked(y, dy, i) * hat(x, c, norm, i)).sum();
        let factor = f64::from(norm.gamma[j]) / (f64::from(norm.var[j]) + f64::from(norm.eps)).sqrt();
        for i in column() {
            dx[i] = (factor * (masked(y, dy, i) - sum_g / rows - hat(x, c, norm, i) * sum_gh / rows)) as f32;
        }
        dgamma[j] = sum_gh as f32;
        dbeta[j] = sum_g as f32;
    }
    if let Some(dskip) = dskip {
        for (i, dskip) in dskip.iter_mut().enumerate() {
            *dskip = masked(y, dy, i) as f32;
        }
    }
}

/// Computes [`crate::norm::scale_shift`] by its definition.
pub fn scale_shift(x: &[f32], c: usize, scale: &[f32], shift: &[f32], skip: Option<&[f32]>, relu: bool, y: &mut [f32]) {
    for i in 0..x.len() {
        let mut v = f64::from(x[i]) * f64::from(scale[i % c]) + f64::from(shift[i % c]);
        v += skip.map_or(0.0, |skip| f64::from(skip[i]));
        y[i] = if relu && v < 0.0 { 0.0 } else { v as f32 };
    }
}

/// Computes [`crate::norm::scale_shift_backward`] by its definition.
pub fn scale_shift_backward(
    x: &[f32],
    y: Option<&[f32]>,
    dy: &[f32],
    c: usize,
    scale: &[f32],
    dx: &mut [f32],
    dskip: Option<&mut [f32]>,
    dscale: &mut [f32],
    dshift: &mut [f32],
) {
    for j in 0..c {
        let column = || (j..x.len()).step_by(c);
        dscale[j] = column().map(|i| masked(y, dy, i) * f64::from(x[i])).sum::<f64>() as f32;
        dshift[j] = column().map(|i| masked(y, dy, i)).sum::<f64>() as f32;
        for i in column() {
            dx[i] = (masked(y, dy, i) * f64::from(scale[j])) as f32;
        }
    }
    if let Some(dskip) = dskip {
        for (i, dskip) in dskip.iter_mut().enumerate() {
            *dskip = masked(y, dy, i) as f32;
        }
    }
}
