//! VGG (Simonyan & Zisserman 2015): the configurations of Table 1, and the network they describe.
//!
//! `features.N` and `classifier.N` count layers as torchvision does, ReLUs and poolings included.

use super::Lower;
use super::inspect::Trace;
use crate::layers::{BatchNorm, Conv2d, Dropout, Linear, LocalResponseNorm, Map, MaxPool, Pass, Relu, conv_norm_relu};
use crate::ops::{self, Nhwc};
use burn::module::Module;
use burn::tensor::{Device, Tensor};

/// A line of Table 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// conv3-k.
    C3(usize),
    /// conv1-k.
    C1(usize),
    /// LRN.
    Lrn,
    /// maxpool.
    M,
}

use Step::{C1, C3, Lrn, M};

/// 11 weight layers.
#[rustfmt::skip]
pub const A: &[Step] = &[C3(64), M, C3(128), M, C3(256), C3(256), M, C3(512), C3(512), M, C3(512), C3(512), M];
/// 11 weight layers, local response normalisation behind the first.
#[rustfmt::skip]
pub const A_LRN: &[Step] = &[C3(64), Lrn, M, C3(128), M, C3(256), C3(256), M, C3(512), C3(512), M, C3(512), C3(512), M];
/// 13 weight layers.
#[rustfmt::skip]
pub const B: &[Step] = &[C3(64), C3(64), M, C3(128), C3(128), M, C3(256), C3(256), M,
                         C3(512), C3(512), M, C3(512), C3(512), M];
/// 16 weight layers, three of them 1x1.
#[rustfmt::skip]
pub const C: &[Step] = &[C3(64), C3(64), M, C3(128), C3(128), M, C3(256), C3(256), C1(256), M,
                         C3(512), C3(512), C1(512), M, C3(512), C3(512), C1(512), M];
/// 16 weight layers: VGG-16.
#[rustfmt::skip]
pub const D: &[Step] = &[C3(64), C3(64), M, C3(128), C3(128), M, C3(256), C3(256), C3(256), M,
                         C3(512), C3(512), C3(512), M, C3(512), C3(512), C3(512), M];
/// 19 weight layers: VGG-19.
#[rustfmt::skip]
pub const E: &[Step] = &[C3(64), C3(64), M, C3(128), C3(128), M, C3(256), C3(256), C3(256), C3(256), M,
                         C3(512), C3(512), C3(512), C3(512), M, C3(512), C3(512), C3(512), C3(512), M];

/// How the network ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Ending {
    /// Adaptive pooling to 7x7, FC-4096, FC-4096, FC-classes, dropout between.
    Imagenet {
        /// Dropout behind the two hidden layers.
        dropout: f64,
    },
    /// Global average, FC-classes: nothing but the layer at 32 px, where the map is 1x1.
    Cifar,
}

/// A layer of `features`.
#[derive(Module, Debug)]
pub enum Feature {
    /// 3x3 or 1x1, with bias.
    Conv(Conv2d),
    /// In the variants with batch normalisation.
    Norm(BatchNorm),
    /// Behind each convolution.
    Relu(Relu),
    /// In A-LRN.
    Lrn(LocalResponseNorm),
    /// Between groups.
    Pool(MaxPool),
}

/// A layer of `classifier`.
#[derive(Module, Debug)]
pub enum Hidden {
    /// Fully connected.
    Linear(Linear),
    /// Behind hidden layers.
    Relu(Relu),
    /// Behind hidden layers.
    Dropout(Dropout),
}

/// A VGG.
#[derive(Module, Debug)]
pub struct Vgg {
    /// Convolutions and poolings.
    pub features: Vec<Feature>,
    /// Fully connected layers.
    pub classifier: Vec<Hidden>,
}

/// The side of the map that the fully connected layers of the paper's network see.
const HEAD_MAP: usize = 7;

/// The smallest side of a map on which one can still point at something.
const PLACES: usize = 4;

