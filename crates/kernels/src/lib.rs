//! CPU kernels for VGG and ResNet: f32 slices in, slices out. Knows nothing of Burn.
//!
//! # Layouts
//! Activations are contiguous `[n, h, w, c]`, convolution weights `[k, c, kh, kw]`, linear weights `[k, c]`. Sizes are `n h w c k`,
//! gradients are `d` and a name.
//!
//! # Threads and bits
//! Kernels run on rayon's current pool. Sums are cut by shape and added in index order, so results are the same
//! bits with any number of threads, on one machine and one [`Isa`]. Denormals are flushed while a kernel computes.
//!
//! # Panics
//! Every kernel panics with a sentence when a slice does not have the size that the shape demands, or when the shape is one that
//! [`ConvShape::new`] or [`PoolShape::new`] refuses.

#![allow(clippy::needless_range_loop, reason = "rows, vectors and points are indices of the formula")]

pub mod activation;
mod columns;
pub mod conv;
mod dropout;
pub mod isa;
pub mod linear;
pub mod loss;
pub mod lrn;
mod matrix;
pub mod memory;
mod micro_kernel;
pub mod naive;
pub mod norm;
pub mod pixels;
pub mod plan;
pub mod pool;
mod prefetch;
mod shape;
pub mod shortcut;
mod tasks;
mod tuning;
pub mod update;
mod vector;
mod workspace;

pub use conv::Epilogue;
pub use isa::{Isa, IsaError};
pub use shape::{ConvDims, ConvShape, PoolDims, PoolShape, ShapeError};
