//! An activation between two operations.

use crate::ops::{self, Affine, Nhwc, Statistics};
use burn::tensor::Tensor;

/// What an operation computes. While a network trains, the output of batch norm and ReLU is not computed until
/// something other than a convolution reads it: a convolution reads through them ([`ops::normed_conv`]).
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "a pass holds a few at a time")]
pub enum Activation {
    /// A feature map.
    Ready(Nhwc),
    /// `max(0, batch_norm(x))`, not computed yet.
    BatchNormPending {
        /// The convolution's output, `[n, h, w, c]`.
        x: Nhwc,
        /// Mean and variance of the batch.
        statistics: Statistics,
        /// gamma and beta.
        affine: Affine,
    },
    /// Rows `[n, c]`, behind a global average, a flattening or a linear layer.
    Rows(Tensor<2>),
}

impl Activation {
    /// Computes the feature map, if that is pending; rows become maps of one pixel.
    pub fn ready(self) -> Nhwc {
        match self {
            Self::Ready(x) => x,
            Self::BatchNormPending { x, statistics, affine } => ops::norm(x, statistics, affine, None, true),
            Self::Rows(x) => {
                let [n, c] = x.dims();
                Nhwc(x.reshape([n, 1, 1, c]))
            }
        }
    }

    /// Returns the values as rows `[n, h * w * c]`, in the order of the map.
    pub fn rows(self) -> Tensor<2> {
        match self {
            Self::Rows(x) => x,
            map => {
                let x = map.ready();
                let [n, h, w, c] = x.dims();
                x.0.reshape([n, h * w * c])
            }
        }
    }
}
