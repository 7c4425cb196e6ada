//! Batch norm folded into the convolution before it.

use crate::graph::{Graph, Node, Op, Value};
use crate::tensor::Tensors;

/// Added to the variance of a batch norm (PyTorch's default).
pub const BATCH_NORM_EPSILON: f32 = 1e-5;

/// Scale and shift of a batch norm by its running statistics, for an input that lacks the convolution's `bias`.
pub fn scale_shift(graph: &Graph, tensors: &Tensors, batch_norm: Value, bias: Option<&[f32]>) -> (Vec<f32>, Vec<f32>) {
    let name = &graph.node(batch_norm).name;
    let part = |part: &str| tensors[&format!("{name}.{part}")].values();
    let (gamma, beta, mean, var) = (part("weight"), part("bias"), part("running_mean"), part("running_var"));
    let scale: Vec<f32> = gamma.iter().zip(var).map(|(gamma, var)| gamma / (var + BATCH_NORM_EPSILON).sqrt()).collect();
    let shift = (0..scale.len()).map(|i| {
        let centre = bias.map_or(mean[i], |bias| mean[i] - bias[i]);
        beta[i] - centre * scale[i]
    });
    let shift = shift.collect();
    (scale, shift)
}

/// Weights `[outputs, inputs, kernel, kernel]` and, where there is one, bias `[outputs]` of a convolution.
pub(crate) type ConvWeights = (Vec<f32>, Option<Vec<f32>>);

impl Graph {
    /// Returns the weights and bias of the convolution that `conv` computes.
    pub(crate) fn unfolded(&self, conv: Value, tensors: &Tensors) -> ConvWeights {
        let name = &self.node(conv).name;
        let bias = tensors.get(&format!("{name}.bias")).map(|bias| bias.values().to_vec());
        (tensors[&format!("{name}.weight")].values().to_vec(), bias)
    }

    /// Returns the weights and bias of the convolution that computes what `conv` and the batch norm behind it, if there
    /// is one, compute from running statistics.
    pub(crate) fn folded(&self, conv: Value, tensors: &Tensors) -> ConvWeights {
        let (mut weights, bias) = self.unfolded(conv, tensors);
        let reads = |(_, node): &(Value, &Node)| node.op == Op::BatchNorm && node.input() == conv;
        let Some((batch_norm, _)) = self.values().skip(conv.index()).find(reads) else { return (weights, bias) };
        let (scale, shift) = scale_shift(self, tensors, batch_norm, bias.as_deref());
        let filter = weights.len() / scale.len();
        for (filter, scale) in weights.chunks_exact_mut(filter).zip(scale) {
            filter.iter_mut().for_each(|weight| *weight *= scale);
        }
        (weights, Some(shift))
    }
}
