//! The operations on Burn's Flex tensors: contiguous f32 storage in, kernels, pooled storage out.
//!
//! Functions here know no gradients; `autodiff` calls them in both directions. Activations are `[n, h, w, c]`.

use super::buffer::Buffer;
use super::profile::timed;
use burn::backend::flex::{FlexTensor, Layout};
use burn::tensor::{DType, Shape};
use residual_kernels as kernels;
use residual_kernels::lrn::Lrn;
use residual_kernels::norm::Norm;
use residual_kernels::{ConvShape, Epilogue, PoolShape};

/// The batch statistics and affine parameters that a normalisation needs, each `[c]`.
#[derive(Debug, Clone)]
pub(super) struct NormTensors {
    pub(super) mean: FlexTensor,
    pub(super) var: FlexTensor,
    pub(super) gamma: FlexTensor,
    pub(super) beta: FlexTensor,
    pub(super) eps: f32,
}

impl NormTensors {
    fn view(&self) -> Norm<'_> {
        Norm {
            mean: floats(&self.mean),
            var: floats(&self.var),
            gamma: floats(&self.gamma),
            beta: floats(&self.beta),
            eps: self.eps,
        }
    }

    fn contiguous(self) -> Self {
        Self {
            mean: contiguous(self.mean),
            var: contiguous(self.var),
            gamma: contiguous(self.gamma),
            beta: contiguous(self.beta),
            eps: self.eps,
        }
    }
}

/// `x` with its values in logical order; free where they are already (always, between our own operations).
pub(super) fn contiguous(x: FlexTensor) -> FlexTensor {
    if x.as_slice::<f32>().is_some() { x } else { x.to_contiguous() }
}

/// The values of a contiguous tensor.
pub(super) fn floats(x: &FlexTensor) -> &[f32] {
    x.as_slice().expect("every input passes `contiguous` first")
}

fn dims<const D: usize>(x: &FlexTensor) -> [usize; D] {
    let shape = x.layout().shape();
    std::array::from_fn(|i| shape[i])
}

fn last(x: &FlexTensor) -> usize {
    let shape = x.layout().shape();
    shape[shape.num_dims() - 1]
}

/// A tensor of `shape` whose values `fill` writes, all of them.
pub(super) fn fill(shape: impl Into<Shape>, fill: impl FnOnce(&mut [f32])) -> FlexTensor {
    let shape = shape.into();
    let mut buffer = Buffer::take(shape.num_elements());
    fill(buffer.as_mut());
    FlexTensor::new(buffer.into_bytes(), Layout::contiguous(shape), DType::F32)
}

fn like(x: &FlexTensor, write: impl FnOnce(&mut [f32])) -> FlexTensor {
    fill(x.layout().shape().clone(), write)
}

/// Why an output is there.
const WRITTEN: &str = "written by the closure above";

/// The outputs of one kernel call need their buffers at the same time.
pub(super) fn fill2(shapes: [Shape; 2], write: impl FnOnce(&mut [f32], &mut [f32])) -> (FlexTensor, FlexTensor) {
    let [a_shape, b_shape] = shapes;
    let mut b = None;
    let a = fill(a_shape, |a| {
        b = Some(fill(b_shape, |b| write(a, b)));
    });
    (a, b.expect(WRITTEN))
}

fn fill3(
    shapes: [Shape; 3],
    write: impl FnOnce(&mut [f32], &mut [f32], &mut [f32]),
) -> (FlexTensor, FlexTensor, FlexTensor) {
    let [a_shape, b_shape, c_shape] = shapes;
    let mut rest = None;
    let a = fill(a_shape, |a| {
        rest = Some(fill2([b_shape, c_shape], |b, c| write(a, b, c)));
    });
    let (b, c) = rest.expect(WRITTEN);
    (a, b, c)
}

/// Changes `x` in place where this is its only owner, else a copy of it.
fn update(x: FlexTensor, write: impl FnOnce(&mut [f32])) -> FlexTensor {
    let mut x = contiguous(x);
    if x.is_unique() && x.layout().start_offset() == 0 {
        let len = x.layout().num_elements();
        write(&mut x.storage_mut::<f32>()[..len]);
        x
    } else {
        let old = floats(&x);
        like(&x, |new| {
            new.copy_from_slice(old);
            write(new);
        })
    }
}

