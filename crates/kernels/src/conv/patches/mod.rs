//! Convolution by packed patches (im2row), for everything that Winograd does not compute: stems,
//! strides, 1x1 kernels.
//!
//! Patches are packed block by block, never as a whole matrix: about a hundred rows of some hundred
//! values stay in L2 until every output channel has used them. The input gradient packs patches of
//! `dy`, once for each phase of the stride (input pixels that the same taps reach), so that no pass
//! multiplies by zeros that the stride inserts. The forward pass of a stem reads its windows in
//! place: see `row_buffer`.

mod correlate;
mod dw;
mod gather;
mod grid;
mod panels;
mod row_buffer;

pub(crate) use correlate::{correlate, pack};
pub(crate) use dw::dw;
pub(crate) use grid::{KernelTap, PatchGrid};
pub(crate) use panels::ConvWeights;
