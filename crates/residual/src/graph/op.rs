//! The operations that networks are made of.

use residual_kernels::lrn::Lrn;
use std::fmt;

/// A 2-d convolution with a square kernel, zero padding and one stride for both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Conv {
    /// Channels in.
    pub inputs: usize,
    /// Channels out: the number of filters.
    pub outputs: usize,
    /// Height and width of each filter.
    pub kernel: usize,
    /// Pixels between windows.
    pub stride: usize,
    /// Zero rows and columns on each side.
    pub padding: usize,
    /// Whether a bias is added per output channel.
    pub bias: bool,
}

impl Conv {
    /// A convolution of `outputs` filters of `kernel`x`kernel`: stride 1, padded so that it keeps the size, no bias.
    /// [`GraphBuilder::conv`](super::GraphBuilder::conv) sets the channels in.
    pub const fn new(outputs: usize, kernel: usize) -> Self {
        Self { inputs: 0, outputs, kernel, stride: 1, padding: kernel / 2, bias: false }
    }

    /// Returns the same convolution with `stride` pixels between windows.
    pub const fn stride(self, stride: usize) -> Self {
        Self { stride, ..self }
    }

    /// Returns the same convolution with `padding` zero rows and columns on each side.
    pub const fn padding(self, padding: usize) -> Self {
        Self { padding, ..self }
    }

    /// Returns the same convolution with a bias.
    pub const fn with_bias(self) -> Self {
        Self { bias: true, ..self }
    }

    /// Returns the shape of its weights, `[outputs, inputs, kernel, kernel]`.
    pub const fn weight_shape(&self) -> [usize; 4] {
        [self.outputs, self.inputs, self.kernel, self.kernel]
    }

    /// Returns the height (or width) of the output for an input of `size`; `None` where no window fits.
    pub(super) fn output(&self, size: usize) -> Option<usize> {
        slide(size, self.kernel, self.stride, self.padding)
    }
}

/// A pooling window, equal in both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pool {
    /// Height and width of the window.
    pub kernel: usize,
    /// Pixels between windows.
    pub stride: usize,
    /// Rows and columns of padding on each side.
    pub padding: usize,
}

impl Pool {
    /// VGG's pooling: 2x2, stride 2.
    pub const HALVING: Self = Self { kernel: 2, stride: 2, padding: 0 };
    /// ResNet's pooling behind the 7x7 stem: 3x3, stride 2, padding 1.
    pub const OVERLAPPING: Self = Self { kernel: 3, stride: 2, padding: 1 };

    pub(super) fn output(&self, size: usize) -> Option<usize> {
        slide(size, self.kernel, self.stride, self.padding)
    }
}

fn slide(size: usize, kernel: usize, stride: usize, padding: usize) -> Option<usize> {
    Some((size + 2 * padding).checked_sub(kernel)? / stride + 1)
}

/// An operation of a network. Feature maps are `[h, w, c]` per image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Op {
    /// The image, normalised.
    Input,
    /// Convolution.
    Conv(Conv),
    /// Batch normalisation over batch, rows and columns, per channel (Ioffe & Szegedy 2015).
    BatchNorm,
    /// max(x, 0).
    Relu,
    /// Sum of the residual branch (first input) and the shortcut (second).
    Add,
    /// Max-pooling.
    MaxPool(Pool),
    /// Average pooling; padding counts as zeros.
    AvgPool(Pool),
    /// Local response normalisation (Krizhevsky et al. 2012, §3.3).
    Lrn(Lrn),
    /// Shortcut option A (He et al. 2016, §3.3): every `stride`-th pixel, zeros in the new channels.
    SubsamplePad {
        /// Pixels between those that are kept.
        stride: usize,
        /// Channels out.
        channels: usize,
    },
    /// Averages of `size`x`size` parts of the map; the global average where `size` is 1.
    AdaptiveAvgPool {
        /// Rows and columns out.
        size: usize,
    },
    /// The map as one row, channels first, as PyTorch counts it.
    Flatten,
    /// Fully connected layer with bias.
    Linear {
        /// Values in.
        inputs: usize,
        /// Values out.
        outputs: usize,
    },
    /// Dropout while training (Srivastava et al. 2014); the identity otherwise.
    Dropout {
        /// Probability of a zero.
        p: f64,
    },
}

impl Op {
    /// A linear layer to `outputs` values; [`GraphBuilder::layer`](super::GraphBuilder::layer) sets the values in.
    pub const fn linear(outputs: usize) -> Self {
        Self::Linear { inputs: 0, outputs }
    }

    /// Returns the output shape `[h, w, c]` for the first input's; an error says which size does not fit.
    pub(super) fn output(&self, [h, w, c]: [usize; 3]) -> Result<[usize; 3], String> {
        let window = |h: Option<usize>, w: Option<usize>, c: usize| match (h, w) {
            (Some(h), Some(w)) => Ok([h, w, c]),
            _ => Err(format!("{self} does not fit a map of {h:?}x{w:?}")),
        };
        match self {
            Self::Conv(conv) => window(conv.output(h), conv.output(w), conv.outputs)
                .map_err(|_| format!("{self} does not fit a map of {h}x{w}")),
            Self::MaxPool(pool) | Self::AvgPool(pool) => {
                window(pool.output(h), pool.output(w), c).map_err(|_| format!("{self} does not fit a map of {h}x{w}"))
            }
            Self::SubsamplePad { stride, channels } if *channels >= c => {
                Ok([h.div_ceil(*stride), w.div_ceil(*stride), *channels])
            }
            Self::SubsamplePad { channels, .. } => Err(format!("{c} channels cannot be padded to {channels}")),
            Self::AdaptiveAvgPool { size } => Ok([*size, *size, c]),
            Self::Flatten => Ok([1, 1, h * w * c]),
            Self::Linear { outputs, inputs } if h * w * c == *inputs => Ok([1, 1, *outputs]),
            Self::Linear { inputs, .. } => {
                Err(format!("a linear layer of {inputs} inputs follows a map of {h}x{w}x{c}"))
            }
            Self::Input | Self::BatchNorm | Self::Relu | Self::Add | Self::Lrn(_) | Self::Dropout { .. } => {
                Ok([h, w, c])
            }
        }
    }
}

/// The kind of layer as tables show it: `conv3x3`, `conv7x7/2`, `maxpool2x2/2`, `norm`, `linear`.
impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, kernel, stride) = match self {
            Self::Conv(conv) => ("conv", conv.kernel, conv.stride),
            Self::MaxPool(pool) => ("maxpool", pool.kernel, pool.stride),
            Self::AvgPool(pool) => ("avgpool", pool.kernel, pool.stride),
            Self::Input => return f.write_str("input"),
            Self::BatchNorm => return f.write_str("norm"),
            Self::Relu => return f.write_str("relu"),
            Self::Add => return f.write_str("add"),
            Self::Lrn(_) => return f.write_str("lrn"),
            Self::SubsamplePad { .. } => return f.write_str("subsample"),
            Self::AdaptiveAvgPool { .. } => return f.write_str("average"),
            Self::Flatten => return f.write_str("flatten"),
            Self::Linear { .. } => return f.write_str("linear"),
            Self::Dropout { .. } => return f.write_str("dropout"),
        };
        match stride {
            1 => write!(f, "{what}{kernel}x{kernel}"),
            _ => write!(f, "{what}{kernel}x{kernel}/{stride}"),
        }
    }
}
