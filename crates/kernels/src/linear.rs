//! Linear layers: `x [n, c]`, `w [k, c]`, `y [n, k]`, all row by row.

use crate::matrix::{Matrix, product};
use crate::pieces::{self, PIECE, Parts};

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
    product(Matrix::rows(x, n, c), Matrix::rows(w, k, c).transposed(), false, y);
    if bias.is_none() && !relu {
        return;
    }
    let y = Parts::new(y);
    pieces::for_ranges(n * k, k * (PIECE / k).max(1), |_, range| {
        // SAFETY: the ranges do not overlap.
        for y in unsafe { y.range(range) }.chunks_exact_mut(k) {
            if let Some(bias) = bias {
                y.iter_mut().zip(bias).for_each(|(y, &bias)| *y += bias);
            }
            if relu {
                y.iter_mut().for_each(|y| *y = if *y < 0.0 { 0.0 } else { *y });
            }
        }
    });
}

/// `dx = dy w`.
pub fn dx(dy: &[f32], w: &[f32], n: usize, c: usize, k: usize, dx: &mut [f32]) {
    assert!(
        dy.len() == n * k && w.len() == k * c && dx.len() == n * c,
        "dy, w and dx must be [{n}, {k}], [{k}, {c}], [{n}, {c}]"
    );
    product(Matrix::rows(dy, n, k), Matrix::rows(w, k, c), false, dx);
}

/// `dw = dyᵀ x`.
pub fn dw(x: &[f32], dy: &[f32], n: usize, c: usize, k: usize, dw: &mut [f32]) {
    assert!(
        x.len() == n * c && dy.len() == n * k && dw.len() == k * c,
        "x, dy and dw must be [{n}, {c}], [{n}, {k}], [{k}, {c}]"
    );
    product(Matrix::rows(dy, n, k).transposed(), Matrix::rows(x, n, c), false, dw);
}
