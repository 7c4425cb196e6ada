//! `residual bench`: measures speed on this machine.
//!
//! `train` times a step of `residual train`: a new augmented batch, forward pass, all gradients,
//! SGD with momentum and weight decay. `infer` times the inference plan of `eval` and `predict`.
//! Both report the median of `--iters` steps after one warm-up. `input` times the data pipeline
//! alone.

mod input;
mod layers;

use crate::precision::{PrecisionArg, precision};
use crate::ui::Ui;
use crate::ui::numbers::{rate, thousands};
use residual::Result;
use residual::graph::Summary;
use residual::models::{Model, ModelOptions, Spec};
use residual::plan::Plan;
use residual_train::train::machine::{Machine, peak_rss_mb};
use residual_train::train::memory;
use residual_train::train::pace::{self, StepTimes, median};
use serde::Serialize;
use std::num::NonZeroUsize;

/// Largest input size that is benchmarked with CIFAR's 10 classes; larger ones have ImageNet's
/// 1000.
const CIFAR_UP_TO: usize = 64;

/// Device that everything runs on.
const DEVICE: &str = "cpu";

/// Measure speed on this machine
#[derive(Debug, clap::Subcommand)]
pub enum BenchCommand {
    /// Time training steps
    Train(BenchArgs),
    /// Time forward passes of inference
    Infer(BenchArgs),
    /// Time each distinct layer of a network
    Layers(BenchArgs),
    /// Time the data pipeline, from files to batches
    Input(input::InputArgs),
}

/// Arguments of `bench train`, `infer` and `layers`.
#[derive(Debug, clap::Args)]
pub struct BenchArgs {
    /// A network (`residual models` lists them)
    #[arg(value_name = "NAME")]
    name: String,

    /// Batch size [default: 128 up to 64 px, 16 above]
    #[arg(long, value_name = "N")]
    batch: Option<NonZeroUsize>,

    /// Input height and width in pixels [default: the network's own]
    #[arg(long, value_name = "N")]
    size: Option<usize>,

    /// Number of timed steps, after one warm-up
    #[arg(long, value_name = "N", default_value = "10")]
    iters: NonZeroUsize,

    /// Arithmetic precision; auto selects the fastest that is supported
    #[arg(long, value_name = "f32|auto", default_value = "f32", value_parser = precision)]
    precision: PrecisionArg,
}

/// Object of `--json`.
#[derive(Debug, Serialize)]
struct BenchReport {
    name: String,
    what: &'static str,
    batch: usize,
    input: [usize; 3],
    classes: usize,
    images_per_second: f64,
    /// Median time.
    ms_per_step: f64,
    /// Time of the fastest step.
    ms_per_step_min: f64,
    peak_rss_mb: Option<u64>,
    /// Page faults per step; 0 if all buffers are recycled.
    page_faults_per_step: Option<u64>,
    /// Rate of an equivalent direct convolution: two operations per multiply-add, and three passes
    /// per training step (forward, input gradient, weight gradient).
    gflops_of_direct_convolution: f64,
    isa: String,
    threads: usize,
    precision: PrecisionArg,
    device: &'static str,
    cpu: String,
}

impl BenchCommand {
    /// Runs the benchmark and prints the result.
    pub fn run(&self, ui: &mut Ui) -> Result<()> {
        let report = match self {
            Self::Train(options) => options.train()?,
            Self::Infer(options) => options.infer()?,
            Self::Layers(options) => return layers::run(options, ui),
            Self::Input(options) => return input::run(options, ui),
        };
        if ui.json() {
            return ui.value(&report);
        }
        let [h, w, c] = report.input;
        ui.line(&format!(
            "{} {}, batch {}, {h}x{w}x{c}, {} classes: {} images/s",
            report.what,
            report.name,
            report.batch,
            report.classes,
            rate(report.images_per_second)
        ))?;
        ui.line(&format!(
            "{:.2} ms per step (fastest {:.2}), {:.1} GFLOP/s of direct convolution",
            report.ms_per_step, report.ms_per_step_min, report.gflops_of_direct_convolution,
        ))?;
        let known = |value: Option<u64>| value.map_or_else(|| "unknown".into(), thousands);
        ui.line(&format!(
            "peak memory {} MB, {} page faults per step",
            known(report.peak_rss_mb),
            known(report.page_faults_per_step)
        ))?;
        ui.line(&format!(
            "{} ({}), {}, {}, {} threads",
            report.device,
            report.cpu,
            report.isa,
            report.precision.name(),
            report.threads
        ))
    }
}

impl BenchArgs {
    fn spec(&self) -> Result<Spec> {
        let entry = residual::models::find(&self.name)?;
        let size = self.size.unwrap_or(entry.input);
        let classes = if size <= CIFAR_UP_TO { 10 } else { 1000 };
        Spec::resolve(&ModelOptions {
            name: entry.name,
            input: Some(size),
            channels: Some(3),
            classes: Some(classes),
            ..ModelOptions::default()
        })
    }

    fn batch(&self, size: usize) -> usize {
        self.batch.map_or(if size <= CIFAR_UP_TO { 128 } else { 16 }, usize::from)
    }

    fn train(&self) -> Result<BenchReport> {
        let spec = self.spec()?;
        let batch = self.batch(spec.input[0]);
        fits(&spec, batch, |summary| memory::training_step(summary, batch, 1))?;
        let taken = pace::training_steps(&spec, batch, self.iters.get(), |_| ())?;
        Ok(report("train", &spec, batch, 3, taken, self.precision))
    }

    fn infer(&self) -> Result<BenchReport> {
        let spec = self.spec()?;
        let batch = self.batch(spec.input[0]);
        let [h, w, _] = spec.input;
        fits(&spec, batch, |summary| memory::forward_pass(summary, batch))?;
        let mut plan = Plan::new(&Model::initialised(spec.clone(), 0), batch, true);
        let pixels = pace::noise(&spec, batch)?.next()?.pixels;
        let taken = pace::times(self.iters.get(), |_| plan.logits(&pixels, [batch, h, w]).map(|_| ()))?;
        Ok(report("infer", &spec, batch, 1, taken, self.precision))
    }
}

/// Fails if a batch needs more memory than is available; `needed` computes the bytes.
fn fits(spec: &Spec, batch: usize, needed: impl Fn(&Summary) -> u64) -> Result<()> {
    let summary = spec.summary();
    memory::check(&summary, batch, needed(&summary))
}

fn report(
    what: &'static str,
    spec: &Spec,
    batch: usize,
    passes: u64,
    taken: StepTimes,
    precision: PrecisionArg,
) -> BenchReport {
    let StepTimes { times, faults } = taken;
    let fastest = times.iter().copied().fold(f64::INFINITY, f64::min);
    let median = median(times);
    let machine = Machine::here();
    let macs = spec.summary().macs;
    let operations = (2 * passes * macs * batch as u64) as f64;
    BenchReport {
        name: spec.name.clone(),
        what,
        batch,
        input: spec.input,
        classes: spec.classes,
        images_per_second: 1e3 * batch as f64 / median,
        ms_per_step: median,
        ms_per_step_min: fastest,
        peak_rss_mb: peak_rss_mb(),
        page_faults_per_step: faults,
        gflops_of_direct_convolution: operations / median / 1e6,
        isa: machine.isa,
        threads: machine.threads,
        precision,
        device: DEVICE,
        cpu: machine.cpu,
    }
}
