//! A reader of ONNX files that shares no code with the writer: bytes → graph → loops that follow ONNX's own text.
//!
//! It knows the operators that our files are made of and refuses all others. Speed is no aim.

mod graph;
mod operators;
mod tensor;
mod wire;

use graph::Graph;
use std::collections::{BTreeMap, HashMap};
use tensor::{Tensor, Values};

/// What a network is given.
pub(super) enum Input {
    /// Floats `[n, c, h, w]`.
    Floats(Vec<f32>, [usize; 4]),
    /// Bytes `[n, h, w, c]`.
    Bytes(Vec<u8>, [usize; 4]),
}

/// What the network in `file` makes of `input`.
///
/// # Errors
/// A sentence about what in the file cannot be read or run.
pub(super) fn run(file: &[u8], input: Input) -> Result<Vec<f32>, String> {
    let graph = Graph::read(file)?;
    let input = match input {
        Input::Floats(values, dims) => Tensor::new(dims.to_vec(), Values::Floats(values))?,
        Input::Bytes(values, dims) => Tensor::new(dims.to_vec(), Values::Bytes(values))?,
    };
    let uses = graph.nodes.iter().enumerate().flat_map(|(i, node)| node.inputs.iter().map(move |name| (name, i)));
    let last_use: HashMap<&String, usize> = uses.collect();
    let mut values = BTreeMap::from([(&graph.input, input)]);
    for (i, node) in graph.nodes.iter().enumerate() {
        let find = |name: &String| values.get(name).or_else(|| graph.constants.get(name));
        let inputs = node.inputs.iter().map(|name| find(name).ok_or_else(|| format!("nothing gives {name}")));
        let inputs = inputs.collect::<Result<Vec<_>, _>>()?;
        let output = operators::apply(node, &inputs).map_err(|why| format!("{}: {why}", node.output))?;
        values.retain(|name, _| last_use.get(name).is_some_and(|&last| last > i));
        values.insert(&node.output, output);
    }
    match values.remove(&graph.output).map(|output| output.values) {
        Some(Values::Floats(values)) => Ok(values),
        _ => Err(format!("nothing gives its output, {}", graph.output)),
    }
}