impl Vgg {
    /// The network of `steps` for images of `channels`.
    pub fn new(steps: &[Step], norm: bool, ending: Ending, channels: usize, classes: usize, device: &Device) -> Self {
        let mut features = Vec::new();
        let mut c = channels;
        for step in steps {
            match *step {
                C3(k) | C1(k) => {
                    let kernel = if matches!(step, C3(_)) { 3 } else { 1 };
                    features.push(Feature::Conv(Conv2d::new(c, k, kernel, 1, device).with_bias()));
                    if norm {
                        features.push(Feature::Norm(BatchNorm::new(k, device)));
                    }
                    features.push(Feature::Relu(Relu::new()));
                    c = k;
                }
                Lrn => features.push(Feature::Lrn(LocalResponseNorm::alexnet())),
                M => features.push(Feature::Pool(MaxPool::halving())),
            }
        }
        let linear = |c, k| Hidden::Linear(Linear::new(c, k, device));
        let relu = || Hidden::Relu(Relu::new());
        let classifier = match ending {
            Ending::Imagenet { dropout } => {
                let drop = || Hidden::Dropout(Dropout::new(dropout));
                let flat = c * HEAD_MAP * HEAD_MAP;
                vec![linear(flat, 4096), relu(), drop(), linear(4096, 4096), relu(), drop(), linear(4096, classes)]
            }
            Ending::Cifar => vec![linear(c, classes)],
        };
        Self { features, classifier }
    }

    /// `[n, h, w, c]` → logits `[n, classes]`.
    pub fn forward(&self, x: Nhwc, pass: &Pass) -> Tensor<2> {
        self.classify(self.features(x, pass), pass)
    }

    /// `[n, h, w, c]` → the last map, `[n, h/32, w/32, 512]`.
    pub fn features(&self, x: Nhwc, pass: &Pass) -> Nhwc {
        run(&self.features, x, pass)
    }

    /// `[n, h, w, c]` → the input of the last pooling that reads a map of at least `PLACES`² pixels: the last one at 224
    /// px, an earlier one in small images, whose last map is a single pixel.
    pub fn trunk(&self, x: Nhwc, pass: &Pass) -> Nhwc {
        let h = x.dims()[1];
        run(&self.features[..self.fork(h)], x, pass)
    }

    /// The map of [`trunk`](Self::trunk) for images `h` pixels high → logits.
    pub fn crown(&self, map: Nhwc, h: usize, pass: &Pass) -> Tensor<2> {
        self.classify(run(&self.features[self.fork(h)..], map, pass), pass)
    }

    /// Where trunk and crown part.
    fn fork(&self, h: usize) -> usize {
        let pools = self.features.iter().enumerate().filter(|(_, layer)| matches!(layer, Feature::Pool(_)));
        let maps = std::iter::successors(Some(h), |h| Some(h / 2));
        let fork = pools.zip(maps).take_while(|(_, map)| *map >= PLACES).last();
        fork.map_or(0, |((at, _), _)| at)
    }

    /// Images of any size, `[n, h, w, c]` → the scores of all places of the head, averaged: `[n, classes]`. The first
    /// fully connected layer sees every window of 7x7 of the last map, without padding, the others every place of what it
    /// gives: a product of matrices each, with a row for each place.
    pub fn dense(&self, x: Nhwc, pass: &Pass) -> Tensor<2> {
        let map = self.features(x, pass);
        if !self.has_imagenet_head() {
            return self.classify(map, pass);
        }
        let [n, h, w, c] = map.dims();
        let (rows, columns) = (h - HEAD_MAP + 1, w - HEAD_MAP + 1);
        let at = |i: usize| {
            let (y, x) = (i / HEAD_MAP, i % HEAD_MAP);
            map.0.clone().slice([0..n, y..y + rows, x..x + columns, 0..c])
        };
        // The weights count channels first: [n, rows, columns, c, 7 · 7].
        let windows = Tensor::stack::<5>((0..HEAD_MAP * HEAD_MAP).map(at).collect(), 4);
        let scores = self.hidden(windows.reshape([n * rows * columns, c * HEAD_MAP * HEAD_MAP]), pass);
        let classes = scores.dims()[1];
        scores.reshape([n, rows * columns, classes]).mean_dim(1).reshape([n, classes])
    }

    /// The last map → logits.
    pub fn classify(&self, x: Nhwc, pass: &Pass) -> Tensor<2> {
        let [n, h, w, c] = x.dims();
        let x = if self.has_imagenet_head() {
            // The weights count channels first, as every checkpoint does.
            ops::adaptive_average(x, [HEAD_MAP; 2]).into_nchw().reshape([n, c * HEAD_MAP * HEAD_MAP])
        } else if (h, w) == (1, 1) {
            x.0.reshape([n, c])
        } else {
            ops::global_average(x)
        };
        self.hidden(x, pass)
    }

