//! A convolution of what a batch norm and a ReLU make of its input, `max(0, gamma (x - mean) / sqrt(var + eps) + beta)`, which is never
//! written: read that way forward and for the weight gradient, and the backward pass goes through all three at once.
//!
//! A map of ResNet-20's first stage is 8 MB for 128 images. Written, the map between the two would be read four times (by the convolution,
//! by its weight gradient, and twice as the ReLU's mask); what takes its place is two more instructions for each value read.
//! Not for normalisation by fixed statistics, nor where something else reads the map.

use super::input::{Input, Rectifier};
use super::{Ending, Epilogue, check, compute, gather_dw, spread};
use crate::norm::{self, Norm};
use crate::plan::{self, Pass};
use crate::{ConvShape, Isa};

/// [`super::forward`] of the normalised and rectified `x`.
pub fn forward_normed(
    x: &[f32],
    norm: &Norm<'_>,
    w: &[f32],
    s: &ConvShape,
    precise: bool,
    epilogue: Epilogue<'_>,
    y: &mut [f32],
) {
    check(x, w, y, s);
    norm.check(s.c);
    let rectifier = Rectifier::new(norm);
    let input = Input { values: x, rectified: Some(&rectifier) };
    compute(Isa::active(), plan::algorithm(s, Pass::Forward, precise), input, w, None, s, epilogue.ending(s.k), y);
}

/// [`super::dw`] of the normalised and rectified `x`.
pub fn dw_normed(x: &[f32], norm: &Norm<'_>, dy: &[f32], s: &ConvShape, precise: bool, dw: &mut [f32]) {
    norm.check(s.c);
    let rectifier = Rectifier::new(norm);
    gather_dw(Input { values: x, rectified: Some(&rectifier) }, dy, s, precise, dw);
}

/// The gradients of what stands before the convolution: `dx` of the normalisation's input, `dgamma` and `dbeta`, through the batch's own
/// statistics (Ioffe & Szegedy 2015, section 3). The convolution's epilogue masks and sums what the normalisation needs.
pub fn dx_normed(
    dy: &[f32],
    w: &[f32],
    s: &ConvShape,
    precise: bool,
    x: &[f32],
    norm: &Norm<'_>,
    dx: &mut [f32],
    dgamma: &mut [f32],
    dbeta: &mut [f32],
) {
    check(dx, w, dy, s);
    check(x, w, dy, s);
    norm.check(s.c);
    assert!(dgamma.len() == s.c && dbeta.len() == s.c, "dgamma and dbeta must have {} values", s.c);
    let rectifier = Rectifier::new(norm);
    let mut totals = [vec![0f64; s.c], vec![0f64; s.c]];
    let ending = Ending::Masked { x, rectifier: &rectifier, totals: &mut totals };
    spread(dy, w, s, precise, ending, dx);
    norm::backward_from_sums(x, s.c, norm, &totals, dx, dgamma, dbeta);
}
