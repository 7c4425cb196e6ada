//! The graph: nodes in the order of computation.

use super::op::Op;
use crate::error::{Error, Result};

/// The output of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Value(pub(super) usize);

impl Value {
    /// The image, normalised: the first node of every graph.
    pub const INPUT: Self = Self(0);

    /// Returns the position of the node among the graph's nodes.
    pub fn index(self) -> usize {
        self.0
    }
}

/// One operation of a network.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The layer's name in checkpoints (`layer1.0.conv1`); empty for operations that are no layer of their own.
    pub name: String,
    /// What is computed.
    pub op: Op,
    /// What it reads: one value, two for [`Op::Add`], none for [`Op::Input`].
    pub inputs: Vec<Value>,
    /// Height, width and channels of the output for the network's own input size.
    pub shape: [usize; 3],
}

impl Node {
    /// Returns the first input. Every operation but [`Op::Input`] has one.
    pub fn input(&self) -> Value {
        self.inputs[0]
    }
}

/// A network's operations in the order of computation.
#[derive(Debug, Clone, PartialEq)]
pub struct Graph {
    nodes: Vec<Node>,
    /// How many nodes read each value; the logits count one reader.
    uses: Vec<usize>,
    output: Value,
}

impl Graph {
    /// Whether the node reads a convolution that nothing else reads.
    pub(super) fn follows_conv(&self, node: &Node) -> bool {
        matches!(self.node(node.input()).op, Op::Conv(_)) && self.uses(node.input()) == 1
    }

    pub(super) fn new(nodes: Vec<Node>, output: Value) -> Self {
        let mut uses = vec![0; nodes.len()];
        nodes.iter().flat_map(|node| &node.inputs).for_each(|value| uses[value.0] += 1);
        uses[output.0] += 1;
        Self { nodes, uses, output }
    }

    /// Returns the nodes in the order of computation; the first is the input.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Returns the node that computes `value`.
    pub fn node(&self, value: Value) -> &Node {
        &self.nodes[value.0]
    }

    /// Iterates over the nodes with the values that they compute.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = (Value, &Node)> {
        self.nodes.iter().enumerate().map(|(i, node)| (Value(i), node))
    }

    /// Returns how many nodes read `value`; the logits count one reader.
    pub fn uses(&self, value: Value) -> usize {
        self.uses[value.0]
    }

    /// Returns the value that holds the logits.
    pub fn output(&self) -> Value {
        self.output
    }

    /// Returns height, width and channels of the input.
    pub fn input_shape(&self) -> [usize; 3] {
        self.nodes[0].shape
    }

    /// Returns the number of classes: the length of the logits.
    pub fn classes(&self) -> usize {
        self.nodes[self.output.0].shape[2]
    }

    /// Returns names and shapes of all tensors of a checkpoint, layer by layer: weights and biases, and the
    /// running statistics of batch normalisations.
    pub fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        let mut tensors = Vec::new();
        for node in &self.nodes {
            let mut add = |part: &str, shape: Vec<usize>| tensors.push((format!("{}.{part}", node.name), shape));
            match node.op {
                Op::Conv(conv) => {
                    add("weight", conv.weight_shape().to_vec());
                    if conv.bias {
                        add("bias", vec![conv.outputs]);
                    }
                }
                Op::BatchNorm => {
                    for part in ["weight", "bias", "running_mean", "running_var"] {
                        add(part, vec![node.shape[2]]);
                    }
                }
                Op::Linear { inputs, outputs } => {
                    add("weight", vec![outputs, inputs]);
                    add("bias", vec![outputs]);
                }
                _ => {}
            }
        }
        tensors
    }

    /// Returns the shapes `[h, w, c]` of all values for images of `h`x`w`.
    ///
    /// # Errors
    /// Fails with the first layer that such a map does not fit.
    pub fn shapes_at(&self, h: usize, w: usize) -> Result<Vec<[usize; 3]>> {
        let mut shapes: Vec<[usize; 3]> = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let shape = match node.inputs.first() {
                None => Ok([h, w, node.shape[2]]),
                Some(input) => node.op.output(shapes[input.0]).and_then(|shape| match shape {
                    [0, _, _] | [_, 0, _] => Err(format!("{} leaves no pixel of a map", node.op)),
                    shape => Ok(shape),
                }),
            };
            shapes.push(shape.map_err(|why| Error::data(format!("images of {h}x{w} are too small: {why}")))?);
        }
        Ok(shapes)
    }

    /// Returns whether the network takes images of any size: a global average precedes its linear layers.
    pub fn takes_any_size(&self) -> bool {
        let mut pooled = vec![false; self.nodes.len()];
        for (i, node) in self.nodes.iter().enumerate() {
            let input = node.inputs.first().is_some_and(|input| pooled[input.0]);
            pooled[i] = match node.op {
                Op::AdaptiveAvgPool { size } => size == 1,
                Op::Linear { .. } | Op::Flatten if !input => return false,
                _ => input,
            };
        }
        true
    }
}
