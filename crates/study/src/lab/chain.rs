//! Networks that no paper has: stacks of equal filters, with or without ReLUs, to see what each of the two is worth.
//!
//! Three stages of `repeats` convolutions, 16, 32 and 64 channels wide, each normalised and, in the one kind, followed by a
//! ReLU; 2x2 means between the stages, a global mean, one fully connected layer. Everything but the ReLUs is linear in the
//! image once the normalisation's statistics are fixed, so without them the whole network is one linear classifier,
//! however many layers it has. The papers' own networks have no such option.

use super::probes::Probe;
use super::trial::{LabOptions, TRIAL, TrialRow, TrialRun, read, write};
use burn::tensor::Device;
use residual::error::{Error, Kind, Result};
use residual::graph::{Conv, GraphBuilder, Network, Pool, Value};
use residual::models::{InitOptions, Model};
use residual::plan::InferenceSession;
use residual_train::data::{self, Augment, Dataset, Images, Loader, LoaderOptions, Normalizer, RepeatedAugmentation};
use residual_train::eval::TestProtocol;
use residual_train::eval::predictions::Predictions;
use residual_train::recipe::schedule::ScheduleState;
use residual_train::recipe::{Recipe, ResolvedRecipe, ScheduleKind};
use residual_train::train::machine::Machine;
use residual_train::train::trainer::Trainer;
use residual_train::train::{Event, Prepared, Sink, prepare};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// Channels of the stages.
const WIDTHS: [usize; 3] = [16, 32, 64];

/// What a chain is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Design {
    /// Side of every filter.
    pub kernel: usize,
    /// Convolutions of a stage.
    pub repeats: usize,
    /// Whether a ReLU follows each.
    pub relu: bool,
}

impl Design {
    /// In tables: `three 3x3 per stage, ReLU`.
    pub fn name(&self) -> String {
        let relu = if self.relu { "ReLU" } else { "no ReLU" };
        format!("{} × {}x{} per stage, {relu}", self.repeats, self.kernel, self.kernel)
    }

    pub(super) fn folder(&self) -> String {
        let relu = if self.relu { "relu" } else { "linear" };
        format!("{}of{}x{}-{relu}", self.repeats, self.kernel, self.kernel)
    }

    /// Returns the group of the network: `relu` or `linear`.
    pub fn family(&self) -> &'static str {
        if self.relu { "relu" } else { "linear" }
    }

    /// Weight layers.
    pub fn depth(&self) -> usize {
        WIDTHS.len() * self.repeats + 1
    }

    /// Multiply-adds of the convolutions for one image of `side` pixels and `channels`.
    pub fn macs(&self, side: usize, channels: usize) -> u64 {
        let mut c = channels;
        let stage = |(i, k): (usize, usize)| {
            let (first, map) = (std::mem::replace(&mut c, k), (side >> i) * (side >> i));
            map * self.kernel * self.kernel * k * (first + (self.repeats - 1) * k)
        };
        WIDTHS.into_iter().enumerate().map(stage).sum::<usize>() as u64
    }
}

/// The network of a design for some images and classes.
#[derive(Debug, Clone, Copy)]
pub struct Chain {
    design: Design,
    /// Height, width and channels of the images.
    input: [usize; 3],
    classes: usize,
}

impl Network for Chain {
    fn input(&self) -> [usize; 3] {
        self.input
    }

    fn forward(&self, g: &mut GraphBuilder, x: Value) -> Value {
        let Design { kernel, repeats, relu } = self.design;
        let mut x = x;
        for (stage, &width) in WIDTHS.iter().enumerate() {
            if stage > 0 {
                x = g.avg_pool("", x, Pool::HALVING);
            }
            for i in 0..repeats {
                x = g.scope(format!("stages.{stage}.{i}"), |g| {
                    let x = g.conv("conv", x, Conv::new(width, kernel));
                    let x = g.batch_norm("bn", x);
                    if relu { g.relu(x) } else { x }
                });
            }
        }
        let x = g.global_avg_pool("avgpool", x);
        g.linear("fc", x, self.classes)
    }

    fn name(&self) -> &str {
        "a stack of filters"
    }
}

/// The network of `design` with initial weights, for images of `input` and `classes`.
///
/// # Errors
/// Fails if the images are too small for its stages.
pub fn stack(design: Design, input: [usize; 3], classes: usize, seed: u64) -> Result<Model<Chain>> {
    Model::with_initial_weights(Chain { design, input, classes }, &InitOptions::default(), seed)
}

/// Trainable parameters.
pub fn params(model: &Model<Chain>) -> u64 {
    model.graph().summary("", "").params
}

/// Top-1 error of `model` on `images`, percent.
fn error(
    model: &Model<Chain>,
    images: &Images,
    normalizer: &Normalizer,
    classes: &[String],
    winograd: bool,
) -> Result<f64> {
    let session = InferenceSession::new(model, images.len(), winograd);
    Ok(Predictions::of(&session, images, normalizer, classes, false, &mut ())?.top1_error())
}

