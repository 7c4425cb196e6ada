//! A network's options, resolved: no `auto` is left, sizes and classes are known, contradictions are refused.

use super::init::Start;
use super::options::{Head, Init, ModelOptions, Shortcut, Stem, StrideIn};
use super::registry::{Architecture, find};
use super::resnet::Build;
use super::vgg::Ending;
use crate::error::{Error, Result};

/// Above this many pixels, `auto` means the ImageNet stem and head.
const CIFAR_UP_TO: usize = 64;

/// The largest input: one map of 64 channels takes 4 GB. The papers go up to 640 px.
const LARGEST: usize = 4096;

/// Everything that decides a network's shape and start.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    /// The registry's name.
    pub name: String,
    /// `vgg`, `resnet`, `plain` or `speedrun`.
    pub family: &'static str,
    /// What the name stands for.
    pub architecture: Architecture,
    /// Input height, width, channels.
    pub input: [usize; 3],
    /// Classes.
    pub classes: usize,
    /// ResNet: the 7x7 stem; VGG: the three fully connected layers.
    pub imagenet: bool,
    /// Shortcut option; `None` in plain networks and VGG.
    pub shortcut: Option<Shortcut>,
    /// Where bottlenecks stride.
    pub stride_in: StrideIn,
    /// Dropout of VGG's hidden layers.
    pub dropout: f64,
    /// Initial weights.
    pub init: Init,
    /// See [`ModelOptions::zero_last_gamma`].
    pub zero_last_gamma: bool,
}

impl Spec {
    /// Resolves `options`: what they leave open becomes the paper's, or the size's, choice.
    ///
    /// # Errors
    /// An unknown name; an input too small (the smallest that works is named); no classes; an option that the network
    /// does not have.
    pub fn resolve(options: &ModelOptions) -> Result<Self> {
        let entry = find(&options.name)?;
        let size = options.input.unwrap_or(entry.input);
        let classes = options.classes.unwrap_or(entry.classes);
        let channels = options.channels.unwrap_or(3);
        let (imagenet, shortcut) = match entry.architecture {
            Architecture::Vgg { .. } | Architecture::Speedrun => {
                if options.shortcut.is_some() {
                    return Err(Error::usage(format!("model.shortcut: {} has no shortcuts", entry.name)));
                }
                let head = is_imagenet(options.head == Head::Imagenet, options.head == Head::Auto, size);
                (head && entry.architecture != Architecture::Speedrun, None)
            }
            Architecture::ResNet { plain, cifar, .. } => {
                if cifar && options.stem == Stem::Imagenet {
                    return Err(Error::usage(format!("model.stem: {} begins with one 3x3 convolution", entry.name))
                        .with_hint(
                            "the networks with a 7x7 stem are resnet-18, -34, -50, -101, -152, plain-18, plain-34",
                        ));
                }
                if plain && options.shortcut.is_some() {
                    return Err(Error::usage(format!("model.shortcut: {} has no shortcuts", entry.name))
                        .with_hint("its residual twin begins with resnet- instead of plain-"));
                }
                let default = if cifar { Shortcut::A } else { Shortcut::B };
                let shortcut = (!plain).then(|| options.shortcut.unwrap_or(default));
                let stem = is_imagenet(options.stem == Stem::Imagenet, options.stem == Stem::Auto, size);
                (!cifar && stem, shortcut)
            }
        };
        if options.zero_last_gamma && shortcut.is_none() {
            // A block without a way around would give zeros, and no gradient would pass it.
            return Err(Error::usage(format!("model.zero_last_gamma: {} has no shortcuts", entry.name)));
        }
        let spec = Self {
            name: entry.name,
            family: entry.family,
            architecture: entry.architecture,
            input: [size, size, channels],
            classes,
            imagenet,
            shortcut,
            stride_in: options.stride_in,
            dropout: options.dropout,
            init: options.init,
            zero_last_gamma: options.zero_last_gamma,
        };
        spec.check()?;
        Ok(spec)
    }

