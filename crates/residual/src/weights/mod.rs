//! Weights on disk: safetensors with torchvision's key names, and what one must know to use them.
//!
//! The network, the preprocessing, the class names and the recipe travel in the metadata, so that a file is enough.

pub mod container;
mod foreign;
mod given;
mod half;
pub mod import;
mod naming;
mod pytorch;

pub use given::{Given, class_names};
pub use naming::is_cifar_net;

use crate::error::{Error, Result};
use crate::graph::Network;
use crate::image::Preprocessing;
use crate::models::{Model, ModelOptions, Spec};
use crate::tensor::{HostTensor, Tensors};
use container::Contents;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::path::Path;

/// What travels with the weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metadata {
    /// The network, with every option that decides its shape.
    pub model: ModelOptions,
    /// The way from an image to its input.
    pub preprocessing: Preprocessing,
    /// Class names, in the order of the logits.
    pub classes: Vec<String>,
    /// The recipe that trained it, as TOML.
    pub recipe: Option<String>,
    /// Optimiser steps taken.
    pub step: u64,
    /// What the weights were trained on (`CIFAR-10 (not canonical pixels)`).
    pub trained_on: Option<String>,
}

/// Writes a network's weights and running statistics to `path`.
///
/// # Errors
/// Fails if the folder cannot be written.
pub fn save<N: Network>(path: &Path, model: &Model<N>, metadata: &Metadata) -> Result<()> {
    save_tensors(path, model.tensors(), metadata)
}

/// Writes `tensors`, which belong to the network that `metadata` describes.
///
/// # Errors
/// A folder that cannot be written.
pub fn save_tensors(path: &Path, tensors: &Tensors, metadata: &Metadata) -> Result<()> {
    container::write(path, tensors, entry(metadata))
}

/// Writes `tensors` under another program's names. What travels with them stands under a name of its own, for no command
/// here takes the file without an import.
pub(crate) fn save_foreign(path: &Path, tensors: &Tensors, metadata: &Metadata) -> Result<()> {
    container::write_entry(path, tensors, container::EXPORTED, entry(metadata))
}

fn entry(metadata: &Metadata) -> Map<String, Value> {
    match serde_json::to_value(metadata).expect("metadata is plain data") {
        Value::Object(entry) => entry,
        _ => unreachable!("a struct serialises to an object"),
    }
}

/// Reads a weights file that this program wrote (a run folder's `best.safetensors`, an import).
///
/// # Errors
/// A file that is missing, damaged, foreign, does not fit the network that it names, or holds values that are not finite.
pub fn load(path: &Path) -> Result<(Model, Metadata)> {
    let bytes = std::fs::read(path).map_err(|error| Error::io("read", path, error))?;
    from_bytes(bytes, &path.display().to_string())
}

/// As [`load`], of a file's `bytes`: from an object store, or `include_bytes!`. Errors call it `file`.
///
/// # Errors
/// As [`load`].
pub fn from_bytes(bytes: Vec<u8>, file: &str) -> Result<(Model, Metadata)> {
    let Contents { tensors, metadata, .. } = container::parse(bytes, file)?;
    let metadata = parse(file, metadata)?;
    let spec = Spec::resolve(&metadata.model)
        .map_err(|error| Error::weights(format!("{file} names a network that cannot be built: {error}")))?;
    check_channels(&spec, file)?;
    if metadata.classes.len() != spec.classes {
        let (names, classes) = (metadata.classes.len(), spec.classes);
        return Err(Error::weights(format!("{file} has names for {names} classes and a network of {classes}")));
    }
    for (name, data) in &tensors {
        check_values(data.values(), file, name)?;
    }
    Ok((Model::from_file(spec, tensors, file)?, metadata))
}

/// Reads only what travels with the weights.
///
/// # Errors
/// As [`load`].
pub fn metadata(path: &Path) -> Result<Metadata> {
    parse(&path.display().to_string(), container::read(path)?.metadata)
}

fn parse(file: &str, metadata: Option<Map<String, Value>>) -> Result<Metadata> {
    let Some(metadata) = metadata else {
        return Err(Error::weights(format!("{file} does not say which network it belongs to"))
            .with_hint("`residual import FILE --as NAME --out NEW` makes a file that does"));
    };
    serde_json::from_value(Value::Object(metadata))
        .map_err(|error| Error::weights(format!("{file}: its metadata is not that of a weights file: {error}")))
}

/// Whether images have as many channels as the network takes: grey, or red, green and blue.
fn check_channels(spec: &Spec, file: &str) -> Result<()> {
    match spec.input[2] {
        1 | 3 => Ok(()),
        n => Err(Error::weights(format!("{file} takes images of {n} channels"))
            .with_hint("images are read with one channel or three")),
    }
}

/// Whether all `values` of a file's tensor can be computed with: they are finite, and no variance is negative.
fn check_values(values: &[f32], file: &str, tensor: &str) -> Result<()> {
    let is_variance = tensor.ends_with("running_var");
    match values.iter().find(|value| !value.is_finite() || (is_variance && **value < 0.0)) {
        None => Ok(()),
        Some(value) => {
            Err(Error::weights(format!("{file}: {tensor} holds {value}, with which nothing can be computed"))
                .with_hint(
                    "the training that wrote it had diverged, or the file was altered; take an earlier checkpoint",
                ))
        }
    }
}

/// Replaces the values of `initial` by those of `tensors` that have the same name and shape; returns the names of those
/// that kept their own too. For starting from another network's weights.
pub fn merge_matching(initial: Tensors, tensors: &Tensors) -> (Tensors, Vec<String>) {
    let mut kept = Vec::new();
    let merge = |(name, own): (String, HostTensor)| {
        let value = match tensors.get(&name).filter(|other| other.shape() == own.shape()) {
            Some(other) => other.clone(),
            None => {
                kept.push(name.clone());
                own
            }
        };
        (name, value)
    };
    (initial.into_iter().map(merge).collect(), kept)
}
