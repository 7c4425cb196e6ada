//! The backend extension: our operations as Burn sees them, on Flex and on Flex under autodiff.
//!
//! Inputs are contiguous or are made so.

use super::flex;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Flex, backend_extension};
use residual_kernels::lrn::Lrn;
use residual_kernels::{ConvShape, PoolShape};

/// How a convolution is to be carried out, beyond its shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ConvMode {
    /// No Winograd: the rounding errors of the direct convolution.
    pub precise: bool,
    /// Another operation reads the input as well, *and its gradient is there first* (a residual block's identity).
    pub shares_gradient: bool,
}

/// The operations of both papers' networks.
///
/// Activations `[n, h, w, c]`, convolution weights `[k, c, kh, kw]`, linear weights `[k, c]`.
#[backend_extension(Flex, Autodiff)]
pub trait NetOps: Backend {
    /// Convolution without bias.
    fn conv(x: FloatTensor<Self>, w: FloatTensor<Self>, s: ConvShape, mode: ConvMode) -> FloatTensor<Self>;

    /// Convolution with bias, and ReLU if asked for.
    fn conv_bias(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        s: ConvShape,
        mode: ConvMode,
        relu: bool,
    ) -> FloatTensor<Self>;

    /// Convolution, and mean and biased variance of its output by channel. The statistics are constants to autodiff:
    /// `norm` accounts for them.
    fn conv_statistics(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        s: ConvShape,
        mode: ConvMode,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    /// [`NetOps::conv_statistics`] of what [`NetOps::norm`] with a ReLU makes of `x`, without writing that.
    fn normed_conv(
        x: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        var: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        eps: f32,
        w: FloatTensor<Self>,
        s: ConvShape,
        mode: ConvMode,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    /// Batch normalisation by given batch statistics of `x`, and ReLU if asked for.
    fn norm(
        x: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        var: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        eps: f32,
        relu: bool,
    ) -> FloatTensor<Self>;

    /// Batch normalisation by given batch statistics, plus `skip`, then ReLU if asked for.
    fn norm_add(
        x: FloatTensor<Self>,
        skip: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        var: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        eps: f32,
        relu: bool,
    ) -> FloatTensor<Self>;

    /// `scale · x + shift` by channel, and ReLU if asked for.
    fn scale_shift(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        relu: bool,
    ) -> FloatTensor<Self>;

    /// `scale · x + shift + skip`, and ReLU if asked for.
    fn scale_shift_add(
        x: FloatTensor<Self>,
        skip: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        relu: bool,
    ) -> FloatTensor<Self>;

    /// max(x, 0).
    fn relu(x: FloatTensor<Self>) -> FloatTensor<Self>;

    /// Max-pooling.
    fn max_pool(x: FloatTensor<Self>, s: PoolShape) -> FloatTensor<Self>;

    /// Average pooling, padding counted.
    fn avg_pool(x: FloatTensor<Self>, s: PoolShape) -> FloatTensor<Self>;

    /// Mean over the map: `[n, h, w, c]` → `[n, c]`.
    fn global_average(x: FloatTensor<Self>) -> FloatTensor<Self>;

    /// Adaptive average pooling to `size`.
    fn adaptive_average(x: FloatTensor<Self>, size: [usize; 2]) -> FloatTensor<Self>;

    /// Local response normalisation across channels.
    fn lrn(x: FloatTensor<Self>, rule: Lrn) -> FloatTensor<Self>;

    /// Fully connected layer, and ReLU if asked for: `[n, c]` → `[n, k]`.
    fn linear(x: FloatTensor<Self>, w: FloatTensor<Self>, bias: FloatTensor<Self>, relu: bool) -> FloatTensor<Self>;

    /// Zeroes values with probability `p` by a mask that `key` decides, and scales the rest by 1/(1−p).
    fn dropout(x: FloatTensor<Self>, p: f32, key: [u64; 3]) -> FloatTensor<Self>;

    /// Cross-entropy of each row's softmax with its target distribution: `[n, k]` → `[n]`.
    fn cross_entropy(logits: FloatTensor<Self>, targets: FloatTensor<Self>) -> FloatTensor<Self>;

    /// Shortcut option A: every `stride`-th pixel, zero channels around to `k`.
    fn subsample_pad(x: FloatTensor<Self>, stride: usize, k: usize) -> FloatTensor<Self>;
}

impl NetOps for Flex {
    fn conv(x: FloatTensor<Self>, w: FloatTensor<Self>, s: ConvShape, mode: ConvMode) -> FloatTensor<Self> {
        flex::conv(&flex::contiguous(x), &flex::contiguous(w), &s, mode.precise)
    }

    fn conv_bias(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        s: ConvShape,
        mode: ConvMode,
        relu: bool,
    ) -> FloatTensor<Self> {
        flex::conv_bias(&flex::contiguous(x), &flex::contiguous(w), &flex::contiguous(bias), &s, mode.precise, relu)
    }

    fn conv_statistics(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        s: ConvShape,
        mode: ConvMode,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        flex::conv_statistics(&flex::contiguous(x), &flex::contiguous(w), &s, mode.precise)
    }

    fn normed_conv(
        x: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        var: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        eps: f32,
        w: FloatTensor<Self>,
        s: ConvShape,
        mode: ConvMode,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let norm = flex::norm_tensors(mean, var, gamma, beta, eps);
        flex::normed_conv(&flex::contiguous(x), &norm, &flex::contiguous(w), &s, mode.precise)
    }

    fn norm(
        x: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        var: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        eps: f32,
        relu: bool,
    ) -> FloatTensor<Self> {
        flex::norm(&flex::contiguous(x), None, &flex::norm_tensors(mean, var, gamma, beta, eps), relu)
    }

    fn norm_add(
        x: FloatTensor<Self>,
        skip: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        var: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        eps: f32,
        relu: bool,
    ) -> FloatTensor<Self> {
        let norm = flex::norm_tensors(mean, var, gamma, beta, eps);
        flex::norm(&flex::contiguous(x), Some(&flex::contiguous(skip)), &norm, relu)
    }

    fn scale_shift(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        relu: bool,
    ) -> FloatTensor<Self> {
        let (scale, shift) = (flex::contiguous(scale), flex::contiguous(shift));
        flex::scale_shift(&flex::contiguous(x), &scale, &shift, None, relu)
    }

    fn scale_shift_add(
        x: FloatTensor<Self>,
        skip: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        relu: bool,
    ) -> FloatTensor<Self> {
        let (scale, shift) = (flex::contiguous(scale), flex::contiguous(shift));
        flex::scale_shift(&flex::contiguous(x), &scale, &shift, Some(&flex::contiguous(skip)), relu)
    }

    fn relu(x: FloatTensor<Self>) -> FloatTensor<Self> {
        flex::relu(&flex::contiguous(x))
    }

    fn max_pool(x: FloatTensor<Self>, s: PoolShape) -> FloatTensor<Self> {
        flex::max_pool(&flex::contiguous(x), &s)
    }

    fn avg_pool(x: FloatTensor<Self>, s: PoolShape) -> FloatTensor<Self> {
        flex::avg_pool(&flex::contiguous(x), &s)
    }

    fn global_average(x: FloatTensor<Self>) -> FloatTensor<Self> {
        flex::global_average(&flex::contiguous(x))
    }

    fn adaptive_average(x: FloatTensor<Self>, size: [usize; 2]) -> FloatTensor<Self> {
        flex::adaptive_average(&flex::contiguous(x), size)
    }

    fn lrn(x: FloatTensor<Self>, rule: Lrn) -> FloatTensor<Self> {
        flex::lrn(&flex::contiguous(x), &rule)
    }

    fn linear(x: FloatTensor<Self>, w: FloatTensor<Self>, bias: FloatTensor<Self>, relu: bool) -> FloatTensor<Self> {
        flex::linear(&flex::contiguous(x), &flex::contiguous(w), &flex::contiguous(bias), relu)
    }

    fn dropout(x: FloatTensor<Self>, p: f32, key: [u64; 3]) -> FloatTensor<Self> {
        flex::dropout(&flex::contiguous(x), p, key)
    }

    fn cross_entropy(logits: FloatTensor<Self>, targets: FloatTensor<Self>) -> FloatTensor<Self> {
        flex::cross_entropy(&flex::contiguous(logits), &flex::contiguous(targets)).0
    }

    fn subsample_pad(x: FloatTensor<Self>, stride: usize, k: usize) -> FloatTensor<Self> {
        flex::subsample_pad(&flex::contiguous(x), stride, k)
    }
}
