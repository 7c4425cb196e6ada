//! The layer table: output shapes, parameters, multiply-adds and receptive fields. Nothing is computed, and no weight is
//! allocated.

use super::node::{Graph, Node};
use super::op::Op;
use serde::{Serialize, Serializer};

/// One layer of a [`Summary`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LayerSummary {
    /// Its name in checkpoints.
    pub name: String,
    /// The operation; its text is `conv3x3`, `conv7x7/2`, `norm`, `relu`, `maxpool2x2/2`, `linear` and the like.
    #[serde(serialize_with = "as_text")]
    pub kind: Op,
    /// Output height, width, channels.
    pub output: [usize; 3],
    /// Trainable parameters: weights, biases, scales and shifts, no running statistics.
    pub params: u64,
    /// Multiply-adds of convolutions and linear layers, for one image.
    pub macs: u64,
    /// Input pixels, in each direction, that one output value depends on; `None` where it depends on the whole image.
    pub receptive_field: Option<usize>,
}

fn as_text<S: Serializer>(op: &Op, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(op)
}

/// A network as a table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// The registry's name.
    pub name: String,
    /// `vgg`, `resnet`, `plain` or `speedrun`.
    pub family: String,
    /// Trainable parameters.
    pub params: u64,
    /// Multiply-adds for one image.
    pub macs: u64,
    /// Receptive field of the last map, in input pixels.
    pub receptive_field: usize,
    /// Input height, width, channels.
    pub input: [usize; 3],
    /// Classes.
    pub classes: usize,
    /// All layers.
    pub layers: Vec<LayerSummary>,
}

/// How the values of a map relate to the image.
#[derive(Debug, Clone, Copy)]
struct Field {
    /// Input pixels, in each direction, that a value depends on.
    size: usize,
    /// Input pixels between neighbouring values.
    jump: usize,
    /// Whether a value depends on the whole image.
    global: bool,
}

impl Field {
    const PIXEL: Self = Self { size: 1, jump: 1, global: false };

    fn through(self, op: &Op) -> Self {
        let (kernel, stride) = match op {
            Op::Conv(conv) => (conv.kernel, conv.stride),
            Op::MaxPool(pool) | Op::AvgPool(pool) => (pool.kernel, pool.stride),
            Op::SubsamplePad { stride, .. } => (1, *stride),
            Op::AdaptiveAvgPool { size: 1 } | Op::Linear { .. } => return Self { global: true, ..self },
            _ => (1, 1),
        };
        Self { size: self.size + (kernel - 1) * self.jump, jump: self.jump * stride, ..self }
    }
}

impl Graph {
    /// Returns the network as a table, under the name and family given.
    pub fn summary(&self, name: &str, family: &str) -> Summary {
        let fields = self.receptive_fields();
        let rows = self.nodes().iter().zip(&fields).filter(|(node, _)| !node.name.is_empty());
        let layers: Vec<LayerSummary> = rows.map(|(node, field)| self.layer(node, *field)).collect();
        Summary {
            name: name.to_owned(),
            family: family.to_owned(),
            params: layers.iter().map(|layer| layer.params).sum(),
            macs: layers.iter().map(|layer| layer.macs).sum(),
            receptive_field: fields.iter().filter(|field| !field.global).map(|field| field.size).max().unwrap_or(1),
            input: self.input_shape(),
            classes: self.classes(),
            layers,
        }
    }

    fn layer(&self, node: &Node, field: Field) -> LayerSummary {
        let [h, w, c] = node.shape;
        let (params, macs) = match node.op {
            Op::Conv(conv) => {
                let weights: usize = conv.weight_shape().iter().product();
                (weights + if conv.bias { conv.outputs } else { 0 }, weights * h * w)
            }
            Op::BatchNorm => (2 * c, 0),
            Op::Linear { inputs, outputs } => (inputs * outputs + outputs, inputs * outputs),
            _ => (0, 0),
        };
        LayerSummary {
            name: node.name.clone(),
            kind: node.op,
            output: node.shape,
            params: params as u64,
            macs: macs as u64,
            receptive_field: (!field.global).then_some(field.size),
        }
    }

    /// The wider of two inputs counts where a shortcut is added.
    fn receptive_fields(&self) -> Vec<Field> {
        let mut fields: Vec<Field> = Vec::with_capacity(self.nodes().len());
        for node in self.nodes() {
            let inputs = node.inputs.iter().map(|input| fields[input.index()]);
            let widest = inputs.reduce(|a, b| Field { size: a.size.max(b.size), ..a });
            fields.push(widest.map_or(Field::PIXEL, |field| field.through(&node.op)));
        }
        fields
    }
}

/// Returns the side, in input pixels, of what one value depends on behind square filters of `sides`, one on the other,
/// stride 1.
pub fn receptive_field(sides: &[usize]) -> usize {
    1 + sides.iter().map(|side| side - 1).sum::<usize>()
}
