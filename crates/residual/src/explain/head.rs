//! The part of a network behind the map that Grad-CAM explains: its forward pass, and the gradient of a score.

use crate::error::{Error, Result};
use crate::graph::{FusedNode, Graph, Op, Value};
use crate::plan::InferenceSession;
use crate::plan::step::{conv_shape, flatten, pool_shape};
use crate::tensor::Tensors;
use residual_kernels::{Epilogue, activation, conv, linear, lrn, norm, pool, shortcut};

/// The smallest side of a map on which places can be told apart.
const SMALLEST_MAP: usize = 4;

/// A network cut at the map that is explained.
pub(super) struct Head<'a> {
    graph: &'a Graph,
    tensors: &'a Tensors,
    operations: Vec<FusedNode>,
    /// Shapes of all values for the images' size.
    shapes: Vec<[usize; 3]>,
    map: Value,
}

impl<'a> Head<'a> {
    /// Cuts the network for images of `[h, w]`.
    ///
    /// # Errors
    /// Fails if such images do not fit, or if operations behind the map read something before it.
    pub(super) fn new(session: &'a InferenceSession, [h, w]: [usize; 2]) -> Result<Self> {
        let graph = session.graph();
        let shapes = graph.shapes_at(h, w)?;
        let map = explained_map(graph, &shapes);
        let operations = graph.fuse();
        let is_chain = operations.iter().filter(|op| op.output() > map).all(|op| {
            let reads = |input: Value| input >= map;
            match op {
                FusedNode::Conv { input, conv, .. } => reads(*input) && conv.shortcut.is_none(),
                FusedNode::Linear { input, .. } => reads(*input),
                FusedNode::Single(value) => graph.node(*value).op != Op::Add && reads(graph.node(*value).input()),
            }
        });
        match is_chain {
            true => Ok(Self { graph, tensors: session.tensors(), operations, shapes, map }),
            false => Err(Error::usage(format!("{} has shortcuts behind its last map", session.name()))),
        }
    }

    /// Returns height, width and channels of the explained map.
    pub(super) fn map_shape(&self) -> [usize; 3] {
        self.shapes[self.map.index()]
    }

    /// Computes the explained map of `pixels`, `[n, h, w, c]`, and the gradient of the score of `classes[i]` in image
    /// `i` with respect to it.
    pub(super) fn gradient(&self, pixels: &[f32], [n, ..]: [usize; 4], classes: &[usize]) -> (Vec<f32>, Vec<f32>) {
        let mut values: Vec<Option<Vec<f32>>> = vec![None; self.shapes.len()];
        values[Value::INPUT.index()] = Some(pixels.to_vec());
        let (body, head): (Vec<_>, Vec<_>) =
            self.operations.iter().copied().partition(|op: &FusedNode| op.output() <= self.map);
        for (i, operation) in body.iter().enumerate() {
            let result = self.forward(operation, &values, n);
            values[operation.output().index()] = Some(result);
            self.release(&mut values, &body[i + 1..]);
        }
        head.iter().for_each(|op| values[op.output().index()] = Some(self.forward(op, &values, n)));
        let k = self.graph.classes();
        let mut gradient = vec![0.0; n * k];
        classes.iter().enumerate().for_each(|(i, class)| gradient[i * k + class] = 1.0);
        for operation in head.iter().rev() {
            gradient = self.backward(operation, &values, gradient, n);
        }
        (values[self.map.index()].take().expect("the body ends with the map"), gradient)
    }

    /// Computes the logits from the explained map.
    #[cfg(test)]
    pub(super) fn scores(&self, map: &[f32], n: usize) -> Vec<f32> {
        let mut values: Vec<Option<Vec<f32>>> = vec![None; self.shapes.len()];
        values[self.map.index()] = Some(map.to_vec());
        for op in self.operations.iter().filter(|op| op.output() > self.map) {
            values[op.output().index()] = Some(self.forward(op, &values, n));
        }
        values[self.graph.output().index()].take().expect("the head ends with the logits")
    }

