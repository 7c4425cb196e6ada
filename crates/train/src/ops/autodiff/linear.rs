//! Gradients of the fully connected layer, dropout and the loss.

use super::super::flex;
use super::{Tracked, arrived, finish};
use burn::backend::Flex;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops};
use burn::backend::flex::FlexTensor;

#[derive(Debug, Clone)]
struct Saved {
    x: FlexTensor,
    w: FlexTensor,
    /// The output, where a ReLU was fused.
    y: Option<FlexTensor>,
}

#[derive(Debug)]
struct Linear;

impl Backward<Flex, 3> for Linear {
    type State = Saved;

    fn backward(self, ops: Ops<Saved, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = arrived(&ops, grads);
        let ([x_node, w_node, bias_node], Saved { x, w, y }) = (ops.parents, ops.state);
        let (dz, dbias) = flex::bias_backward(y.as_ref(), &dy);
        if let Some(node) = bias_node {
            grads.register::<Flex>(node.id, dbias);
        }
        if let Some(node) = w_node {
            grads.register::<Flex>(node.id, flex::linear_dw(&x, &dz));
        }
        if let Some(node) = x_node {
            grads.register::<Flex>(node.id, flex::linear_dx(&dz, &w));
        }
    }
}

pub(super) fn linear<C: CheckpointStrategy>(x: Tracked<C>, w: Tracked<C>, bias: Tracked<C>, relu: bool) -> Tracked<C> {
    let nodes = [x.node(), w.node(), bias.node()];
    let [x, w, bias] = [x, w, bias].map(|t| flex::contiguous(t.into_primitive()));
    let y = flex::linear(&x, &w, &bias, relu);
    let saved = Saved { x, w, y: relu.then(|| y.clone()) };
    finish::<C, _, 3>(Linear, nodes, y, saved)
}

/// Keeps nothing: the mask is made again from its key.
#[derive(Debug)]
struct Dropout;

impl Backward<Flex, 1> for Dropout {
    type State = (f32, [u64; 3]);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = arrived(&ops, grads);
        let ([node], (p, key)) = (ops.parents, ops.state);
        if let Some(node) = node {
            grads.register::<Flex>(node.id, flex::dropout(&dy, p, key));
        }
    }
}

pub(super) fn dropout<C: CheckpointStrategy>(x: Tracked<C>, p: f32, key: [u64; 3]) -> Tracked<C> {
    let nodes = [x.node()];
    let y = flex::dropout(&flex::contiguous(x.into_primitive()), p, key);
    finish::<C, _, 1>(Dropout, nodes, y, (p, key))
}

/// Keeps the gradient by the logits, which comes out of the same pass as the losses. Targets are constants.
#[derive(Debug)]
struct CrossEntropy;

impl Backward<Flex, 1> for CrossEntropy {
    type State = FlexTensor;

    fn backward(self, ops: Ops<FlexTensor, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dlosses = arrived(&ops, grads);
        let ([node], dlogits) = (ops.parents, ops.state);
        if let Some(node) = node {
            grads.register::<Flex>(node.id, flex::scale_rows(dlogits, &dlosses));
        }
    }
}

pub(super) fn cross_entropy<C: CheckpointStrategy>(logits: Tracked<C>, targets: Tracked<C>) -> Tracked<C> {
    let nodes = [logits.node()];
    let [logits, targets] = [logits, targets].map(|t| flex::contiguous(t.into_primitive()));
    let (losses, dlogits) = flex::cross_entropy(&logits, &targets);
    finish::<C, _, 1>(CrossEntropy, nodes, losses, dlogits)
}
