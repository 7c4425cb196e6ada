//! Batch normalisation, always behind a convolution and computed with it.
//!
//! While training, the convolution's epilogue gathers the batch statistics and one more pass normalises, adds the
//! shortcut and applies ReLU. In testing it is a scale and a shift by channel.

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

fn fused(conv: &Conv2d, bn: &BatchNorm, x: Nhwc, skip: Option<Nhwc>, relu: bool, pass: &Pass) -> Nhwc {
    let (weight, window, mode) = (conv.weight.val(), conv.window(), conv.mode(pass));
    if pass.is_training() && !bn.frozen {
        let (y, statistics) = ops::conv_statistics(x, weight, window, mode);
        let [n, h, w, _] = y.dims();
        bn.track(&statistics, conv.bias.as_ref(), n * h * w);
        // The batch mean takes any bias away again: it matters to the running mean alone, and its gradient is zero.
        ops::norm(y, statistics, bn.affine(), skip, relu)
    } else {
        let (scale, shift) = bn.scale_shift(conv.bias.as_ref());
        ops::scale_shift(ops::conv(x, weight, window, mode), scale, shift, skip, relu)
    }
}

/// Convolution → batch norm.
pub fn conv_norm(conv: &Conv2d, bn: &BatchNorm, x: Nhwc, pass: &Pass) -> Nhwc {
    fused(conv, bn, x, None, false, pass)
}

/// Convolution → batch norm → ReLU.
pub fn conv_norm_relu(conv: &Conv2d, bn: &BatchNorm, x: Nhwc, pass: &Pass) -> Nhwc {
    fused(conv, bn, x, None, true, pass)
}

/// Convolution → batch norm → plus `skip` → ReLU: the end of a residual block.
pub fn conv_norm_add_relu(conv: &Conv2d, bn: &BatchNorm, x: Nhwc, skip: Nhwc, pass: &Pass) -> Nhwc {
    fused(conv, bn, x, Some(skip), true, pass)
}