fn y_shape(s: &ConvShape) -> Shape {
    Shape::new([s.n(), s.out_h(), s.out_w(), s.k()])
}

fn x_shape(s: &ConvShape) -> Shape {
    Shape::new([s.n(), s.h(), s.w(), s.c()])
}

fn w_shape(s: &ConvShape) -> Shape {
    Shape::new([s.k(), s.c(), s.kh(), s.kw()])
}

pub(super) fn conv(x: &FlexTensor, w: &FlexTensor, s: &ConvShape, precise: bool) -> FlexTensor {
    timed("conv", || fill(y_shape(s), |y| kernels::conv::forward(floats(x), floats(w), s, precise, Epilogue::None, y)))
}

pub(super) fn conv_bias(
    x: &FlexTensor,
    w: &FlexTensor,
    bias: &FlexTensor,
    s: &ConvShape,
    precise: bool,
    relu: bool,
) -> FlexTensor {
    timed("conv", || {
        let epilogue = Epilogue::Bias { bias: floats(bias), relu };
        fill(y_shape(s), |y| kernels::conv::forward(floats(x), floats(w), s, precise, epilogue, y))
    })
}

/// The convolution, and the mean and biased variance of its output, each `[k]`.
pub(super) fn conv_statistics(
    x: &FlexTensor,
    w: &FlexTensor,
    s: &ConvShape,
    precise: bool,
) -> (FlexTensor, FlexTensor, FlexTensor) {
    timed("conv", || {
        fill3([y_shape(s), Shape::new([s.k()]), Shape::new([s.k()])], |y, mean, var| {
            kernels::conv::forward(floats(x), floats(w), s, precise, Epilogue::Statistics { mean, var }, y);
        })
    })
}

/// The input's gradient, added to `onto` where that is given.
pub(super) fn conv_dx(
    dy: &FlexTensor,
    w: &FlexTensor,
    s: &ConvShape,
    precise: bool,
    onto: Option<FlexTensor>,
) -> FlexTensor {
    timed("conv dx", || match onto {
        Some(onto) => update(onto, |dx| kernels::conv::dx(floats(dy), floats(w), s, precise, true, dx)),
        None => fill(x_shape(s), |dx| kernels::conv::dx(floats(dy), floats(w), s, precise, false, dx)),
    })
}

pub(super) fn conv_dw(x: &FlexTensor, dy: &FlexTensor, s: &ConvShape, precise: bool) -> FlexTensor {
    timed("conv dw", || fill(w_shape(s), |dw| kernels::conv::dw(floats(x), floats(dy), s, precise, dw)))
}

/// [`conv_statistics`] of `x` normalised and rectified, which is never written.
pub(super) fn normed_conv(
    x: &FlexTensor,
    norm: &NormTensors,
    w: &FlexTensor,
    s: &ConvShape,
    precise: bool,
) -> (FlexTensor, FlexTensor, FlexTensor) {
    timed("conv", || {
        fill3([y_shape(s), Shape::new([s.k()]), Shape::new([s.k()])], |y, mean, var| {
            let statistics = Epilogue::Statistics { mean, var };
            kernels::conv::forward_bn_relu(floats(x), &norm.view(), floats(w), s, precise, statistics, y);
        })
    })
}

pub(super) fn normed_conv_dw(
    x: &FlexTensor,
    norm: &NormTensors,
    dy: &FlexTensor,
    s: &ConvShape,
    precise: bool,
) -> FlexTensor {
    timed("conv dw", || {
        fill(w_shape(s), |dw| kernels::conv::dw_bn_relu(floats(x), &norm.view(), floats(dy), s, precise, dw))
    })
}

