//! Fusion: convolution, batch norm, addition and ReLU become one operation where nothing else reads what lies between.

use super::node::{Graph, Node, Value};
use super::op::{Conv, Op};

/// A convolution with what is computed in the same pass.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FusedConv {
    /// The convolution's node.
    pub conv: Value,
    /// Its geometry.
    pub geometry: Conv,
    /// The batch normalisation behind it.
    pub batch_norm: Option<Value>,
    /// The shortcut that is added behind it.
    pub shortcut: Option<Value>,
    /// Whether a ReLU ends it.
    pub relu: bool,
    /// Whether the shortcut of the residual block is the very value that this convolution reads. Its gradient is
    /// complete before this convolution's backward pass, which may add to it in place.
    pub shares_gradient: bool,
}

/// An operation of the fused graph.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum FusedNode {
    /// A convolution and what follows it.
    Conv {
        /// What it reads.
        input: Value,
        /// What it computes.
        output: Value,
        /// What is fused.
        conv: FusedConv,
    },
    /// A linear layer and the ReLU behind it.
    Linear {
        /// What it reads.
        input: Value,
        /// What it computes.
        output: Value,
        /// The linear layer's node.
        linear: Value,
        /// Whether a ReLU ends it.
        relu: bool,
    },
    /// Any other node, by itself.
    Single(Value),
}

impl FusedNode {
    /// Returns the value that the operation computes.
    pub fn output(&self) -> Value {
        match *self {
            Self::Conv { output, .. } | Self::Linear { output, .. } | Self::Single(output) => output,
        }
    }
}

impl Graph {
    /// Groups the nodes into operations that are computed in one pass, in an order in which everything is computed
    /// before it is read.
    pub fn fuse(&self) -> Vec<FusedNode> {
        let readers = self.only_readers();
        let mut fused: Vec<Option<FusedNode>> = vec![None; self.nodes().len()];
        let mut absorbed = vec![false; self.nodes().len()];
        for (value, node) in self.values() {
            if absorbed[value.index()] || node.op == Op::Input {
                continue;
            }
            let (operation, parts) = match node.op {
                Op::Conv(geometry) => self.fuse_conv(value, geometry, &readers),
                Op::Linear { .. } => self.fuse_linear(value, &readers),
                _ => (FusedNode::Single(value), Vec::new()),
            };
            parts.into_iter().for_each(|part| absorbed[part.index()] = true);
            // At the place of its last node: the shortcut that it adds is computed by then.
            fused[operation.output().index()] = Some(operation);
        }
        fused.into_iter().flatten().collect()
    }

    /// Returns each node as an operation of its own.
    pub fn unfused(&self) -> Vec<FusedNode> {
        let single = |(value, node): (Value, &Node)| match node.op {
            Op::Conv(geometry) => self.fuse_conv(value, geometry, &vec![None; self.nodes().len()]).0,
            Op::Linear { .. } => self.fuse_linear(value, &vec![None; self.nodes().len()]).0,
            _ => FusedNode::Single(value),
        };
        self.values().skip(1).map(single).collect()
    }

    /// Returns, for each value that exactly one node reads, that node.
    fn only_readers(&self) -> Vec<Option<Value>> {
        let mut readers = vec![None; self.nodes().len()];
        for (value, node) in self.values() {
            for input in node.inputs.iter().filter(|&&input| self.uses(input) == 1) {
                readers[input.index()] = Some(value);
            }
        }
        readers
    }

    /// Returns the convolution `value` with the batch norm, addition and ReLU behind it, and the nodes it absorbs.
    fn fuse_conv(&self, value: Value, geometry: Conv, readers: &[Option<Value>]) -> (FusedNode, Vec<Value>) {
        let follower = |value: Value, op: Op| readers[value.index()].filter(|&next| self.node(next).op == op);
        let input = self.node(value).input();
        let shares_gradient = self.nodes().iter().any(|node| node.op == Op::Add && node.inputs[1] == input);
        let (mut parts, mut shortcut) = (vec![value], None);
        let batch_norm = follower(value, Op::BatchNorm);
        parts.extend(batch_norm);
        // The residual branch is the sum's first input, and a ReLU follows the sum.
        if let Some(bn) = batch_norm
            && let Some(sum) = follower(bn, Op::Add).filter(|&sum| self.node(sum).input() == bn)
            && follower(sum, Op::Relu).is_some()
        {
            shortcut = Some(self.node(sum).inputs[1]);
            parts.push(sum);
        }
        let relu = follower(parts[parts.len() - 1], Op::Relu);
        parts.extend(relu);
        let conv = FusedConv { conv: value, geometry, batch_norm, shortcut, relu: relu.is_some(), shares_gradient };
        (FusedNode::Conv { input, output: parts[parts.len() - 1], conv }, parts)
    }

    fn fuse_linear(&self, value: Value, readers: &[Option<Value>]) -> (FusedNode, Vec<Value>) {
        let relu = readers[value.index()].filter(|&next| self.node(next).op == Op::Relu);
        let (input, output) = (self.node(value).input(), relu.unwrap_or(value));
        (FusedNode::Linear { input, output, linear: value, relu: relu.is_some() }, vec![value, output])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{GraphBuilder, Network};

    struct Block;

    impl Network for Block {
        fn input(&self) -> [usize; 3] {
            [8, 8, 4]
        }

        fn forward(&self, g: &mut GraphBuilder, x: Value) -> Value {
            let y = g.conv("conv1", x, Conv::new(4, 3));
            let y = g.batch_norm("bn1", y);
            let y = g.relu(y);
            let y = g.conv("conv2", y, Conv::new(4, 3));
            let y = g.batch_norm("bn2", y);
            let y = g.add(y, x);
            let y = g.relu(y);
            let y = g.global_avg_pool("avgpool", y);
            g.linear("fc", y, 2)
        }
    }

    #[test]
    fn a_residual_block_is_two_operations_and_its_first_convolution_shares_the_gradient() {
        let graph = Graph::of(&Block).expect("it fits");
        let fused = graph.fuse();
        assert_eq!(fused.len(), 4, "{fused:?}");
        let [FusedNode::Conv { conv: first, .. }, FusedNode::Conv { conv: second, .. }, ..] = fused[..] else {
            panic!("two convolutions: {fused:?}");
        };
        assert!(first.relu && first.shares_gradient && first.shortcut.is_none());
        assert!(second.relu && !second.shares_gradient && second.shortcut == Some(Value::INPUT));
        assert_eq!(graph.unfused().len(), 9);
    }
}
