//! Batch normalisation, always behind a convolution and computed with it.
//!
//! While training, the convolution's epilogue gathers the batch statistics. Where another convolution reads the map, it normalises and
//! rectifies what it reads; else one more pass normalises, adds the shortcut and applies ReLU. In testing it is a scale and a
//! shift by channel.

use super::{Conv2d, Pass, lazy};
use crate::ops::{self, Affine, Nhwc, Statistics};
use burn::module::{Module, Param, RunningState};
use burn::tensor::{Device, Tensor};

/// The share of the running statistics that one batch replaces (PyTorch's `momentum`).
const MOMENTUM: f64 = 0.1;

/// Batch normalisation over `[n, h, w]` by channel (Ioffe & Szegedy 2015).
#[derive(Module, Debug)]
pub struct BatchNorm {
    /// Scale, `[c]`.
    pub weight: Param<Tensor<1>>,
    /// Shift, `[c]`.
    pub bias: Param<Tensor<1>>,
    /// Running mean, `[c]`.
    pub running_mean: RunningState<Tensor<1>>,
    /// Running variance, unbiased as in PyTorch, `[c]`.
    pub running_var: RunningState<Tensor<1>>,
    /// Running statistics are used, and left alone, even while the network trains.
    pub frozen: bool,
}

impl BatchNorm {
    /// Added to the variance (PyTorch's default).
    pub(crate) const EPSILON: f64 = 1e-5;

    /// Normalisation of `c` channels: mean 0, variance 1, shift 0, scale 0 until initialised.
    pub fn new(c: usize, device: &Device) -> Self {
        Self {
            weight: lazy([c], device),
            bias: lazy([c], device),
            running_mean: RunningState::new(Tensor::zeros([c], device)),
            running_var: RunningState::new(Tensor::ones([c], device)),
            frozen: false,
        }
    }

    /// Number of channels.
    pub fn channels(&self) -> usize {
        self.weight.lazy_shape().num_elements()
    }

    /// Parts its running statistics from those of the layer that it is a clone of.
    pub(crate) fn own_statistics(&mut self) {
        self.running_mean = RunningState::new(self.running_mean.value_sync());
        self.running_var = RunningState::new(self.running_var.value_sync());
    }

    fn affine(&self) -> Affine {
        Affine { gamma: self.weight.val(), beta: self.bias.val(), eps: Self::EPSILON as f32 }
    }

    /// Moves the running statistics towards a batch of `rows` values per channel. `bias` is the convolution's, which
    /// the statistics leave out.
    fn track(&self, statistics: &Statistics, bias: Option<&Param<Tensor<1>>>, rows: usize) {
        let unbiased = rows as f64 / (rows as f64 - 1.0).max(1.0);
        let mut mean = statistics.mean.clone();
        if let Some(bias) = bias {
            mean = mean + bias.val().detach();
        }
        let old = (self.running_mean.value_sync(), self.running_var.value_sync());
        self.running_mean.update(old.0 * (1.0 - MOMENTUM) + mean * MOMENTUM);
        self.running_var.update(old.1 * (1.0 - MOMENTUM) + statistics.var.clone() * (MOMENTUM * unbiased));
        // Burn holds an update back until the next one; a checkpoint taken in between would lose it.
        self.running_mean.value_sync();
        self.running_var.value_sync();
    }

    /// `(scale, shift)` of the running statistics for an input that lacks the convolution's `bias`.
    pub fn scale_shift(&self, bias: Option<&Param<Tensor<1>>>) -> (Tensor<1>, Tensor<1>) {
        let scale = self.weight.val() / (self.running_var.value_sync() + Self::EPSILON).sqrt();
        let mut centre = self.running_mean.value_sync();
        if let Some(bias) = bias {
            centre = centre - bias.val();
        }
        let shift = self.bias.val() - centre * scale.clone();
        (scale, shift)
    }
}