/// The gradients of the normalisation in front of a convolution, that of the convolution's input included.
pub(super) fn normed_conv_dx(
    x: &FlexTensor,
    norm: &NormTensors,
    w: &FlexTensor,
    dy: &FlexTensor,
    s: &ConvShape,
    precise: bool,
) -> NormGradients {
    timed("conv dx", || {
        backward_of_affine(x, s.c(), false, |dx, _, dgamma, dbeta| {
            let norm = norm.view();
            kernels::conv::dx_bn_relu(floats(dy), floats(w), s, precise, floats(x), &norm, dx, dgamma, dbeta);
        })
    })
}

pub(super) fn norm(x: &FlexTensor, skip: Option<&FlexTensor>, norm: &NormTensors, relu: bool) -> FlexTensor {
    timed("norm", || like(x, |y| kernels::norm::forward(floats(x), last(x), &norm.view(), skip.map(floats), relu, y)))
}

/// What the backward pass of a normalisation gives: `dx`, `dskip` where there was a skip, `dgamma`, `dbeta`.
pub(super) struct NormGradients {
    pub(super) dx: FlexTensor,
    pub(super) dskip: Option<FlexTensor>,
    pub(super) dgamma: FlexTensor,
    pub(super) dbeta: FlexTensor,
}

/// In place of `x` and `dy` where nothing else holds them, as in every training step. There is a `dskip` in any case.
pub(super) fn norm_backward(
    x: FlexTensor,
    y: Option<&FlexTensor>,
    dy: FlexTensor,
    norm: &NormTensors,
) -> NormGradients {
    timed("norm backward", || {
        let c = last(&x);
        let view = norm.view();
        let mut dx = None;
        let mut parameters = None;
        let dskip = update(dy, |dy| {
            dx = Some(update(x, |x| {
                parameters = Some(fill2([Shape::new([c]), Shape::new([c])], |dgamma, dbeta| {
                    kernels::norm::backward(x, y.map(floats), dy, c, &view, dgamma, dbeta);
                }));
            }));
        });
        let (dgamma, dbeta) = parameters.expect(WRITTEN);
        NormGradients { dx: dx.expect(WRITTEN), dskip: Some(dskip), dgamma, dbeta }
    })
}

pub(super) fn scale_shift(
    x: &FlexTensor,
    scale: &FlexTensor,
    shift: &FlexTensor,
    skip: Option<&FlexTensor>,
    relu: bool,
) -> FlexTensor {
    timed("scale and shift", || {
        like(x, |y| {
            kernels::norm::scale_shift(floats(x), last(x), floats(scale), floats(shift), skip.map(floats), relu, y);
        })
    })
}

pub(super) fn scale_shift_backward(
    x: &FlexTensor,
    y: Option<&FlexTensor>,
    dy: &FlexTensor,
    scale: &FlexTensor,
    skip: bool,
) -> NormGradients {
    timed("scale and shift backward", || {
        let c = last(x);
        backward_of_affine(x, c, skip, |dx, dskip, dscale, dshift| {
            kernels::norm::scale_shift_backward(
                floats(x),
                y.map(floats),
                floats(dy),
                c,
                floats(scale),
                dx,
                dskip,
                dscale,
                dshift,
            );
        })
    })
}

fn backward_of_affine(
    x: &FlexTensor,
    c: usize,
    skip: bool,
    write: impl FnOnce(&mut [f32], Option<&mut [f32]>, &mut [f32], &mut [f32]),
) -> NormGradients {
    let shapes = [x.layout().shape().clone(), Shape::new([c]), Shape::new([c])];
    let mut dskip = None;
    let (dx, dgamma, dbeta) = fill3(shapes, |dx, dgamma, dbeta| {
        if skip {
            dskip = Some(like(x, |dskip| write(dx, Some(dskip), dgamma, dbeta)));
        } else {
            write(dx, None, dgamma, dbeta);
        }
    });
    NormGradients { dx, dskip, dgamma, dbeta }
}

pub(super) fn norm_tensors(
    mean: FlexTensor,
    var: FlexTensor,
    gamma: FlexTensor,
    beta: FlexTensor,
    eps: f32,
) -> NormTensors {
    NormTensors { mean, var, gamma, beta, eps }.contiguous()
}

pub(super) fn relu(x: &FlexTensor) -> FlexTensor {
    timed("relu", || like(x, |y| kernels::activation::relu(floats(x), y)))
}

