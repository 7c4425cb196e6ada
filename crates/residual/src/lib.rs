//! Residual: VGG and ResNet image classifiers.

pub mod atomic;
pub mod classes;
mod classifier;
pub mod error;
pub mod explain;
pub mod export;
pub mod graph;
pub mod image;
pub mod models;
mod named;
pub mod numbers;
#[doc(hidden)]
pub mod pickle;
pub mod plan;
#[doc(hidden)]
pub mod profile;
#[doc(hidden)]
pub mod protobuf;
#[cfg(feature = "init")]
pub mod random;
pub mod tensor;
pub mod weights;

pub use classifier::{Classifier, ClassifierBuilder, Guess, Precision, Prediction};
pub use error::{Error, Kind, Result};
pub use image::Image;
