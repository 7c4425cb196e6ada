//! Local response normalisation by its definition (Krizhevsky 2012, section 3.3, in PyTorch's
//! scaling). `x [rows, c]`.

use crate::lrn::Lrn;

/// Returns `k + alpha / size * sum of squares` around channel `j` of the row.
fn denominator(row: &[f32], j: usize, lrn: &Lrn) -> f64 {
    let from = j.saturating_sub(lrn.size / 2);
    let to = (j + (lrn.size - 1) / 2 + 1).min(row.len());
    let squares: f64 = row[from..to].iter().map(|&v| f64::from(v) * f64::from(v)).sum();
    f64::from(lrn.k) + f64::from(lrn.alpha) / lrn.size as f64 * squares
}

/// Computes [`crate::lrn::forward`] by its definition.
pub fn forward(x: &[f32], c: usize, lrn: &Lrn, y: &mut [f32]) {
    for (x, y) in x.chunks_exact(c).zip(y.chunks_exact_mut(c)) {
        for j in 0..c {
            y[j] = (f64::from(x[j]) * denominator(x, j, lrn).powf(-f64::from(lrn.beta))) as f32;
        }
    }
}

/// Computes [`crate::lrn::backward`] by its definition.
pub fn backward(x: &[f32], _y: &[f32], dy: &[f32], c: usize, lrn: &Lrn, dx: &mut [f32]) {
    let beta = f64::from(lrn.beta);
    for ((x, dy), dx) in x.chunks_exact(c).zip(dy.chunks_exact(c)).zip(dx.chunks_exact_mut(c)) {
        for i in 0..c {
            let mut sum = f64::from(dy[i]) * denominator(x, i, lrn).powf(-beta);
            // Channels whose window holds channel i.
            for j in i.saturating_sub((lrn.size - 1) / 2)..(i + lrn.size / 2 + 1).min(c) {
                let d = denominator(x, j, lrn);
                let slope = -2.0 * beta * f64::from(lrn.alpha) / lrn.size as f64 * d.powf(-beta - 1.0);
                sum += f64::from(dy[j]) * f64::from(x[j]) * slope * f64::from(x[i]);
            }
            dx[i] = sum as f32;
        }
    }
}
