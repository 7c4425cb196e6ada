//! The fully convolutional form of a network (VGG §3.2).

use super::node::{Graph, Node, Value};
use super::op::{Conv, Op};
use crate::error::{Error, Result};

impl Graph {
    /// Returns the network applied fully convolutionally: its fully connected layers over a map of `s`x`s` become an
    /// `s`x`s` and 1x1 convolutions, and the scores of all places are averaged. The weights are the network's own.
    ///
    /// # Errors
    /// Fails if an adaptive pooling stretches a map over the fully connected layers, which has no counterpart in a
    /// convolution.
    pub fn dense(&self) -> Result<Self> {
        let mut nodes: Vec<Node> = Vec::with_capacity(self.nodes().len() + 1);
        // The new value of each node, and the kernel of the next linear layer where its input is a map.
        let mut new: Vec<(Value, Option<usize>)> = Vec::with_capacity(self.nodes().len());
        for node in self.nodes() {
            let Some(&input) = node.inputs.first() else {
                nodes.push(node.clone());
                new.push((Value(0), None));
                continue;
            };
            let (from, kernel) = new[input.index()];
            let [h, _, c] = self.node(input).shape;
            let op = match node.op {
                Op::AdaptiveAvgPool { size } if size > 1 => {
                    let map = h;
                    let [side, ..] = self.input_shape();
                    return Err(Error::usage(format!(
                        "at {side} px it has a head for a map of {map}x{map}: applied densely it would be another network"
                    ))
                    .with_hint("dense takes a VGG trained at 224 px, or one with the CIFAR head"));
                }
                Op::Flatten => {
                    new.push((from, Some(h)));
                    continue;
                }
                Op::Linear { outputs, .. } if kernel.is_some() => {
                    let kernel = kernel.unwrap_or(1);
                    let inputs = nodes[from.index()].shape[2];
                    Op::Conv(Conv { inputs, outputs, kernel, stride: 1, padding: 0, bias: true })
                }
                Op::Linear { .. } if !matches!(self.node(input).op, Op::AdaptiveAvgPool { .. } | Op::Linear { .. }) => {
                    let pool = Op::AdaptiveAvgPool { size: 1 };
                    nodes.push(Node { name: String::new(), op: pool, inputs: vec![from], shape: [1, 1, c] });
                    let from = Value(nodes.len() - 1);
                    nodes.push(Node { inputs: vec![from], ..node.clone() });
                    new.push((Value(nodes.len() - 1), None));
                    continue;
                }
                op => op,
            };
            let inputs = node.inputs.iter().map(|input| new[input.index()].0).collect();
            nodes.push(Node { name: node.name.clone(), op, inputs, shape: node.shape });
            new.push((Value(nodes.len() - 1), kernel.map(|_| 1)));
        }
        let (mut output, kernel) = new[self.output().index()];
        if kernel.is_some() {
            let shape = self.node(self.output()).shape;
            nodes.push(Node { name: String::new(), op: Op::AdaptiveAvgPool { size: 1 }, inputs: vec![output], shape });
            output = Value(nodes.len() - 1);
        }
        Ok(Self::new(nodes, output))
    }
}
