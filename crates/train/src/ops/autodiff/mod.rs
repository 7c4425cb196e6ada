//! Gradients: each operation of [`NetOps`](super::NetOps) under autodiff on Flex.
//!
//! Nothing is kept for the backward pass that can be had from what is kept anyway: a ReLU's mask is its output's sign,
//! the normalised value is computed again from the convolution's output.

mod conv;
mod linear;
mod norm;
mod pool;

use super::extension::{ConvMode, NetOps};
use super::flex;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, NodeGuard, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Flex};
use residual_kernels::lrn::Lrn;
use residual_kernels::{ConvShape, PoolShape};

/// A float tensor of Flex under autodiff.
type Tracked<C> = FloatTensor<Autodiff<Flex, C>>;

/// Records that `y` came from `nodes` by `op`, which keeps `state` if any of them wants a gradient.
fn finish<C, O, const N: usize>(op: O, nodes: [NodeGuard; N], y: FlexTensor, state: O::State) -> Tracked<C>
where
    C: CheckpointStrategy,
    O: Backward<Flex, N>,
{
    match op.prepare::<C>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(prep) => prep.finish(state, y),
        OpsKind::UnTracked(prep) => prep.finish(y),
    }
}

/// The gradient that arrived at `ops`' own output.
fn arrived<S, const N: usize>(ops: &Ops<S, N>, grads: &mut Gradients) -> FlexTensor {
    flex::contiguous(grads.consume::<Flex>(&ops.node))
}

impl<C: CheckpointStrategy> NetOps for Autodiff<Flex, C> {
    fn conv(x: FloatTensor<Self>, w: FloatTensor<Self>, s: ConvShape, mode: ConvMode) -> FloatTensor<Self> {
        conv::conv::<C>(x, w, s, mode)
    }

    fn conv_bias(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        s: ConvShape,
        mode: ConvMode,
        relu: bool,
    ) -> FloatTensor<Self> {
        conv::conv_bias::<C>(x, w, bias, s, mode, relu)
    }

    fn conv_statistics(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        s: ConvShape,
        mode: ConvMode,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        conv::conv_statistics::<C>(x, w, s, mode)
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
        conv::normed_conv::<C>(x, [mean, var, gamma, beta], eps, w, s, mode)
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
        norm::norm::<C>(x, [mean, var, gamma, beta], eps, relu)
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
        norm::norm_add::<C>(x, skip, [mean, var, gamma, beta], eps, relu)
    }

    fn scale_shift(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        relu: bool,
    ) -> FloatTensor<Self> {
        norm::scale_shift::<C>(x, scale, shift, relu)
    }

    fn scale_shift_add(
        x: FloatTensor<Self>,
        skip: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        relu: bool,
    ) -> FloatTensor<Self> {
        norm::scale_shift_add::<C>(x, skip, scale, shift, relu)
    }

    fn relu(x: FloatTensor<Self>) -> FloatTensor<Self> {
        pool::relu::<C>(x)
    }

    fn max_pool(x: FloatTensor<Self>, s: PoolShape) -> FloatTensor<Self> {
        pool::max_pool::<C>(x, s)
    }

    fn avg_pool(x: FloatTensor<Self>, s: PoolShape) -> FloatTensor<Self> {
        pool::avg_pool::<C>(x, s)
    }

    fn global_average(x: FloatTensor<Self>) -> FloatTensor<Self> {
        pool::global_average::<C>(x)
    }

    fn adaptive_average(x: FloatTensor<Self>, size: [usize; 2]) -> FloatTensor<Self> {
        pool::adaptive_average::<C>(x, size)
    }

    fn lrn(x: FloatTensor<Self>, rule: Lrn) -> FloatTensor<Self> {
        norm::lrn::<C>(x, rule)
    }

    fn linear(x: FloatTensor<Self>, w: FloatTensor<Self>, bias: FloatTensor<Self>, relu: bool) -> FloatTensor<Self> {
        linear::linear::<C>(x, w, bias, relu)
    }

    fn dropout(x: FloatTensor<Self>, p: f32, key: [u64; 3]) -> FloatTensor<Self> {
        linear::dropout::<C>(x, p, key)
    }

    fn cross_entropy(logits: FloatTensor<Self>, targets: FloatTensor<Self>) -> FloatTensor<Self> {
        linear::cross_entropy::<C>(logits, targets)
    }

    fn subsample_pad(x: FloatTensor<Self>, stride: usize, k: usize) -> FloatTensor<Self> {
        pool::subsample_pad::<C>(x, stride, k)
    }
}
