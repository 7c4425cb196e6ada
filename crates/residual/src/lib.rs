//! VGG and ResNet image classifiers on a CPU: networks, weights and fast inference.
//!
//! ```no_run
//! use residual::{Classifier, Image};
//!
//! let classifier = Classifier::load("resnet-20.safetensors")?;
//! for guess in classifier.classify(&Image::open("cat.png")?)?.top(3) {
//!     println!("{:5.1} %  {}", 100.0 * guess.probability, guess.class);
//! }
//! # Ok::<(), residual::Error>(())
//! ```
//!
//! # Map
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`Classifier`] | a trained network with its preprocessing and class names |
//! | [`image`] | decoding, resampling and normalisation, from a file's bytes to a network's input |
//! | [`graph`] | a network as a graph of operations; the trait [`Network`](graph::Network) for one of your own |
//! | [`models`] | the networks of both papers, by name |
//! | [`weights`] | safetensors, PyTorch's files, and what travels with them |
//! | [`plan`] | inference: packed weights, shared buffers, no allocation after the first call |
//! | [`explain`] | Grad-CAM heat maps |
//! | [`export`] | ONNX and safetensors for other programs |
//! | [`classes`] | class names of public data sets |
//!
//! Activations are `[n, h, w, c]`, weights are as PyTorch stores them, `[k, c, kh, kw]` and `[k, c]`.
//!
//! # A network by name
//!
//! ```
//! use residual::models::{ModelOptions, Spec};
//!
//! let spec = Spec::resolve(&ModelOptions { name: "resnet-50".into(), ..ModelOptions::default() })?;
//! assert_eq!(spec.summary().params, 25_557_032);
//! # Ok::<(), residual::Error>(())
//! ```

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
