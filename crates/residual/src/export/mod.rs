//! A network in a file for other programs: ONNX, or safetensors under torchvision's names.

pub mod onnx;
mod protobuf;

use crate::error::Result;
use crate::models::Model;
use crate::weights::{self, Metadata};
use burn::tensor::TensorData;
use std::path::Path;

/// Writes `model` as safetensors that `torchvision.models.X().load_state_dict(…, strict=True)` takes: our names are torchvision's,
/// and each normalisation gets the `num_batches_tracked` that PyTorch keeps. Returns the number of tensors.
///
/// # Errors
/// A folder that cannot be written.
pub fn safetensors(path: &Path, model: &Model, metadata: &Metadata) -> Result<usize> {
    let mut tensors = weights::values(model);
    let counts: Vec<String> = tensors
        .keys()
        .filter_map(|key| key.strip_suffix("running_mean"))
        .map(|prefix| format!("{prefix}num_batches_tracked"))
        .collect();
    for key in counts {
        tensors.insert(key, TensorData::new(vec![metadata.step as f32], Vec::<usize>::new()));
    }
    weights::save_tensors(path, &tensors, metadata)?;
    Ok(tensors.len())
}