    /// Frees the values that none of the `remaining` operations before the map reads.
    fn release(&self, values: &mut [Option<Vec<f32>>], remaining: &[FusedNode]) {
        let reads = |op: &FusedNode, value: Value| match op {
            FusedNode::Conv { input, conv, .. } => *input == value || conv.shortcut == Some(value),
            FusedNode::Linear { input, .. } => *input == value,
            FusedNode::Single(node) => self.graph.node(*node).inputs.contains(&value),
        };
        for (value, _) in self.graph.values() {
            if value != self.map && !remaining.iter().any(|op| reads(op, value)) {
                values[value.index()] = None;
            }
        }
    }

    fn dims(&self, value: Value, n: usize) -> [usize; 4] {
        let [h, w, c] = self.shapes[value.index()];
        [n, h, w, c]
    }

    fn parameter(&self, layer: Value, part: &str) -> &[f32] {
        self.tensors[&format!("{}.{part}", self.graph.node(layer).name)].values()
    }

    fn forward(&self, operation: &FusedNode, values: &[Option<Vec<f32>>], n: usize) -> Vec<f32> {
        let value = |value: Value| values[value.index()].as_deref().expect("a value is computed before it is read");
        let mut y = vec![0.0; self.dims(operation.output(), n).iter().product()];
        match *operation {
            FusedNode::Conv { input, conv: ref fused, .. } => {
                let dims = self.dims(input, n);
                let (weights, bias) = self.graph.folded(fused.conv, self.tensors);
                let bias = bias.unwrap_or_else(|| vec![0.0; fused.geometry.outputs]);
                let shape = conv_shape(&fused.geometry, dims);
                match fused.shortcut {
                    None => {
                        let epilogue = Epilogue::Bias { bias: &bias, relu: fused.relu };
                        conv::forward(value(input), &weights, &shape, true, epilogue, &mut y);
                    }
                    Some(shortcut) => {
                        y.copy_from_slice(value(shortcut));
                        conv::forward(value(input), &weights, &shape, true, Epilogue::Residual { bias: &bias }, &mut y);
                    }
                }
            }
            FusedNode::Linear { input, linear: layer, relu, .. } => {
                let (weights, bias) = (self.parameter(layer, "weight"), self.parameter(layer, "bias"));
                linear::forward(
                    value(input),
                    weights,
                    Some(bias),
                    n,
                    weights.len() / bias.len(),
                    bias.len(),
                    relu,
                    &mut y,
                );
            }
            FusedNode::Single(node) => {
                let node = self.graph.node(node);
                let (x, dims @ [n, h, w, c]) = (value(node.input()), self.dims(node.input(), n));
                match node.op {
                    Op::Relu => activation::relu(x, &mut y),
                    Op::Add => {
                        let ones = vec![1.0; c];
                        norm::scale_shift(x, c, &ones, &vec![0.0; c], Some(value(node.inputs[1])), false, &mut y);
                    }
                    Op::MaxPool(ref window) => pool::max_forward(x, &pool_shape(window, dims), &mut y),
                    Op::AvgPool(ref window) => pool::avg_forward(x, &pool_shape(window, dims), &mut y),
                    Op::Lrn(ref rule) => lrn::forward(x, c, rule, &mut y),
                    Op::SubsamplePad { stride, channels } => {
                        shortcut::subsample_pad(x, n, h, w, c, stride, channels, &mut y);
                    }
                    Op::AdaptiveAvgPool { size } => pool::adaptive_average(x, n, h, w, c, size, size, &mut y),
                    Op::Flatten => flatten(x, h * w, c, &mut y),
                    Op::Dropout { .. } => y.copy_from_slice(x),
                    Op::Input | Op::BatchNorm | Op::Conv(_) | Op::Linear { .. } => {
                        unreachable!("the fused graph has no such node by itself")
                    }
                }
            }
        }
        y
    }