    /// The fully connected layers: `[n, c]` → `[n, classes]`.
    fn hidden(&self, x: Tensor<2>, pass: &Pass) -> Tensor<2> {
        let mut layers = self.classifier.as_slice();
        let mut x = x;
        loop {
            (x, layers) = match layers {
                [Hidden::Linear(linear), Hidden::Relu(_), rest @ ..] => (linear.forward(x, true), rest),
                [Hidden::Linear(linear), rest @ ..] => (linear.forward(x, false), rest),
                [Hidden::Dropout(dropout), rest @ ..] => (dropout.forward(x, pass), rest),
                [Hidden::Relu(_), ..] => unreachable!("a ReLU stands behind its layer"),
                [] => return x,
            };
        }
    }

    /// The forward pass as steps: what holds the logits.
    pub(crate) fn plan<P: Lower>(&self, program: &mut P) -> P::Value {
        let (mut layers, mut x) = (self.features.as_slice(), program.input());
        loop {
            (x, layers) = match layers {
                [Feature::Conv(conv), Feature::Norm(bn), Feature::Relu(_), rest @ ..] => {
                    (program.conv(x, conv, Some(bn), true), rest)
                }
                [Feature::Conv(conv), Feature::Relu(_), rest @ ..] => (program.conv(x, conv, None, true), rest),
                [Feature::Pool(pool), rest @ ..] => (program.max_pool(x, pool), rest),
                [Feature::Lrn(lrn), rest @ ..] => (program.lrn(x, lrn), rest),
                [] => break,
                [..] => unreachable!("a ReLU stands behind its convolution, a normalisation between the two"),
            };
        }
        if self.has_imagenet_head() {
            if program.map(x) != (HEAD_MAP, HEAD_MAP) {
                x = program.adaptive_average(x, HEAD_MAP);
            }
            x = program.flatten(x);
        } else if program.map(x) != (1, 1) {
            x = program.adaptive_average(x, 1);
        }
        let mut layers = self.classifier.as_slice();
        loop {
            (x, layers) = match layers {
                [Hidden::Linear(linear), Hidden::Relu(_), rest @ ..] => (program.linear(x, linear, true), rest),
                [Hidden::Linear(linear), rest @ ..] => (program.linear(x, linear, false), rest),
                [Hidden::Dropout(_), rest @ ..] => (x, rest),
                [Hidden::Relu(_), ..] => unreachable!("a ReLU stands behind its layer"),
                [] => return x,
            };
        }
    }

    fn has_imagenet_head(&self) -> bool {
        self.classifier.len() > 1
    }

    /// The layers one after the other, with shapes and costs.
    pub(super) fn trace(&self, trace: &mut Trace) {
        for (i, layer) in self.features.iter().enumerate() {
            let name = format!("features.{i}");
            match layer {
                Feature::Conv(conv) => trace.conv(name, conv),
                Feature::Norm(bn) => trace.norm(name, bn),
                Feature::Relu(_) => trace.same(name, "relu"),
                Feature::Lrn(_) => trace.same(name, "lrn"),
                Feature::Pool(pool) => trace.pool(name, pool),
            }
        }
        if self.has_imagenet_head() {
            trace.adaptive_average("avgpool", HEAD_MAP);
        } else if trace.map() != (1, 1) {
            trace.global_average("avgpool");
        }
        for (i, layer) in self.classifier.iter().enumerate() {
            let name = format!("classifier.{i}");
            match layer {
                Hidden::Linear(linear) => trace.linear(name, linear),
                Hidden::Relu(_) => trace.same(name, "relu"),
                Hidden::Dropout(_) => trace.same(name, "dropout"),
            }
        }
    }
}

