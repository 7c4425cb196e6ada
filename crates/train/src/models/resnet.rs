//! ResNet and its plain twins (He et al. 2016): the tables of §3 and §4.2, and the network they describe.

use super::Lower;
use super::inspect::Trace;
use super::options::{Shortcut, StrideIn};
use crate::layers::{BatchNorm, Conv2d, Linear, Map, MaxPool, Pass, conv_norm, conv_norm_add_relu, conv_norm_relu};
use crate::ops::{self, Nhwc};
use burn::module::Module;
use burn::tensor::{Device, Tensor};

/// The shape of a network: a column of Table 1, or a row of Table 6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Table {
    /// Which blocks it is made of.
    pub kind: Kind,
    /// Blocks in each stage.
    pub depths: [usize; 4],
    /// Width of each stage's 3x3 convolutions.
    pub widths: [usize; 4],
}

/// The two blocks of Figure 5.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// 3x3, 3x3.
    Basic,
    /// 1x1, 3x3, 1x1 with four times the channels.
    Bottleneck,
}

impl Table {
    /// Whether its blocks are bottlenecks.
    pub fn has_bottlenecks(&self) -> bool {
        self.kind == Kind::Bottleneck
    }

    /// Table 1: four stages from 64 channels.
    pub const fn imagenet(kind: Kind, depths: [usize; 4]) -> Self {
        Self { kind, depths, widths: [64, 128, 256, 512] }
    }

    /// §4.2: three stages of `n` basic blocks from 16 channels; 6n+2 weight layers.
    pub const fn cifar(n: usize) -> Self {
        Self { kind: Kind::Basic, depths: [n, n, n, 0], widths: [16, 32, 64, 0] }
    }

    /// Channels of the last map.
    fn features(&self) -> usize {
        let last = self.depths.iter().rposition(|&d| d > 0).expect("a network has a stage");
        self.widths[last] * self.kind.expansion()
    }
}

impl Kind {
    /// Output channels over width.
    pub fn expansion(self) -> usize {
        match self {
            Kind::Basic => 1,
            Kind::Bottleneck => 4,
        }
    }
}

/// 18 layers.
pub const RESNET18: Table = Table::imagenet(Kind::Basic, [2, 2, 2, 2]);
/// 34 layers.
pub const RESNET34: Table = Table::imagenet(Kind::Basic, [3, 4, 6, 3]);
/// 50 layers.
pub const RESNET50: Table = Table::imagenet(Kind::Bottleneck, [3, 4, 6, 3]);
/// 101 layers.
pub const RESNET101: Table = Table::imagenet(Kind::Bottleneck, [3, 4, 23, 3]);
/// 152 layers.
pub const RESNET152: Table = Table::imagenet(Kind::Bottleneck, [3, 8, 36, 3]);

/// What a network's builder is told beside its table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Build {
    /// 7x7/2 and max-pooling, or one 3x3.
    pub imagenet_stem: bool,
    /// Shortcuts, or `None` for a plain network.
    pub shortcut: Option<Shortcut>,
    /// Where bottlenecks stride.
    pub stride_in: StrideIn,
    /// Input channels.
    pub channels: usize,
    /// Classes.
    pub classes: usize,
}

/// The way around a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Skip {
    /// None: a plain network.
    None,
    /// The input itself.
    Identity,
    /// Option A: subsampled, zero channels added.
    Pad,
    /// Options B and C: a 1x1 convolution, normalised.
    Project,
}

impl Skip {
    /// The downsampling rule, stated once.
    fn of(shortcut: Option<Shortcut>, c_in: usize, c_out: usize, stride: usize) -> Self {
        let same = c_in == c_out && stride == 1;
        match shortcut {
            None => Skip::None,
            Some(Shortcut::C) => Skip::Project,
            Some(_) if same => Skip::Identity,
            Some(Shortcut::A) => Skip::Pad,
            Some(Shortcut::B) => Skip::Project,
        }
    }
}

/// The way around a block, with its parameters if it has any.
#[derive(Module, Debug)]
pub struct Around {
    /// `downsample.0`, `downsample.1` in checkpoints.
    pub downsample: Option<(Conv2d, BatchNorm)>,
    #[module(skip)]
    skip: Skip,
    stride: usize,
    channels: usize,
}

impl Around {
    fn new(skip: Skip, c_in: usize, c_out: usize, stride: usize, device: &Device) -> Self {
        let project = || (Conv2d::new(c_in, c_out, 1, stride, device), BatchNorm::new(c_out, device));
        Self { downsample: (skip == Skip::Project).then(project), skip, stride, channels: c_out }
    }

