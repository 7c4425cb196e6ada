//! A recipe as it is typed: one struct per section, every key with its default and its unit.
//!
//! `[model]` is [`ModelOptions`]. An `Option` that is `None` is decided when the recipe is
//! resolved: by the data (`validation`, `mean`) or by the schedule's kind (`milestones`, `peak`).

use crate::data::{Augment, Crop, Jitter, Policy};
pub use crate::data::{Filter, Flip, PolicyKind, Resize};
use crate::eval::protocol::TestProtocol;
use crate::models::options::ModelOptions;
use serde::{Deserialize, Serialize};

/// Everything that decides a training run, as it was typed.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Recipe {
    /// The network.
    pub model: ModelOptions,
    /// The images.
    pub data: DataOptions,
    /// How training images are augmented.
    pub augment: AugmentOptions,
    /// Epochs or steps, batches, seed.
    pub train: TrainOptions,
    /// The loss.
    pub loss: LossOptions,
    /// The optimiser.
    pub optimizer: OptimizerOptions,
    /// The learning rate.
    pub schedule: ScheduleOptions,
}

impl Recipe {
    /// Returns the steps of one epoch over `images` training images (without the validation split).
    /// The last, smaller batch is left out; a set smaller than one batch is one step.
    pub fn steps_per_epoch(&self, images: usize) -> u64 {
        ((images / (self.train.batch * self.train.accumulate).max(1)) as u64).max(1)
    }

    /// Returns the steps of the whole run over `images` training images.
    pub fn total_steps(&self, images: usize) -> u64 {
        match (self.train.steps, self.train.epochs) {
            (Some(steps), _) => steps,
            (None, epochs) => epochs.unwrap_or(1).saturating_mul(self.steps_per_epoch(images)),
        }
    }
}

/// How pixels are normalised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Normalize {
    /// `(x − mean) / std` per channel.
    #[default]
    Channel,
    /// The mean image of the training images is subtracted, pixel by pixel (ResNet §4.2).
    Pixel,
}

/// `[data]`: the images and their preprocessing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataOptions {
    /// `shapes`, `cifar10`, `cifar100`, `mnist` or a folder.
    pub source: String,
    /// Number of images taken from the fixed shuffle; 0 takes all.
    pub train_size: usize,
    /// Number of those used for validation; a tenth if absent, 0 trains on everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation: Option<usize>,
    /// Normalisation per channel or per pixel.
    pub normalize: Normalize,
    /// Mean of each channel, with pixels from 0 to 1; the source's own if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean: Option<Vec<f64>>,
    /// Standard deviation of each channel; the source's own if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub std: Option<Vec<f64>>,
    /// With `resize = "crop"`: the shorter side in pixels before the centre crop, in testing and if
    /// training cuts no random crops (256 before 224 is customary); the input size if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale: Option<usize>,
    /// How images become square.
    pub resize: Resize,
    /// The filter of resizing.
    pub filter: Filter,
    /// The protocol of the test at the end of the run, `center` or `flip`; validation uses
    /// `center`.
    pub test: TestProtocol,
}

impl Default for DataOptions {
    fn default() -> Self {
        Self {
            source: "shapes".into(),
            train_size: 0,
            validation: None,
            normalize: Normalize::Channel,
            mean: None,
            std: None,
            scale: None,
            resize: Resize::Crop,
            filter: Filter::Bilinear,
            test: TestProtocol::Center,
        }
    }
}

/// `[augment]`: augmentation of the training images.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AugmentOptions {
    /// Pixels of zero padding (after normalisation) around the image before a random crop to its
    /// size; 0 is off.
    pub pad_crop: usize,
    /// Left-right flips.
    pub flip: Flip,
    /// Side in pixels of a square at a random position that is set to zero (DeVries & Taylor 2017);
    /// 0 is off.
    pub cutout: usize,
    /// For large images: the shorter side is resized to a random size between these two, and a
    /// random crop of the input size is cut (VGG 256 to 512, or one size twice, §3.1; ResNet 256 to
    /// 480, §3.4).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale: Option<[usize; 2]>,
    /// For large images: a random crop with this share of the area is resized to the input size,
    /// [0.08, 1] for ImageNet (Szegedy et al. 2015).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resized_crop: Option<[f64; 2]>,
    /// With `resized_crop`: the crop's ratio of width to height; [3/4, 4/3] if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aspect: Option<[f64; 2]>,
    /// With `scale` or `resized_crop`: height and width in training, if another than in testing
    /// (Touvron et al. 2019).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<usize>,
    /// `rand-augment` (Cubuk et al. 2020) or `trivial-augment-wide` (Müller & Hutter 2021), with
    /// torchvision's operations and ranges.
    pub policy: PolicyKind,
    /// With `rand-augment`: operations per image (2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operations: Option<usize>,
    /// With `rand-augment`: their strength, 0 to 30 (9).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strength: Option<u32>,
    /// Colour jitter: the largest change of brightness, contrast and saturation, and of hue in
    /// turns (at most 0.5).
    pub jitter: [f64; 4],
    /// Standard deviation of colour shifts along ImageNet's principal components, 0.1 in both
    /// papers; 0 is off.
    pub lighting: f64,
    /// Probability that a random rectangle is set to zero (Zhong et al. 2020); 0 is off.
    pub erasing: f64,
    /// Repeated augmentation (Hoffer et al. 2020): how often a step contains each of its images,
    /// augmented differently each time; an epoch has as many times fewer images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repeats: Option<usize>,
}

