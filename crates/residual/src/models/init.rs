//! Initial weights. Each tensor has a random stream of its own, keyed by the seed and its place in the network.

use super::options::Init;
use crate::graph::{Graph, Op};
use crate::random::{Purpose, stream};
use crate::tensor::{HostTensor, Tensors};
use rand::Rng;
use rand_distr::{Distribution, Normal};
use std::collections::BTreeSet;

/// Standard deviation of the `vgg` initialisation (Caffe's practice; VGG §3.1 says *variance* 10⁻²).
const VGG_STD: f64 = 0.01;

/// What decides the initial weights beside the seed.
#[derive(Debug, Clone, Copy, Default)]
pub struct InitOptions {
    /// The distribution of weights.
    pub init: Init,
    /// The scale of the last batch norm of each residual branch starts at zero (Goyal et al. 2017).
    pub zero_last_gamma: bool,
    /// The fully connected layers are VGG's three, which torchvision draws from N(0, 0.01²).
    pub vgg_head: bool,
}

impl Graph {
    /// Returns initial values of all tensors, running statistics too.
    pub fn init(&self, options: &InitOptions, seed: u64) -> Tensors {
        let zero = if options.zero_last_gamma { self.last_scales() } else { BTreeSet::new() };
        // The values into a linear layer decide the range of its bias as well.
        let mut fan_in = 1.0;
        let tensor = |(index, (name, shape)): (usize, (String, Vec<usize>))| {
            let draw = |distribution: Sampler| {
                HostTensor::new(shape.clone(), distribution.sample(shape.iter().product(), seed, index as u64))
            };
            let last = name.rsplit('.').next().unwrap_or(&name);
            let tensor = match (last, shape.len()) {
                ("weight", 1) if zero.contains(&name) => HostTensor::full(shape, 0.0),
                ("running_var" | "weight", 1) => HostTensor::full(shape, 1.0),
                ("weight", _) => {
                    fan_in = shape[1] as f64;
                    draw(options.weights(&shape))
                }
                // PyTorch draws the bias of a linear layer as it draws its weights.
                ("bias", _) if options.is_pytorch_linear(&name) => draw(Sampler::Uniform(1.0 / fan_in.sqrt())),
                _ => HostTensor::full(shape, 0.0),
            };
            (name, tensor)
        };
        self.tensors().into_iter().enumerate().map(tensor).collect()
    }

    /// The scale of the batch norm that ends each residual branch. Zero in any other would cut the branch off for ever:
    /// no gradient passes `relu(0)`.
    fn last_scales(&self) -> BTreeSet<String> {
        let adds = self.nodes().iter().filter(|node| node.op == Op::Add);
        adds.map(|node| format!("{}.weight", self.node(node.input()).name)).collect()
    }
}

/// A distribution around zero.
#[derive(Debug, Clone, Copy)]
enum Sampler {
    /// Normal, by its standard deviation.
    Normal(f64),
    /// Uniform, by its bound.
    Uniform(f64),
}

impl Sampler {
    fn sample(self, len: usize, seed: u64, index: u64) -> Vec<f32> {
        let mut stream = stream(seed, Purpose::Init, 0, index);
        match self {
            Self::Normal(std) => {
                let normal = Normal::new(0.0, std).expect("a standard deviation is finite and positive");
                (0..len).map(|_| normal.sample(&mut stream) as f32).collect()
            }
            Self::Uniform(bound) => {
                (0..len).map(|_| (stream.random::<f64>() * 2.0 - 1.0) * bound).map(|v| v as f32).collect()
            }
        }
    }
}

impl InitOptions {
    /// The distribution of a convolution's or linear layer's weights.
    fn weights(&self, shape: &[usize]) -> Sampler {
        let area: usize = shape[2..].iter().product();
        let (fan_out, fan_in) = ((shape[0] * area) as f64, (shape[1] * area) as f64);
        let is_conv = shape.len() == 4;
        match self.init {
            Init::He if is_conv => Sampler::Normal((2.0 / fan_out).sqrt()),
            Init::He if self.vgg_head => Sampler::Normal(0.01),
            // PyTorch's own initialisation of a linear layer.
            Init::He => Sampler::Uniform(1.0 / fan_in.sqrt()),
            Init::Glorot => Sampler::Uniform((6.0 / (fan_in + fan_out)).sqrt()),
            Init::Vgg => Sampler::Normal(VGG_STD),
            Init::VggPaper => Sampler::Normal(VGG_STD.sqrt()),
        }
    }

    /// Whether `name` belongs to a linear layer that is initialised as PyTorch's.
    fn is_pytorch_linear(&self, name: &str) -> bool {
        let linear = name.starts_with("fc.") || name.starts_with("classifier.");
        linear && self.init == Init::He && !self.vgg_head
    }
}

#[cfg(test)]
mod tests {
    use crate::models::{ModelOptions, Spec};

    fn last(network: &str) -> Vec<String> {
        let options =
            ModelOptions { name: network.into(), input: Some(32), classes: Some(10), ..ModelOptions::default() };
        Spec::resolve(&options).expect("a network").graph().last_scales().into_iter().collect()
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