/// The convolution that does what `conv` and the running statistics of `bn` do: weights `[k, c, kh, kw]` and, where either has
/// one, bias `[k]`.
pub(crate) fn folded(conv: &Conv2d, bn: Option<&BatchNorm>) -> (Vec<f32>, Option<Vec<f32>>) {
    let mut weights = ops::values(conv.weight.val());
    let Some(bn) = bn else {
        return (weights, conv.bias.as_ref().map(|bias| ops::values(bias.val())));
    };
    let (scale, shift) = bn.scale_shift(conv.bias.as_ref());
    let filter = weights.len() / bn.channels();
    for (filter, scale) in weights.chunks_exact_mut(filter).zip(ops::values(scale)) {
        filter.iter_mut().for_each(|weight| *weight *= scale);
    }
    (weights, Some(ops::values(shift)))
}

/// A map between two layers. While a network trains, what batch norm and ReLU make of a convolution's output is not computed until
/// something other than a convolution wants it: a convolution reads the output through them ([`ops::normed_conv`]).
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "one lives at a time, between two layers")]
pub enum Map {
    /// Computed.
    Ready(Nhwc),
    /// `max(0, norm(x))`.
    Pending {
        /// What is to be normalised, `[n, h, w, c]`.
        x: Nhwc,
        /// By what.
        statistics: Statistics,
        /// And the learned part.
        affine: Affine,
    },
}

impl Map {
    /// The map, computed.
    pub fn ready(self) -> Nhwc {
        match self {
            Self::Ready(x) => x,
            Self::Pending { x, statistics, affine } => ops::norm(x, statistics, affine, None, true),
        }
    }
}

impl From<Nhwc> for Map {
    fn from(x: Nhwc) -> Self {
        Self::Ready(x)
    }
}

/// The convolution, and what the normalisation of its output has to go by: batch statistics, or scale and shift.
enum Convolved {
    Batch(Nhwc, Statistics),
    Fixed(Nhwc, Tensor<1>, Tensor<1>),
}

fn convolve(conv: &Conv2d, bn: &BatchNorm, x: Map, pass: &Pass) -> Convolved {
    let (weight, window, mode) = (conv.weight.val(), conv.window(), conv.mode(pass));
    if !pass.is_training() || bn.frozen {
        let (scale, shift) = bn.scale_shift(conv.bias.as_ref());
        return Convolved::Fixed(ops::conv(x.ready(), weight, window, mode), scale, shift);
    }
    let (y, statistics) = match x {
        Map::Ready(x) => ops::conv_statistics(x, weight, window, mode),
        Map::Pending { x, statistics, affine } => ops::normed_conv(x, statistics, affine, weight, window, mode),
    };
    let [n, h, w, _] = y.dims();
    // The batch mean takes any bias away again: it matters to the running mean alone, and its gradient is zero.
    bn.track(&statistics, conv.bias.as_ref(), n * h * w);
    Convolved::Batch(y, statistics)
}

fn fused(conv: &Conv2d, bn: &BatchNorm, x: Map, skip: Option<Nhwc>, relu: bool, pass: &Pass) -> Nhwc {
    match convolve(conv, bn, x, pass) {
        Convolved::Batch(y, statistics) => ops::norm(y, statistics, bn.affine(), skip, relu),
        Convolved::Fixed(y, scale, shift) => ops::scale_shift(y, scale, shift, skip, relu),
    }
}

/// Convolution → batch norm.
pub fn conv_norm(conv: &Conv2d, bn: &BatchNorm, x: impl Into<Map>, pass: &Pass) -> Nhwc {
    fused(conv, bn, x.into(), None, false, pass)
}

/// Convolution → batch norm → ReLU; the last two are left to whoever reads the map.
pub fn conv_norm_relu(conv: &Conv2d, bn: &BatchNorm, x: impl Into<Map>, pass: &Pass) -> Map {
    match convolve(conv, bn, x.into(), pass) {
        Convolved::Batch(x, statistics) => Map::Pending { x, statistics, affine: bn.affine() },
        Convolved::Fixed(y, scale, shift) => Map::Ready(ops::scale_shift(y, scale, shift, None, true)),
    }
}

/// Convolution → batch norm → plus `skip` → ReLU: the end of a residual block.
pub fn conv_norm_add_relu(conv: &Conv2d, bn: &BatchNorm, x: impl Into<Map>, skip: Nhwc, pass: &Pass) -> Nhwc {
    fused(conv, bn, x.into(), Some(skip), true, pass)
}