impl From<&AugmentOptions> for Augment {
    fn from(options: &AugmentOptions) -> Self {
        let crop = match (options.scale, options.resized_crop) {
            (Some(sides), _) => Crop::Scale(sides),
            (None, Some(area)) => Crop::Resized { area, aspect: options.aspect.unwrap_or([3.0 / 4.0, 4.0 / 3.0]) },
            (None, None) => Crop::None,
        };
        let policy = match options.policy {
            PolicyKind::None => Policy::None,
            PolicyKind::RandAugment => Policy::RandAugment {
                operations: options.operations.unwrap_or(2),
                magnitude: options.strength.unwrap_or(9),
            },
            PolicyKind::TrivialAugmentWide => Policy::TrivialAugmentWide,
        };
        let [brightness, contrast, saturation, hue] = options.jitter;
        Self {
            crop,
            policy,
            jitter: Jitter { brightness, contrast, saturation, hue },
            pad_crop: options.pad_crop,
            flip: options.flip,
            lighting: options.lighting as f32,
            cutout: options.cutout,
            erasing: options.erasing,
        }
    }
}

/// `[train]`: length, batches and seed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainOptions {
    /// Passes over the training images; exactly one of `epochs` and `steps` is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epochs: Option<u64>,
    /// Optimiser steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
    /// Images per forward pass.
    pub batch: usize,
    /// Forward passes whose gradients are averaged into one step.
    pub accumulate: usize,
    /// Decay per step of the moving average of the weights; 0 is off.
    pub ema: f64,
    /// Whether convolutions may use Winograd; without it they are slower, with a smaller rounding
    /// error.
    pub winograd: bool,
    /// Steps between checkpoints besides the one at the end of each epoch; 0 for none besides.
    pub checkpoint_every: u64,
    /// Seed of initial weights, order, augmentation and dropout.
    pub seed: u64,
}

impl Default for TrainOptions {
    fn default() -> Self {
        Self {
            epochs: None,
            steps: None,
            batch: 128,
            accumulate: 1,
            ema: 0.0,
            winograd: true,
            checkpoint_every: 1000,
            seed: 0,
        }
    }
}

/// `[loss]`: cross-entropy and its target distributions.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LossOptions {
    /// Share of the target that label smoothing spreads over all classes.
    pub label_smoothing: f64,
    /// α of mixup's Beta(α, α) (Zhang et al. 2017); 0 is off.
    pub mixup: f64,
    /// α of CutMix's Beta(α, α) (Yun et al. 2019); 0 is off. With both, each mixes half of the
    /// batches.
    pub cutmix: f64,
    /// The epoch, counted from 0, from which on nothing is mixed; never if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mix_off_epoch: Option<u64>,
}

/// The kind of optimiser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerKind {
    /// Stochastic gradient descent with momentum, dampening 0, PyTorch's form: v ← m·v + g, w ← w −
    /// lr·v.
    #[default]
    Sgd,
}

/// `[optimizer]`: the optimiser and its constants.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OptimizerOptions {
    /// The kind of optimiser.
    pub kind: OptimizerKind,
    /// The base learning rate, which the schedule scales.
    pub lr: f64,
    /// Momentum, in [0, 1).
    pub momentum: f64,
    /// Whether to use Nesterov momentum.
    pub nesterov: bool,
    /// L2 penalty, added to the gradient as λ·w.
    pub weight_decay: f64,
    /// Whether weight decay applies to batch norm and biases, too.
    pub decay_norm_and_bias: bool,
    /// Learning rate of biases and batch-norm shifts, as a multiple of the others' (64 in short
    /// runs: Page 2018).
    pub bias_lr: f64,
    /// Largest L2 norm of all gradients together; 0 does not clip.
    pub clip_norm: f64,
}

