//! VGG (Simonyan & Zisserman 2015): the configurations of Table 1, and the network they describe.
//!
//! `features.N` and `classifier.N` count layers as torchvision does, ReLUs and poolings included.

use crate::graph::{Conv, GraphBuilder, Op, Pool, Value};
use residual_kernels::lrn::Lrn as LrnRule;

/// A line of Table 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayerCfg {
    /// conv3-k.
    C3(usize),
    /// conv1-k.
    C1(usize),
    /// LRN.
    Lrn,
    /// maxpool.
    M,
}

use LayerCfg::{C1, C3, Lrn, M};

/// 11 weight layers.
#[rustfmt::skip]
pub const A: &[LayerCfg] = &[C3(64), M, C3(128), M, C3(256), C3(256), M, C3(512), C3(512), M, C3(512), C3(512), M];
/// 11 weight layers, local response normalisation behind the first.
#[rustfmt::skip]
pub const A_LRN: &[LayerCfg] = &[C3(64), Lrn, M, C3(128), M, C3(256), C3(256), M, C3(512), C3(512), M, C3(512), C3(512), M];
/// 13 weight layers.
#[rustfmt::skip]
pub const B: &[LayerCfg] = &[C3(64), C3(64), M, C3(128), C3(128), M, C3(256), C3(256), M,
                         C3(512), C3(512), M, C3(512), C3(512), M];
/// 16 weight layers, three of them 1x1.
#[rustfmt::skip]
pub const C: &[LayerCfg] = &[C3(64), C3(64), M, C3(128), C3(128), M, C3(256), C3(256), C1(256), M,
                         C3(512), C3(512), C1(512), M, C3(512), C3(512), C1(512), M];
/// 16 weight layers: VGG-16.
#[rustfmt::skip]
pub const D: &[LayerCfg] = &[C3(64), C3(64), M, C3(128), C3(128), M, C3(256), C3(256), C3(256), M,
                         C3(512), C3(512), C3(512), M, C3(512), C3(512), C3(512), M];
/// 19 weight layers: VGG-19.
#[rustfmt::skip]
pub const E: &[LayerCfg] = &[C3(64), C3(64), M, C3(128), C3(128), M, C3(256), C3(256), C3(256), C3(256), M,
                         C3(512), C3(512), C3(512), C3(512), M, C3(512), C3(512), C3(512), C3(512), M];

/// The classifier behind the convolutions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum VggHead {
    /// Adaptive pooling to 7x7, FC-4096, FC-4096, FC-classes, dropout between.
    Imagenet {
        /// Dropout behind the two hidden layers.
        dropout: f64,
    },
    /// Global average, FC-classes: nothing but the layer at 32 px, where the map is 1x1.
    Cifar,
}

/// Rows and columns of the map that the paper's fully connected layers read.
pub const HEAD_MAP: usize = 7;

/// Width of the two hidden fully connected layers.
const HIDDEN: usize = 4096;

/// Local response normalisation with AlexNet's constants (Krizhevsky et al. 2012, §3.3: n=5, k=2, α=1e-4, β=0.75),
/// in PyTorch's form, which divides α by n.
const LRN: LrnRule = LrnRule { size: 5, alpha: 1e-4 * 5.0, beta: 0.75, k: 2.0 };

/// The network of `layers`, each convolution followed by a batch norm if `norm` says so, from the image `x` to the
/// logits.
pub fn vgg(g: &mut GraphBuilder, x: Value, layers: &[LayerCfg], norm: bool, head: VggHead, classes: usize) -> Value {
    let features = layers.iter().flat_map(|&layer| match layer {
        C3(k) => conv_ops(Conv::new(k, 3).with_bias(), norm),
        C1(k) => conv_ops(Conv::new(k, 1).with_bias(), norm),
        Lrn => vec![Op::Lrn(LRN)],
        M => vec![Op::MaxPool(Pool::HALVING)],
    });
    let x = sequence(g, "features", x, features);
    match head {
        VggHead::Imagenet { dropout } => {
            let x = g.adaptive_avg_pool("avgpool", x, HEAD_MAP);
            let x = g.flatten(x);
            let hidden = [Op::linear(HIDDEN), Op::Relu, Op::Dropout { p: dropout }];
            sequence(g, "classifier", x, hidden.into_iter().chain(hidden).chain([Op::linear(classes)]))
        }
        VggHead::Cifar => {
            let x = g.adaptive_avg_pool("avgpool", x, 1);
            sequence(g, "classifier", x, [Op::linear(classes)])
        }
    }
}

/// A convolution, its batch norm if wanted, and its ReLU.
pub(super) fn conv_ops(conv: Conv, norm: bool) -> Vec<Op> {
    if norm { vec![Op::Conv(conv), Op::BatchNorm, Op::Relu] } else { vec![Op::Conv(conv), Op::Relu] }
}

/// Adds `ops` one after the other as the layers `name.0`, `name.1`, …
pub(super) fn sequence(g: &mut GraphBuilder, name: &str, x: Value, ops: impl IntoIterator<Item = Op>) -> Value {
    ops.into_iter().enumerate().fold(x, |x, (i, op)| g.layer(format!("{name}.{i}"), op, &[x]))
}

/// A convolution's place: its group, its number in the group, and its index among `features`.
fn places(layers: &[LayerCfg], norm: bool) -> Vec<(usize, usize, usize)> {
    let (mut group, mut number, mut index) = (0, 0, 0);
    let mut places = Vec::new();
    for layer in layers {
        match layer {
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
pub fn staged_start(
    (from, from_norm): (&[LayerCfg], bool),
    (to, to_norm): (&[LayerCfg], bool),
) -> Vec<(String, String)> {
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
