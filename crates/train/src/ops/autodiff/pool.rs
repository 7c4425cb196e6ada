//! Gradients of ReLU, pooling and the parameter-free shortcut.

use super::super::flex;
use super::{Tracked, arrived, finish};
use burn::backend::Flex;
use burn::backend::TensorMetadata;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops};
use burn::backend::flex::FlexTensor;
use residual_kernels::PoolShape;

/// An operation of one input: what it keeps (`$state`) and how `dx` comes from that and `dy`.
macro_rules! unary {
    ($(#[$doc:meta])* $name:ident, $state:ty, |$saved:ident, $dy:ident| $dx:expr) => {
        $(#[$doc])*
        #[derive(Debug)]
        struct $name;

        impl Backward<Flex, 1> for $name {
            type State = $state;

            fn backward(self, ops: Ops<$state, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
                let $dy = &arrived(&ops, grads);
                let ([node], $saved) = (ops.parents, ops.state);
                if let Some(node) = node {
                    grads.register::<Flex>(node.id, $dx);
                }
            }
        }
    };
}

unary!(
    /// Keeps its output, whose sign is the mask.
    Relu, FlexTensor, |y, dy| flex::relu_backward(&y, dy)
);
unary!(
    /// Keeps its input: the maximum's place is found again.
    MaxPool, (FlexTensor, PoolShape), |saved, dy| flex::max_pool_backward(&saved.0, dy, &saved.1)
);
unary!(AvgPool, PoolShape, |s, dy| flex::avg_pool_backward(dy, &s));
unary!(GlobalAverage, [usize; 4], |dims, dy| flex::global_average_backward(dy, dims));
unary!(AdaptiveAverage, [usize; 4], |dims, dy| flex::adaptive_average_backward(dy, dims));
unary!(SubsamplePad, ([usize; 4], usize), |saved, dy| flex::subsample_pad_backward(dy, saved.0, saved.1));

fn dims<C: CheckpointStrategy>(x: &Tracked<C>) -> [usize; 4] {
    x.shape().dims()
}

pub(super) fn relu<C: CheckpointStrategy>(x: Tracked<C>) -> Tracked<C> {
    let nodes = [x.node()];
    let y = flex::relu(&flex::contiguous(x.into_primitive()));
    finish::<C, _, 1>(Relu, nodes, y.clone(), y)
}

pub(super) fn max_pool<C: CheckpointStrategy>(x: Tracked<C>, s: PoolShape) -> Tracked<C> {
    let nodes = [x.node()];
    let x = flex::contiguous(x.into_primitive());
    let y = flex::max_pool(&x, &s);
    finish::<C, _, 1>(MaxPool, nodes, y, (x, s))
}

pub(super) fn avg_pool<C: CheckpointStrategy>(x: Tracked<C>, s: PoolShape) -> Tracked<C> {
    let nodes = [x.node()];
    let y = flex::avg_pool(&flex::contiguous(x.into_primitive()), &s);
    finish::<C, _, 1>(AvgPool, nodes, y, s)
}

pub(super) fn global_average<C: CheckpointStrategy>(x: Tracked<C>) -> Tracked<C> {
    let (nodes, dims) = ([x.node()], dims::<C>(&x));
    let y = flex::global_average(&flex::contiguous(x.into_primitive()));
    finish::<C, _, 1>(GlobalAverage, nodes, y, dims)
}

pub(super) fn adaptive_average<C: CheckpointStrategy>(x: Tracked<C>, size: [usize; 2]) -> Tracked<C> {
    let (nodes, dims) = ([x.node()], dims::<C>(&x));
    let y = flex::adaptive_average(&flex::contiguous(x.into_primitive()), size);
    finish::<C, _, 1>(AdaptiveAverage, nodes, y, dims)
}

pub(super) fn subsample_pad<C: CheckpointStrategy>(x: Tracked<C>, stride: usize, k: usize) -> Tracked<C> {
    let (nodes, dims) = ([x.node()], dims::<C>(&x));
    let y = flex::subsample_pad(&flex::contiguous(x.into_primitive()), stride, k);
    finish::<C, _, 1>(SubsamplePad, nodes, y, (dims, stride))
}