/// What a finished chain leaves behind its row: enough for the page.
type Curves = (Vec<Probe>, Vec<(f64, f64)>);

/// Trains and tests the chain of `design` by `recipe` in `out`, unless that was done before.
///
/// # Errors
/// A recipe that asks for what is not done here, a folder of another recipe, data that is no good, a loss that is not
/// finite, Ctrl-C (nothing is kept then).
pub(super) fn run(
    design: Design,
    recipe: &Recipe,
    out: &Path,
    options: &LabOptions,
    progress: &mut dyn data::Progress,
    sink: &mut dyn Sink,
) -> Result<TrialRun> {
    check(recipe)?;
    let (kept, curves, by) = (out.join(TRIAL), out.join("curves.json"), out.join("recipe.toml"));
    let asked = recipe.to_toml()?;
    if kept.exists() && std::fs::read_to_string(&by).ok().as_deref() != Some(asked.as_str()) {
        return Err(Error::usage(format!("{} belongs to another recipe", out.display()))
            .with_hint("give the options that it was trained with, or choose another --out"));
    }
    let read_curves = || serde_json::from_str::<Curves>(&std::fs::read_to_string(&curves).ok()?).ok();
    if let (Some(row), Some((probes, training))) = (read(&kept), read_curves()) {
        return Ok(TrialRun { row, probes, training });
    }
    std::fs::create_dir_all(out).map_err(|error| Error::io("make", out, error))?;
    residual::atomic::write(&by, asked.as_bytes())?;
    Machine::here().save(out)?;
    let Prepared { recipe, data, preprocessing } = prepare(recipe, false, progress)?;
    let mut training = Training::new(design, &recipe, data, Arc::new(preprocessing.normalizer()?))?;
    sink.event(&training.started(design, out));
    let began = Instant::now();
    training.go(options, sink)?;
    let test_error = training.test_error()?;
    let row = TrialRow {
        network: design.name(),
        family: design.family().to_owned(),
        depth: design.depth(),
        shortcut: None,
        seed: recipe.train.seed,
        steps: training.steps,
        params: params(&training.trainer.tested()),
        train_error: training.error(&training.data.train)?,
        test_error,
        gradient_ratio: None,
        response: None,
        seconds: began.elapsed().as_secs_f64(),
        data: training.data.label(),
        path: std::path::absolute(out).unwrap_or_else(|_| out.to_owned()),
    };
    let seen: Curves = (training.probes, training.curve);
    residual::atomic::write(&curves, &serde_json::to_vec(&seen).expect("plain data"))?;
    write(&kept, &row)?;
    sink.event(&Event::Done {
        step: row.steps,
        test_top1_error: test_error,
        test_top5_error: None,
        checkpoint: row.path.clone(),
        rule: "last".into(),
        protocol: TestProtocol::Center,
        seconds: row.seconds,
        report: None,
    });
    Ok(TrialRun { row, probes: seen.0, training: seen.1 })
}

/// Whether `recipe` asks only for what [`Training`] does: what it left out would change the page and not the numbers.
fn check(recipe: &Recipe) -> Result<()> {
    let Recipe { train, loss, augment, schedule, .. } = recipe;
    let asked = [
        ("train.accumulate", train.accumulate > 1),
        ("train.ema", train.ema > 0.0),
        ("loss.mixup", loss.mixup > 0.0),
        ("loss.cutmix", loss.cutmix > 0.0),
        ("augment.size", augment.size.is_some()),
        ("augment.repeats", augment.repeats.is_some_and(|times| times > 1)),
        ("schedule.kind = \"plateau\"", schedule.kind == ScheduleKind::Plateau),
        ("schedule.hold_lr", schedule.hold_lr.is_some()),
    ];
    match asked.iter().find(|(_, is_asked)| *is_asked) {
        None => Ok(()),
        Some((key, _)) => Err(Error::new(Kind::Recipe, format!("{key} does not apply to stacks of filters"))),
    }
}

/// A chain under training.
struct Training {
    trainer: Trainer<Chain>,
    recipe: ResolvedRecipe,
    loader: Loader,
    data: Dataset,
    normalizer: Arc<Normalizer>,
    steps: u64,
    probes: Vec<Probe>,
    curve: Vec<(f64, f64)>,
}

impl Training {
    fn new(design: Design, recipe: &ResolvedRecipe, data: Dataset, normalizer: Arc<Normalizer>) -> Result<Self> {
        let seed = recipe.train.seed;
        let options = LoaderOptions {
            batch: recipe.train.batch,
            seed,
            drop_last: true,
            first_step: 0,
            repeats: RepeatedAugmentation::default(),
        };
        let train = Arc::new(data.train.clone());
        let loader = Loader::new(train, Arc::clone(&normalizer), Augment::from(&recipe.augment), options)?;
        let input = [data.train.height(), data.train.width(), data.train.channels()];
        let model = stack(design, input, data.classes.len(), seed)?;
        Ok(Self {
            trainer: Trainer::new(&model, recipe.written(), &Device::flex().autodiff()),
            steps: recipe.train.steps,
            recipe: recipe.clone(),
            loader,
            data,
            normalizer,
            probes: Vec::new(),
            curve: Vec::new(),
        })
    }

