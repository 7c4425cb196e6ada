//! Gradients of the convolutions. Kept for the backward pass: the input, the weights, and with a fused ReLU the output.

use super::super::extension::ConvMode;
use super::super::flex::{self, NormGradients, NormTensors};
use super::{Tracked, arrived, finish};
use burn::backend::Flex;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops};
use burn::backend::flex::FlexTensor;
use residual_kernels::ConvShape;

/// What both convolutions keep.
#[derive(Debug, Clone)]
struct Saved {
    x: FlexTensor,
    w: FlexTensor,
    /// The output, where a ReLU was fused: its sign is the mask.
    y: Option<FlexTensor>,
    s: ConvShape,
    mode: ConvMode,
}

impl Saved {
    fn new<C: CheckpointStrategy>(x: Tracked<C>, w: Tracked<C>, s: ConvShape, mode: ConvMode) -> Self {
        let (x, w) = (flex::contiguous(x.into_primitive()), flex::contiguous(w.into_primitive()));
        Self { x, w, y: None, s, mode }
    }
}

/// Registers `dw` and `dx` for the parents that want them: the nodes of the input and of the weights. A macro, because
/// Burn does not export the type of a node.
macro_rules! register {
    ($saved:expr, $dy:expr, [$x_node:expr, $w_node:expr], $grads:expr) => {{
        let Saved { x, w, s, mode, .. } = $saved;
        if let Some(node) = $w_node {
            $grads.register::<Flex>(node.id, flex::conv_dw(&x, &$dy, &s, mode.precise));
        }
        if let Some(node) = $x_node {
            // A leaf's gradient must stay where it is; every other one may be taken out and added to.
            let inner = !node.parents.is_empty();
            let onto = (mode.shares_gradient && inner).then(|| $grads.consume::<Flex>(&node));
            $grads.register::<Flex>(node.id, flex::conv_dx(&$dy, &w, &s, mode.precise, onto));
        }
    }};
}

#[derive(Debug)]
struct Conv;

impl Backward<Flex, 2> for Conv {
    type State = Saved;

    fn backward(self, ops: Ops<Saved, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = arrived(&ops, grads);
        let [x_node, w_node] = ops.parents;
        register!(ops.state, dy, [x_node, w_node], grads);
    }
}

pub(super) fn conv<C: CheckpointStrategy>(x: Tracked<C>, w: Tracked<C>, s: ConvShape, mode: ConvMode) -> Tracked<C> {
    let nodes = [x.node(), w.node()];
    let saved = Saved::new::<C>(x, w, s, mode);
    let y = flex::conv(&saved.x, &saved.w, &s, mode.precise);
    finish::<C, _, 2>(Conv, nodes, y, saved)
}

pub(super) fn conv_statistics<C: CheckpointStrategy>(
    x: Tracked<C>,
    w: Tracked<C>,
    s: ConvShape,
    mode: ConvMode,
) -> (Tracked<C>, Tracked<C>, Tracked<C>) {
    let nodes = [x.node(), w.node()];
    let saved = Saved::new::<C>(x, w, s, mode);
    let (y, mean, var) = flex::conv_statistics(&saved.x, &saved.w, &s, mode.precise);
    let y = finish::<C, _, 2>(Conv, nodes, y, saved);
    (y, Tracked::<C>::new(mean), Tracked::<C>::new(var))
}

#[derive(Debug)]
struct ConvBias;

impl Backward<Flex, 3> for ConvBias {
    type State = Saved;

    fn backward(self, ops: Ops<Saved, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = arrived(&ops, grads);
        let [x_node, w_node, bias_node] = ops.parents;
        let (dz, dbias) = flex::bias_backward(ops.state.y.as_ref(), &dy);
        drop(dy);
        if let Some(node) = bias_node {
            grads.register::<Flex>(node.id, dbias);
        }
        register!(ops.state, dz, [x_node, w_node], grads);
    }
}

pub(super) fn conv_bias<C: CheckpointStrategy>(
    x: Tracked<C>,
    w: Tracked<C>,
    bias: Tracked<C>,
    s: ConvShape,
    mode: ConvMode,
    relu: bool,
) -> Tracked<C> {
    let nodes = [x.node(), w.node(), bias.node()];
    let mut saved = Saved::new::<C>(x, w, s, mode);
    let bias = flex::contiguous(bias.into_primitive());
    let y = flex::conv_bias(&saved.x, &saved.w, &bias, &s, mode.precise, relu);
    saved.y = relu.then(|| y.clone());
    finish::<C, _, 3>(ConvBias, nodes, y, saved)
}

/// What a convolution behind a normalisation keeps: its input is not there, what it is made of is.
#[derive(Debug, Clone)]
struct SavedNormed {
    x: FlexTensor,
    norm: NormTensors,
    w: FlexTensor,
    s: ConvShape,
    precise: bool,
}

#[derive(Debug)]
struct NormedConv;

impl Backward<Flex, 4> for NormedConv {
    type State = SavedNormed;

    fn backward(self, ops: Ops<SavedNormed, 4>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = arrived(&ops, grads);
        let ([x_node, gamma, beta, w_node], SavedNormed { x, norm, w, s, precise }) = (ops.parents, ops.state);
        if let Some(node) = w_node {
            grads.register::<Flex>(node.id, flex::normed_conv_dw(&x, &norm, &dy, &s, precise));
        }
        if x_node.is_none() && gamma.is_none() && beta.is_none() {
            return;
        }
        let NormGradients { dx, dgamma, dbeta, .. } = flex::normed_conv_dx(&x, &norm, &w, &dy, &s, precise);
        for (node, gradient) in [(gamma, dgamma), (beta, dbeta), (x_node, dx)] {
            if let Some(node) = node {
                grads.register::<Flex>(node.id, gradient);
            }
        }
    }
}

/// `statistics`: mean, variance, gamma, beta of the normalisation.
pub(super) fn normed_conv<C: CheckpointStrategy>(
    x: Tracked<C>,
    [mean, var, gamma, beta]: [Tracked<C>; 4],
    eps: f32,
    w: Tracked<C>,
    s: ConvShape,
    mode: ConvMode,
) -> (Tracked<C>, Tracked<C>, Tracked<C>) {
    let nodes = [x.node(), gamma.node(), beta.node(), w.node()];
    let [x, w] = [x, w].map(|t| flex::contiguous(t.into_primitive()));
    let [mean, var, gamma, beta] = [mean, var, gamma, beta].map(Tracked::<C>::into_primitive);
    let norm = flex::norm_tensors(mean, var, gamma, beta, eps);
    let (y, mean, var) = flex::normed_conv(&x, &norm, &w, &s, mode.precise);
    let y = finish::<C, _, 4>(NormedConv, nodes, y, SavedNormed { x, norm, w, s, precise: mode.precise });
    (y, Tracked::<C>::new(mean), Tracked::<C>::new(var))
}
