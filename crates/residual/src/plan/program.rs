//! What inference computes, in order: steps with their packed weights, between numbered values.
//!
//! A value is written by one step; the end of a residual block alone changes one that exists, the shortcut's.

use super::step::{Conv, ConvEnd, Linear, Step};
use crate::graph::{FusedConv, FusedNode, Graph, Op, Value};
use crate::tensor::Tensors;

/// An activation `[n, h, w, c]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot(usize);

impl Slot {
    /// The images.
    pub(super) const INPUT: Self = Self(0);

    /// Its number.
    pub(super) fn index(self) -> usize {
        self.0
    }
}

/// A step, what it reads and what it writes.
#[derive(Debug)]
pub(super) struct PlacedStep {
    pub(super) from: Slot,
    pub(super) to: Slot,
    pub(super) step: Step,
}

/// The steps of a network.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) steps: Vec<PlacedStep>,
    /// Dimensions of each slot for the input that the program was made for.
    dims: Vec<[usize; 4]>,
    /// The slot of the logits.
    pub(super) logits: Slot,
}

impl Program {
    /// Compiles `graph` with the weights `tensors` for images of `input`, `[n, h, w, c]`: their size decides how weights
    /// are packed. `winograd` allows Winograd's algorithm.
    pub(super) fn new(graph: &Graph, tensors: &Tensors, input: [usize; 4], winograd: bool) -> Self {
        let fused = graph.fuse();
        let mut compiler = Compiler {
            graph,
            tensors,
            winograd,
            program: Self { steps: Vec::with_capacity(fused.len()), dims: vec![input], logits: Slot::INPUT },
            slots: vec![None; graph.nodes().len()],
        };
        compiler.slots[Value::INPUT.index()] = Some(Slot::INPUT);
        fused.iter().for_each(|node| compiler.add(node));
        compiler.program.logits = compiler.slot(graph.output());
        compiler.program
    }

    /// The number of slots.
    pub(super) fn slots(&self) -> usize {
        self.dims.len()
    }

    fn push(&mut self, from: Slot, step: Step) -> Slot {
        let to = Slot(self.dims.len());
        self.dims.push(step.output(self.dims[from.0]));
        self.steps.push(PlacedStep { from, to, step });
        to
    }
}

/// A program under construction.
struct Compiler<'a> {
    graph: &'a Graph,
    tensors: &'a Tensors,
    winograd: bool,
    program: Program,
    /// The slot that holds each value.
    slots: Vec<Option<Slot>>,
}

impl Compiler<'_> {
    fn slot(&self, value: Value) -> Slot {
        self.slots[value.index()].expect("a value is computed before it is read")
    }

    fn values(&self, layer: &str, part: &str) -> &[f32] {
        self.tensors[&format!("{layer}.{part}")].values()
    }

    fn add(&mut self, node: &FusedNode) {
        let slot = match *node {
            FusedNode::Conv { input, ref conv, .. } => self.conv(self.slot(input), conv),
            FusedNode::Linear { input, linear, relu, .. } => {
                let name = &self.graph.node(linear).name;
                // Shared with the network, not copied.
                let weights = self.tensors[&format!("{name}.weight")].clone();
                let step = Step::Linear(Linear { weights, bias: self.values(name, "bias").to_vec(), relu });
                self.program.push(self.slot(input), step)
            }
            FusedNode::Single(value) => self.single(value),
        };
        self.slots[node.output().index()] = Some(slot);
    }

    fn conv(&mut self, from: Slot, fused: &FusedConv) -> Slot {
        let conv = fused.geometry;
        let (weights, bias) = self.graph.folded(fused.conv, self.tensors);
        let bias = bias.unwrap_or_else(|| vec![0.0; conv.outputs]);
        let end = match (fused.shortcut, fused.relu) {
            (Some(_), _) => ConvEnd::Residual,
            (None, true) => ConvEnd::Relu,
            (None, false) => ConvEnd::Linear,
        };
        let step = Conv::new(conv, &weights, bias, end, self.program.dims[from.0], self.winograd);
        match fused.shortcut {
            // The shortcut's slot takes the sum, if nothing else reads the shortcut.
            Some(shortcut) if self.is_last_use(shortcut, fused) => {
                let to = self.slot(shortcut);
                self.program.steps.push(PlacedStep { from, to, step: Step::Conv(step) });
                to
            }
            Some(shortcut) => {
                let to = self.program.push(self.slot(shortcut), Step::Copy);
                self.program.steps.push(PlacedStep { from, to, step: Step::Conv(step) });
                to
            }
            None => self.program.push(from, Step::Conv(step)),
        }
    }

    /// Whether every other reader of `shortcut` was computed before the convolution that adds to it.
    fn is_last_use(&self, shortcut: Value, fused: &FusedConv) -> bool {
        let later =
            self.graph.values().filter(|(reader, node)| *reader > fused.conv && node.inputs.contains(&shortcut));
        shortcut != Value::INPUT && later.count() == 1
    }

    fn single(&mut self, value: Value) -> Slot {
        let node = self.graph.node(value);
        let from = self.slot(node.input());
        let step = match node.op {
            // Behind a convolution whose tiles hold whole windows it is a part of that step.
            Op::MaxPool(pool) if pool == crate::graph::Pool::HALVING && self.graph.uses(node.input()) == 1 => {
                if let Some(PlacedStep { to, step: Step::Conv(conv), .. }) = self.program.steps.last_mut()
                    && *to == from
                    && conv.fuse_pool()
                {
                    let [n, h, w, c] = self.program.dims[from.0];
                    self.program.dims[from.0] = [n, h / 2, w / 2, c];
                    return from;
                }
                Step::MaxPool(pool)
            }
            Op::MaxPool(pool) => Step::MaxPool(pool),
            Op::AvgPool(pool) => Step::AvgPool(pool),
            Op::Lrn(rule) => Step::Lrn(rule),
            Op::SubsamplePad { stride, channels } => Step::SubsamplePad { stride, channels },
            Op::AdaptiveAvgPool { size } => Step::AdaptiveAvgPool { size },
            Op::Flatten => Step::Flatten,
            Op::Relu => Step::Relu,
            Op::Dropout { .. } => return from,
            Op::Add => {
                let to = self.program.push(self.slot(node.inputs[1]), Step::Copy);
                self.program.steps.push(PlacedStep { from, to, step: Step::Add });
                return to;
            }
            Op::Input | Op::BatchNorm | Op::Conv(_) | Op::Linear { .. } => {
                unreachable!("the fused graph has no such node by itself: `Graph::of` checks batch norms")
            }
        };
        self.program.push(from, step)
    }
}