    /// What the block reads, and what comes the way around it. Where there is no way around, nobody but the block reads `x`.
    fn ways(&self, x: Map, pass: &Pass) -> (Map, Option<Nhwc>) {
        if self.skip == Skip::None {
            return (x, None);
        }
        let x = x.ready();
        let skip = match &self.downsample {
            Some((conv, bn)) => conv_norm(conv, bn, x.clone(), pass),
            None if self.skip == Skip::Pad => ops::subsample_pad(x.clone(), self.stride, self.channels),
            None => x.clone(),
        };
        (x.into(), Some(skip))
    }

    /// As [`Around::ways`], as steps: what comes the way around.
    fn plan<P: Lower>(&self, program: &mut P, x: P::Value) -> Option<P::Value> {
        match (self.skip, &self.downsample) {
            (_, Some((conv, bn))) => Some(program.conv(x, conv, Some(bn), false)),
            (Skip::Pad, None) => Some(program.subsample_pad(x, self.stride, self.channels)),
            (Skip::None, None) => None,
            (Skip::Identity | Skip::Project, None) => Some(x),
        }
    }

    fn trace(&self, trace: &mut Trace) {
        match &self.downsample {
            Some((conv, bn)) => {
                trace.conv("downsample.0", conv);
                trace.norm("downsample.1", bn);
            }
            None if self.skip == Skip::Pad => trace.subsample("shortcut", self.stride, self.channels),
            None => {}
        }
    }
}

/// The end of a block: normalised, the way around added where there is one, ReLU.
fn join(conv: &Conv2d, bn: &BatchNorm, y: Map, skip: Option<Nhwc>, pass: &Pass) -> Map {
    match skip {
        Some(skip) => conv_norm_add_relu(conv, bn, y, skip, pass).into(),
        None => conv_norm_relu(conv, bn, y, pass),
    }
}

/// As [`join`], as steps.
fn plan_join<P: Lower>(
    program: &mut P,
    conv: &Conv2d,
    bn: &BatchNorm,
    y: P::Value,
    skip: Option<P::Value>,
) -> P::Value {
    match skip {
        Some(skip) => program.conv_onto(y, conv, bn, skip),
        None => program.conv(y, conv, Some(bn), true),
    }
}

/// Two 3x3 convolutions and a way around them.
#[derive(Module, Debug)]
pub struct BasicBlock {
    /// 3x3, strides.
    pub conv1: Conv2d,
    /// Behind `conv1`.
    pub bn1: BatchNorm,
    /// 3x3.
    pub conv2: Conv2d,
    /// Behind `conv2`.
    pub bn2: BatchNorm,
    /// The way around.
    pub around: Around,
}

impl BasicBlock {
    fn new(c_in: usize, width: usize, stride: usize, shortcut: Option<Shortcut>, device: &Device) -> Self {
        let skip = Skip::of(shortcut, c_in, width, stride);
        Self {
            conv1: entry(Conv2d::new(c_in, width, 3, stride, device), skip),
            bn1: BatchNorm::new(width, device),
            conv2: Conv2d::new(width, width, 3, 1, device),
            bn2: BatchNorm::new(width, device),
            around: Around::new(skip, c_in, width, stride, device),
        }
    }

    /// `[n, h, w, c_in]` → `[n, h/stride, w/stride, width]`.
    pub fn forward(&self, x: Map, pass: &Pass) -> Map {
        let (x, skip) = self.around.ways(x, pass);
        let y = conv_norm_relu(&self.conv1, &self.bn1, x, pass);
        join(&self.conv2, &self.bn2, y, skip, pass)
    }

    fn plan<P: Lower>(&self, program: &mut P, x: P::Value) -> P::Value {
        let skip = self.around.plan(program, x);
        let y = program.conv(x, &self.conv1, Some(&self.bn1), true);
        plan_join(program, &self.conv2, &self.bn2, y, skip)
    }

    fn trace(&self, trace: &mut Trace) {
        trace.branch(
            |t| {
                t.conv("conv1", &self.conv1);
                t.norm("bn1", &self.bn1);
                t.conv("conv2", &self.conv2);
                t.norm("bn2", &self.bn2);
            },
            |t| self.around.trace(t),
        );
    }
}

/// 1x1 down, 3x3, 1x1 up, and a way around them.
#[derive(Module, Debug)]
pub struct Bottleneck {
    /// 1x1, to `width` channels.
    pub conv1: Conv2d,
    /// Behind `conv1`.
    pub bn1: BatchNorm,
    /// 3x3.
    pub conv2: Conv2d,
    /// Behind `conv2`.
    pub bn2: BatchNorm,
    /// 1x1, to four times `width`.
    pub conv3: Conv2d,
    /// Behind `conv3`.
    pub bn3: BatchNorm,
    /// The way around.
    pub around: Around,
}

