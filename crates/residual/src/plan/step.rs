//! One step of a program: its shapes, and the kernel it calls.

use crate::graph::{Conv as ConvGeometry, Pool};
use crate::tensor::HostTensor;
use residual_kernels::conv::PackedConv;
use residual_kernels::lrn::{self, Lrn};
use residual_kernels::{
    ConvDims, ConvShape, Epilogue, PoolDims, PoolShape, activation, linear, pool, shortcut, update,
};

/// The epilogue of a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ConvEnd {
    /// Plus bias.
    Linear,
    /// Plus bias, ReLU.
    Relu,
    /// Plus bias, ReLU, the largest of each 2x2: the pooling behind it is no step of its own.
    Pooled,
    /// Plus bias, plus what is in the output, ReLU.
    Residual,
}

/// A convolution with its batch norm folded in.
#[derive(Debug)]
pub(super) struct Conv {
    packed: PackedConv,
    /// `[outputs]`.
    bias: Vec<f32>,
    end: ConvEnd,
    geometry: ConvGeometry,
}

/// A fully connected layer.
#[derive(Debug)]
pub(super) struct Linear {
    /// `[outputs, inputs]`.
    pub(super) weights: HostTensor,
    /// `[outputs]`.
    pub(super) bias: Vec<f32>,
    pub(super) relu: bool,
}

/// What one step does.
#[derive(Debug)]
pub(super) enum Step {
    Conv(Conv),
    MaxPool(Pool),
    AvgPool(Pool),
    Lrn(Lrn),
    SubsamplePad {
        stride: usize,
        channels: usize,
    },
    AdaptiveAvgPool {
        size: usize,
    },
    Flatten,
    Linear(Linear),
    Relu,
    /// Copies what a later step adds to.
    Copy,
    /// Adds to what is in the output.
    Add,
}

impl Conv {
    /// Packs `weights` for images of `input`, `[n, h, w, c]`.
    pub(super) fn new(
        geometry: ConvGeometry,
        weights: &[f32],
        bias: Vec<f32>,
        end: ConvEnd,
        input: [usize; 4],
        winograd: bool,
    ) -> Self {
        let packed = PackedConv::new(weights, &conv_shape(&geometry, input), !winograd);
        Self { packed, bias, end, geometry }
    }

    /// Makes the 2x2 max-pooling behind the convolution a part of its epilogue, if its tiles hold whole windows.
    pub(super) fn fuse_pool(&mut self) -> bool {
        let fuses = self.end == ConvEnd::Relu && self.packed.can_fuse_max_pool();
        if fuses {
            self.end = ConvEnd::Pooled;
        }
        fuses
    }

    fn run(&self, x: &[f32], dims: [usize; 4], y: &mut [f32]) {
        let (bias, shape) = (&self.bias, conv_shape(&self.geometry, dims));
        let epilogue = match self.end {
            ConvEnd::Linear => Epilogue::Bias { bias, relu: false },
            ConvEnd::Relu => Epilogue::Bias { bias, relu: true },
            ConvEnd::Residual => Epilogue::Residual { bias },
            ConvEnd::Pooled => return self.packed.forward_max_pool(x, &shape, bias, y),
        };
        self.packed.forward(x, &shape, epilogue, y);
    }
}

/// Why shapes are valid: the graph's were checked for this size.
const CHECKED: &str = "the graph was checked for this size of images";

/// The shape of a convolution for images of `[n, h, w, c]`.
pub(crate) fn conv_shape(conv: &ConvGeometry, [n, h, w, c]: [usize; 4]) -> ConvShape {
    let ConvGeometry { outputs: k, kernel, stride, padding: pad, .. } = *conv;
    ConvShape::new(ConvDims { n, h, w, c, k, kh: kernel, kw: kernel, stride, pad }).expect(CHECKED)
}

/// The shape of a pooling for images of `[n, h, w, c]`.
pub(crate) fn pool_shape(pool: &Pool, [n, h, w, c]: [usize; 4]) -> PoolShape {
    let Pool { kernel, stride, padding: pad } = *pool;
    PoolShape::new(PoolDims { n, h, w, c, kernel, stride, pad }).expect(CHECKED)
}

impl Step {
    /// The output's dimensions for an input of `[n, h, w, c]`.
    pub(super) fn output(&self, dims @ [n, h, w, c]: [usize; 4]) -> [usize; 4] {
        match *self {
            Self::Conv(ref conv) => {
                let (s, pool) = (conv_shape(&conv.geometry, dims), if conv.end == ConvEnd::Pooled { 2 } else { 1 });
                [n, s.out_h() / pool, s.out_w() / pool, conv.geometry.outputs]
            }
            Self::MaxPool(ref pool) | Self::AvgPool(ref pool) => {
                let s = pool_shape(pool, dims);
                [n, s.out_h(), s.out_w(), c]
            }
            Self::Lrn(_) | Self::Relu | Self::Copy | Self::Add => dims,
            Self::SubsamplePad { stride, channels } => [n, h.div_ceil(stride), w.div_ceil(stride), channels],
            Self::AdaptiveAvgPool { size } => [n, size, size, c],
            Self::Flatten => [n, 1, 1, c * h * w],
            Self::Linear(ref linear) => [n, 1, 1, linear.bias.len()],
        }
    }

    /// Reads `x`, whose dimensions are `[n, h, w, c]`, and writes `y`.
    pub(super) fn run(&self, x: &[f32], dims @ [n, h, w, c]: [usize; 4], y: &mut [f32]) {
        match *self {
            Self::Conv(ref conv) => conv.run(x, dims, y),
            Self::MaxPool(ref pool) => pool::max_forward(x, &pool_shape(pool, dims), y),
            Self::AvgPool(ref pool) => pool::avg_forward(x, &pool_shape(pool, dims), y),
            Self::Lrn(ref rule) => lrn::forward(x, c, rule, y),
            Self::SubsamplePad { stride, channels } => shortcut::subsample_pad(x, n, h, w, c, stride, channels, y),
            Self::AdaptiveAvgPool { size } => pool::adaptive_average(x, n, h, w, c, size, size, y),
            Self::Flatten => flatten(x, h * w, c, y),
            Self::Linear(Linear { ref weights, ref bias, relu }) => {
                linear::forward(x, weights.values(), Some(bias), n, h * w * c, bias.len(), relu, y);
            }
            Self::Relu => activation::relu(x, y),
            Self::Copy => y.copy_from_slice(x),
            Self::Add => update::add(y, x),
        }
    }

    /// Bytes of its weights.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Conv(conv) => conv.packed.bytes() + size_of_val(&conv.bias[..]),
            Self::Linear(linear) => size_of_val(linear.weights.values()) + size_of_val(&linear.bias[..]),
            _ => 0,
        }
    }

    /// Whether the output is read before it is written.
    pub(super) fn accumulates(&self) -> bool {
        matches!(self, Self::Add | Self::Conv(Conv { end: ConvEnd::Residual, .. }))
    }
}

/// `[n, hw, c]` → `[n, c, hw]`: 25,088 values an image in VGG.
pub(crate) fn flatten(x: &[f32], hw: usize, c: usize, y: &mut [f32]) {
    for (x, y) in x.chunks_exact(hw * c).zip(y.chunks_exact_mut(hw * c)) {
        for (channel, y) in y.chunks_exact_mut(hw).enumerate() {
            y.iter_mut().zip(x[channel..].iter().step_by(c)).for_each(|(y, x)| *y = *x);
        }
    }
}
