//! Initial weights. Each tensor has a stream of its own, keyed by the seed and its place in the network.

use super::options::Init;
use super::parameters::{self, Replace};
use crate::random::{Purpose, stream};
use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use rand::Rng;
use rand_distr::{Distribution, Normal};
use std::collections::BTreeSet;

/// Standard deviation of `vgg`'s start (Caffe's practice; VGG §3.1 says *variance* 10⁻²).
const VGG_STD: f64 = 0.01;

/// What decides a start beside the seed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Start {
    pub(super) init: Init,
    /// Scales of the last normalisation of each residual block start at zero (Goyal et al. 2017).
    pub(super) zero_last_gamma: bool,
    /// The fully connected layers are VGG's three, which torchvision starts from N(0, 0.01²).
    pub(super) vgg_head: bool,
}

struct Initialise<'a> {
    start: Start,
    seed: u64,
    index: u64,
    /// Inputs of the linear layer whose weights came last: its bias, the next tensor, starts by them.
    fan_in: f64,
    /// Scales that start at zero.
    zero: BTreeSet<String>,
    device: &'a Device,
}

/// `module` with all its tensors at their start; running statistics too.
pub(super) fn initialise<M: Module>(module: M, start: Start, seed: u64, device: &Device) -> M {
    let device = device.clone().inner();
    let zero = if start.zero_last_gamma { last_scales(&module) } else { BTreeSet::new() };
    parameters::replace(module, &mut Initialise { start, seed, index: 0, fan_in: 1.0, zero, device: &device })
}

impl Replace for Initialise<'_> {
    fn tensor<const D: usize>(&mut self, name: &str, tensor: Tensor<D>) -> Tensor<D> {
        let dims = tensor.dims();
        let index = self.index;
        self.index += 1;
        let constant = |value: f32| Tensor::full(dims, value, self.device);
        let last = name.rsplit('.').next().unwrap_or(name);
        match (last, D) {
            ("running_mean", _) => constant(0.0),
            ("running_var", _) => constant(1.0),
            ("weight", 1) if self.zero.contains(name) => constant(0.0),
            ("weight", 1) => constant(1.0),
            ("weight", _) => {
                self.fan_in = dims[1] as f64;
                self.draw(dims, self.weights(&dims), index)
            }
            // PyTorch starts the bias of a linear layer as it starts its weights.
            ("bias", _) if self.is_pytorch_linear(name) => {
                self.draw(dims, Draw::Uniform(1.0 / self.fan_in.sqrt()), index)
            }
            ("bias", _) => constant(0.0),
            _ => tensor,
        }
    }
}

/// A distribution around zero.
#[derive(Debug, Clone, Copy)]
enum Draw {
    /// By standard deviation.
    Normal(f64),
    /// By bound.
    Uniform(f64),
}

impl Initialise<'_> {
    /// The distribution of a convolution's or linear layer's weights.
    fn weights(&self, dims: &[usize]) -> Draw {
        let area: usize = dims[2..].iter().product();
        let (fan_out, fan_in) = ((dims[0] * area) as f64, (dims[1] * area) as f64);
        let is_conv = dims.len() == 4;
        match self.start.init {
            Init::He if is_conv => Draw::Normal((2.0 / fan_out).sqrt()),
            Init::He if self.start.vgg_head => Draw::Normal(0.01),
            // PyTorch's own start of a linear layer.
            Init::He => Draw::Uniform(1.0 / fan_in.sqrt()),
            Init::Glorot => Draw::Uniform((6.0 / (fan_in + fan_out)).sqrt()),
            Init::Vgg => Draw::Normal(VGG_STD),
            Init::VggPaper => Draw::Normal(VGG_STD.sqrt()),
        }
    }

    /// Whether `name` belongs to a linear layer that starts as PyTorch starts it.
    fn is_pytorch_linear(&self, name: &str) -> bool {
        let linear = name.starts_with("fc.") || name.starts_with("classifier.");
        linear && self.start.init == Init::He && !self.start.vgg_head
    }

    fn draw<const D: usize>(&self, dims: [usize; D], draw: Draw, index: u64) -> Tensor<D> {
        let mut stream = stream(self.seed, Purpose::Init, 0, index);
        let len = dims.iter().product();
        let values: Vec<f32> = match draw {
            Draw::Normal(std) => {
                let normal = Normal::new(0.0, std).expect("a standard deviation is finite and positive");
                (0..len).map(|_| normal.sample(&mut stream) as f32).collect()
            }
            Draw::Uniform(bound) => {
                (0..len).map(|_| (stream.random::<f64>() * 2.0 - 1.0) * bound).map(|v| v as f32).collect()
            }
        };
        Tensor::from_data(TensorData::new(values, dims), self.device)
    }
}

/// The scale of the last normalisation of each residual block: `bn3` of a bottleneck, `bn2` of a basic block. Zero in any
/// other would cut the branch off for ever: behind `relu(0)` no gradient comes back.
fn last_scales<M: Module>(module: &M) -> BTreeSet<String> {
    let scales = parameters::shapes(module).into_iter().map(|(name, _)| name);
    let scales: BTreeSet<String> = scales.filter(|name| name.starts_with("layer")).collect();
    let last = |name: &&String| match name.strip_suffix(".bn2.weight") {
        Some(block) => !scales.contains(&format!("{block}.bn3.weight")),
        None => name.ends_with(".bn3.weight"),
    };
    scales.iter().filter(last).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::{Model, ModelOptions, Spec};

    fn last(network: &str) -> Vec<String> {
        let spec = Spec::resolve(&ModelOptions {
            name: network.into(),
            input: Some(32),
            classes: Some(10),
            ..ModelOptions::default()
        });
        last_scales(&Model::new(spec.expect("a network"), &Device::flex()).net).into_iter().collect()
    }

    #[test]
    fn the_last_scale_of_a_bottleneck_is_its_third_and_of_a_basic_block_its_second() {
        let bottlenecks = last("resnet-50");
        assert_eq!(bottlenecks.len(), 16, "3 + 4 + 6 + 3 blocks");
        assert!(bottlenecks.iter().all(|name| name.ends_with(".bn3.weight")), "{bottlenecks:?}");
        assert_eq!(last("resnet-cifar-8"), ["layer1.0.bn2.weight", "layer2.0.bn2.weight", "layer3.0.bn2.weight"]);
        assert!(last("vgg-a-bn").is_empty());
    }
}