impl Default for OptimizerOptions {
    fn default() -> Self {
        Self {
            kind: OptimizerKind::Sgd,
            lr: 0.1,
            momentum: 0.9,
            nesterov: false,
            weight_decay: 1e-4,
            decay_norm_and_bias: true,
            bias_lr: 1.0,
            clip_norm: 0.0,
        }
    }
}

/// The kind of learning-rate schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScheduleKind {
    /// The rate is `optimizer.lr`.
    #[default]
    Constant,
    /// The rate is multiplied by `factor` at each of `milestones`.
    MultiStep,
    /// The rate follows half a cosine from `optimizer.lr` to `final`.
    Cosine,
    /// The rate rises linearly from `initial` to `optimizer.lr` at `peak` and falls linearly to
    /// `final`.
    OneCycle,
    /// The rate is multiplied by `factor` when the validation error stops improving (VGG §3.1).
    Plateau,
}

/// `[schedule]`: the kind and its constants. A key that the kind does not use is refused.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScheduleOptions {
    /// The kind of schedule.
    pub kind: ScheduleKind,
    /// multi-step: the steps at which the rate drops, counted from the beginning of the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub milestones: Option<Vec<u64>>,
    /// multi-step, plateau: the factor of a drop (0.1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub factor: Option<f64>,
    /// one-cycle: the share of the steps after which `optimizer.lr` is reached (0.2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak: Option<f64>,
    /// one-cycle: the first rate as a share of `optimizer.lr` (0.1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initial: Option<f64>,
    /// cosine, one-cycle: the last rate as a share of `optimizer.lr` (0 and 0.0001).
    #[serde(rename = "final", skip_serializing_if = "Option::is_none")]
    pub last: Option<f64>,
    /// plateau: validations without improvement before a drop (3).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patience: Option<u64>,
    /// plateau: points of validation error that count as an improvement (0.1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
    /// plateau: largest number of drops (3).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_drops: Option<u64>,
    /// Any kind: steps of linear warm-up; 0 for none.
    pub warmup_steps: u64,
    /// Any kind: the warm-up's first rate as a share of its last.
    pub warmup_start: f64,
    /// Any kind: a rate that is held until the training error falls below `hold_error` (ResNet
    /// §4.2, 110 layers).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold_lr: Option<f64>,
    /// Any kind: the training error in percent that ends the hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold_error: Option<f64>,
}

/// The keys of `[schedule]` that every kind takes.
pub(super) const SCHEDULE_COMMON: &[&str] = &["kind", "warmup_steps", "warmup_start", "hold_lr", "hold_error"];

impl ScheduleKind {
    /// Returns the keys of `[schedule]` that not every kind takes, but this one does.
    pub fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Constant => &[],
            Self::MultiStep => &["milestones", "factor"],
            Self::Cosine => &["final"],
            Self::OneCycle => &["peak", "initial", "final"],
            Self::Plateau => &["factor", "patience", "threshold", "max_drops"],
        }
    }

    /// Returns the kind's name in a recipe.
    pub fn name(self) -> &'static str {
        match self {
            Self::Constant => "constant",
            Self::MultiStep => "multi-step",
            Self::Cosine => "cosine",
            Self::OneCycle => "one-cycle",
            Self::Plateau => "plateau",
        }
    }
}

impl ScheduleOptions {
    /// Returns the same options with every key that the kind uses written out.
    pub fn filled(&self) -> Self {
        let mut full = self.clone();
        match self.kind {
            ScheduleKind::Constant => {}
            ScheduleKind::MultiStep => {
                full.milestones.get_or_insert_default();
                full.factor.get_or_insert(0.1);
            }
            ScheduleKind::Cosine => {
                full.last.get_or_insert(0.0);
            }
            ScheduleKind::OneCycle => {
                full.peak.get_or_insert(0.2);
                full.initial.get_or_insert(0.1);
                full.last.get_or_insert(1e-4);
            }
            ScheduleKind::Plateau => {
                full.factor.get_or_insert(0.1);
                full.patience.get_or_insert(3);
                full.threshold.get_or_insert(0.1);
                full.max_drops.get_or_insert(3);
            }
        }
        full
    }
}