    fn started(&self, design: Design, out: &Path) -> Event {
        Event::Start {
            step: 0,
            ranks: 1,
            steps: self.steps,
            steps_per_epoch: self.loader.steps_per_epoch(),
            model: design.name(),
            params: params(&self.trainer.tested()),
            images: self.data.train.len() as u64,
            path: out.to_owned(),
        }
    }

    fn error(&self, images: &Images) -> Result<f64> {
        error(&self.trainer.tested(), images, &self.normalizer, &self.data.classes, self.recipe.train.winograd)
    }

    fn test_error(&self) -> Result<Option<f64>> {
        let test = &self.data.test;
        if test.is_empty() { Ok(None) } else { self.error(test).map(Some) }
    }

    /// All steps, with `options.probes` probes between them.
    fn go(&mut self, options: &LabOptions, sink: &mut dyn Sink) -> Result<()> {
        let every = self.steps.div_ceil(options.probes.max(1)).max(1);
        let (mut wrong, mut seen) = (0, 0);
        for step in 0..self.steps {
            if options.stop.load(Ordering::Relaxed) {
                let message = format!("stopped at step {step} of {}", self.steps);
                return Err(
                    Error::new(Kind::Interrupted, message).with_hint("the same command begins this network again")
                );
            }
            let lr = self.recipe.schedule.lr(step, &ScheduleState::default());
            let outcome = self.trainer.step(&mut [self.loader.next()?], step, lr);
            (wrong, seen) = (wrong + outcome.wrong, seen + outcome.images);
            sink.event(&Event::Step { step: step + 1, loss: outcome.loss, lr });
            if !outcome.loss.is_finite() {
                return Err(Error::new(Kind::Training, format!("the loss is {} at step {}", outcome.loss, step + 1))
                    .with_hint("try a tenth of optimizer.lr"));
            }
            if (step + 1).is_multiple_of(every) || step + 1 == self.steps {
                let error = 100.0 * wrong as f64 / seen.max(1) as f64;
                self.curve.push(((step + 1) as f64, error));
                (wrong, seen) = (0, 0);
                let test_error = self.test_error()?;
                let (responses, gradients) = (Vec::new(), Vec::new());
                self.probes.push(Probe { step: step + 1, train_error: error, test_error, responses, gradients });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(relu: bool) -> InferenceSession {
        let design = Design { kernel: 3, repeats: 2, relu };
        InferenceSession::new(&stack(design, [16, 16, 3], 10, 1).expect("it fits"), 1, true)
    }

    fn logits(net: &InferenceSession, pixels: &[f32]) -> Vec<f32> {
        net.logits(pixels, [1, 16, 16]).expect("they fit")
    }

    fn noise(salt: u32) -> Vec<f32> {
        let hash = |i: u32| (i + salt).wrapping_mul(2_654_435_761) >> 8;
        (0..16 * 16 * 3).map(|i| hash(i) as f32 / (1 << 23) as f32 - 1.0).collect()
    }

    /// How far f(a + b) − f(0) is from (f(a) − f(0)) + (f(b) − f(0)), relative to its largest value.
    fn curvature(net: &InferenceSession) -> f32 {
        let (a, b) = (noise(1), noise(7919));
        let sum: Vec<f32> = a.iter().zip(&b).map(|(a, b)| a + b).collect();
        let origin = logits(net, &vec![0.0; a.len()]);
        let [a, b, sum] = [&a, &b, &sum].map(|x| logits(net, x));
        let whole: Vec<f32> = sum.iter().zip(&origin).map(|(s, o)| s - o).collect();
        let parts = a.iter().zip(&b).zip(&origin).map(|((a, b), o)| a + b - 2.0 * o);
        let largest = whole.iter().fold(0f32, |m, v| m.max(v.abs()));
        whole.iter().zip(parts).map(|(w, p)| (w - p).abs()).fold(0f32, f32::max) / largest
    }

    #[test]
    fn without_relus_seven_layers_are_linear_in_the_image_and_with_them_they_are_not() {
        assert!(curvature(&chain(false)) < 1e-4, "{}", curvature(&chain(false)));
        assert!(curvature(&chain(true)) > 1e-2, "{}", curvature(&chain(true)));
    }

    #[test]
    fn three_small_filters_have_fewer_weights_than_a_large_one() {
        let params = |kernel, repeats| {
            let design = Design { kernel, repeats, relu: true };
            params(&stack(design, [32, 32, 64], 10, 0).expect("it fits"))
        };
        assert!(params(3, 3) < params(7, 1));
        // 16 channels of 9 weights on each of 3 and then 16 channels; half as large a map for 32.
        let design = Design { kernel: 3, repeats: 2, relu: true };
        let expected = 32 * 32 * 9 * 16 * (3 + 16) + 16 * 16 * 9 * 32 * (16 + 32) + 8 * 8 * 9 * 64 * (32 + 64);
        assert_eq!(design.macs(32, 3), expected);
    }
}
