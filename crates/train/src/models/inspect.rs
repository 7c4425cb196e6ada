//! What a network is made of: layers with output shapes, parameters, multiply-adds and receptive fields.
//!
//! Nothing is computed and no weight is allocated: each network walks its layers with a [`Trace`], in the order of its
//! forward pass.

use crate::layers::{BatchNorm, Conv2d, Linear, MaxPool};
use residual_kernels::ConvDims;
use serde::Serialize;

/// One layer of a [`Summary`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Layer {
    /// Its name in checkpoints.
    pub name: String,
    /// `conv3x3`, `conv7x7/2`, `norm`, `relu`, `maxpool`, `linear` and the like.
    pub kind: String,
    /// Output height, width, channels.
    pub output: [usize; 3],
    /// Trainable parameters: weights, biases, scales and shifts, no running statistics.
    pub params: u64,
    /// Multiply-adds of convolutions and fully connected layers, for one image.
    pub macs: u64,
    /// Input pixels, in each direction, that one output value sees; `None` where it sees the whole image.
    pub receptive_field: Option<usize>,
}

/// A network as a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// The registry's name.
    pub name: String,
    /// `vgg`, `resnet` or `plain`.
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
    pub layers: Vec<Layer>,
}

/// The state of a walk: the map, and how input pixels relate to it.
#[derive(Debug, Clone, Copy)]
struct At {
    h: usize,
    w: usize,
    c: usize,
    /// Receptive field.
    field: usize,
    /// Input pixels between neighbouring values.
    jump: usize,
    /// A value sees everything: behind a global average or a fully connected layer.
    global: bool,
}

/// A walk through a network's layers.
#[derive(Debug)]
pub struct Trace {
    at: At,
    prefix: String,
    layers: Vec<Layer>,
    /// The largest receptive field of a layer that is not global.
    field: usize,
    work: Vec<(String, Work)>,
}

/// What is to be multiplied in one layer, for one image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Work {
    /// A convolution, `n` = 1.
    Conv(ConvDims),
    /// A fully connected layer of `c` values to `k`.
    Linear {
        /// Values in.
        c: usize,
        /// Values out.
        k: usize,
    },
}

impl Trace {
    /// Starts at the image.
    pub(super) fn new([h, w, c]: [usize; 3]) -> Self {
        let at = At { h, w, c, field: 1, jump: 1, global: false };
        Self { at, prefix: String::new(), layers: Vec::new(), field: 1, work: Vec::new() }
    }

    /// The layers seen, and the receptive field of the last map.
    pub(super) fn finish(self) -> (Vec<Layer>, usize) {
        (self.layers, self.field)
    }

    /// The convolutions and fully connected layers seen, with their names.
    pub(super) fn work(self) -> Vec<(String, Work)> {
        self.work
    }

    /// Height and width of the current map.
    pub(super) fn map(&self) -> (usize, usize) {
        (self.at.h, self.at.w)
    }

    fn push(&mut self, name: impl Into<String>, kind: impl Into<String>, params: usize, macs: usize) {
        let at = self.at;
        if !at.global {
            self.field = self.field.max(at.field);
        }
        self.layers.push(Layer {
            name: format!("{}{}", self.prefix, name.into()),
            kind: kind.into(),
            output: [at.h, at.w, at.c],
            params: params as u64,
            macs: macs as u64,
            receptive_field: (!at.global).then_some(at.field),
        });
    }

    /// Moves a window over the map.
    fn slide(&mut self, kernel: usize, stride: usize, pad: usize) {
        let out = |size: usize| (size + 2 * pad).saturating_sub(kernel) / stride + 1;
        self.at.field += (kernel - 1) * self.at.jump;
        self.at.jump *= stride;
        (self.at.h, self.at.w) = (out(self.at.h), out(self.at.w));
    }

    /// A convolution.
    pub(super) fn conv(&mut self, name: impl Into<String>, conv: &Conv2d) {
        let ([k, c, kernel, _], name, At { h, w, .. }) = (conv.dims(), name.into(), self.at);
        let shape = ConvDims { n: 1, h, w, c, k, kh: kernel, kw: kernel, stride: conv.stride, pad: conv.pad };
        self.work.push((format!("{}{name}", self.prefix), Work::Conv(shape)));
        self.slide(kernel, conv.stride, conv.pad);
        self.at.c = k;
        let weights = k * c * kernel * kernel;
        let bias = if conv.bias.is_some() { k } else { 0 };
        self.push(name, windowed("conv", kernel, conv.stride), weights + bias, weights * self.at.h * self.at.w);
    }

    /// A normalisation.
    pub(super) fn norm(&mut self, name: impl Into<String>, bn: &BatchNorm) {
        self.push(name, "norm", 2 * bn.channels(), 0);
    }

    /// A layer that changes no shape and has no parameters.
    pub(super) fn same(&mut self, name: impl Into<String>, kind: &str) {
        self.push(name, kind, 0, 0);
    }

    /// Max-pooling.
    pub(super) fn pool(&mut self, name: impl Into<String>, pool: &MaxPool) {
        self.slide(pool.kernel, pool.stride, pool.pad);
        self.push(name, windowed("maxpool", pool.kernel, pool.stride), 0, 0);
    }

    /// Option A's way around.
    pub(super) fn subsample(&mut self, name: impl Into<String>, stride: usize, channels: usize) {
        self.slide(1, stride, 0);
        self.at.c = channels;
        self.push(name, "subsample", 0, 0);
    }

    /// The mean of the whole map.
    pub(super) fn global_average(&mut self, name: impl Into<String>) {
        (self.at.h, self.at.w, self.at.global) = (1, 1, true);
        self.push(name, "average", 0, 0);
    }

    /// Means of `size`×`size` parts of the map; nothing at all where it has that size already.
    pub(super) fn adaptive_average(&mut self, name: impl Into<String>, size: usize) {
        if self.map() != (size, size) {
            (self.at.h, self.at.w) = (size, size);
            self.push(name, "average", 0, 0);
        }
    }

    /// A fully connected layer.
    pub(super) fn linear(&mut self, name: impl Into<String>, linear: &Linear) {
        let ([k, c], name) = (linear.dims(), name.into());
        self.work.push((format!("{}{name}", self.prefix), Work::Linear { c, k }));
        self.at = At { h: 1, w: 1, c: k, global: true, ..self.at };
        self.push(name, "linear", k * c + k, k * c);
    }

    /// Layers whose names begin with `prefix`.
    pub(super) fn within(&mut self, prefix: String, walk: impl FnOnce(&mut Self)) {
        let outer = std::mem::replace(&mut self.prefix, prefix);
        walk(self);
        self.prefix = outer;
    }

    /// Two ways from here that meet again: the sum sees what the wider of the two sees.
    pub(super) fn branch(&mut self, main: impl FnOnce(&mut Self), around: impl FnOnce(&mut Self)) {
        let fork = self.at;
        main(self);
        let joined = self.at;
        self.at = fork;
        around(self);
        self.at = At { field: joined.field.max(self.at.field), ..joined };
    }
}

/// The side, in input pixels, of what one value sees through square filters of `sides`, one on the other, stride 1.
pub fn receptive_field(sides: &[usize]) -> usize {
    let mut trace = Trace::new([usize::MAX / 2; 3]);
    sides.iter().for_each(|&side| trace.slide(side, 1, side / 2));
    trace.at.field
}

fn windowed(what: &str, kernel: usize, stride: usize) -> String {
    if stride == 1 { format!("{what}{kernel}x{kernel}") } else { format!("{what}{kernel}x{kernel}/{stride}") }
}
