//! Building a graph: one method per operation.

use super::node::{Node, Value};
use super::op::{Conv, Op, Pool};
use std::fmt::Display;

/// Records a network's forward pass, one node per operation.
///
/// A layer that does not fit the map it reads is remembered, and [`Graph::of`](super::Graph::of) returns it as
/// an error, so that a forward pass reads without a `?` on every line.
#[derive(Debug)]
pub struct GraphBuilder {
    nodes: Vec<Node>,
    scope: String,
    error: Option<String>,
}

impl GraphBuilder {
    /// Starts with the image, `[h, w, c]`.
    pub(super) fn new(input: [usize; 3]) -> Self {
        let image = Node { name: String::new(), op: Op::Input, inputs: Vec::new(), shape: input };
        Self { nodes: vec![image], scope: String::new(), error: None }
    }

    /// Returns the nodes, or the first layer that does not fit.
    pub(super) fn finish(self) -> Result<Vec<Node>, String> {
        match self.error {
            Some(error) => Err(error),
            None => Ok(self.nodes),
        }
    }

    /// Returns height, width and channels of `x`.
    pub fn shape(&self, x: Value) -> [usize; 3] {
        self.nodes[x.0].shape
    }

    /// Adds `op` as the layer `name` (empty: no layer of its own). The channels in of a convolution or linear layer are
    /// those of what it reads.
    pub fn layer(&mut self, name: impl Display, op: Op, inputs: &[Value]) -> Value {
        let name = name.to_string();
        let name = if name.is_empty() { name } else { format!("{}{name}", self.scope) };
        let [h, w, c] = self.shape(inputs[0]);
        let op = match op {
            Op::Conv(conv) => Op::Conv(Conv { inputs: c, ..conv }),
            Op::Linear { outputs, .. } => Op::Linear { inputs: h * w * c, outputs },
            op => op,
        };
        let shape = op.output([h, w, c]).unwrap_or_else(|why| {
            self.error.get_or_insert(format!("{name}: {why}"));
            [h, w, c]
        });
        if let Some(other) = inputs.iter().map(|&x| self.shape(x)).find(|&other| other != [h, w, c]) {
            self.error.get_or_insert(format!("{name}: a map of {h}x{w}x{c} cannot be added to {other:?}"));
        }
        self.nodes.push(Node { name, op, inputs: inputs.to_vec(), shape });
        Value(self.nodes.len() - 1)
    }

    /// Adds the layers of `f` under names that begin with `scope` and a dot.
    pub fn scope<T>(&mut self, scope: impl Display, f: impl FnOnce(&mut Self) -> T) -> T {
        let outer = self.scope.clone();
        self.scope = format!("{outer}{scope}.");
        let result = f(self);
        self.scope = outer;
        result
    }

    /// Convolution; the channels in are those of `x`.
    pub fn conv(&mut self, name: impl Display, x: Value, conv: Conv) -> Value {
        self.layer(name, Op::Conv(conv), &[x])
    }

    /// Batch normalisation of a convolution's output.
    pub fn batch_norm(&mut self, name: impl Display, x: Value) -> Value {
        self.layer(name, Op::BatchNorm, &[x])
    }

    /// max(x, 0), as part of the layer before it.
    pub fn relu(&mut self, x: Value) -> Value {
        self.layer("", Op::Relu, &[x])
    }

    /// Sum of a residual branch `y` and its shortcut, which have the same shape.
    pub fn add(&mut self, y: Value, shortcut: Value) -> Value {
        self.layer("", Op::Add, &[y, shortcut])
    }

    /// Max-pooling.
    pub fn max_pool(&mut self, name: impl Display, x: Value, pool: Pool) -> Value {
        self.layer(name, Op::MaxPool(pool), &[x])
    }

    /// Average pooling.
    pub fn avg_pool(&mut self, name: impl Display, x: Value, pool: Pool) -> Value {
        self.layer(name, Op::AvgPool(pool), &[x])
    }

    /// Shortcut option A: every `stride`-th pixel, zeros in the new channels.
    pub fn subsample_pad(&mut self, name: impl Display, x: Value, stride: usize, channels: usize) -> Value {
        self.layer(name, Op::SubsamplePad { stride, channels }, &[x])
    }

    /// Average over the whole map: `[h, w, c]` to `[1, 1, c]`.
    pub fn global_avg_pool(&mut self, name: impl Display, x: Value) -> Value {
        self.layer(name, Op::AdaptiveAvgPool { size: 1 }, &[x])
    }

    /// Averages of `size`x`size` parts of the map; `x` itself where it has that size already.
    pub fn adaptive_avg_pool(&mut self, name: impl Display, x: Value, size: usize) -> Value {
        let [h, w, _] = self.shape(x);
        if (h, w) == (size, size) { x } else { self.layer(name, Op::AdaptiveAvgPool { size }, &[x]) }
    }

    /// The map as one row, channels first.
    pub fn flatten(&mut self, x: Value) -> Value {
        self.layer("", Op::Flatten, &[x])
    }

    /// Fully connected layer with bias from all values of `x` to `outputs`.
    pub fn linear(&mut self, name: impl Display, x: Value, outputs: usize) -> Value {
        self.layer(name, Op::linear(outputs), &[x])
    }

    /// Dropout with probability `p`.
    pub fn dropout(&mut self, name: impl Display, x: Value, p: f64) -> Value {
        self.layer(name, Op::Dropout { p }, &[x])
    }
}
