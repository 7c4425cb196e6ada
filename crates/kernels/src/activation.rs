//! Element-wise activations: ReLU, bias with ReLU, and dropout.
//!
//! Arrays have any shape and are read flat, or are `[rows, k]` with a bias `[k]`. Convolutions and
//! batch norms apply a ReLU themselves.

pub use crate::dropout::{Mask, dropout};

use crate::columns::Columns;
use crate::isa::Isa;
use crate::tasks::{self, DisjointSlice, TASK_LEN};

/// Computes `y = max(x, 0)`; NaN stays NaN.
///
/// # Panics
/// If `y` is not as large as `x`.
pub fn relu(x: &[f32], y: &mut [f32]) {
    assert!(x.len() == y.len(), "x and y must be equally large");
    let isa = Isa::active();
    let y = DisjointSlice::new(y);
    tasks::for_ranges(x.len(), TASK_LEN, |_, range| {
        // SAFETY: the ranges do not overlap.
        let y = unsafe { y.range(range.clone()) };
        let x = &x[range];
        isa.run(|| y.iter_mut().zip(x).for_each(|(y, &x)| *y = if x < 0.0 { 0.0 } else { x }));
    });
}

/// Computes the gradient of [`relu`]: `dx = dy` where `y > 0`, else zero.
///
/// # Panics
/// If the slices are not equally large.
pub fn relu_backward(y: &[f32], dy: &[f32], dx: &mut [f32]) {
    assert!(y.len() == dy.len() && y.len() == dx.len(), "y, dy and dx must be equally large");
    let isa = Isa::active();
    let dx = DisjointSlice::new(dx);
    tasks::for_ranges(y.len(), TASK_LEN, |_, range| {
        // SAFETY: the ranges do not overlap.
        let dx = unsafe { dx.range(range.clone()) };
        let (y, dy) = (&y[range.clone()], &dy[range]);
        isa.run(|| {
            for ((&y, &dy), dx) in y.iter().zip(dy).zip(dx) {
                *dx = if y > 0.0 { dy } else { 0.0 };
            }
        });
    });
}

/// Computes the gradient of `y = [relu](z + bias)` with `y`, `dy`, `dz [rows, k]` and `dbias [k]`.
///
/// `dz` is `dy` where `y > 0`, or all of `dy` without a ReLU, where `y` is `None`; `dbias` are its
/// column sums.
///
/// # Panics
/// If a slice does not have the size named above.
pub fn bias_relu_backward(y: Option<&[f32]>, dy: &[f32], k: usize, dz: &mut [f32], dbias: &mut [f32]) {
    assert!(k > 0 && dy.len().is_multiple_of(k) && dbias.len() == k, "dy must be [rows, {k}] and dbias [{k}]");
    assert!(dz.len() == dy.len() && y.is_none_or(|y| y.len() == dy.len()), "y, dy and dz must be equally large");
    let isa = Isa::active();
    let columns = Columns::new(k);
    let width = columns.width();
    let dz = DisjointSlice::new(dz);
    let [sums] = columns.sums(dy.len(), |range, [sum]| {
        // SAFETY: the ranges do not overlap.
        let dz = unsafe { dz.range(range.clone()) };
        match y {
            None => dz.copy_from_slice(&dy[range]),
            Some(y) => isa.run(|| {
                for ((&y, &dy), dz) in y[range.clone()].iter().zip(&dy[range.clone()]).zip(&mut *dz) {
                    *dz = if y > 0.0 { dy } else { 0.0 };
                }
            }),
        }
        isa.run(|| {
            for row in dz.chunks(width) {
                row.iter().zip(&mut *sum).for_each(|(&dz, sum)| *sum += dz);
            }
        });
    });
    dbias.iter_mut().zip(&sums).for_each(|(dbias, &sum)| *dbias = sum as f32);
}