impl Bottleneck {
    fn new(
        c_in: usize,
        width: usize,
        stride: usize,
        shortcut: Option<Shortcut>,
        stride_in: StrideIn,
        device: &Device,
    ) -> Self {
        let out = width * Kind::Bottleneck.expansion();
        let skip = Skip::of(shortcut, c_in, out, stride);
        let (first, second) = match stride_in {
            StrideIn::Conv1x1 => (stride, 1),
            StrideIn::Conv3x3 => (1, stride),
        };
        Self {
            conv1: entry(Conv2d::new(c_in, width, 1, first, device), skip),
            bn1: BatchNorm::new(width, device),
            conv2: Conv2d::new(width, width, 3, second, device),
            bn2: BatchNorm::new(width, device),
            conv3: Conv2d::new(width, out, 1, 1, device),
            bn3: BatchNorm::new(out, device),
            around: Around::new(skip, c_in, out, stride, device),
        }
    }

    /// `[n, h, w, c_in]` → `[n, h/stride, w/stride, 4·width]`.
    pub fn forward(&self, x: Map, pass: &Pass) -> Map {
        let (x, skip) = self.around.ways(x, pass);
        let y = conv_norm_relu(&self.conv1, &self.bn1, x, pass);
        let y = conv_norm_relu(&self.conv2, &self.bn2, y, pass);
        join(&self.conv3, &self.bn3, y, skip, pass)
    }

    fn plan<P: Lower>(&self, program: &mut P, x: P::Value) -> P::Value {
        let skip = self.around.plan(program, x);
        let y = program.conv(x, &self.conv1, Some(&self.bn1), true);
        let y = program.conv(y, &self.conv2, Some(&self.bn2), true);
        plan_join(program, &self.conv3, &self.bn3, y, skip)
    }

    fn trace(&self, trace: &mut Trace) {
        trace.branch(
            |t| {
                t.conv("conv1", &self.conv1);
                t.norm("bn1", &self.bn1);
                t.conv("conv2", &self.conv2);
                t.norm("bn2", &self.bn2);
                t.conv("conv3", &self.conv3);
                t.norm("bn3", &self.bn3);
            },
            |t| self.around.trace(t),
        );
    }
}

/// The first convolution of a block. An identity's gradient is registered by the end of the block, long before this
/// convolution's backward pass, which may therefore add to it in place.
fn entry(conv: Conv2d, skip: Skip) -> Conv2d {
    if skip == Skip::Identity { conv.forked() } else { conv }
}

/// A block of either kind.
#[derive(Module, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "a network has at most a few hundred, and Burn derives no Module for Box"
)]
pub enum Block {
    /// ResNet-18, -34 and the CIFAR networks.
    Basic(BasicBlock),
    /// ResNet-50 and deeper.
    Bottleneck(Bottleneck),
}

impl Block {
    /// One block forward.
    pub fn forward(&self, x: Map, pass: &Pass) -> Map {
        match self {
            Block::Basic(block) => block.forward(x, pass),
            Block::Bottleneck(block) => block.forward(x, pass),
        }
    }

    fn plan<P: Lower>(&self, program: &mut P, x: P::Value) -> P::Value {
        match self {
            Block::Basic(block) => block.plan(program, x),
            Block::Bottleneck(block) => block.plan(program, x),
        }
    }

    /// The normalisations and their names within the block.
    fn norms(&mut self) -> Vec<(&'static str, &mut BatchNorm)> {
        let (mut norms, around) = match self {
            Block::Basic(block) => (vec![("bn1", &mut block.bn1), ("bn2", &mut block.bn2)], &mut block.around),
            Block::Bottleneck(block) => {
                let norms = vec![("bn1", &mut block.bn1), ("bn2", &mut block.bn2), ("bn3", &mut block.bn3)];
                (norms, &mut block.around)
            }
        };
        norms.extend(around.downsample.as_mut().map(|(_, bn)| ("downsample.1", bn)));
        norms
    }

    fn trace(&self, trace: &mut Trace) {
        match self {
            Block::Basic(block) => block.trace(trace),
            Block::Bottleneck(block) => block.trace(trace),
        }
    }
}

