//! A network as a description of its forward pass.

use super::builder::GraphBuilder;
use super::node::{Graph, Value};
use super::op::Op;
use crate::error::{Error, Result};

/// A network that describes its forward pass as a graph. Implement it for a network of your own; training,
/// inference and export take any implementation.
pub trait Network: Send + Sync {
    /// Height, width and channels of the input.
    fn input(&self) -> [usize; 3];

    /// Adds the forward pass to `graph`, from the image `x` to the returned logits, `[1, 1, classes]`.
    fn forward(&self, graph: &mut GraphBuilder, x: Value) -> Value;

    /// The name that summaries and files give the network.
    fn name(&self) -> &str {
        "network"
    }

    /// The smallest height and width of an image that the network classifies sensibly.
    fn smallest_input(&self) -> usize {
        1
    }
}

impl Graph {
    /// Builds the graph of `network`.
    ///
    /// # Errors
    /// Fails if a layer does not fit the map it reads, or if the network does not end in a row of logits.
    pub fn of(network: &impl Network) -> Result<Self> {
        let mut builder = GraphBuilder::new(network.input());
        let output = network.forward(&mut builder, Value::INPUT);
        let nodes = builder.finish().map_err(|why| Error::usage(format!("{}: {why}", network.name())))?;
        let [h, w, _] = nodes[output.index()].shape;
        if (h, w) != (1, 1) {
            return Err(Error::usage(format!("{} ends in a map of {h}x{w}, not in logits", network.name())));
        }
        let graph = Self::new(nodes, output);
        match graph.nodes().iter().find(|node| node.op == Op::BatchNorm && !graph.follows_conv(node)) {
            None => Ok(graph),
            Some(node) => Err(Error::usage(format!(
                "{}: {} is a batch norm that does not follow a convolution of its own",
                network.name(),
                node.name
            ))),
        }
    }
}
