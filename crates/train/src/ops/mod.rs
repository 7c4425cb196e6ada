//! What the networks are made of, as functions of Burn tensors.
//!
//! On Flex (the CPU) each is one call into `residual-kernels` through the backend extension [`NetOps`]; on every other
//! backend it is composed of plain Burn operations ([`composed`]), which is also what tests compare against.
//! Activations are [`Nhwc`]: `[n, h, w, c]`, contiguous. Weights are as PyTorch stores them: `[k, c, kh, kw]`, `[k, c]`.

mod autodiff;
pub mod buffer;
pub mod composed;
mod extension;
mod flex;

mod update;
mod view;

pub use extension::{ConvMode, NetOps};
pub use residual::profile;
pub use residual_kernels::lrn::Lrn;
pub use residual_kernels::update::Sgd;
pub use update::{add, ema, scale, sgd_step, sum_of_squares};
pub use view::{TensorView, values};

use burn::backend::Dispatch;
use burn::tensor::{Device, Tensor};
use residual_kernels::{ConvDims, ConvShape, PoolDims, PoolShape};

/// Activations `[n, h, w, c]`.
#[derive(Debug, Clone)]
pub struct Nhwc(pub Tensor<4>);

impl Nhwc {
    /// `[n, h, w, c]`.
    pub fn dims(&self) -> [usize; 4] {
        self.0.dims()
    }

    /// Where the values live.
    pub fn device(&self) -> Device {
        self.0.device()
    }

    /// Channel-first `[n, c, h, w]`, for what Burn computes itself.
    pub fn into_nchw(self) -> Tensor<4> {
        self.0.permute([0, 3, 1, 2])
    }

    /// From channel-first.
    pub fn from_nchw(x: Tensor<4>) -> Self {
        Self(x.permute([0, 2, 3, 1]))
    }
}

/// Stride and padding of a convolution or pooling window, equal in both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Pixels between windows.
    pub stride: usize,
    /// Zero rows and columns on each side.
    pub pad: usize,
}

/// Batch statistics of a convolution's output, each `[k]`, variance biased.
#[derive(Debug, Clone)]
pub struct Statistics {
    /// Mean over images and pixels.
    pub mean: Tensor<1>,
    /// Variance over images and pixels, divided by their number.
    pub var: Tensor<1>,
}

/// The learned part of a normalisation, each `[c]`, and its epsilon.
#[derive(Debug, Clone)]
pub struct Affine {
    /// Scale.
    pub gamma: Tensor<1>,
    /// Shift.
    pub beta: Tensor<1>,
    /// Added to the variance.
    pub eps: f32,
}

/// Whether our kernels can take it (Flex, with or without autodiff).
fn has_kernels(device: &Device) -> bool {
    *device == Device::flex()
}

fn conv_shape(x: &Nhwc, w: &Tensor<4>, window: Window) -> ConvShape {
    let ([n, h, width, c], [k, wc, kh, kw]) = (x.dims(), w.dims());
    assert_eq!(c, wc, "a convolution of {wc} channels got an input of {c}");
    ConvShape::new(ConvDims { n, h, w: width, c, k, kh, kw, stride: window.stride, pad: window.pad })
        .unwrap_or_else(|error| panic!("{error}: the networks check their input size before they run"))
}

fn pool_shape(x: &Nhwc, kernel: usize, window: Window) -> PoolShape {
    let [n, h, w, c] = x.dims();
    PoolShape::new(PoolDims { n, h, w, c, kernel, stride: window.stride, pad: window.pad })
        .unwrap_or_else(|error| panic!("{error}: the networks check their input size before they run"))
}

/// Convolution without bias.
pub fn conv(x: Nhwc, w: Tensor<4>, window: Window, mode: ConvMode) -> Nhwc {
    if !has_kernels(&x.device()) {
        return composed::conv(x, w, window);
    }
    let s = conv_shape(&x, &w, window);
    Nhwc(Tensor::from_dispatch(Dispatch::conv(x.0.into_dispatch(), w.into_dispatch(), s, mode)))
}

