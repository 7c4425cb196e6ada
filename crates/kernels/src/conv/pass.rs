//! The three passes of a convolution, each by the algorithm that suits its shape.

use std::sync::Arc;

use super::epilogue::{BlockEpilogue, Epilogue, PassEpilogue};
use super::patches::{self, ConvWeights, KernelTap, PatchGrid};
use super::prologue::ConvInput;
use super::winograd::{self, F2, F4, TileGrid, WinogradFilters};
use crate::isa::Isa;
use crate::plan::{self, Algorithm, Pass};
use crate::shape::ConvShape;
use crate::tasks::{self, DisjointSlice};

/// Computes `y = x * w`, then the epilogue.
///
/// # Panics
/// If `x`, `w` or `y` does not have the size that the shape names, or a slice of the epilogue does
/// not have `k` values.
///
/// ```
/// use residual_kernels::{ConvDims, ConvShape, Epilogue, conv};
///
/// // A 2x2 box filter over an image of 3x3 with one channel.
/// let dims = ConvDims { n: 1, h: 3, w: 3, c: 1, k: 1, kh: 2, kw: 2, stride: 1, pad: 0 };
/// let s = ConvShape::new(dims)?;
/// let x = [1., 2., 3., 4., 5., 6., 7., 8., 9.];
/// let mut y = [0.; 4];
/// conv::forward(&x, &[1.; 4], &s, false, Epilogue::None, &mut y);
/// assert_eq!(y, [12., 16., 24., 28.]);
/// # Ok::<(), residual_kernels::ShapeError>(())
/// ```
pub fn forward(x: &[f32], w: &[f32], s: &ConvShape, precise: bool, epilogue: Epilogue<'_>, y: &mut [f32]) {
    conv_forward(x.into(), w, s, precise, epilogue, y);
}

/// Computes the input gradient, and adds it to the contents of `dx` if `accumulate`.
///
/// # Panics
/// If `dy`, `w` or `dx` does not have the size that the shape names.
pub fn dx(dy: &[f32], w: &[f32], s: &ConvShape, precise: bool, accumulate: bool, dx: &mut [f32]) {
    let epilogue = if accumulate { BlockEpilogue::Accumulate } else { BlockEpilogue::Overwrite };
    conv_dx(dy, w, s, precise, PassEpilogue::Block(epilogue), dx);
}

/// Computes the weight gradient.
///
/// # Panics
/// If `x`, `dy` or `dw` does not have the size that the shape names.
pub fn dw(x: &[f32], dy: &[f32], s: &ConvShape, precise: bool, dw: &mut [f32]) {
    conv_dw(x.into(), dy, s, precise, dw);
}

/// Computes the forward pass of an input with a prologue.
pub(super) fn conv_forward(
    x: ConvInput<'_>,
    w: &[f32],
    s: &ConvShape,
    precise: bool,
    epilogue: Epilogue<'_>,
    y: &mut [f32],
) {
    check(x.values, w, y, s);
    let algorithm = plan::algorithm(s, Pass::Forward, precise);
    correlate(Isa::active(), algorithm, x, w, None, s, epilogue.into_pass(s.k()), y);
}

/// Weights packed by an algorithm, and the taps of their kernel.
#[derive(Clone, Copy)]
pub(super) struct PackedWeights<'a> {
    pub(super) values: &'a [f32],
    pub(super) taps: &'a Arc<[KernelTap]>,
}

