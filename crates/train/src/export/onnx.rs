//! ONNX: the forward pass as a graph of standard operators, NCHW as ONNX has it.
//!
//! Opset 17. Batch norm is folded into the convolution before it, or kept. The batch is free, and for residual networks height and
//! width too. Message and field numbers are those of `onnx.proto` (ONNX 1.12, IR version 8).

use crate::data::Normalize;
use crate::error::Result;
use crate::layers::{BatchNorm, Conv2d, Linear, LocalResponseNorm, MaxPool, folded};
use crate::models::{Lower, Model, Net};
use crate::ops;
use crate::protobuf::Message;
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
    let model = model.valid();
    let [h, w, c] = model.spec.input;
    let mut graph =
        Graph { options, nodes: Vec::new(), tensors: Vec::new(), maps: vec![[h, w, c]], input: Value(0, true) };
    let normalize = &metadata.preprocessing.normalize;
    let (name, element, output) =
        if options.with_preprocessing { ("pixels", UINT8, "probabilities") } else { ("input", FLOAT, "logits") };
    if options.with_preprocessing {
        graph.normalise(name, normalize, [h, w, c]);
    } else {
        graph.nodes.push(node("Identity", &[name], &graph.name(graph.input), &[]));
    }
    let logits = model.plan(&mut graph);
    let last = if options.with_preprocessing { "Softmax" } else { "Identity" };
    let axis: &[Message] = if options.with_preprocessing { &[int("axis", 1)] } else { &[] };
    graph.nodes.push(node(last, &[&graph.name(logits)], output, axis));
    let free = matches!(model.net, Net::ResNet(_))
        && !(options.with_preprocessing && matches!(normalize, Normalize::Pixel { .. }));
    let (rows, columns) =
        if free { (Side::Free("height"), Side::Free("width")) } else { (Side::Fixed(h), Side::Fixed(w)) };
    let sides = if options.with_preprocessing {
        [Side::Free("n"), rows, columns, Side::Fixed(c)]
    } else {
        [Side::Free("n"), Side::Fixed(c), rows, columns]
    };
    let count = graph.tensors.len();
    let graph = graph.finish(
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

/// An activation: its number, and whether it is a map `[n, c, h, w]` or a row `[n, c]`.
#[derive(Clone, Copy)]
struct Value(usize, bool);

/// `GraphProto` under construction.
struct Graph {
    options: OnnxOptions,
    nodes: Vec<Message>,
    tensors: Vec<Message>,
    /// Height, width and channels of each value.
    maps: Vec<[usize; 3]>,
    input: Value,
}

impl Graph {
    fn finish(self, name: &str, input: &Message, output: &Message) -> Message {
        let graph = self.nodes.iter().fold(Message::default(), |graph, node| graph.message(1, node));
        let graph = graph.bytes(2, name.as_bytes());
        let graph = self.tensors.iter().fold(graph, |graph, tensor| graph.message(5, tensor));
        graph.message(11, input).message(12, output)
    }

    fn name(&self, value: Value) -> String {
        format!("v{}", value.0)
    }

    fn value(&mut self, map: [usize; 3], is_map: bool) -> Value {
        self.maps.push(map);
        Value(self.maps.len() - 1, is_map)
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

    /// A node whose output is a new value.
    fn push(
        &mut self,
        operator: &str,
        inputs: &[&str],
        attributes: &[Message],
        map: [usize; 3],
        is_map: bool,
    ) -> Value {
        let value = self.value(map, is_map);
        self.nodes.push(node(operator, inputs, &self.name(value), attributes));
        value
    }

    /// Bytes `[n, h, w, c]` → what the network takes: (x / 255 - mean) / std.
    fn normalise(&mut self, pixels: &str, normalize: &Normalize, [h, w, c]: [usize; 3]) {
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
        let first = self.name(self.input);
        self.nodes.push(node("Transpose", &["normalised"], &first, &[ints("perm", &[0, 3, 1, 2])]));
    }

    /// The convolution and its normalisation, without what follows.
    fn plain(&mut self, from: Value, conv: &Conv2d, bn: Option<&BatchNorm>) -> Value {
        let ([k, c, kernel, _], [h, w, _]) = (conv.dims(), self.maps[from.0]);
        let (weights, bias) = folded(conv, bn.filter(|_| !self.options.keep_bn));
        let mut inputs = vec![self.name(from), self.floats(&[k, c, kernel, kernel], &weights)];
        inputs.extend(bias.map(|bias| self.floats(&[k], &bias)));
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let side = |size: usize| (size + 2 * conv.pad - kernel) / conv.stride + 1;
        let map = [side(h), side(w), k];
        let attributes =
            [ints("kernel_shape", &[kernel; 2]), ints("strides", &[conv.stride; 2]), ints("pads", &[conv.pad; 4])];
        let y = self.push("Conv", &inputs, &attributes, map, true);
        match bn {
            Some(bn) if self.options.keep_bn => self.batch_norm(y, bn),
            _ => y,
        }
    }

    fn batch_norm(&mut self, from: Value, bn: &BatchNorm) -> Value {
        let parts = [
            ops::values(bn.weight.val()),
            ops::values(bn.bias.val()),
            ops::values(bn.running_mean.value_sync()),
            ops::values(bn.running_var.value_sync()),
        ];
        let mut inputs = vec![self.name(from)];
        for values in &parts {
            inputs.push(self.floats(&[values.len()], values));
        }
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        self.push(
            "BatchNormalization",
            &inputs,
            &[float("epsilon", BatchNorm::EPSILON as f32)],
            self.maps[from.0],
            true,
        )
    }

    fn relu(&mut self, from: Value) -> Value {
        let name = self.name(from);
        self.push("Relu", &[&name], &[], self.maps[from.0], from.1)
    }
}

impl Lower for Graph {
    type Value = Value;

    fn input(&self) -> Value {
        self.input
    }

    fn map(&self, value: Value) -> (usize, usize) {
        let [h, w, _] = self.maps[value.0];
        (h, w)
    }

    fn conv(&mut self, from: Value, conv: &Conv2d, bn: Option<&BatchNorm>, relu: bool) -> Value {
        let y = self.plain(from, conv, bn);
        if relu { self.relu(y) } else { y }
    }

    fn conv_onto(&mut self, from: Value, conv: &Conv2d, bn: &BatchNorm, around: Value) -> Value {
        let y = self.plain(from, conv, Some(bn));
        let (y_name, around) = (self.name(y), self.name(around));
        let sum = self.push("Add", &[&y_name, &around], &[], self.maps[y.0], true);
        self.relu(sum)
    }

    fn max_pool(&mut self, from: Value, pool: &MaxPool) -> Value {
        let (name, [h, w, c]) = (self.name(from), self.maps[from.0]);
        let side = |size: usize| (size + 2 * pool.pad - pool.kernel) / pool.stride + 1;
        let attributes =
            [ints("kernel_shape", &[pool.kernel; 2]), ints("strides", &[pool.stride; 2]), ints("pads", &[pool.pad; 4])];
        self.push("MaxPool", &[&name], &attributes, [side(h), side(w), c], true)
    }

    fn lrn(&mut self, from: Value, lrn: &LocalResponseNorm) -> Value {
        let (name, rule) = (self.name(from), lrn.rule());
        let attributes =
            [float("alpha", rule.alpha), float("beta", rule.beta), float("bias", rule.k), int("size", rule.size)];
        self.push("LRN", &[&name], &attributes, self.maps[from.0], true)
    }

    fn subsample_pad(&mut self, from: Value, stride: usize, channels: usize) -> Value {
        let (name, [h, w, c]) = (self.name(from), self.maps[from.0]);
        let (starts, ends) = (self.integers(&[0, 0]), self.integers(&[i64::from(i32::MAX); 2]));
        let (axes, steps) = (self.integers(&[2, 3]), self.integers(&[stride as i64; 2]));
        let (h, w) = (h.div_ceil(stride), w.div_ceil(stride));
        let small = self.push("Slice", &[&name, &starts, &ends, &axes, &steps], &[], [h, w, c], true);
        // Half of the zero channels before, half after.
        let before = (channels - c) / 2;
        let after = channels - c - before;
        let (name, pads) = (self.name(small), self.integers(&[0, before as i64, 0, 0, 0, after as i64, 0, 0]));
        self.push("Pad", &[&name, &pads], &[], [h, w, channels], true)
    }

    fn adaptive_average(&mut self, from: Value, size: usize) -> Value {
        let (name, [h, w, c]) = (self.name(from), self.maps[from.0]);
        if size == 1 {
            return self.push("GlobalAveragePool", &[&name], &[], [1, 1, c], true);
        }
        // Two products with constant matrices: each window's mean is the same weights along a row, then along a column.
        let right = self.floats(&[w, size], &windows(w, size, false));
        let left = self.floats(&[size, h], &windows(h, size, true));
        let half = self.push("MatMul", &[&name, &right], &[], [h, size, c], true);
        let half = self.name(half);
        self.push("MatMul", &[&left, &half], &[], [size, size, c], true)
    }

    fn flatten(&mut self, from: Value) -> Value {
        let (name, [h, w, c]) = (self.name(from), self.maps[from.0]);
        self.push("Flatten", &[&name], &[int("axis", 1)], [1, 1, h * w * c], false)
    }

    fn linear(&mut self, from: Value, linear: &Linear, relu: bool) -> Value {
        let from = if from.1 { self.flatten(from) } else { from };
        let [k, c] = linear.dims();
        let weights = self.floats(&[k, c], &ops::values(linear.weight.val()));
        let bias = self.floats(&[k], &ops::values(linear.bias.val()));
        let name = self.name(from);
        let y = self.push("Gemm", &[&name, &weights, &bias], &[int("transB", 1)], [1, 1, k], false);
        if relu { self.relu(y) } else { y }
    }
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
