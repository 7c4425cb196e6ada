//! A network in a file for other programs: ONNX, or safetensors under torchvision's names or akamaster's.

pub mod onnx;
mod reader;
#[cfg(feature = "tract")]
mod tract;
pub mod verify;

use crate::error::{Error, Result};
use crate::models::options::{Shortcut, StrideIn};
use crate::models::{Model, Spec};
use crate::tensor::{HostTensor, Tensors};
use crate::weights::import::Preset;
use crate::weights::{self, Metadata};
use std::path::Path;

/// Writes `model` as safetensors that PyTorch's `load_state_dict(…, strict=True)` takes: under torchvision's names
/// ([`Preset::Torchvision`], which are ours, so that every command takes the file as well; a network that torchvision has
/// not needs one of the same layers there), or of akamaster's CIFAR networks ([`Preset::CifarAkamaster`]). Each normalisation gets the `num_batches_tracked` that PyTorch keeps. Returns the
/// number of tensors.
///
/// # Errors
/// A network that akamaster's program does not have, another preset; a folder that cannot be written.
pub fn safetensors(path: &Path, model: &Model, metadata: &Metadata, preset: Preset) -> Result<usize> {
    has(preset, model)?;
    let mut tensors = Tensors::new();
    for (key, data) in model.tensors().clone() {
        if let Some(prefix) = key.strip_suffix("running_mean") {
            let steps = HostTensor::new([], vec![metadata.step as f32]);
            tensors.insert(preset.theirs(&format!("{prefix}num_batches_tracked")), steps);
        }
        tensors.insert(preset.theirs(&key), data);
    }
    if preset == Preset::Torchvision {
        weights::save_tensors(path, &tensors, metadata)?;
    } else {
        weights::save_foreign(path, &tensors, metadata)?;
    }
    Ok(tensors.len())
}

/// What torchvision's network of these names and shapes does otherwise, which `load_state_dict` cannot see.
pub fn unlike_torchvision(spec: &Spec) -> Option<&'static str> {
    let strides_first = spec.has_bottlenecks() && spec.stride_in == StrideIn::Conv1x1;
    strides_first.then_some(
        "its bottlenecks stride in their first 1x1 convolution, torchvision's in the 3x3: the weights load there, and give other results",
    )
}

/// Whether `preset`'s program has a network of this shape, so that its names mean something.
fn has(preset: Preset, model: &Model) -> Result<()> {
    let spec = &model.spec;
    match preset {
        Preset::Torchvision => Ok(()),
        Preset::CifarAkamaster
            if weights::is_cifar_net(spec) && matches!(spec.shortcut, Some(Shortcut::A | Shortcut::B)) =>
        {
            Ok(())
        }
        Preset::CifarAkamaster => {
            let message = format!("{} is none of akamaster's networks", spec.name);
            Err(Error::usage(message)
                .with_hint("they are the CIFAR ResNets with shortcuts A or B: resnet-20, resnet-32, …"))
        }
        Preset::Timm | Preset::Kuangliu => {
            let message = format!("safetensors are not written under the names of {}", preset.name());
            Err(Error::usage(message).with_hint("--preset takes torchvision or cifar-akamaster here"))
        }
    }
}
