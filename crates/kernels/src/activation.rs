//! Element-wise functions: ReLU, bias with ReLU, and (in its own file) dropout. Arrays of any shape, seen flat, or `[rows, k]` with a
//! bias `[k]`.
//!
//! Not used where a convolution or a normalisation has the ReLU in its epilogue.

pub use crate::dropout::{Mask, dropout};

use crate::columns::Columns;
use crate::isa::Isa;
use crate::tasks::{self, DisjointSlice, TASK_LEN};

/// `y = max(x, 0)`; NaN stays NaN.
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

/// `dx = dy` where `y > 0`, else zero.
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

/// The gradient of `y = [relu](z + bias)` with `y`, `dy`, `dz [rows, k]` and `dbias [k]`: `dz` is `dy` where `y > 0` (all of
/// it where no `y` is given, that is without a ReLU), `dbias` its column sums.
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