/// Passes `x` through some of the layers.
fn run(layers: &[Feature], x: Nhwc, pass: &Pass) -> Nhwc {
    let mut layers = layers;
    let mut x = Map::Ready(x);
    loop {
        // A convolution takes the normalisation and the ReLU behind it along: one operation each.
        (x, layers) = match layers {
            [Feature::Conv(conv), Feature::Norm(bn), Feature::Relu(_), rest @ ..] => {
                (conv_norm_relu(conv, bn, x, pass), rest)
            }
            [Feature::Conv(conv), Feature::Relu(_), rest @ ..] => (conv.forward(x.ready(), true, pass).into(), rest),
            [Feature::Conv(conv), rest @ ..] => (conv.forward(x.ready(), false, pass).into(), rest),
            [Feature::Pool(pool), rest @ ..] => (pool.forward(x.ready()).into(), rest),
            [Feature::Lrn(lrn), rest @ ..] => (lrn.forward(x.ready()).into(), rest),
            [Feature::Relu(_), rest @ ..] => (ops::relu(x.ready()).into(), rest),
            [Feature::Norm(_), ..] => unreachable!("a normalisation stands behind its convolution"),
            [] => return x.ready(),
        };
    }
}

/// A convolution's place: its group, its number in the group, and its index among `features`.
fn places(steps: &[Step], norm: bool) -> Vec<(usize, usize, usize)> {
    let (mut group, mut number, mut index) = (0, 0, 0);
    let mut places = Vec::new();
    for step in steps {
        match step {
            C3(_) | C1(_) => {
                places.push((group, number, index));
                number += 1;
                index += if norm { 3 } else { 2 };
            }
            Lrn => index += 1,
            M => {
                (group, number) = (group + 1, 0);
                index += 1;
            }
        }
    }
    places
}

/// VGG §3.1: a deeper net takes the first four convolutions of net A, each at its own place in its group, and the three
/// fully connected layers. A net of the same steps, with or without normalisations, takes all. Returns pairs of prefixes,
/// from → to.
pub fn staged_start((from, from_norm): (&[Step], bool), (to, to_norm): (&[Step], bool)) -> Vec<(String, String)> {
    let taken = if from == to { from.len() } else { 4 };
    let targets = places(to, to_norm);
    let mut pairs = vec![("classifier.".to_owned(), "classifier.".to_owned())];
    for (group, number, index) in places(from, from_norm).into_iter().take(taken) {
        let Some(&(.., target)) = targets.iter().find(|&&(g, n, _)| (g, n) == (group, number)) else { continue };
        pairs.push((format!("features.{index}."), format!("features.{target}.")));
        if from_norm && to_norm {
            pairs.push((format!("features.{}.", index + 1), format!("features.{}.", target + 1)));
        }
    }
    pairs
}

/// `key` under the first of `pairs` whose left side it starts with.
pub fn renamed(pairs: &[(String, String)], key: &str) -> Option<String> {
    pairs.iter().find_map(|(from, to)| key.strip_prefix(from.as_str()).map(|rest| format!("{to}{rest}")))
}

impl Vgg {
    /// Calls `f` with the name of each normalisation, and the normalisation.
    pub(super) fn for_each_norm(&mut self, mut f: impl FnMut(&str, &mut BatchNorm)) {
        for (i, layer) in self.features.iter_mut().enumerate() {
            if let Feature::Norm(bn) = layer {
                f(&format!("features.{i}"), bn);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deeper_net_takes_the_first_four_convolutions_of_net_a_at_their_places() {
        let pairs = staged_start((A, false), (D, false));
        let features: Vec<_> = pairs.iter().filter(|(from, _)| from.starts_with("features")).cloned().collect();
        let pair = |from: usize, to: usize| (format!("features.{from}."), format!("features.{to}."));
        // A: 64 | 128 | 256 256; D: 64 64 | 128 128 | 256 256 256.
        assert_eq!(features, [pair(0, 0), pair(3, 5), pair(6, 10), pair(8, 12)]);
        assert_eq!(renamed(&pairs, "features.8.weight").as_deref(), Some("features.12.weight"));
        assert_eq!(renamed(&pairs, "classifier.6.bias").as_deref(), Some("classifier.6.bias"));
        assert_eq!(renamed(&pairs, "features.11.weight"), None);
    }

    #[test]
    fn the_same_net_with_normalisations_takes_every_convolution_at_its_own_place() {
        let pairs = staged_start((A, false), (A, true));
        let names = |from: usize| renamed(&pairs, &format!("features.{from}.bias"));
        // A: 0 3 6 8 11 13 16 18 without and 0 4 8 11 15 18 22 25 with normalisations.
        let convs = [0, 3, 6, 8, 11, 13, 16, 18].map(|from| names(from).expect("a convolution"));
        assert_eq!(convs, [0, 4, 8, 11, 15, 18, 22, 25].map(|to| format!("features.{to}.bias")));
    }
}
