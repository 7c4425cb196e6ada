//! Residual: VGG and ResNet image classifiers.

pub mod atomic;
pub mod classes;
pub mod error;
pub mod image;
mod named;
pub mod numbers;
#[doc(hidden)]
pub mod pickle;
#[doc(hidden)]
pub mod protobuf;
pub mod random;

pub use error::{Error, Kind, Result};
pub use image::Image;
