//! ResNet and its plain baseline (He et al. 2016): the tables of §3 and §4.2, and the blocks of Figure 5.

use super::options::{Shortcut, StrideIn};
use crate::graph::{Conv, GraphBuilder, Pool, Value};

/// The shape of a network: a column of Table 1, or a row of Table 6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResNetConfig {
    /// The block that it is made of.
    pub block: BlockKind,
    /// Blocks in each stage.
    pub depths: [usize; 4],
    /// Width of each stage's 3x3 convolutions.
    pub widths: [usize; 4],
}

/// The two blocks of Figure 5.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockKind {
    /// 3x3, 3x3.
    Basic,
    /// 1x1, 3x3, 1x1 with four times the channels.
    Bottleneck,
}

impl BlockKind {
    /// Returns the output channels over the width.
    pub const fn expansion(self) -> usize {
        match self {
            Self::Basic => 1,
            Self::Bottleneck => 4,
        }
    }
}

impl ResNetConfig {
    /// Table 1: four stages from 64 channels.
    pub const fn imagenet(block: BlockKind, depths: [usize; 4]) -> Self {
        Self { block, depths, widths: [64, 128, 256, 512] }
    }

    /// §4.2: three stages of `n` basic blocks from 16 channels; 6n+2 weight layers.
    pub const fn cifar(n: usize) -> Self {
        Self { block: BlockKind::Basic, depths: [n, n, n, 0], widths: [16, 32, 64, 0] }
    }

    /// Returns whether its blocks are bottlenecks.
    pub fn has_bottlenecks(&self) -> bool {
        self.block == BlockKind::Bottleneck
    }
}

/// 18 layers.
pub const RESNET18: ResNetConfig = ResNetConfig::imagenet(BlockKind::Basic, [2, 2, 2, 2]);
/// 34 layers.
pub const RESNET34: ResNetConfig = ResNetConfig::imagenet(BlockKind::Basic, [3, 4, 6, 3]);
/// 50 layers.
pub const RESNET50: ResNetConfig = ResNetConfig::imagenet(BlockKind::Bottleneck, [3, 4, 6, 3]);
/// 101 layers.
pub const RESNET101: ResNetConfig = ResNetConfig::imagenet(BlockKind::Bottleneck, [3, 4, 23, 3]);
/// 152 layers.
pub const RESNET152: ResNetConfig = ResNetConfig::imagenet(BlockKind::Bottleneck, [3, 8, 36, 3]);

/// What decides a network's layers beside its table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ResNetOptions {
    /// The 7x7/2 stem with max-pooling (Table 1), or one 3x3 convolution (§4.2).
    pub imagenet_stem: bool,
    /// Shortcuts, or `None` for a plain network.
    pub shortcut: Option<Shortcut>,
    /// Where bottlenecks stride.
    pub stride_in: StrideIn,
    /// Classes.
    pub classes: usize,
}

/// The network of `config`, from the image `x` to the logits.
pub fn resnet(g: &mut GraphBuilder, x: Value, config: &ResNetConfig, options: &ResNetOptions) -> Value {
    let stem =
        if options.imagenet_stem { Conv::new(config.widths[0], 7).stride(2) } else { Conv::new(config.widths[0], 3) };
    let mut x = conv_bn_relu(g, "conv1", "bn1", x, stem);
    if options.imagenet_stem {
        x = g.max_pool("maxpool", x, Pool::OVERLAPPING);
    }
    for (stage, (&depth, &width)) in config.depths.iter().zip(&config.widths).enumerate() {
        for i in 0..depth {
            let stride = if stage > 0 && i == 0 { 2 } else { 1 };
            x = g.scope(format!("layer{}.{i}", stage + 1), |g| match config.block {
                BlockKind::Basic => basic_block(g, x, width, stride, options),
                BlockKind::Bottleneck => bottleneck(g, x, width, stride, options),
            });
        }
    }
    let x = g.global_avg_pool("avgpool", x);
    g.linear("fc", x, options.classes)
}

/// Figure 5, left: two 3x3 convolutions, and the shortcut added before the last ReLU.
fn basic_block(g: &mut GraphBuilder, x: Value, width: usize, stride: usize, options: &ResNetOptions) -> Value {
    let y = conv_bn_relu(g, "conv1", "bn1", x, Conv::new(width, 3).stride(stride));
    let y = g.conv("conv2", y, Conv::new(width, 3));
    let y = g.batch_norm("bn2", y);
    let y = add_shortcut(g, x, y, stride, options.shortcut);
    g.relu(y)
}

/// Figure 5, right: 1x1 down, 3x3, 1x1 up, and the shortcut added before the last ReLU.
fn bottleneck(g: &mut GraphBuilder, x: Value, width: usize, stride: usize, options: &ResNetOptions) -> Value {
    let (first, second) = match options.stride_in {
        StrideIn::Conv1x1 => (stride, 1),
        StrideIn::Conv3x3 => (1, stride),
    };
    let y = conv_bn_relu(g, "conv1", "bn1", x, Conv::new(width, 1).stride(first));
    let y = conv_bn_relu(g, "conv2", "bn2", y, Conv::new(width, 3).stride(second));
    let y = g.conv("conv3", y, Conv::new(width * BlockKind::Bottleneck.expansion(), 1));
    let y = g.batch_norm("bn3", y);
    let y = add_shortcut(g, x, y, stride, options.shortcut);
    g.relu(y)
}

/// Adds the shortcut from `x` to the residual branch `y` (§3.3): nothing in plain networks, the identity where the
/// shape stays, and option A, B or C where it changes.
fn add_shortcut(g: &mut GraphBuilder, x: Value, y: Value, stride: usize, shortcut: Option<Shortcut>) -> Value {
    let (same, channels) = (g.shape(x) == g.shape(y), g.shape(y)[2]);
    let shortcut = match shortcut {
        None => return y,
        Some(Shortcut::A | Shortcut::B) if same => x,
        Some(Shortcut::A) => g.subsample_pad("shortcut", x, stride, channels),
        Some(Shortcut::B | Shortcut::C) => {
            let x = g.conv("downsample.0", x, Conv::new(channels, 1).stride(stride));
            g.batch_norm("downsample.1", x)
        }
    };
    g.add(y, shortcut)
}

fn conv_bn_relu(g: &mut GraphBuilder, conv: &str, bn: &str, x: Value, geometry: Conv) -> Value {
    let y = g.conv(conv, x, geometry);
    let y = g.batch_norm(bn, y);
    g.relu(y)
}
