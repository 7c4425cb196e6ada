//! Convolution of `relu(batch_norm(x))` without writing the normalised map.
//!
//! The forward pass and the weight gradient apply
//! `max(0, gamma (x - mean) / sqrt(var + eps) + beta)` while they read `x`, and the backward pass
//! goes through convolution, ReLU and batch norm at once.
//!
//! A map of ResNet-20's first stage is 8 MB for 128 images. A normalised map would be written once
//! and read four times (by the convolution, by its weight gradient, and twice as the ReLU's mask);
//! instead there are two more instructions for each value read. Only for batch statistics, and only
//! where nothing else reads the normalised map.

use super::epilogue::{Epilogue, PassEpilogue};
use super::pass::{conv_dw, conv_dx, conv_forward};
use super::prologue::{BnReluPrologue, ConvInput};
use crate::norm::{self, Norm};
use crate::shape::ConvShape;

/// Computes [`super::forward`] of `relu(batch_norm(x))`.
///
/// # Panics
/// As [`super::forward`], and if a slice of `norm` does not have `c` values.
pub fn forward_bn_relu(
    x: &[f32],
    norm: &Norm<'_>,
    w: &[f32],
    s: &ConvShape,
    precise: bool,
    epilogue: Epilogue<'_>,
    y: &mut [f32],
) {
    norm.check(s.c());
    let prologue = BnReluPrologue::new(norm);
    conv_forward(ConvInput { values: x, prologue: Some(&prologue) }, w, s, precise, epilogue, y);
}

/// Computes [`super::dw`] of `relu(batch_norm(x))`.
///
/// # Panics
/// As [`super::dw`], and if a slice of `norm` does not have `c` values.
pub fn dw_bn_relu(x: &[f32], norm: &Norm<'_>, dy: &[f32], s: &ConvShape, precise: bool, dw: &mut [f32]) {
    norm.check(s.c());
    let prologue = BnReluPrologue::new(norm);
    conv_dw(ConvInput { values: x, prologue: Some(&prologue) }, dy, s, precise, dw);
}

/// Computes the gradients of the batch norm before the convolution: `dx` of its input, `dgamma` and
/// `dbeta`, through the statistics of the batch (Ioffe & Szegedy 2015, section 3).
///
/// The epilogue of the convolution masks the gradient and computes the sums that the batch norm
/// needs.
///
/// # Panics
/// If a slice does not have the size that the shape names.
pub fn dx_bn_relu(
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
    let c = s.c();
    norm.check(c);
    assert!(x.len() == s.x_len(), "the input of {s:?} must have {} elements, not {}", s.x_len(), x.len());
    assert!(dgamma.len() == c && dbeta.len() == c, "dgamma and dbeta must have {c} values");
    let prologue = BnReluPrologue::new(norm);
    let mut totals = [vec![0f64; c], vec![0f64; c]];
    let epilogue = PassEpilogue::BnReluBackward { x, prologue: &prologue, totals: &mut totals };
    conv_dx(dy, w, s, precise, epilogue, dx);
    norm::backward_from_sums(x, c, norm, &totals, dx, dgamma, dbeta);
}
