//! The networks of both papers: a registry of names, a table for each family, and one type for all of them.

mod init;
pub mod inspect;
mod lower;
pub mod options;
pub mod parameters;
pub mod registry;
pub mod resnet;
mod spec;
pub(crate) mod speedrun;
pub mod vgg;

pub use inspect::{Layer, Summary, Work};
pub use lower::Lower;
pub use options::ModelOptions;
pub use registry::{Architecture, Entry, find, registry};
pub use spec::Spec;

use crate::error::Result;
use crate::layers::{BatchNorm, Pass};
use crate::ops::Nhwc;
use burn::module::Module;
use burn::tensor::{Device, Tensor};

/// The layers of a network.
#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "a program has one or two, and Burn derives no Module for Box")]
pub enum Net {
    /// A VGG, and the network of the speedrun, which is made of the same layers.
    Vgg(vgg::Vgg),
    /// A ResNet or plain network.
    ResNet(resnet::ResNet),
}

/// A network: what it is, and its layers.
#[derive(Debug)]
pub struct Model {
    /// Everything that decides its shape.
    pub spec: Spec,
    /// The layers.
    pub net: Net,
}

/// Weights are shared until one of the two changes, running statistics are not: Burn's own clone would go on moving with the network that
/// it was made from.
impl Clone for Model {
    fn clone(&self) -> Self {
        let mut net = self.net.clone();
        let own = |_: &str, bn: &mut BatchNorm| bn.own_statistics();
        match &mut net {
            Net::Vgg(net) => net.for_each_norm(own),
            Net::ResNet(net) => net.for_each_norm(own),
        }
        Self { spec: self.spec.clone(), net }
    }
}

impl Model {
    /// The network of `spec`; weights take no memory until they are initialised, loaded or used.
    pub fn new(spec: Spec, device: &Device) -> Self {
        let net = match spec.architecture {
            Architecture::Vgg { steps, norm } => {
                let vgg = vgg::Vgg::new(steps, norm, spec.ending(), spec.input[2], spec.classes, device);
                Net::Vgg(vgg)
            }
            Architecture::Speedrun => Net::Vgg(speedrun::network(spec.input[2], spec.classes, device)),
            Architecture::ResNet { ref table, .. } => Net::ResNet(resnet::ResNet::new(table, &spec.build(), device)),
        };
        Self { spec, net }
    }

    /// The network with weights at their start.
    pub fn initialised(self, seed: u64, device: &Device) -> Self {
        let net = init::initialise(self.net, self.spec.start(), seed, device);
        Self { net, ..self }
    }

    /// The network with everything within `prefixes` (`conv1`, `layer1`, `features.0`) left as it is by training:
    /// parameters get no gradients, normalisations use their running statistics and leave them alone.
    pub fn frozen(self, prefixes: &[String]) -> Self {
        let Self { spec, net } = self;
        let mut net = parameters::frozen(net, prefixes);
        let freeze = |name: &str, bn: &mut BatchNorm| {
            bn.frozen = prefixes.iter().any(|prefix| parameters::is_within(name, prefix));
        };
        match &mut net {
            Net::Vgg(net) => net.for_each_norm(freeze),
            Net::ResNet(net) => net.for_each_norm(freeze),
        }
        Self { spec, net }
    }

    /// Images `[n, h, w, c]` → logits `[n, classes]`.
    pub fn forward(&self, x: Nhwc, pass: &Pass) -> Tensor<2> {
        match &self.net {
            Net::Vgg(net) => net.forward(x, pass),
            Net::ResNet(net) => net.forward(x, pass),
        }
    }

    /// Applied fully convolutionally to images of any size (`[n, h, w, c]`, at least [`Spec::smallest_dense`]): the
    /// scores of all places, averaged → logits `[n, classes]`. A VGG's fully connected layers become 7x7 and 1x1
    /// convolutions (VGG §3.2); a ResNet pools its larger map globally, which averages the scores as well, since only a
    /// linear layer follows.
    pub fn dense(&self, x: Nhwc, pass: &Pass) -> Tensor<2> {
        match &self.net {
            Net::Vgg(net) => net.dense(x, pass),
            Net::ResNet(net) => net.forward(x, pass),
        }
    }

    /// Images → the deepest map that still tells where things are, for [`explain`](crate::explain).
    pub fn trunk(&self, x: Nhwc, pass: &Pass) -> Nhwc {
        match &self.net {
            Net::Vgg(net) => net.trunk(x, pass),
            Net::ResNet(net) => net.features(x, pass),
        }
    }

    /// The map of [`trunk`](Self::trunk) for images `h` pixels high → logits.
    pub fn crown(&self, map: Nhwc, h: usize, pass: &Pass) -> Tensor<2> {
        match &self.net {
            Net::Vgg(net) => net.crown(map, h, pass),
            Net::ResNet(net) => net.classify(map),
        }
    }

    /// Images → the last map before the classifier.
    pub fn features(&self, x: Nhwc, pass: &Pass) -> Nhwc {
        match &self.net {
            Net::Vgg(net) => net.features(x, pass),
            Net::ResNet(net) => net.features(x, pass),
        }
    }

    /// The forward pass as steps: what holds the logits.
    pub fn plan<P: Lower>(&self, program: &mut P) -> P::Value {
        match &self.net {
            Net::Vgg(net) => net.plan(program),
            Net::ResNet(net) => net.plan(program),
        }
    }

    /// The same network for testing: off the autodiff device, sharing the weights' memory.
    pub fn valid(&self) -> Self {
        Self { spec: self.spec.clone(), net: self.net.valid() }
    }

    fn trace(&self) -> inspect::Trace {
        let mut trace = inspect::Trace::new(self.spec.input);
        match &self.net {
            Net::Vgg(net) => net.trace(&mut trace),
            Net::ResNet(net) => net.trace(&mut trace),
        }
        trace
    }

    /// What the network multiplies for one image, layer by layer, in the order of the forward pass.
    pub fn work(&self) -> Vec<(String, Work)> {
        self.trace().work()
    }

    /// The network as a table, for its own input size.
    pub fn summary(&self) -> Summary {
        let trace = self.trace();
        let (layers, receptive_field) = trace.finish();
        Summary {
            name: self.spec.name.clone(),
            family: self.spec.family.to_owned(),
            params: layers.iter().map(|layer| layer.params).sum(),
            macs: layers.iter().map(|layer| layer.macs).sum(),
            receptive_field,
            input: self.spec.input,
            classes: self.spec.classes,
            layers,
        }
    }
}

/// A module of one's own, made of the layers here, with weights at their start: He normal for convolutions, PyTorch's
/// for linear layers.
pub fn initialised<M: Module>(module: M, seed: u64, device: &Device) -> M {
    let start = init::Start { init: options::Init::He, zero_last_gamma: false, vgg_head: false };
    init::initialise(module, start, seed, device)
}

/// The network of `options` as a table, without building weights.
///
/// # Errors
/// An unknown network, or an input it cannot take.
pub fn summary(options: &ModelOptions) -> Result<Summary> {
    Ok(Model::new(Spec::resolve(options)?, &Device::flex()).summary())
}
