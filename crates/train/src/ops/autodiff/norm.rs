//! Gradients of normalisation, fused with the addition of the shortcut and the ReLU. Kept: the input (the convolution
//! keeps nothing of it, so it is the one copy) and, with a ReLU, the output, which the next convolution keeps anyway.

use super::super::flex::{self, NormGradients, NormTensors};
use super::{Tracked, arrived, finish};
use burn::backend::Flex;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops};
use burn::backend::flex::FlexTensor;
use residual_kernels::lrn::Lrn;

/// Registers the gradient for its parent, if that wants one.
macro_rules! register {
    ($grads:expr, $($node:expr => $gradient:expr),+ $(,)?) => {
        $(if let Some(node) = $node { $grads.register::<Flex>(node.id, $gradient); })+
    };
}

#[derive(Debug, Clone)]
struct SavedNorm {
    x: FlexTensor,
    y: Option<FlexTensor>,
    norm: NormTensors,
}

#[derive(Debug)]
struct Norm;

impl Backward<Flex, 3> for Norm {
    type State = SavedNorm;

    fn backward(self, ops: Ops<SavedNorm, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = arrived(&ops, grads);
        let ([x, gamma, beta], saved) = (ops.parents, ops.state);
        let SavedNorm { x: input, y, norm } = saved;
        let NormGradients { dx, dgamma, dbeta, .. } = flex::norm_backward(input, y.as_ref(), dy, &norm);
        register!(grads, gamma => dgamma, beta => dbeta, x => dx);
    }
}

/// `statistics`: mean, variance, gamma, beta.
pub(super) fn norm<C: CheckpointStrategy>(
    x: Tracked<C>,
    [mean, var, gamma, beta]: [Tracked<C>; 4],
    eps: f32,
    relu: bool,
) -> Tracked<C> {
    let nodes = [x.node(), gamma.node(), beta.node()];
    let x = flex::contiguous(x.into_primitive());
    let [mean, var, gamma, beta] = [mean, var, gamma, beta].map(Tracked::<C>::into_primitive);
    let norm = flex::norm_tensors(mean, var, gamma, beta, eps);
    let y = flex::norm(&x, None, &norm, relu);
    let saved = SavedNorm { x, y: relu.then(|| y.clone()), norm };
    finish::<C, _, 3>(Norm, nodes, y, saved)
}

#[derive(Debug)]
struct NormAdd;

impl Backward<Flex, 4> for NormAdd {
    type State = SavedNorm;

    fn backward(self, ops: Ops<SavedNorm, 4>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = arrived(&ops, grads);
        let ([x, skip, gamma, beta], saved) = (ops.parents, ops.state);
        let SavedNorm { x: input, y, norm } = saved;
        let NormGradients { dx, dskip, dgamma, dbeta } = flex::norm_backward(input, y.as_ref(), dy, &norm);
        register!(grads, gamma => dgamma, beta => dbeta, x => dx);
        if let (Some(node), Some(dskip)) = (skip, dskip) {
            grads.register::<Flex>(node.id, dskip);
        }
    }
}

pub(super) fn norm_add<C: CheckpointStrategy>(
    x: Tracked<C>,
    skip: Tracked<C>,
    [mean, var, gamma, beta]: [Tracked<C>; 4],
    eps: f32,
    relu: bool,
) -> Tracked<C> {
    let nodes = [x.node(), skip.node(), gamma.node(), beta.node()];
    let [x, skip] = [x, skip].map(|t| flex::contiguous(t.into_primitive()));
    let [mean, var, gamma, beta] = [mean, var, gamma, beta].map(Tracked::<C>::into_primitive);
    let norm = flex::norm_tensors(mean, var, gamma, beta, eps);
    let y = flex::norm(&x, Some(&skip), &norm, relu);
    let saved = SavedNorm { x, y: relu.then(|| y.clone()), norm };
    finish::<C, _, 4>(NormAdd, nodes, y, saved)
}

#[derive(Debug, Clone)]
struct SavedScale {
    x: FlexTensor,
    y: Option<FlexTensor>,
    scale: FlexTensor,
}

#[derive(Debug)]
struct ScaleShift;

impl Backward<Flex, 3> for ScaleShift {
    type State = SavedScale;

    fn backward(self, ops: Ops<SavedScale, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = arrived(&ops, grads);
        let ([x, scale, shift], saved) = (ops.parents, ops.state);
        let NormGradients { dx, dgamma, dbeta, .. } =
            flex::scale_shift_backward(&saved.x, saved.y.as_ref(), &dy, &saved.scale, false);
        register!(grads, scale => dgamma, shift => dbeta, x => dx);
    }
}

pub(super) fn scale_shift<C: CheckpointStrategy>(
    x: Tracked<C>,
    scale: Tracked<C>,
    shift: Tracked<C>,
    relu: bool,
) -> Tracked<C> {
    let nodes = [x.node(), scale.node(), shift.node()];
    let [x, scale, shift] = [x, scale, shift].map(|t| flex::contiguous(t.into_primitive()));
    let y = flex::scale_shift(&x, &scale, &shift, None, relu);
    let saved = SavedScale { x, y: relu.then(|| y.clone()), scale };
    finish::<C, _, 3>(ScaleShift, nodes, y, saved)
}

#[derive(Debug)]
struct ScaleShiftAdd;

impl Backward<Flex, 4> for ScaleShiftAdd {
    type State = SavedScale;

    fn backward(self, ops: Ops<SavedScale, 4>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = arrived(&ops, grads);
        let ([x, skip, scale, shift], saved) = (ops.parents, ops.state);
        let gradients = flex::scale_shift_backward(&saved.x, saved.y.as_ref(), &dy, &saved.scale, skip.is_some());
        let NormGradients { dx, dskip, dgamma, dbeta } = gradients;
        register!(grads, scale => dgamma, shift => dbeta, x => dx);
        if let (Some(node), Some(dskip)) = (skip, dskip) {
            grads.register::<Flex>(node.id, dskip);
        }
    }
}

pub(super) fn scale_shift_add<C: CheckpointStrategy>(
    x: Tracked<C>,
    skip: Tracked<C>,
    scale: Tracked<C>,
    shift: Tracked<C>,
    relu: bool,
) -> Tracked<C> {
    let nodes = [x.node(), skip.node(), scale.node(), shift.node()];
    let [x, skip, scale, shift] = [x, skip, scale, shift].map(|t| flex::contiguous(t.into_primitive()));
    let y = flex::scale_shift(&x, &scale, &shift, Some(&skip), relu);
    let saved = SavedScale { x, y: relu.then(|| y.clone()), scale };
    finish::<C, _, 4>(ScaleShiftAdd, nodes, y, saved)
}

#[derive(Debug)]
struct LocalResponse;

impl Backward<Flex, 1> for LocalResponse {
    type State = (FlexTensor, FlexTensor, Lrn);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = arrived(&ops, grads);
        let ([node], (x, y, rule)) = (ops.parents, ops.state);
        register!(grads, node => flex::lrn_backward(&x, &y, &dy, &rule));
    }
}

pub(super) fn lrn<C: CheckpointStrategy>(x: Tracked<C>, rule: Lrn) -> Tracked<C> {
    let nodes = [x.node()];
    let x = flex::contiguous(x.into_primitive());
    let y = flex::lrn(&x, &rule);
    let saved = (x, y.clone(), rule);
    finish::<C, _, 1>(LocalResponse, nodes, y, saved)
}
