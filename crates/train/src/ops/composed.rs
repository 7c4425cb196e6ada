//! Every operation again, from plain Burn operations: the path of all backends without our kernels, and the twin that
//! tests hold the kernels against. Gradients come from Burn's autodiff.

use super::{Affine, Nhwc, Statistics, Window};
use burn::tensor::activation::log_softmax;
use burn::tensor::module::{adaptive_avg_pool2d, avg_pool2d, conv2d, max_pool2d};
use burn::tensor::ops::{AvgPoolOptions, ConvOptions, MaxPoolOptions};
use burn::tensor::{Device, Tensor, TensorData};
use rand::Rng;
use residual_kernels::lrn::Lrn;

fn options(window: Window) -> ConvOptions<2> {
    let Window { stride, pad } = window;
    ConvOptions::new([stride, stride], [pad, pad], [1, 1], 1)
}

fn activate(x: Tensor<4>, relu: bool) -> Nhwc {
    Nhwc(if relu { burn::tensor::activation::relu(x) } else { x })
}

/// `[c]` → `[1, 1, 1, c]`.
fn by_channel(x: Tensor<1>) -> Tensor<4> {
    let c = x.dims()[0];
    x.reshape([1, 1, 1, c])
}

/// See [`super::conv`].
pub fn conv(x: Nhwc, w: Tensor<4>, window: Window) -> Nhwc {
    Nhwc::from_nchw(conv2d(x.into_nchw(), w, None, options(window)))
}

/// See [`super::conv_bias`].
pub fn conv_bias(x: Nhwc, w: Tensor<4>, bias: Tensor<1>, window: Window, relu: bool) -> Nhwc {
    activate(Nhwc::from_nchw(conv2d(x.into_nchw(), w, Some(bias), options(window))).0, relu)
}

/// Mean and biased variance by channel, as tensors that gradients flow through.
fn statistics(x: &Tensor<4>) -> (Tensor<4>, Tensor<4>) {
    let mean = x.clone().mean_dims(&[0, 1, 2]);
    let centred = x.clone() - mean.clone();
    let var = (centred.clone() * centred).mean_dims(&[0, 1, 2]);
    (mean, var)
}

/// See [`super::conv_statistics`].
pub fn conv_statistics(x: Nhwc, w: Tensor<4>, window: Window) -> (Nhwc, Statistics) {
    let y = conv(x, w, window);
    let k = y.dims()[3];
    let (mean, var) = statistics(&y.0);
    let flat = |x: Tensor<4>| x.reshape([k]).detach();
    (y, Statistics { mean: flat(mean), var: flat(var) })
}

/// See [`super::norm`]. Computes the statistics again, so that gradients flow through them.
pub fn norm(x: Nhwc, affine: Affine, skip: Option<Nhwc>, relu: bool) -> Nhwc {
    let (mean, var) = statistics(&x.0);
    let normalised = (x.0 - mean) / (var + affine.eps).sqrt();
    let y = normalised * by_channel(affine.gamma) + by_channel(affine.beta);
    activate(with_skip(y, skip), relu)
}

fn with_skip(y: Tensor<4>, skip: Option<Nhwc>) -> Tensor<4> {
    match skip {
        Some(skip) => y + skip.0,
        None => y,
    }
}

/// See [`super::scale_shift`].
pub fn scale_shift(x: Nhwc, scale: Tensor<1>, shift: Tensor<1>, skip: Option<Nhwc>, relu: bool) -> Nhwc {
    activate(with_skip(x.0 * by_channel(scale) + by_channel(shift), skip), relu)
}

/// See [`super::max_pool`].
pub fn max_pool(x: Nhwc, kernel: usize, window: Window) -> Nhwc {
    let options = MaxPoolOptions::new([kernel; 2]).with_stride([window.stride; 2]).with_padding([window.pad; 2]);
    Nhwc::from_nchw(max_pool2d(x.into_nchw(), options))
}

/// See [`super::avg_pool`].
pub fn avg_pool(x: Nhwc, kernel: usize, window: Window) -> Nhwc {
    let options = AvgPoolOptions::new([kernel; 2]).with_stride([window.stride; 2]).with_padding([window.pad; 2]);
    Nhwc::from_nchw(avg_pool2d(x.into_nchw(), options))
}

/// See [`super::global_average`].
pub fn global_average(x: Nhwc) -> Tensor<2> {
    let [n, _, _, c] = x.dims();
    x.0.mean_dims(&[1, 2]).reshape([n, c])
}

/// See [`super::adaptive_average`].
pub fn adaptive_average(x: Nhwc, size: [usize; 2]) -> Nhwc {
    Nhwc::from_nchw(adaptive_avg_pool2d(x.into_nchw(), size))
}

/// See [`super::lrn`].
pub fn lrn(x: Nhwc, rule: Lrn) -> Nhwc {
    let [n, h, w, c] = x.dims();
    let before = rule.size / 2;
    let squares = x.0.clone() * x.0.clone();
    let zeros = |channels| Tensor::<4>::zeros([n, h, w, channels], &x.device());
    let padded = Tensor::cat(vec![zeros(before), squares, zeros(rule.size - 1 - before)], 3);
    let sum = (0..rule.size).map(|i| padded.clone().narrow(3, i, c)).reduce(|a, b| a + b).expect("a window has a size");
    let base = sum * (rule.alpha / rule.size as f32) + rule.k;
    Nhwc(x.0 / base.powf_scalar(rule.beta))
}

/// See [`super::linear`].
pub fn linear(x: Tensor<2>, w: Tensor<2>, bias: Tensor<1>, relu: bool) -> Tensor<2> {
    let y = x.matmul(w.transpose()) + bias.unsqueeze::<2>();
    if relu { burn::tensor::activation::relu(y) } else { y }
}

/// See [`super::dropout`]. The mask comes from a stream of its own: it is as random as the kernels', not the same.
pub fn dropout(x: Tensor<2>, p: f64, key: [u64; 3]) -> Tensor<2> {
    let [n, c] = x.dims();
    let mut stream = crate::random::stream(key[0], crate::random::Purpose::Dropout, key[1], key[2]);
    let keep = (1.0 / (1.0 - p)) as f32;
    let mask: Vec<f32> = (0..n * c).map(|_| if stream.random_bool(p) { 0.0 } else { keep }).collect();
    let device: Device = x.device();
    x * Tensor::from_data(TensorData::new(mask, [n, c]), &device)
}

/// See [`super::cross_entropy`].
pub fn cross_entropy(logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
    let n = logits.dims()[0];
    (targets * log_softmax(logits, 1)).sum_dim(1).neg().reshape([n])
}

/// See [`super::subsample_pad`].
pub fn subsample_pad(x: Nhwc, stride: usize, k: usize) -> Nhwc {
    let [n, h, w, c] = x.dims();
    let device = x.device();
    let rows = Tensor::arange_step(0..h as i64, stride, &device);
    let columns = Tensor::arange_step(0..w as i64, stride, &device);
    let x = x.0.select(1, rows).select(2, columns);
    let [_, oh, ow, _] = x.dims();
    let before = (k - c) / 2;
    let zeros = |channels| Tensor::<4>::zeros([n, oh, ow, channels], &device);
    let parts = [(before > 0).then(|| zeros(before)), Some(x), (k - c > before).then(|| zeros(k - c - before))];
    Nhwc(Tensor::cat(parts.into_iter().flatten().collect(), 3))
}
