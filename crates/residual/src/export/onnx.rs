//! ONNX: the forward pass as a graph of standard operators, NCHW as ONNX has it.
//!
//! Opset 17. Batch norm is folded into the convolution before it, or kept. The batch is free, and for residual networks height and
//! width too. Message and field numbers are those of `onnx.proto` (ONNX 1.12, IR version 8).

use crate::error::Result;
use crate::graph::{Conv, Graph, Node, Op, Pool, Value};
use crate::image::Normalize;
use crate::models::Model;
use crate::plan::fold::BATCH_NORM_EPSILON;
use crate::protobuf::Message;
use crate::tensor::Tensors;
use crate::weights::Metadata;
use std::path::Path;

/// What goes into the file beside the network.
#[derive(Debug, Clone, Copy, Default)]
pub struct OnnxOptions {
    /// Keep batch normalisations as nodes of their own.
    pub keep_bn: bool,
    /// Begin with bytes `[n, h, w, c]` and end with probabilities.
    pub with_preprocessing: bool,
}

/// Operators of this version.
const OPSET: i64 = 17;
/// The format's version that came with it.
const IR: i64 = 8;
/// `TensorProto.DataType`.
const FLOAT: i64 = 1;
const UINT8: i64 = 2;
const INT64: i64 = 7;
/// `AttributeProto.AttributeType`.
const A_FLOAT: i64 = 1;
const A_INT: i64 = 2;
const A_INTS: i64 = 7;

/// Writes `model` to `path`; returns the number of tensors in the file.
///
/// # Errors
/// A folder that cannot be written.
pub fn write(path: &Path, model: &Model, metadata: &Metadata, options: OnnxOptions) -> Result<usize> {
    let [h, w, c] = model.spec.input;
    let mut writer = GraphWriter::new(model, options);
    let normalize = &metadata.preprocessing.normalize;
    let (name, element, output) =
        if options.with_preprocessing { ("pixels", UINT8, "probabilities") } else { ("input", FLOAT, "logits") };
    let input = writer.name(Value::INPUT);
    if options.with_preprocessing {
        writer.normalise(name, normalize, [h, w, c], &input);
    } else {
        writer.nodes.push(node("Identity", &[name], &input, &[]));
    }
    model.graph().values().skip(1).for_each(|(value, node)| writer.add(value, node));
    let logits = writer.name(model.graph().output());
    let last = if options.with_preprocessing { "Softmax" } else { "Identity" };
    let axis: &[Message] = if options.with_preprocessing { &[int("axis", 1)] } else { &[] };
    writer.nodes.push(node(last, &[&logits], output, axis));
    let free =
        model.graph().takes_any_size() && !(options.with_preprocessing && matches!(normalize, Normalize::Pixel { .. }));
    let (rows, columns) =
        if free { (Side::Free("height"), Side::Free("width")) } else { (Side::Fixed(h), Side::Fixed(w)) };
    let sides = if options.with_preprocessing {
        [Side::Free("n"), rows, columns, Side::Fixed(c)]
    } else {
        [Side::Free("n"), Side::Fixed(c), rows, columns]
    };
    let count = writer.tensors.len();
    let graph = writer.finish(
        &model.spec.name,
        &described(name, element, &sides),
        &described(output, FLOAT, &[Side::Free("n"), Side::Fixed(model.spec.classes)]),
    );
    crate::atomic::write(path, &document(&graph, metadata).0)?;
    Ok(count)
}

/// `ModelProto`.
fn document(graph: &Message, metadata: &Metadata) -> Message {
    let entry = |key: &str, value: String| Message::default().bytes(1, key.as_bytes()).bytes(2, value.as_bytes());
    let json = |value: serde_json::Result<String>| value.expect("metadata is plain data");
    Message::default()
        .int(1, IR)
        .bytes(2, b"residual")
        .bytes(3, env!("CARGO_PKG_VERSION").as_bytes())
        .message(7, graph)
        .message(8, &Message::default().bytes(1, b"").int(2, OPSET))
        .message(14, &entry("model", json(serde_json::to_string(&metadata.model))))
        .message(14, &entry("classes", json(serde_json::to_string(&metadata.classes))))
        .message(14, &entry("preprocessing", json(serde_json::to_string(&metadata.preprocessing))))
}

