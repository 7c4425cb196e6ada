//! The convolution: weights `[k, c, kh, kw]`, with or without a bias.

use super::{Pass, lazy};
use crate::ops::{self, ConvMode, Nhwc, Window};
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};

/// A 2-d convolution with a square kernel.
#[derive(Module, Debug)]
pub struct Conv2d {
    /// `[k, c, kernel, kernel]`.
    pub weight: Param<Tensor<4>>,
    /// `[k]`.
    pub bias: Option<Param<Tensor<1>>>,
    /// Pixels between windows.
    pub stride: usize,
    /// Zero rows and columns on each side.
    pub pad: usize,
    /// Whether the input's other reader is a residual block's identity, whose gradient arrives first.
    pub fork: bool,
}

impl Conv2d {
    /// `c` channels in, `k` out; padded so that stride 1 keeps the size. No bias.
    pub fn new(c: usize, k: usize, kernel: usize, stride: usize, device: &Device) -> Self {
        let weight = lazy([k, c, kernel, kernel], device);
        Self { weight, bias: None, stride, pad: kernel / 2, fork: false }
    }

    /// The same convolution with a bias.
    pub fn with_bias(self) -> Self {
        let (device, k) = (self.weight.lazy_device(), self.dims()[0]);
        Self { bias: Some(lazy([k], &device)), ..self }
    }

    /// The same convolution, for an input that a residual block's identity reads too.
    pub fn forked(self) -> Self {
        Self { fork: true, ..self }
    }

    /// `[k, c, kernel, kernel]`, without touching the weights.
    pub fn dims(&self) -> [usize; 4] {
        self.weight.lazy_shape().dims()
    }

    /// Stride and padding.
    pub fn window(&self) -> Window {
        Window { stride: self.stride, pad: self.pad }
    }

    /// How the kernels are to carry it out.
    pub(super) fn mode(&self, pass: &Pass) -> ConvMode {
        ConvMode { precise: pass.is_precise(), fork: self.fork }
    }

    /// `[n, h, w, c]` → `[n, h', w', k]`, and ReLU if asked for.
    pub fn forward(&self, x: Nhwc, relu: bool, pass: &Pass) -> Nhwc {
        let (weight, window, mode) = (self.weight.val(), self.window(), self.mode(pass));
        match &self.bias {
            Some(bias) => ops::conv_bias(x, weight, bias.val(), window, mode, relu),
            None if relu => ops::relu(ops::conv(x, weight, window, mode)),
            None => ops::conv(x, weight, window, mode),
        }
    }
}
