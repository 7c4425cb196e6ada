//! Residual: VGG and ResNet image classifiers, from pixels to a tested net.
//!
//! `data` reads images, `models` holds the networks of both papers, `ops` and `layers` what they are made of,
//! `recipe` says how to train, `train` does it, `eval` tests, `infer` classifies, `explain` shows where a net
//! looked, `weights` reads and writes checkpoints, `reproduce` holds the papers' tables,
//! `lab` runs their argument.

pub mod data;
pub mod eval;
pub mod network;
pub mod ops;
pub mod recipe;
pub mod train;

/// The tensors and devices that some functions take: the version that this library is built with.
pub use burn;
pub use residual::{Error, Kind, Result};
use residual::{atomic, pickle, protobuf};
pub use residual::{error, models, numbers, random, weights};