pub(super) fn relu_backward(y: &FlexTensor, dy: &FlexTensor) -> FlexTensor {
    timed("relu backward", || like(y, |dx| kernels::activation::relu_backward(floats(y), floats(dy), dx)))
}

/// `dy` masked by the ReLU (where `y` is given) and its column sums, the bias's gradient.
pub(super) fn bias_backward(y: Option<&FlexTensor>, dy: &FlexTensor) -> (FlexTensor, FlexTensor) {
    timed("bias backward", || {
        let k = last(dy);
        fill2([dy.layout().shape().clone(), Shape::new([k])], |dz, db| {
            kernels::activation::bias_relu_backward(y.map(floats), floats(dy), k, dz, db);
        })
    })
}

pub(super) fn dropout(x: &FlexTensor, p: f32, key: [u64; 3]) -> FlexTensor {
    timed("dropout", || like(x, |y| kernels::activation::dropout(floats(x), p, key, y)))
}

fn pooled(s: &PoolShape) -> Shape {
    Shape::new([s.n(), s.out_h(), s.out_w(), s.c()])
}

pub(super) fn max_pool(x: &FlexTensor, s: &PoolShape) -> FlexTensor {
    timed("max pool", || fill(pooled(s), |y| kernels::pool::max_forward(floats(x), s, y)))
}

pub(super) fn max_pool_backward(x: &FlexTensor, dy: &FlexTensor, s: &PoolShape) -> FlexTensor {
    timed("max pool backward", || like(x, |dx| kernels::pool::max_backward(floats(x), floats(dy), s, dx)))
}

pub(super) fn avg_pool(x: &FlexTensor, s: &PoolShape) -> FlexTensor {
    timed("average", || fill(pooled(s), |y| kernels::pool::avg_forward(floats(x), s, y)))
}

pub(super) fn avg_pool_backward(dy: &FlexTensor, s: &PoolShape) -> FlexTensor {
    timed("average backward", || {
        fill([s.n(), s.h(), s.w(), s.c()], |dx| kernels::pool::avg_backward(floats(dy), s, dx))
    })
}

pub(super) fn global_average(x: &FlexTensor) -> FlexTensor {
    timed("average", || {
        let [n, h, w, c] = dims(x);
        fill([n, c], |y| kernels::pool::global_average(floats(x), n, h * w, c, y))
    })
}

pub(super) fn global_average_backward(dy: &FlexTensor, [n, h, w, c]: [usize; 4]) -> FlexTensor {
    timed("average backward", || {
        fill([n, h, w, c], |dx| kernels::pool::global_average_backward(floats(dy), n, h * w, c, dx))
    })
}

pub(super) fn adaptive_average(x: &FlexTensor, [oh, ow]: [usize; 2]) -> FlexTensor {
    timed("average", || {
        let [n, h, w, c] = dims(x);
        fill([n, oh, ow, c], |y| kernels::pool::adaptive_average(floats(x), n, h, w, c, oh, ow, y))
    })
}

pub(super) fn adaptive_average_backward(dy: &FlexTensor, [n, h, w, c]: [usize; 4]) -> FlexTensor {
    timed("average backward", || {
        let [_, oh, ow, _] = dims(dy);
        fill([n, h, w, c], |dx| kernels::pool::adaptive_average_backward(floats(dy), n, h, w, c, oh, ow, dx))
    })
}

pub(super) fn lrn(x: &FlexTensor, lrn: &Lrn) -> FlexTensor {
    timed("lrn", || like(x, |y| kernels::lrn::forward(floats(x), last(x), lrn, y)))
}

pub(super) fn lrn_backward(x: &FlexTensor, y: &FlexTensor, dy: &FlexTensor, lrn: &Lrn) -> FlexTensor {
    timed("lrn backward", || like(x, |dx| kernels::lrn::backward(floats(x), floats(y), floats(dy), last(x), lrn, dx)))
}

