//! Training of VGG and ResNet image classifiers on Burn: data sets, recipes, runs that survive a kill, evaluation.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`data`] | data sets, augmentation, batches |
//! | [`recipe`] | what a training run is: a TOML file, resolved once against the data |
//! | [`network`] | a network's graph run forward on tensors, with gradients |
//! | [`train`] | the loop, its checkpoints and events; [`Trainer`](train::trainer::Trainer) takes any network |
//! | [`eval`] | the papers' test protocols, ensembles, predictions |
//! | [`ops`] | the operations, as an extension of Burn's CPU backend |
//!
//! Images, networks, weights and inference are in [`residual`], which does not depend on Burn.
//!
//! # One step of training
//!
//! ```
//! use burn::tensor::Device;
//! use residual::models::{Model, ModelOptions, Spec};
//! use residual_train::burn;
//! use residual_train::data::Batch;
//! use residual_train::recipe::Recipe;
//! use residual_train::train::trainer::Trainer;
//!
//! let options = ModelOptions { name: "resnet-cifar-8".into(), classes: Some(10), ..ModelOptions::default() };
//! let model = Model::initialised(Spec::resolve(&options)?, 0);
//! let mut trainer = Trainer::new(&model, &Recipe::default(), &Device::flex().autodiff());
//! let pixels = vec![0.5; 4 * 32 * 32 * 3];
//! let batch = Batch { pixels, size: [32, 32, 3], labels: vec![0, 1, 2, 3], ..Batch::default() };
//! let metrics = trainer.step(&mut [batch], 0, 0.1);
//! assert!(metrics.loss.is_finite());
//! # Ok::<(), residual::Error>(())
//! ```

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