/// Convolution with bias `[k]`, and ReLU if asked for.
pub fn conv_bias(x: Nhwc, w: Tensor<4>, bias: Tensor<1>, window: Window, mode: ConvMode, relu: bool) -> Nhwc {
    if !has_kernels(&x.device()) {
        return composed::conv_bias(x, w, bias, window, relu);
    }
    let s = conv_shape(&x, &w, window);
    let y = Dispatch::conv_bias(x.0.into_dispatch(), w.into_dispatch(), bias.into_dispatch(), s, mode, relu);
    Nhwc(Tensor::from_dispatch(y))
}

/// Convolution, and the batch statistics of its output for the normalisation that follows.
pub fn conv_statistics(x: Nhwc, w: Tensor<4>, window: Window, mode: ConvMode) -> (Nhwc, Statistics) {
    if !has_kernels(&x.device()) {
        return composed::conv_statistics(x, w, window);
    }
    let s = conv_shape(&x, &w, window);
    let (y, mean, var) = Dispatch::conv_statistics(x.0.into_dispatch(), w.into_dispatch(), s, mode);
    let statistics = Statistics { mean: Tensor::from_dispatch(mean), var: Tensor::from_dispatch(var) };
    (Nhwc(Tensor::from_dispatch(y)), statistics)
}

/// [`conv_statistics`] of what [`norm`] with a ReLU makes of `x`: the map between the two is never written.
pub fn normed_conv(
    x: Nhwc,
    statistics: Statistics,
    affine: Affine,
    w: Tensor<4>,
    window: Window,
    mode: ConvMode,
) -> (Nhwc, Statistics) {
    if !has_kernels(&x.device()) {
        return composed::conv_statistics(composed::norm(x, affine, None, true), w, window);
    }
    let s = conv_shape(&x, &w, window);
    let (mean, var) = (statistics.mean.into_dispatch(), statistics.var.into_dispatch());
    let (gamma, beta, eps) = (affine.gamma.into_dispatch(), affine.beta.into_dispatch(), affine.eps);
    let (x, w) = (x.0.into_dispatch(), w.into_dispatch());
    let (y, mean, var) = Dispatch::normed_conv(x, mean, var, gamma, beta, eps, w, s, mode);
    let statistics = Statistics { mean: Tensor::from_dispatch(mean), var: Tensor::from_dispatch(var) };
    (Nhwc(Tensor::from_dispatch(y)), statistics)
}

/// Normalises `x` by its own batch statistics, adds `skip` where given, applies ReLU if asked for: one pass.
pub fn norm(x: Nhwc, statistics: Statistics, affine: Affine, skip: Option<Nhwc>, relu: bool) -> Nhwc {
    if !has_kernels(&x.device()) {
        return composed::norm(x, affine, skip, relu);
    }
    let (mean, var) = (statistics.mean.into_dispatch(), statistics.var.into_dispatch());
    let (gamma, beta, eps) = (affine.gamma.into_dispatch(), affine.beta.into_dispatch(), affine.eps);
    let x = x.0.into_dispatch();
    let y = match skip {
        Some(skip) => Dispatch::norm_add(x, skip.0.into_dispatch(), mean, var, gamma, beta, eps, relu),
        None => Dispatch::norm(x, mean, var, gamma, beta, eps, relu),
    };
    Nhwc(Tensor::from_dispatch(y))
}

/// `scale · x + shift` by channel (batch norm with fixed statistics), plus `skip` where given, then ReLU if asked for.
pub fn scale_shift(x: Nhwc, scale: Tensor<1>, shift: Tensor<1>, skip: Option<Nhwc>, relu: bool) -> Nhwc {
    if !has_kernels(&x.device()) {
        return composed::scale_shift(x, scale, shift, skip, relu);
    }
    let (scale, shift) = (scale.into_dispatch(), shift.into_dispatch());
    let x = x.0.into_dispatch();
    let y = match skip {
        Some(skip) => Dispatch::scale_shift_add(x, skip.0.into_dispatch(), scale, shift, relu),
        None => Dispatch::scale_shift(x, scale, shift, relu),
    };
    Nhwc(Tensor::from_dispatch(y))
}

