//! Convolutions as products of patches and weights, for everything that is not a 3x3 filter with stride 1: stems, strides, 1x1.
//!
//! Patches are gathered into operands by lanes block by block, never as a whole matrix: about a hundred rows of some hundred values stay in L2
//! until every output channel has used them. The input gradient is gathered too, once for each phase of the stride: input
//! pixels that the same taps reach. So no pass multiplies with zeros that the stride put there. Windows of a stem are not gathered in a
//! forward pass: see `windows`.

mod correlate;
mod dw;
mod gather;
mod panels;
mod windows;

pub(crate) use correlate::{correlate, pack};
pub(crate) use dw::dw;
pub(crate) use gather::{Grid, Tap};
pub(crate) use panels::Weights;