    fn check(&self) -> Result<()> {
        let smallest = self.smallest_input();
        let size = self.input[0];
        if size < smallest {
            let message = format!("model.input: {} cannot take {size} px", self.name);
            return Err(Error::usage(message).with_hint(format!("the smallest input that works is {smallest} px")));
        }
        if size > LARGEST {
            let message = format!("model.input: images of {size} px take more memory than a machine has");
            return Err(Error::usage(message).with_hint(format!("networks here take {LARGEST} px at most")));
        }
        if self.classes == 0 || self.input[2] == 0 {
            return Err(Error::usage(format!("{} needs at least one class and one input channel", self.name)));
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return Err(Error::usage(format!("model.dropout: {} is not a probability below 1", self.dropout)));
        }
        Ok(())
    }

    /// Whether its blocks are bottlenecks, so that `stride_in` means something.
    pub fn has_bottlenecks(&self) -> bool {
        matches!(self.architecture, Architecture::ResNet { table, .. } if table.has_bottlenecks())
    }

    /// The smallest input whose last map is at least one pixel that no stride skipped: VGG halves five times.
    pub fn smallest_input(&self) -> usize {
        match self.architecture {
            Architecture::Vgg { .. } => 32,
            Architecture::Speedrun => 8,
            Architecture::ResNet { cifar: true, .. } => 4,
            Architecture::ResNet { .. } if self.imagenet => 32,
            Architecture::ResNet { .. } => 8,
        }
    }

    /// The smallest side of an image that the network can be applied to fully convolutionally ([`Model::dense`](super::Model::dense)).
    ///
    /// # Errors
    /// A VGG whose head was not trained on a map of 7x7: its pooling stretches another map over it, which has no
    /// counterpart in a convolution.
    pub fn smallest_dense(&self) -> Result<usize> {
        match self.architecture {
            Architecture::Vgg { .. } if self.imagenet => {
                let map = self.input[0] / 32;
                if map == 7 {
                    return Ok(7 * 32);
                }
                let message = format!(
                    "{} at {} px has a head for a map of {map}x{map}: applied densely it would be another network",
                    self.name, self.input[0]
                );
                Err(Error::usage(message).with_hint("dense takes a VGG trained at 224 px, or one with the CIFAR head"))
            }
            _ => Ok(self.smallest_input()),
        }
    }

    pub(super) fn ending(&self) -> Ending {
        if self.imagenet { Ending::Imagenet { dropout: self.dropout } } else { Ending::Cifar }
    }

    pub(super) fn build(&self) -> Build {
        Build {
            imagenet_stem: self.imagenet,
            shortcut: self.shortcut,
            stride_in: self.stride_in,
            channels: self.input[2],
            classes: self.classes,
        }
    }

    pub(super) fn start(&self) -> Start {
        let vgg_head = self.family == "vgg" && self.imagenet;
        Start { init: self.init, zero_last_gamma: self.zero_last_gamma, vgg_head }
    }

    /// The options that resolve to this network again: what a weights file carries.
    pub fn options(&self) -> ModelOptions {
        let vgg = self.family == "vgg";
        let (stem, head) = match (vgg, self.imagenet) {
            (true, true) => (Stem::Auto, Head::Imagenet),
            (true, false) => (Stem::Auto, Head::Cifar),
            (false, true) => (Stem::Imagenet, Head::Auto),
            (false, false) => (Stem::Cifar, Head::Auto),
        };
        ModelOptions {
            name: self.name.clone(),
            input: Some(self.input[0]),
            channels: Some(self.input[2]),
            classes: Some(self.classes),
            stem,
            head,
            init: self.init,
            zero_last_gamma: self.zero_last_gamma,
            dropout: self.dropout,
            shortcut: self.shortcut,
            stride_in: self.stride_in,
            from: None,
            freeze: Vec::new(),
        }
    }
}

fn is_imagenet(asked: bool, auto: bool, size: usize) -> bool {
    asked || (auto && size > CIFAR_UP_TO)
}