/// max(x, 0).
pub fn relu(x: Nhwc) -> Nhwc {
    if !has_kernels(&x.device()) {
        return Nhwc(burn::tensor::activation::relu(x.0));
    }
    Nhwc(Tensor::from_dispatch(Dispatch::relu(x.0.into_dispatch())))
}

/// Max-pooling over `kernel`×`kernel` windows.
pub fn max_pool(x: Nhwc, kernel: usize, window: Window) -> Nhwc {
    if !has_kernels(&x.device()) {
        return composed::max_pool(x, kernel, window);
    }
    let s = pool_shape(&x, kernel, window);
    Nhwc(Tensor::from_dispatch(Dispatch::max_pool(x.0.into_dispatch(), s)))
}

/// Average pooling over `kernel`×`kernel` windows; padding counts as zeros.
pub fn avg_pool(x: Nhwc, kernel: usize, window: Window) -> Nhwc {
    if !has_kernels(&x.device()) {
        return composed::avg_pool(x, kernel, window);
    }
    let s = pool_shape(&x, kernel, window);
    Nhwc(Tensor::from_dispatch(Dispatch::avg_pool(x.0.into_dispatch(), s)))
}

/// Mean over the map: `[n, h, w, c]` → `[n, c]`.
pub fn global_average(x: Nhwc) -> Tensor<2> {
    if !has_kernels(&x.device()) {
        return composed::global_average(x);
    }
    Tensor::from_dispatch(Dispatch::global_average(x.0.into_dispatch()))
}

/// Adaptive average pooling to `size` (height, width), as PyTorch's `AdaptiveAvgPool2d`.
pub fn adaptive_average(x: Nhwc, size: [usize; 2]) -> Nhwc {
    let [_, h, w, _] = x.dims();
    if [h, w] == size {
        return x;
    }
    if !has_kernels(&x.device()) {
        return composed::adaptive_average(x, size);
    }
    Nhwc(Tensor::from_dispatch(Dispatch::adaptive_average(x.0.into_dispatch(), size)))
}

/// Local response normalisation across channels (Krizhevsky et al. 2012, §3.3; `alpha` divided by `size` as in PyTorch).
pub fn lrn(x: Nhwc, rule: Lrn) -> Nhwc {
    if !has_kernels(&x.device()) {
        return composed::lrn(x, rule);
    }
    Nhwc(Tensor::from_dispatch(Dispatch::lrn(x.0.into_dispatch(), rule)))
}

/// Fully connected layer `x wᵀ + bias`, and ReLU if asked for: `[n, c]` → `[n, k]`.
pub fn linear(x: Tensor<2>, w: Tensor<2>, bias: Tensor<1>, relu: bool) -> Tensor<2> {
    if !has_kernels(&x.device()) {
        return composed::linear(x, w, bias, relu);
    }
    Tensor::from_dispatch(Dispatch::linear(x.into_dispatch(), w.into_dispatch(), bias.into_dispatch(), relu))
}

/// Dropout: zeroes values with probability `p`, scales the rest by 1/(1−p). The mask depends on `key` alone.
pub fn dropout(x: Tensor<2>, p: f64, key: [u64; 3]) -> Tensor<2> {
    if p == 0.0 {
        return x;
    }
    if !has_kernels(&x.device()) {
        return composed::dropout(x, p, key);
    }
    Tensor::from_dispatch(Dispatch::dropout(x.into_dispatch(), p as f32, key))
}

/// Cross-entropy of each image's softmax with its target distribution: logits, targets `[n, k]` → losses `[n]`.
pub fn cross_entropy(logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
    if !has_kernels(&logits.device()) {
        return composed::cross_entropy(logits, targets);
    }
    Tensor::from_dispatch(Dispatch::cross_entropy(logits.into_dispatch(), targets.into_dispatch()))
}

/// Shortcut option A (ResNet §3.3): every `stride`-th pixel, and zero channels up to `k`, half before and half after.
pub fn subsample_pad(x: Nhwc, stride: usize, k: usize) -> Nhwc {
    if !has_kernels(&x.device()) {
        return composed::subsample_pad(x, stride, k);
    }
    Nhwc(Tensor::from_dispatch(Dispatch::subsample_pad(x.0.into_dispatch(), stride, k)))
}
