//! The network of the CPU speedrun: VGG's idea cut down to what learns CIFAR-10 in minutes. It is in neither paper.
//!
//! From Page's "How to train your ResNet" (2018) and Jordan's airbench ("94 % on CIFAR-10 in 3.29 seconds", 2024): the
//! first layer is not trained, its filters whiten small patches of the training images; maps are halved early; the last
//! map is averaged (airbench takes its maximum and divides the logits). Maps stay multiples of four pixels wide, which
//! are whole tiles of Winograd's F(4x4), where airbench has 31, 15, 7 and 3.

use super::vgg::{conv_ops, sequence};
use crate::graph::{Conv, GraphBuilder, Op, Pool, Value};

/// A row of the network's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LayerCfg {
    /// 3x3 filters that whiten, with a bias, and ReLU.
    White(usize),
    /// 3x3, batch norm, ReLU.
    C3(usize),
    /// 2x2 max-pooling.
    M,
}

use LayerCfg::{C3, M, White};

/// Filters of the whitening layer.
pub const WHITENING_FILTERS: usize = 32;

/// The name of their weights, `[WHITENING_FILTERS, channels, 3, 3]`.
pub const WHITENING_WEIGHT: &str = "features.0.weight";

/// One whitening layer, six trained convolutions, one fully connected layer.
const LAYERS: [LayerCfg; 10] = [White(WHITENING_FILTERS), C3(64), M, C3(64), C3(128), M, C3(128), C3(256), M, C3(256)];

/// The network, from the image `x` to the logits.
pub fn speedrun(g: &mut GraphBuilder, x: Value, classes: usize) -> Value {
    let features = LAYERS.into_iter().flat_map(|layer| match layer {
        White(k) => conv_ops(Conv::new(k, 3).with_bias(), false),
        C3(k) => conv_ops(Conv::new(k, 3), true),
        M => vec![Op::MaxPool(Pool::HALVING)],
    });
    let x = sequence(g, "features", x, features);
    let x = g.adaptive_avg_pool("avgpool", x, 1);
    sequence(g, "classifier", x, [Op::linear(classes)])
}
