//! The baseline that our kernels are held against: ResNet-20 from Burn's own modules on Flex, one training step timed.
//!
//!     cargo run --release -p residual-train --example burn_flex -- 128 3      (batch, steps)

use burn::module::{Module, ModuleMapper, Param};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::activation::{log_softmax, relu};
use burn::tensor::{Device, Distribution, Gradients, Tensor};
use residual_train::train::targets::smoothed;
use std::io::Write;
use std::time::Instant;

#[derive(Module, Debug)]
struct Block {
    conv1: Conv2d,
    bn1: BatchNorm,
    conv2: Conv2d,
    bn2: BatchNorm,
    stride: usize,
}

fn conv(c: usize, k: usize, stride: usize, device: &Device) -> Conv2d {
    let padding = PaddingConfig2d::Explicit(1, 1, 1, 1);
    Conv2dConfig::new([c, k], [3, 3]).with_stride([stride; 2]).with_padding(padding).with_bias(false).init(device)
}

impl Block {
    fn new(c: usize, k: usize, stride: usize, device: &Device) -> Self {
        Self {
            conv1: conv(c, k, stride, device),
            bn1: BatchNormConfig::new(k).init(device),
            conv2: conv(k, k, 1, device),
            bn2: BatchNormConfig::new(k).init(device),
            stride,
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let y = relu(self.bn1.forward(self.conv1.forward(x.clone())));
        let y = self.bn2.forward(self.conv2.forward(y));
        relu(y + self.around(x))
    }

    /// Option A, by Burn's slices and concatenation. `x`: `[n, c, h, w]`.
    fn around(&self, x: Tensor<4>) -> Tensor<4> {
        if self.stride == 1 {
            return x;
        }
        let [_, c, h, w] = x.dims();
        let every = |size: usize| Tensor::arange_step(0..size as i64, 2, &x.device());
        let x = x.clone().select(2, every(h)).select(3, every(w));
        let [n, _, h, w] = x.dims();
        let zeros = Tensor::zeros([n, c / 2, h, w], &x.device());
        Tensor::cat(vec![zeros.clone(), x, zeros], 1)
    }
}

#[derive(Module, Debug)]
struct ResNet20 {
    conv1: Conv2d,
    bn1: BatchNorm,
    blocks: Vec<Block>,
    fc: Linear,
}

impl ResNet20 {
    fn new(device: &Device) -> Self {
        let mut blocks = Vec::new();
        for (stage, (c, k)) in [(16, 16), (16, 32), (32, 64)].into_iter().enumerate() {
            blocks.push(Block::new(c, k, if stage == 0 { 1 } else { 2 }, device));
            blocks.extend((1..3).map(|_| Block::new(k, k, 1, device)));
        }
        let fc = LinearConfig::new(64, 10).init(device);
        Self { conv1: conv(3, 16, 1, device), bn1: BatchNormConfig::new(16).init(device), blocks, fc }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let x = relu(self.bn1.forward(self.conv1.forward(x)));
        let x = self.blocks.iter().fold(x, |x, block| block.forward(x));
        let [n, c, _, _] = x.dims();
        self.fc.forward(x.mean_dims(&[2, 3]).reshape([n, c]))
    }
}

/// Subtracts a hundredth of each parameter's gradient.
struct Descend(Gradients);

impl ModuleMapper for Descend {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, tensor, mapper) = param.consume();
        let moved = match tensor.grad_remove(&mut self.0) {
            Some(gradient) => Tensor::from_inner(tensor.inner() - gradient * 0.01).require_grad(),
            None => tensor,
        };
        Param::from_mapped_value(id, moved, mapper)
    }
}

fn main() {
    let argument = |i, default| std::env::args().nth(i).and_then(|a| a.parse().ok()).unwrap_or(default);
    let (batch, steps): (usize, usize) = (argument(1, 128), argument(2, 3));
    let device = Device::flex().autodiff();
    let mut net = ResNet20::new(&device);
    let x = Tensor::<4>::random([batch, 3, 32, 32], Distribution::Default, &device);
    let labels: Vec<u32> = (0..batch as u32).map(|i| i % 10).collect();
    let targets = burn::tensor::TensorData::new(smoothed(&labels, 10, 0.0), [batch, 10]);
    let mut seconds: Vec<f64> = (0..=steps)
        .map(|_| {
            let began = Instant::now();
            let targets = Tensor::<2>::from_data(targets.clone(), &device);
            let loss = (targets * log_softmax(net.forward(x.clone()), 1)).sum().neg() / batch as f32;
            // Plain SGD: what matters is the forward and backward pass of Burn's modules.
            let mut descend = Descend(loss.backward());
            net = net.clone().map(&mut descend);
            began.elapsed().as_secs_f64()
        })
        .skip(1)
        .collect();
    seconds.sort_by(f64::total_cmp);
    let rate = batch as f64 / seconds[seconds.len() / 2];
    let peak = residual_train::train::machine::peak_rss_mb().unwrap_or(0);
    let _ = writeln!(std::io::stdout(), "{{\"images_per_second\":{rate:.1},\"peak_rss_mb\":{peak}}}");
}
