//! What a network can be asked for beyond its name: the `[model]` section of a recipe.

use serde::{Deserialize, Serialize};

/// How the first layers look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stem {
    /// `cifar` up to 64 px, `imagenet` above.
    #[default]
    Auto,
    /// ResNet: 7x7/2 convolution and 3x3/2 max-pooling.
    Imagenet,
    /// ResNet: one 3x3 convolution, no pooling.
    Cifar,
}

/// How VGG ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Head {
    /// `cifar` up to 64 px, `imagenet` above.
    #[default]
    Auto,
    /// Adaptive pooling to 7x7 and three fully connected layers.
    Imagenet,
    /// One fully connected layer, 512 → classes.
    Cifar,
}

/// How weights start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Init {
    /// He normal, fan-out (ResNet §3.4, torchvision).
    #[default]
    He,
    /// Glorot uniform (VGG §3.1's later finding).
    Glorot,
    /// Normal with standard deviation 0.01, biases 0 (Caffe practice for VGG).
    Vgg,
    /// Normal with *variance* 0.01, as VGG's text says.
    VggPaper,
}

/// What a shortcut does where the shape changes (ResNet §3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Shortcut {
    /// Subsampled identity, zero channels for the new ones.
    A,
    /// Projection where the shape changes, identity elsewhere.
    B,
    /// Projection everywhere.
    C,
}

/// Where a bottleneck block strides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum StrideIn {
    /// In the 3x3 convolution (v1.5, torchvision).
    #[default]
    #[serde(rename = "3x3")]
    Conv3x3,
    /// In the first 1x1 convolution (the paper, v1).
    #[serde(rename = "1x1")]
    Conv1x1,
}

/// A network and everything that decides its shape: the `[model]` section of a recipe, resolved or not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelOptions {
    /// A name of the registry (`residual models` lists them).
    pub name: String,
    /// Input height and width in pixels; the data decides where it is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<usize>,
    /// Input channels; the data decides where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channels: Option<usize>,
    /// Number of classes; the data decides where it is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub classes: Option<usize>,
    /// First layers.
    pub stem: Stem,
    /// Last layers.
    pub head: Head,
    /// Initial weights.
    pub init: Init,
    /// Start the last batch-norm scale of each residual block at zero.
    pub zero_last_gamma: bool,
    /// Drop-out probability of VGG's hidden fully connected layers.
    pub dropout: f64,
    /// Shortcut option; the network's own default where absent (CIFAR nets A, ImageNet nets B).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shortcut: Option<Shortcut>,
    /// Where bottlenecks stride.
    pub stride_in: StrideIn,
    /// Weights to start from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<std::path::PathBuf>,
    /// Name prefixes of parameters that stay as they are (`conv1`, `layer1`).
    pub freeze: Vec<String>,
}

impl Default for ModelOptions {
    fn default() -> Self {
        Self {
            name: "resnet-20".into(),
            input: None,
            channels: None,
            classes: None,
            stem: Stem::Auto,
            head: Head::Auto,
            init: Init::He,
            zero_last_gamma: false,
            dropout: 0.5,
            shortcut: None,
            stride_in: StrideIn::Conv3x3,
            from: None,
            freeze: Vec::new(),
        }
    }
}
