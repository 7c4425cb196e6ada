//! A network's options, resolved: no `auto` is left, sizes and classes are known, contradictions are refused.

#[cfg(feature = "init")]
use super::init::InitOptions;
use super::options::{Head, Init, ModelOptions, Shortcut, Stem, StrideIn};
use super::registry::{Architecture, find};
use super::resnet::{ResNetOptions, resnet};
use super::speedrun::speedrun;
use super::vgg::{VggHead, vgg};
use crate::error::{Error, Result};
use crate::graph::{Graph, GraphBuilder, Network, Summary, Value};

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
                        .with_hint("its residual counterpart begins with resnet- instead of plain-"));
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

    /// Returns the operations of the network.
    pub fn graph(&self) -> Graph {
        Graph::of(self).expect("`resolve` refuses inputs and options that do not fit")
    }

    /// Returns the network as a table, for its own input size.
    pub fn summary(&self) -> Summary {
        self.graph().summary(&self.name, self.family)
    }

    /// Whether its blocks are bottlenecks, so that `stride_in` means something.
    pub fn has_bottlenecks(&self) -> bool {
        matches!(self.architecture, Architecture::ResNet { config, .. } if config.has_bottlenecks())
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

    #[cfg(feature = "init")]
    pub(crate) fn init_options(&self) -> InitOptions {
        let vgg_head = self.family == "vgg" && self.imagenet;
        InitOptions { init: self.init, zero_last_gamma: self.zero_last_gamma, vgg_head }
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

impl Network for Spec {
    fn input(&self) -> [usize; 3] {
        self.input
    }

    fn forward(&self, g: &mut GraphBuilder, x: Value) -> Value {
        match self.architecture {
            Architecture::Vgg { layers, norm } => {
                let head = match self.imagenet {
                    true => VggHead::Imagenet { dropout: self.dropout },
                    false => VggHead::Cifar,
                };
                vgg(g, x, layers, norm, head, self.classes)
            }
            Architecture::Speedrun => speedrun(g, x, self.classes),
            Architecture::ResNet { ref config, .. } => {
                let options = ResNetOptions {
                    imagenet_stem: self.imagenet,
                    shortcut: self.shortcut,
                    stride_in: self.stride_in,
                    classes: self.classes,
                };
                resnet(g, x, config, &options)
            }
        }
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn smallest_input(&self) -> usize {
        self.smallest_input()
    }
}

fn is_imagenet(asked: bool, auto: bool, size: usize) -> bool {
    asked || (auto && size > CIFAR_UP_TO)
}