/// Computes the forward pass by the given algorithm. `w` is ignored where packed weights are given.
pub(super) fn correlate(
    isa: Isa,
    algorithm: Algorithm,
    x: ConvInput<'_>,
    w: &[f32],
    packed: Option<PackedWeights<'_>>,
    s: &ConvShape,
    epilogue: PassEpilogue<'_>,
    y: &mut [f32],
) {
    let tiles = |side| TileGrid::new(s.n(), s.h(), s.w(), s.pad(), side);
    let filters = WinogradFilters::forward(w, s.c(), s.k());
    let values = packed.map(|packed| packed.values);
    match algorithm {
        Algorithm::Winograd4 => winograd::correlate(F4, isa, tiles(4), filters, values, x, epilogue, y),
        Algorithm::Winograd2 => winograd::correlate(F2, isa, tiles(2), filters, values, x, epilogue, y),
        Algorithm::Im2row | Algorithm::Matrix => {
            let weights = ConvWeights::forward(w, s.c(), s.k(), s.kh() * s.kw());
            let grid = match packed {
                Some(packed) => PatchGrid::with_taps(s, Arc::clone(packed.taps)),
                None => PatchGrid::forward(s),
            };
            patches::correlate(isa, &grid, weights, values, x, epilogue, y);
        }
    }
}

/// Computes the input gradient with an epilogue, by one correlation for each phase of the stride.
pub(super) fn conv_dx(
    dy: &[f32],
    w: &[f32],
    s: &ConvShape,
    precise: bool,
    mut epilogue: PassEpilogue<'_>,
    dx: &mut [f32],
) {
    check(dx, w, dy, s);
    let isa = Isa::active();
    let tiles = |side| TileGrid::new(s.n(), s.out_h(), s.out_w(), 2 - s.pad(), side);
    let filters = WinogradFilters::backward(w, s.c(), s.k());
    match plan::algorithm(s, Pass::Dx, precise) {
        Algorithm::Winograd4 => winograd::correlate(F4, isa, tiles(4), filters, None, dy.into(), epilogue, dx),
        Algorithm::Winograd2 => winograd::correlate(F2, isa, tiles(2), filters, None, dy.into(), epilogue, dx),
        Algorithm::Im2row | Algorithm::Matrix => {
            let grids = PatchGrid::backward(s);
            // Pixels that no tap reaches: three of four in a 1x1 convolution with stride 2.
            let accumulates = matches!(epilogue, PassEpilogue::Block(BlockEpilogue::Accumulate));
            if !accumulates && grids.iter().any(|grid| grid.taps.is_empty()) {
                let (len, slice) = (dx.len(), DisjointSlice::new(dx));
                // SAFETY: the ranges do not overlap.
                tasks::for_ranges(len, tasks::TASK_LEN, |_, range| unsafe { slice.range(range) }.fill(0.0));
            }
            for grid in grids.iter().filter(|grid| !grid.taps.is_empty()) {
                let weights = ConvWeights::backward(w, s.c(), s.kh() * s.kw());
                patches::correlate(isa, grid, weights, None, dy.into(), epilogue.reborrow(), dx);
            }
        }
    }
}

/// Computes the weight gradient of an input with a prologue.
pub(super) fn conv_dw(x: ConvInput<'_>, dy: &[f32], s: &ConvShape, precise: bool, dw: &mut [f32]) {
    check(x.values, dw, dy, s);
    let tiles = |side| TileGrid::new(s.n(), s.h(), s.w(), s.pad(), side);
    match plan::algorithm(s, Pass::Dw, precise) {
        Algorithm::Winograd4 => winograd::dw(F4, tiles(4), x, dy, s.c(), s.k(), dw),
        Algorithm::Winograd2 => winograd::dw(F2, tiles(2), x, dy, s.c(), s.k(), dw),
        Algorithm::Im2row | Algorithm::Matrix => patches::dw(x, dy, s, dw),
    }
}

/// Checks the sizes of all three tensors: the kernels read and write through pointers.
fn check(x: &[f32], w: &[f32], y: &[f32], s: &ConvShape) {
    check_activations(x, y.len(), s);
    assert!(w.len() == s.w_len(), "the weights of {s:?} must have {} elements, not {}", s.w_len(), w.len());
}

/// Checks the sizes of input and output.
pub(super) fn check_activations(x: &[f32], y_len: usize, s: &ConvShape) {
    assert!(x.len() == s.x_len(), "the input of {s:?} must have {} elements, not {}", s.x_len(), x.len());
    assert!(y_len == s.y_len(), "the output of {s:?} must have {} elements, not {y_len}", s.y_len());
}