/// A dimension.
#[derive(Clone, Copy)]
enum Side {
    Fixed(usize),
    Free(&'static str),
}

/// `ValueInfoProto`: a name, its element type and its shape.
fn described(name: &str, element: i64, sides: &[Side]) -> Message {
    let shape = sides.iter().fold(Message::default(), |shape, side| {
        let side = match *side {
            Side::Fixed(size) => Message::default().int(1, size as i64),
            Side::Free(name) => Message::default().bytes(2, name.as_bytes()),
        };
        shape.message(1, &side)
    });
    let tensor = Message::default().int(1, element).message(2, &shape);
    Message::default().bytes(1, name.as_bytes()).message(2, &Message::default().message(1, &tensor))
}

/// `NodeProto`.
fn node(operator: &str, inputs: &[&str], output: &str, attributes: &[Message]) -> Message {
    let node = inputs.iter().fold(Message::default(), |node, input| node.bytes(1, input.as_bytes()));
    let node = node.bytes(2, output.as_bytes()).bytes(3, output.as_bytes()).bytes(4, operator.as_bytes());
    attributes.iter().fold(node, |node, attribute| node.message(5, attribute))
}

fn int(name: &str, value: usize) -> Message {
    Message::default().bytes(1, name.as_bytes()).int(3, value as i64).int(20, A_INT)
}

fn ints(name: &str, values: &[usize]) -> Message {
    let list = values.iter().fold(Message::default().bytes(1, name.as_bytes()), |list, &v| list.int(8, v as i64));
    list.int(20, A_INTS)
}

fn float(name: &str, value: f32) -> Message {
    Message::default().bytes(1, name.as_bytes()).float(2, value).int(20, A_FLOAT)
}

/// `GraphProto` under construction.
struct GraphWriter<'a> {
    graph: &'a Graph,
    weights: &'a Tensors,
    options: OnnxOptions,
    nodes: Vec<Message>,
    tensors: Vec<Message>,
    /// The name of each value; a node that is left out has that of what it reads.
    names: Vec<String>,
}

impl<'a> GraphWriter<'a> {
    fn new(model: &'a Model, options: OnnxOptions) -> Self {
        let names = (0..model.graph().nodes().len()).map(|i| format!("v{i}")).collect();
        let (graph, weights) = (model.graph(), model.tensors());
        Self { graph, weights, options, nodes: Vec::new(), tensors: Vec::new(), names }
    }

    fn finish(self, name: &str, input: &Message, output: &Message) -> Message {
        let graph = self.nodes.iter().fold(Message::default(), |graph, node| graph.message(1, node));
        let graph = graph.bytes(2, name.as_bytes());
        let graph = self.tensors.iter().fold(graph, |graph, tensor| graph.message(5, tensor));
        graph.message(11, input).message(12, output)
    }

    fn name(&self, value: Value) -> String {
        self.names[value.index()].clone()
    }

    /// A constant; returns its name.
    fn constant(&mut self, element: i64, dims: &[usize], bytes: &[u8]) -> String {
        let name = format!("t{}", self.tensors.len());
        let tensor = dims.iter().fold(Message::default(), |tensor, &size| tensor.int(1, size as i64));
        self.tensors.push(tensor.int(2, element).bytes(8, name.as_bytes()).bytes(9, bytes));
        name
    }

    fn floats(&mut self, dims: &[usize], values: &[f32]) -> String {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(FLOAT, dims, &bytes)
    }

    fn integers(&mut self, values: &[i64]) -> String {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(INT64, &[values.len()], &bytes)
    }

    /// Bytes `[n, h, w, c]` → what the network takes: (x / 255 - mean) / std.
    fn normalise(&mut self, pixels: &str, normalize: &Normalize, [h, w, c]: [usize; 3], output: &str) {
        self.nodes.push(node("Cast", &[pixels], "float", &[int("to", FLOAT as usize)]));
        let (mean, dims, std) = match normalize {
            Normalize::Channel { mean, std } => (mean, vec![c], std),
            Normalize::Pixel { mean, std } => (mean, vec![h, w, c], std),
        };
        let mean: Vec<f32> = mean.iter().map(|mean| 255.0 * mean).collect();
        let scale: Vec<f32> = std.iter().map(|std| 1.0 / (255.0 * std)).collect();
        let (mean, scale) = (self.floats(&dims, &mean), self.floats(&[c], &scale));
        self.nodes.push(node("Sub", &["float", &mean], "centred", &[]));
        self.nodes.push(node("Mul", &["centred", &scale], "normalised", &[]));
        self.nodes.push(node("Transpose", &["normalised"], output, &[ints("perm", &[0, 3, 1, 2])]));
    }

