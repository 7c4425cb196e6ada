//! Layers without parameters.

use crate::ops::{self, Lrn, Nhwc, Window};
use burn::module::Module;

/// max(x, 0): fused into the layer before it by every network here.
#[derive(Module, Debug)]
pub struct Relu {
    /// Burn's modules are structs with fields; this one has nothing to say.
    unit: bool,
}

impl Relu {
    /// The one there is.
    pub fn new() -> Self {
        Self { unit: true }
    }
}

impl Default for Relu {
    fn default() -> Self {
        Self::new()
    }
}

/// Max-pooling.
#[derive(Module, Debug)]
pub struct MaxPool {
    /// Window height and width.
    pub kernel: usize,
    /// Pixels between windows.
    pub stride: usize,
    /// Rows and columns on each side that never win.
    pub pad: usize,
}

impl MaxPool {
    /// VGG's: 2x2, stride 2.
    pub fn halving() -> Self {
        Self { kernel: 2, stride: 2, pad: 0 }
    }

    /// ResNet's, behind the 7x7 stem: 3x3, stride 2.
    pub fn overlapping() -> Self {
        Self { kernel: 3, stride: 2, pad: 1 }
    }

    /// `[n, h, w, c]` → `[n, h', w', c]`.
    pub fn forward(&self, x: Nhwc) -> Nhwc {
        ops::max_pool(x, self.kernel, Window { stride: self.stride, pad: self.pad })
    }
}

/// Local response normalisation with AlexNet's numbers (Krizhevsky et al. 2012, §3.3): n=5, k=2, α=1e-4, β=0.75.
#[derive(Module, Debug)]
pub struct LocalResponseNorm {
    /// Neighbouring channels.
    pub size: usize,
}

impl LocalResponseNorm {
    /// AlexNet's.
    pub fn alexnet() -> Self {
        Self { size: 5 }
    }

    /// The same numbers in PyTorch's form, which divides α by n: the paper's α multiplies the plain sum.
    pub(crate) fn rule(&self) -> Lrn {
        Lrn { size: self.size, alpha: 1e-4 * self.size as f32, beta: 0.75, k: 2.0 }
    }

    /// `[n, h, w, c]` → the same.
    pub fn forward(&self, x: Nhwc) -> Nhwc {
        ops::lrn(x, self.rule())
    }
}
