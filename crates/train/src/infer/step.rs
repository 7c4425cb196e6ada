//! One step of a program: its shapes, and the kernel it calls.

use crate::ops::Shared;
use residual_kernels::conv::PackedConv;
use residual_kernels::lrn::{self, Lrn};
use residual_kernels::{ConvShape, Epilogue, PoolDims, PoolShape, linear, pool, shortcut};

/// How a convolution ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Plus bias.
    Linear,
    /// Plus bias, ReLU.
    Relu,
    /// Plus bias, ReLU, the largest of each 2x2: the pooling behind it is no step of its own.
    Pooled,
    /// Plus bias, plus what is in the output, ReLU.
    Residual,
}

/// A convolution with its normalisation folded in.
#[derive(Debug)]
pub(super) struct Conv {
    pub(super) packed: PackedConv,
    /// `[k]`.
    pub(super) bias: Vec<f32>,
    pub(super) end: End,
    /// With the `n`, `h` and `w` that it was packed for.
    pub(super) shape: ConvShape,
}

/// A fully connected layer.
#[derive(Debug)]
pub(super) struct Fully {
    /// `[k, c]`.
    pub(super) weights: Shared,
    /// `[k]`.
    pub(super) bias: Vec<f32>,
    pub(super) relu: bool,
}

/// What one step does.
#[derive(Debug)]
pub(super) enum Step {
    Conv(Conv),
    MaxPool { kernel: usize, stride: usize, pad: usize },
    Lrn(Lrn),
    SubsamplePad { stride: usize, channels: usize },
    AdaptiveAverage { size: usize },
    Flatten,
    Linear(Fully),
}

impl Conv {
    fn at(&self, [n, h, w, _]: [usize; 4]) -> ConvShape {
        self.shape.with_input(n, h, w).expect("the plan was built for this size of image")
    }

    fn run(&self, x: &[f32], dims: [usize; 4], y: &mut [f32]) {
        let bias = &self.bias;
        let epilogue = match self.end {
            End::Linear => Epilogue::Bias { bias, relu: false },
            End::Relu => Epilogue::Bias { bias, relu: true },
            End::Residual => Epilogue::Residual { bias },
            End::Pooled => return self.packed.forward_max_pool(x, &self.at(dims), bias, y),
        };
        self.packed.forward(x, &self.at(dims), epilogue, y);
    }
}

impl Step {
    /// The output's dimensions for an input of `[n, h, w, c]`.
    pub(super) fn output(&self, dims @ [n, h, w, c]: [usize; 4]) -> [usize; 4] {
        match *self {
            Self::Conv(ref conv) => {
                let (s, pool) = (conv.at(dims), if conv.end == End::Pooled { 2 } else { 1 });
                [n, s.out_h() / pool, s.out_w() / pool, s.k()]
            }
            Self::MaxPool { kernel, stride, pad } => {
                let s = pooling(dims, kernel, stride, pad);
                [n, s.out_h(), s.out_w(), c]
            }
            Self::Lrn(_) => dims,
            Self::SubsamplePad { stride, channels } => [n, h.div_ceil(stride), w.div_ceil(stride), channels],
            Self::AdaptiveAverage { size } => [n, size, size, c],
            Self::Flatten => [n, 1, 1, c * h * w],
            Self::Linear(ref linear) => [n, 1, 1, linear.bias.len()],
        }
    }

    /// Reads `x`, whose dimensions are `[n, h, w, c]`, and writes `y`.
    pub(super) fn run(&self, x: &[f32], dims @ [n, h, w, c]: [usize; 4], y: &mut [f32]) {
        match *self {
            Self::Conv(ref conv) => conv.run(x, dims, y),
            Self::MaxPool { kernel, stride, pad } => {
                pool::max_forward(x, &pooling(dims, kernel, stride, pad), y);
            }
            Self::Lrn(ref rule) => lrn::forward(x, c, rule, y),
            Self::SubsamplePad { stride, channels } => shortcut::subsample_pad(x, n, h, w, c, stride, channels, y),
            Self::AdaptiveAverage { size } => pool::adaptive_average(x, n, h, w, c, size, size, y),
            Self::Flatten => flatten(x, h * w, c, y),
            Self::Linear(Fully { ref weights, ref bias, relu }) => {
                linear::forward(x, weights, Some(bias), n, h * w * c, bias.len(), relu, y);
            }
        }
    }

    /// Bytes of its weights.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Conv(conv) => conv.packed.bytes() + size_of_val(&conv.bias[..]),
            Self::Linear(linear) => size_of_val(&linear.weights[..]) + size_of_val(&linear.bias[..]),
            _ => 0,
        }
    }

    /// Whether the output is read before it is written.
    pub(super) fn is_onto(&self) -> bool {
        matches!(self, Self::Conv(Conv { end: End::Residual, .. }))
    }
}

/// Returns the shape of a pooling of `[n, h, w, c]`.
fn pooling([n, h, w, c]: [usize; 4], kernel: usize, stride: usize, pad: usize) -> PoolShape {
    PoolShape::new(PoolDims { n, h, w, c, kernel, stride, pad }).expect("the plan was built for this size of image")
}

/// `[n, hw, c]` → `[n, c, hw]`: 25,088 values an image in VGG.
fn flatten(x: &[f32], hw: usize, c: usize, y: &mut [f32]) {
    for (x, y) in x.chunks_exact(hw * c).zip(y.chunks_exact_mut(hw * c)) {
        for (channel, y) in y.chunks_exact_mut(hw).enumerate() {
            y.iter_mut().zip(x[channel..].iter().step_by(c)).for_each(|(y, x)| *y = *x);
        }
    }
}
