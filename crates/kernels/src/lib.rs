//! CPU kernels for VGG and ResNet: convolution, batch norm, pooling and the other operations of
//! training and inference, from `f32` slices to `f32` slices.
//!
//! ```
//! use residual_kernels::{ConvDims, ConvShape, Epilogue, conv};
//!
//! // A 3x3 convolution with 16 filters on an image of 32x32 with three channels, bias and ReLU.
//! let dims = ConvDims { n: 1, h: 32, w: 32, c: 3, k: 16, kh: 3, kw: 3, stride: 1, pad: 1 };
//! let s = ConvShape::new(dims)?;
//! let (x, w, bias) = (vec![0.5; s.x_len()], vec![0.1; s.w_len()], vec![-1.0; s.k()]);
//! let mut y = vec![0.0; s.y_len()];
//! conv::forward(&x, &w, &s, false, Epilogue::Bias { bias: &bias, relu: true }, &mut y);
//! // An inner output sums 27 products of 0.05 and adds -1.
//! assert!((y[(16 * 32 + 16) * 16] - 0.35).abs() < 1e-5);
//! # Ok::<(), residual_kernels::ShapeError>(())
//! ```
//!
//! # Map
//!
//! | module | operations |
//! | --- | --- |
//! | [`conv`] | convolution, its gradients, fused batch norm and ReLU, inference |
//! | [`linear`] | fully connected layers |
//! | [`norm`], [`lrn`] | batch norm, local response normalisation |
//! | [`pool`], [`shortcut`] | pooling, the parameter-free shortcut |
//! | [`activation`], [`loss`] | ReLU, dropout, softmax and cross-entropy |
//! | [`update`], [`pixels`] | SGD and moving averages, bytes to activations |
//! | [`plan`], [`isa`] | choice of the algorithm and of the instruction set |
//! | [`memory`] | aligned memory in huge pages |
//! | [`naive`] | the same operations by their definition, for tests |
//!
//! # Layouts
//!
//! Activations are contiguous `[n, h, w, c]`, convolution weights `[k, c, kh, kw]`, linear weights
//! `[k, c]`. Sizes are `n h w c k`; a gradient is named `d` and its tensor.
//!
//! # Threads and reproducibility
//!
//! Kernels run on rayon's current thread pool. Sums are split by shape and added in a fixed order,
//! so results have the same bits with any number of threads, on one machine and one [`Isa`].
//! Denormals are flushed to zero while a kernel computes.
//!
//! # Panics
//!
//! Every kernel panics if a slice does not have the size that the shape names. [`ConvShape`] and
//! [`PoolShape`] are valid by construction.

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
#[doc(hidden)]
pub use dropout::philox;
pub use isa::{Isa, IsaError};
pub use shape::{ConvDims, ConvShape, PoolDims, PoolShape, ShapeError};
