//! What the optimiser does to whole parameters: in place on Flex, composed elsewhere. No gradients are tracked here.

use super::flex::{self};
use super::has_kernels;
use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;
use residual_kernels::update::Sgd;

fn open<const D: usize>(x: Tensor<D>) -> FlexTensor {
    x.try_into_primitive::<Flex>().expect("the device was seen to be Flex without autodiff")
}

fn close<const D: usize>(x: FlexTensor) -> Tensor<D> {
    Tensor::from_primitive::<Flex>(x)
}

/// One step of SGD with momentum (PyTorch's form, dampening 0): returns the new weight and velocity.
///
/// All tensors are off the autodiff device. Memory is reused where nothing else holds it.
pub fn sgd_step<const D: usize>(w: Tensor<D>, dw: Tensor<D>, v: Tensor<D>, rule: &Sgd) -> (Tensor<D>, Tensor<D>) {
    if has_kernels(&w.device()) {
        let (w, v) = flex::sgd(open(w), open(dw), open(v), rule);
        return (close(w), close(v));
    }
    let dw = dw + w.clone() * rule.weight_decay;
    let v = v * rule.momentum + dw.clone();
    let step = if rule.nesterov { dw + v.clone() * rule.momentum } else { v.clone() };
    (w - step * rule.lr, v)
}

/// The exponential moving average `decay · shadow + (1 − decay) · w`.
pub fn ema<const D: usize>(shadow: Tensor<D>, w: Tensor<D>, decay: f32) -> Tensor<D> {
    if has_kernels(&w.device()) {
        return close(flex::ema(open(shadow), &flex::contiguous(open(w)), decay));
    }
    shadow * decay + w * (1.0 - decay)
}

/// `x + y`.
pub fn add<const D: usize>(x: Tensor<D>, y: Tensor<D>) -> Tensor<D> {
    if has_kernels(&x.device()) {
        return close(flex::add(open(x), &flex::contiguous(open(y))));
    }
    x + y
}

/// `a · x`.
pub fn scale<const D: usize>(x: Tensor<D>, a: f32) -> Tensor<D> {
    if has_kernels(&x.device()) {
        return close(flex::scale(open(x), a));
    }
    x * a
}

/// The sum of squares, added in a fixed order.
pub fn sum_of_squares<const D: usize>(x: Tensor<D>) -> f64 {
    if has_kernels(&x.device()) {
        return residual_kernels::update::sum_of_squares(flex::floats(&flex::contiguous(open(x))));
    }
    f64::from((x.clone() * x).sum().into_scalar::<f32>())
}