    /// Writes one node of the network.
    fn add(&mut self, value: Value, layer: &Node) {
        let input = self.name(layer.input());
        let [h, w, c] = self.graph.node(layer.input()).shape;
        let push = |writer: &mut Self, operator: &str, inputs: &[&str], attributes: &[Message]| {
            let output = writer.name(value);
            writer.nodes.push(node(operator, inputs, &output, attributes));
        };
        match layer.op {
            Op::Conv(conv) => self.conv(value, conv, &input),
            Op::BatchNorm if self.options.keep_bn => {
                let parts = ["weight", "bias", "running_mean", "running_var"];
                let parts = parts.map(|part| self.parameter(layer, part, &[c]));
                let inputs = [&input, &parts[0], &parts[1], &parts[2], &parts[3]].map(String::as_str);
                push(self, "BatchNormalization", &inputs, &[float("epsilon", BATCH_NORM_EPSILON)]);
            }
            // Folded into the convolution, or nothing to compute in inference.
            Op::BatchNorm | Op::Dropout { .. } => self.names[value.index()] = input,
            Op::Relu => push(self, "Relu", &[&input], &[]),
            Op::Add => {
                let shortcut = self.name(layer.inputs[1]);
                push(self, "Add", &[&input, &shortcut], &[]);
            }
            Op::MaxPool(pool) => push(self, "MaxPool", &[&input], &window(&pool)),
            Op::AvgPool(pool) => {
                let mut attributes = window(&pool).to_vec();
                attributes.push(int("count_include_pad", 1));
                push(self, "AveragePool", &[&input], &attributes);
            }
            Op::Lrn(rule) => {
                let attributes = [
                    float("alpha", rule.alpha),
                    float("beta", rule.beta),
                    float("bias", rule.k),
                    int("size", rule.size),
                ];
                push(self, "LRN", &[&input], &attributes);
            }
            Op::SubsamplePad { stride, channels } => {
                let (starts, ends) = (self.integers(&[0, 0]), self.integers(&[i64::from(i32::MAX); 2]));
                let (axes, steps) = (self.integers(&[2, 3]), self.integers(&[stride as i64; 2]));
                let small = format!("{}_slice", self.name(value));
                self.nodes.push(node("Slice", &[&input, &starts, &ends, &axes, &steps], &small, &[]));
                // Half of the zero channels before, half after.
                let before = (channels - c) / 2;
                let after = channels - c - before;
                let pads = self.integers(&[0, before as i64, 0, 0, 0, after as i64, 0, 0]);
                push(self, "Pad", &[&small, &pads], &[]);
            }
            Op::AdaptiveAvgPool { size: 1 } => push(self, "GlobalAveragePool", &[&input], &[]),
            Op::AdaptiveAvgPool { size } => {
                // Two products with constant matrices: each window's mean is the same weights along a row, then along a
                // column.
                let right = self.floats(&[w, size], &windows(w, size, false));
                let left = self.floats(&[size, h], &windows(h, size, true));
                let half = format!("{}_rows", self.name(value));
                self.nodes.push(node("MatMul", &[&input, &right], &half, &[]));
                push(self, "MatMul", &[&left, &half], &[]);
            }
            Op::Flatten => push(self, "Flatten", &[&input], &[int("axis", 1)]),
            Op::Linear { inputs, outputs } => {
                let mut row = input;
                if self.is_map(layer.input()) {
                    let map = std::mem::replace(&mut row, format!("{}_row", self.name(value)));
                    self.nodes.push(node("Flatten", &[&map], &row, &[int("axis", 1)]));
                }
                let weights = self.parameter(layer, "weight", &[outputs, inputs]);
                let bias = self.parameter(layer, "bias", &[outputs]);
                push(self, "Gemm", &[&row, &weights, &bias], &[int("transB", 1)]);
            }
            Op::Input => unreachable!("the input is the first node"),
        }
    }

    /// Whether `value` is a map `[n, c, h, w]`, and not a row `[n, c]`.
    fn is_map(&self, value: Value) -> bool {
        let node = self.graph.node(value);
        match node.op {
            Op::Flatten | Op::Linear { .. } => false,
            Op::Relu | Op::Dropout { .. } => self.is_map(node.input()),
            _ => true,
        }
    }

    /// Writes a convolution; its batch norm is folded in unless it is kept.
    fn conv(&mut self, value: Value, conv: Conv, input: &str) {
        let (weights, bias) = match self.options.keep_bn {
            true => self.graph.unfolded(value, self.weights),
            false => self.graph.folded(value, self.weights),
        };
        let mut inputs = vec![input.to_owned(), self.floats(&conv.weight_shape(), &weights)];
        inputs.extend(bias.map(|bias| self.floats(&[conv.outputs], &bias)));
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let window = window(&Pool { kernel: conv.kernel, stride: conv.stride, padding: conv.padding });
        let output = self.name(value);
        self.nodes.push(node("Conv", &inputs, &output, &window));
    }

    /// Writes a tensor of `layer` as a constant; returns its name.
    fn parameter(&mut self, layer: &Node, part: &str, dims: &[usize]) -> String {
        let weights = self.weights;
        self.floats(dims, weights[&format!("{}.{part}", layer.name)].values())
    }
}

/// The attributes of a sliding window.
fn window(pool: &Pool) -> [Message; 3] {
    let Pool { kernel, stride, padding } = *pool;
    [ints("kernel_shape", &[kernel; 2]), ints("strides", &[stride; 2]), ints("pads", &[padding; 4])]
}

/// The weights of adaptive averaging of `from` values to `to`: `[from, to]`, or `[to, from]` if `transposed`.
fn windows(from: usize, to: usize, transposed: bool) -> Vec<f32> {
    let mut matrix = vec![0.0; from * to];
    for i in 0..to {
        let (start, end) = (i * from / to, ((i + 1) * from).div_ceil(to));
        for j in start..end {
            matrix[if transposed { i * from + j } else { j * to + i }] = 1.0 / (end - start) as f32;
        }
    }
    matrix
}
