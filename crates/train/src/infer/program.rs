//! What is computed, in order: steps with their packed weights, between numbered values.
//!
//! Each network writes itself down once (`models::{vgg, resnet}::plan`), in the order of its forward pass. A value is written by
//! one step; the end of a residual block alone changes one that is there, the way around it.

use super::step::{Conv, End, Fully, Step};
use crate::layers::{BatchNorm, Conv2d, Linear, LocalResponseNorm, MaxPool, folded};
use crate::models::Lower;
use crate::ops;
use residual_kernels::conv::PackedConv;
use residual_kernels::{ConvDims, ConvShape};

/// An activation `[n, h, w, c]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Value(usize);

impl Value {
    /// The images.
    pub(super) const INPUT: Self = Self(0);

    /// Its number.
    pub(super) fn index(self) -> usize {
        self.0
    }
}

/// A step, what it reads and what it writes.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) from: Value,
    pub(super) to: Value,
    pub(super) step: Step,
}

/// The steps of a network.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) steps: Vec<Placed>,
    /// Dimensions of each value for the input that the program was made for.
    dims: Vec<[usize; 4]>,
    precise: bool,
}

impl Program {
    /// An empty program for images of `input`, `[n, h, w, c]`: their size decides how weights are packed.
    pub(super) fn new(input: [usize; 4], precise: bool) -> Self {
        Self { steps: Vec::new(), dims: vec![input], precise }
    }

    /// The values' number.
    pub(super) fn values(&self) -> usize {
        self.dims.len()
    }

    fn push(&mut self, from: Value, step: Step) -> Value {
        let to = Value(self.dims.len());
        self.dims.push(step.output(self.dims[from.0]));
        self.steps.push(Placed { from, to, step });
        to
    }

    fn packed(&self, from: Value, conv: &Conv2d, bn: Option<&BatchNorm>, end: End) -> Conv {
        let ([n, h, w, c], [k, _, kernel, _]) = (self.dims[from.0], conv.dims());
        let (weights, bias) = folded(conv, bn);
        let bias = bias.unwrap_or_else(|| vec![0.0; k]);
        let dims = ConvDims { n, h, w, c, k, kh: kernel, kw: kernel, stride: conv.stride, pad: conv.pad };
        let shape = ConvShape::new(dims)
            .unwrap_or_else(|error| panic!("{error}: the networks check their input size before they are lowered"));
        Conv { packed: PackedConv::new(&weights, &shape, self.precise), bias, end, shape }
    }
}

impl Lower for Program {
    type Value = Value;

    fn input(&self) -> Value {
        Value::INPUT
    }

    fn map(&self, value: Value) -> (usize, usize) {
        let [_, h, w, _] = self.dims[value.0];
        (h, w)
    }

    fn conv(&mut self, from: Value, conv: &Conv2d, bn: Option<&BatchNorm>, relu: bool) -> Value {
        let end = if relu { End::Relu } else { End::Linear };
        let conv = self.packed(from, conv, bn, end);
        self.push(from, Step::Conv(conv))
    }

    /// `around` holds the result; what it was is gone.
    fn conv_onto(&mut self, from: Value, conv: &Conv2d, bn: &BatchNorm, around: Value) -> Value {
        let conv = self.packed(from, conv, Some(bn), End::Residual);
        self.steps.push(Placed { from, to: around, step: Step::Conv(conv) });
        around
    }

    /// Behind a convolution whose tiles hold whole windows it is a part of that step: `from` is then the pooled value. No network has
    /// anything else that reads what it pools.
    fn max_pool(&mut self, from: Value, pool: &MaxPool) -> Value {
        if let Some(Placed { to, step: Step::Conv(conv), .. }) = self.steps.last_mut()
            && (*to, conv.end) == (from, End::Relu)
            && (pool.kernel, pool.stride, pool.pad) == (2, 2, 0)
            && conv.packed.can_fuse_max_pool()
        {
            conv.end = End::Pooled;
            let [n, h, w, c] = self.dims[from.0];
            self.dims[from.0] = [n, h / 2, w / 2, c];
            return from;
        }
        self.push(from, Step::MaxPool { kernel: pool.kernel, stride: pool.stride, pad: pool.pad })
    }

    fn lrn(&mut self, from: Value, lrn: &LocalResponseNorm) -> Value {
        self.push(from, Step::Lrn(lrn.rule()))
    }

    fn subsample_pad(&mut self, from: Value, stride: usize, channels: usize) -> Value {
        self.push(from, Step::SubsamplePad { stride, channels })
    }

    fn adaptive_average(&mut self, from: Value, size: usize) -> Value {
        self.push(from, Step::AdaptiveAverage { size })
    }

    fn flatten(&mut self, from: Value) -> Value {
        self.push(from, Step::Flatten)
    }

    /// The weights are shared with the network.
    fn linear(&mut self, from: Value, linear: &Linear, relu: bool) -> Value {
        let bias = ops::values(linear.bias.val());
        self.push(from, Step::Linear(Fully { weights: ops::Shared::new(linear.weight.val()), bias, relu }))
    }
}