    /// Computes the gradient of an operation's input from that of its output.
    fn backward(&self, operation: &FusedNode, values: &[Option<Vec<f32>>], dy: Vec<f32>, n: usize) -> Vec<f32> {
        let value = |value: Value| values[value.index()].as_deref().expect("the head's values are kept");
        let y = value(operation.output());
        let through_relu = |relu: bool, dy: Vec<f32>| {
            let mut masked = vec![0.0; dy.len()];
            match relu {
                true => activation::relu_backward(y, &dy, &mut masked),
                false => masked = dy,
            }
            masked
        };
        match *operation {
            FusedNode::Conv { input, conv: ref fused, .. } => {
                let (dims, dy) = (self.dims(input, n), through_relu(fused.relu, dy));
                let (weights, _) = self.graph.folded(fused.conv, self.tensors);
                let mut dx = vec![0.0; dims.iter().product()];
                conv::dx(&dy, &weights, &conv_shape(&fused.geometry, dims), true, false, &mut dx);
                dx
            }
            FusedNode::Linear { linear: layer, relu, .. } => {
                let (weights, k) = (self.parameter(layer, "weight"), self.parameter(layer, "bias").len());
                let dy = through_relu(relu, dy);
                let mut dx = vec![0.0; n * weights.len() / k];
                linear::dx(&dy, weights, n, weights.len() / k, k, &mut dx);
                dx
            }
            FusedNode::Single(node) => {
                let node = self.graph.node(node);
                let (x, dims @ [n, h, w, c]) = (value(node.input()), self.dims(node.input(), n));
                let mut dx = vec![0.0; x.len()];
                match node.op {
                    Op::Relu => activation::relu_backward(y, &dy, &mut dx),
                    Op::MaxPool(ref window) => pool::max_backward(x, &dy, &pool_shape(window, dims), &mut dx),
                    Op::AvgPool(ref window) => pool::avg_backward(&dy, &pool_shape(window, dims), &mut dx),
                    Op::Lrn(ref rule) => lrn::backward(x, y, &dy, c, rule, &mut dx),
                    Op::SubsamplePad { stride, channels } => {
                        shortcut::subsample_pad_backward(&dy, n, h, w, c, stride, channels, &mut dx);
                    }
                    Op::AdaptiveAvgPool { size } => {
                        pool::adaptive_average_backward(&dy, n, h, w, c, size, size, &mut dx);
                    }
                    Op::Flatten => unflatten(&dy, h * w, c, &mut dx),
                    Op::Dropout { .. } => dx = dy,
                    Op::Input | Op::BatchNorm | Op::Conv(_) | Op::Linear { .. } | Op::Add => {
                        unreachable!("the head is a chain of fused operations")
                    }
                }
                dx
            }
        }
    }
}

/// `[n, c, hw]` → `[n, hw, c]`: the reverse of flattening.
fn unflatten(dy: &[f32], hw: usize, c: usize, dx: &mut [f32]) {
    for (dy, dx) in dy.chunks_exact(hw * c).zip(dx.chunks_exact_mut(hw * c)) {
        for (channel, dy) in dy.chunks_exact(hw).enumerate() {
            dx[channel..].iter_mut().step_by(c).zip(dy).for_each(|(dx, dy)| *dx = *dy);
        }
    }
}

/// The deepest map whose values still belong to places: the last one before the head; if a max-pooling ends the
/// features, or if that map has fewer than [`SMALLEST_MAP`] rows, the input of an earlier pooling.
fn explained_map(graph: &Graph, shapes: &[[usize; 3]]) -> Value {
    let is_head = |op: &Op| matches!(op, Op::AdaptiveAvgPool { .. } | Op::Flatten | Op::Linear { .. });
    let first = graph.nodes().iter().find(|node| is_head(&node.op)).expect("a network ends in a linear layer");
    let side = |value: Value| shapes[value.index()][0].min(shapes[value.index()][1]);
    let mut map = first.input();
    loop {
        let is_pool = matches!(graph.node(map).op, Op::MaxPool(_));
        if map == Value::INPUT || (!is_pool && side(map) >= SMALLEST_MAP) {
            return map;
        }
        map = graph.node(map).input();
    }
}