/// `x` `[n, c]`, `w` `[k, c]`, `bias` `[k]` → `[n, k]`.
pub(super) fn linear(x: &FlexTensor, w: &FlexTensor, bias: &FlexTensor, relu: bool) -> FlexTensor {
    timed("linear", || {
        let ([n, c], [k, _]) = (dims(x), dims(w));
        fill([n, k], |y| kernels::linear::forward(floats(x), floats(w), Some(floats(bias)), n, c, k, relu, y))
    })
}

pub(super) fn linear_dx(dy: &FlexTensor, w: &FlexTensor) -> FlexTensor {
    timed("linear dx", || {
        let ([n, k], [_, c]) = (dims(dy), dims(w));
        fill([n, c], |dx| kernels::linear::dx(floats(dy), floats(w), n, c, k, dx))
    })
}

pub(super) fn linear_dw(x: &FlexTensor, dy: &FlexTensor) -> FlexTensor {
    timed("linear dw", || {
        let ([n, c], [_, k]) = (dims(x), dims(dy));
        fill([k, c], |dw| kernels::linear::dw(floats(x), floats(dy), n, c, k, dw))
    })
}

/// Losses `[n]` and each one's gradient by its row of logits, `[n, k]`.
pub(super) fn cross_entropy(logits: &FlexTensor, targets: &FlexTensor) -> (FlexTensor, FlexTensor) {
    timed("loss", || {
        let [n, k] = dims(logits);
        fill2([Shape::new([n]), Shape::new([n, k])], |losses, dlogits| {
            kernels::loss::softmax_cross_entropy(floats(logits), floats(targets), n, k, losses, dlogits);
        })
    })
}

/// Row `i` of `x` `[n, k]` times `a[i]`: the chain rule behind per-image losses. A few thousand values.
pub(super) fn scale_rows(x: FlexTensor, a: &FlexTensor) -> FlexTensor {
    timed("loss backward", || {
        let k = last(&x);
        update(x, |x| {
            for (row, a) in x.chunks_exact_mut(k).zip(floats(a)) {
                row.iter_mut().for_each(|x| *x *= a);
            }
        })
    })
}

pub(super) fn subsample_pad(x: &FlexTensor, stride: usize, k: usize) -> FlexTensor {
    timed("shortcut", || {
        let [n, h, w, c] = dims(x);
        fill([n, h.div_ceil(stride), w.div_ceil(stride), k], |y| {
            kernels::shortcut::subsample_pad(floats(x), n, h, w, c, stride, k, y);
        })
    })
}

pub(super) fn subsample_pad_backward(dy: &FlexTensor, [n, h, w, c]: [usize; 4], stride: usize) -> FlexTensor {
    timed("shortcut backward", || {
        let k = last(dy);
        fill([n, h, w, c], |dx| kernels::shortcut::subsample_pad_backward(floats(dy), n, h, w, c, stride, k, dx))
    })
}

/// One SGD step on one parameter: new weight and velocity, in place where nothing else holds them.
pub(super) fn sgd(
    w: FlexTensor,
    dw: FlexTensor,
    v: FlexTensor,
    rule: &kernels::update::Sgd,
) -> (FlexTensor, FlexTensor) {
    timed("sgd", || {
        let dw = contiguous(dw);
        let mut new_v = None;
        let w = update(w, |w| {
            new_v = Some(update(v, |v| kernels::update::sgd(w, floats(&dw), v, rule)));
        });
        (w, new_v.expect(WRITTEN))
    })
}

/// `decay · shadow + (1 − decay) · w`, in place where nothing else holds the shadow.
pub(super) fn ema(shadow: FlexTensor, w: &FlexTensor, decay: f32) -> FlexTensor {
    timed("ema", || update(shadow, |shadow| kernels::update::ema(shadow, floats(w), decay)))
}

/// `x + y`, in place where nothing else holds `x`.
pub(super) fn add(x: FlexTensor, y: &FlexTensor) -> FlexTensor {
    timed("add", || update(x, |x| kernels::update::add(x, floats(y))))
}

/// `a · x`, in place where nothing else holds `x`.
pub(super) fn scale(x: FlexTensor, a: f32) -> FlexTensor {
    timed("scale", || update(x, |x| kernels::update::scale(x, a)))
}
