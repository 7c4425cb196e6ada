//! `ModelProto` as a graph: nodes in their order, constants by name. Field numbers are those of `onnx.proto`.

use super::tensor::{Tensor, Values};
use super::wire::{Field, fields};
use std::collections::BTreeMap;

/// A network read from its file.
#[derive(Debug)]
pub(super) struct Graph {
    pub(super) nodes: Vec<Node>,
    pub(super) constants: BTreeMap<String, Tensor>,
    /// The one input.
    pub(super) input: String,
    /// The one output.
    pub(super) output: String,
}

/// One operator.
#[derive(Debug, Default)]
pub(super) struct Node {
    pub(super) operator: String,
    pub(super) inputs: Vec<String>,
    pub(super) output: String,
    attributes: BTreeMap<String, Attribute>,
}

#[derive(Debug, Default)]
struct Attribute {
    float: Option<f32>,
    int: Option<i64>,
    ints: Vec<i64>,
}

impl Node {
    pub(super) fn int(&self, name: &str, default: i64) -> i64 {
        self.attributes.get(name).and_then(|attribute| attribute.int).unwrap_or(default)
    }

    pub(super) fn float(&self, name: &str, default: f32) -> f32 {
        self.attributes.get(name).and_then(|attribute| attribute.float).unwrap_or(default)
    }

    /// A list of sizes; `default` where it is absent.
    pub(super) fn sizes<const N: usize>(&self, name: &str, default: usize) -> Result<[usize; N], String> {
        let Some(attribute) = self.attributes.get(name) else { return Ok([default; N]) };
        let sizes = attribute.ints.iter().map(|&size| usize::try_from(size)).collect::<Result<Vec<_>, _>>();
        let sizes = sizes.ok().and_then(|sizes| sizes.try_into().ok());
        sizes.ok_or_else(|| format!("{} of {} are not {N} sizes", name, self.operator))
    }

    /// That nothing is asked for beyond `names`: an attribute that is not obeyed would make another network.
    pub(super) fn knows(&self, names: &[&str]) -> Result<(), String> {
        match self.attributes.keys().find(|name| !names.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) => Err(format!("{} with {name} cannot be run here", self.operator)),
        }
    }
}

impl Graph {
    /// Reads a whole file.
    pub(super) fn read(model: &[u8]) -> Result<Self, String> {
        let mut graph = None;
        for field in fields(model) {
            match field? {
                (7, value) => graph = Some(Self::of(value.bytes()?)?),
                (8, value) => opset(value.bytes()?)?,
                _ => {}
            }
        }
        graph.ok_or_else(|| "there is no graph in it".to_owned())
    }

    /// `GraphProto`.
    fn of(message: &[u8]) -> Result<Self, String> {
        let (mut nodes, mut constants) = (Vec::new(), BTreeMap::new());
        let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
        for field in fields(message) {
            match field? {
                (1, value) => nodes.push(node(value.bytes()?)?),
                (5, value) => {
                    let (name, tensor) = tensor(value.bytes()?)?;
                    constants.insert(name, tensor);
                }
                (11, value) => inputs.push(name(value.bytes()?)?),
                (12, value) => outputs.push(name(value.bytes()?)?),
                _ => {}
            }
        }
        match (<[String; 1]>::try_from(inputs), <[String; 1]>::try_from(outputs)) {
            (Ok([input]), Ok([output])) => Ok(Self { nodes, constants, input, output }),
            _ => Err("it has other than one input and one output".to_owned()),
        }
    }
}

/// `OperatorSetIdProto`: the operators here are those of versions 13 to 17.
fn opset(message: &[u8]) -> Result<(), String> {
    for field in fields(message) {
        match field? {
            (1, value) if !value.bytes()?.is_empty() => {
                return Err(format!("operators of {} are not known", value.text()?));
            }
            (2, value) if !(13..=17).contains(&value.int()?) => {
                return Err(format!("opset {} is not known", value.int()?));
            }
            _ => {}
        }
    }
    Ok(())
}

/// `NodeProto`.
fn node(message: &[u8]) -> Result<Node, String> {
    let mut node = Node::default();
    for field in fields(message) {
        match field? {
            (1, value) => node.inputs.push(value.text()?),
            (2, value) if node.output.is_empty() => node.output = value.text()?,
            (2, _) => return Err(format!("{} has several outputs", node.output)),
            (4, value) => node.operator = value.text()?,
            (5, value) => {
                let (name, attribute) = attribute(value.bytes()?)?;
                node.attributes.insert(name, attribute);
            }
            _ => {}
        }
    }
    Ok(node)
}

/// `AttributeProto`.
fn attribute(message: &[u8]) -> Result<(String, Attribute), String> {
    let (mut name, mut attribute) = (String::new(), Attribute::default());
    for field in fields(message) {
        match field? {
            (1, value) => name = value.text()?,
            (2, value) => attribute.float = Some(value.float()?),
            (3, value) => attribute.int = Some(value.int()?),
            (8, value) => attribute.ints.extend(value.ints()?),
            _ => {}
        }
    }
    Ok((name, attribute))
}

/// `ValueInfoProto`.
fn name(message: &[u8]) -> Result<String, String> {
    let name = fields(message).find(|field| matches!(field, Ok((1, _)) | Err(_)));
    name.ok_or("a value has no name")??.1.text()
}

/// `TensorProto` with its values in `raw_data`.
fn tensor(message: &[u8]) -> Result<(String, Tensor), String> {
    let (mut name, mut dims, mut element, mut raw) = (String::new(), Vec::new(), 0, &[][..]);
    for field in fields(message) {
        match field? {
            (1, value) => dims.extend(value.ints()?),
            (2, value) => element = value.int()?,
            (8, value) => name = value.text()?,
            (9, value) => raw = value.bytes()?,
            (4..=7 | 10 | 11 | 13 | 14, Field::Bytes(_)) => return Err(format!("{name} is not stored as raw data")),
            _ => {}
        }
    }
    let values = match element {
        1 => Values::Floats(raw.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()),
        7 => Values::Integers(raw.as_chunks().0.iter().map(|bytes| i64::from_le_bytes(*bytes)).collect()),
        other => return Err(format!("{name} holds values of type {other}")),
    };
    let dims = dims.into_iter().map(|dim| usize::try_from(dim).map_err(|_| format!("{name} has a negative size")));
    let tensor = Tensor::new(dims.collect::<Result<_, _>>()?, values).map_err(|why| format!("{name}: {why}"))?;
    Ok((name, tensor))
}
