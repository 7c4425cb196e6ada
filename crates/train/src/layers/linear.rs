//! The fully connected layer, and dropout between two of them.

use super::{Pass, lazy};
use crate::ops;
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};

/// `x wᵀ + bias`.
#[derive(Module, Debug)]
pub struct Linear {
    /// `[k, c]`, as PyTorch stores it.
    pub weight: Param<Tensor<2>>,
    /// `[k]`.
    pub bias: Param<Tensor<1>>,
}

impl Linear {
    /// `c` values in, `k` out.
    pub fn new(c: usize, k: usize, device: &Device) -> Self {
        Self { weight: lazy([k, c], device), bias: lazy([k], device) }
    }

    /// `[k, c]`, without touching the weights.
    pub fn dims(&self) -> [usize; 2] {
        self.weight.lazy_shape().dims()
    }

    /// `[n, c]` → `[n, k]`, and ReLU if asked for.
    pub fn forward(&self, x: Tensor<2>, relu: bool) -> Tensor<2> {
        ops::linear(x, self.weight.val(), self.bias.val(), relu)
    }
}

/// Drops values while training (Srivastava et al. 2014), by a mask that seed, step and layer decide.
#[derive(Module, Debug)]
pub struct Dropout {
    /// The probability of a zero.
    pub p: f64,
}

impl Dropout {
    /// Drops with probability `p`.
    pub fn new(p: f64) -> Self {
        Self { p }
    }

    /// `[n, c]` → `[n, c]`.
    pub fn forward(&self, x: Tensor<2>, pass: &Pass) -> Tensor<2> {
        if pass.is_training() { ops::dropout(x, self.p, pass.dropout_key()) } else { x }
    }
}
