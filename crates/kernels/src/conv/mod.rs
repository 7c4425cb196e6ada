//! Convolutions: forward pass, input gradient and weight gradient of
//! `x [n, h, w, c]`, `w [k, c, kh, kw]` → `y [n, out_h, out_w, k]`.
//!
//! [`crate::plan::algorithm`] chooses the algorithm. `precise` excludes algorithms whose rounding
//! error is larger than that of the direct sum. Fully connected layers are in [`crate::linear`].

mod bn_relu;
mod epilogue;
mod packed;
mod pass;
pub(crate) mod patches;
mod prologue;
mod store;
mod winograd;

pub use bn_relu::{dw_bn_relu, dx_bn_relu, forward_bn_relu};
pub use epilogue::Epilogue;
pub(crate) use epilogue::{BlockEpilogue, PassEpilogue};
pub use packed::PackedConv;
pub use pass::{dw, dx, forward};