/// A residual or plain network.
#[derive(Module, Debug)]
pub struct ResNet {
    /// 7x7/2 or 3x3.
    pub conv1: Conv2d,
    /// Behind `conv1`.
    pub bn1: BatchNorm,
    /// Behind the 7x7 stem only.
    pub maxpool: Option<MaxPool>,
    /// conv2_x.
    pub layer1: Vec<Block>,
    /// conv3_x.
    pub layer2: Vec<Block>,
    /// conv4_x.
    pub layer3: Vec<Block>,
    /// conv5_x; empty in the CIFAR networks.
    pub layer4: Vec<Block>,
    /// Global average → classes.
    pub fc: Linear,
}

impl ResNet {
    /// The network of `table`.
    pub fn new(table: &Table, build: &Build, device: &Device) -> Self {
        let stem = table.widths[0];
        let conv1 = if build.imagenet_stem {
            Conv2d::new(build.channels, stem, 7, 2, device)
        } else {
            Conv2d::new(build.channels, stem, 3, 1, device)
        };
        let mut c = stem;
        let mut stage = |i: usize| {
            let width = table.widths[i];
            let block = |j: usize| {
                let stride = if i > 0 && j == 0 { 2 } else { 1 };
                let out = width * table.kind.expansion();
                let c_in = std::mem::replace(&mut c, out);
                match table.kind {
                    Kind::Basic => Block::Basic(BasicBlock::new(c_in, width, stride, build.shortcut, device)),
                    Kind::Bottleneck => {
                        Block::Bottleneck(Bottleneck::new(c_in, width, stride, build.shortcut, build.stride_in, device))
                    }
                }
            };
            (0..table.depths[i]).map(block).collect()
        };
        Self {
            conv1,
            bn1: BatchNorm::new(stem, device),
            maxpool: build.imagenet_stem.then(MaxPool::overlapping),
            layer1: stage(0),
            layer2: stage(1),
            layer3: stage(2),
            layer4: stage(3),
            fc: Linear::new(table.features(), build.classes, device),
        }
    }

    /// `[n, h, w, c]` → logits `[n, classes]`.
    pub fn forward(&self, x: Nhwc, pass: &Pass) -> Tensor<2> {
        self.classify(self.features(x, pass))
    }

    /// The last map → logits.
    pub fn classify(&self, map: Nhwc) -> Tensor<2> {
        self.fc.forward(ops::global_average(map), false)
    }

    /// `[n, h, w, c]` → the last map, `[n, h', w', features]`.
    pub fn features(&self, x: Nhwc, pass: &Pass) -> Nhwc {
        let mut x = conv_norm_relu(&self.conv1, &self.bn1, x, pass);
        if let Some(pool) = &self.maxpool {
            x = pool.forward(x.ready()).into();
        }
        self.blocks().fold(x, |x, block| block.forward(x, pass)).ready()
    }

    /// The forward pass as steps: what holds the logits.
    pub(crate) fn plan<P: Lower>(&self, program: &mut P) -> P::Value {
        let mut x = program.conv(program.input(), &self.conv1, Some(&self.bn1), true);
        if let Some(pool) = &self.maxpool {
            x = program.max_pool(x, pool);
        }
        x = self.blocks().fold(x, |x, block| block.plan(program, x));
        let x = program.adaptive_average(x, 1);
        program.linear(x, &self.fc, false)
    }

    /// All blocks, in order.
    pub fn blocks(&self) -> impl Iterator<Item = &Block> {
        [&self.layer1, &self.layer2, &self.layer3, &self.layer4].into_iter().flatten()
    }

    /// Calls `f` with the name of each normalisation, and the normalisation.
    pub(super) fn for_each_norm(&mut self, mut f: impl FnMut(&str, &mut BatchNorm)) {
        f("bn1", &mut self.bn1);
        let stages = [&mut self.layer1, &mut self.layer2, &mut self.layer3, &mut self.layer4];
        for (stage, blocks) in stages.into_iter().enumerate() {
            for (i, block) in blocks.iter_mut().enumerate() {
                let name = |part: &str| format!("layer{}.{i}.{part}", stage + 1);
                for (part, bn) in block.norms() {
                    f(&name(part), bn);
                }
            }
        }
    }

    /// The layers one after the other, with shapes and costs.
    pub(super) fn trace(&self, trace: &mut Trace) {
        trace.conv("conv1", &self.conv1);
        trace.norm("bn1", &self.bn1);
        if let Some(pool) = &self.maxpool {
            trace.pool("maxpool", pool);
        }
        let stages = [&self.layer1, &self.layer2, &self.layer3, &self.layer4];
        for (stage, blocks) in stages.into_iter().enumerate() {
            for (i, block) in blocks.iter().enumerate() {
                trace.within(format!("layer{}.{i}.", stage + 1), |t| block.trace(t));
            }
        }
        trace.global_average("avgpool");
        trace.linear("fc", &self.fc);
    }
}
