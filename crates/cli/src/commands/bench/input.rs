//! `residual bench input`: measures the data pipeline without a network.

use super::DEVICE;
use crate::precision::PrecisionArg;
use crate::ui::Ui;
use crate::ui::numbers::rate;
use residual::Result;
use residual_train::data::Loader;
use residual_train::recipe::Recipe;
use residual_train::train;
use residual_train::train::machine::{Machine, peak_rss_mb};
use serde::Serialize;
use std::num::NonZeroUsize;
use std::time::Instant;

/// Arguments of `bench input`.
#[derive(Debug, clap::Args)]
pub struct InputArgs {
    /// A recipe file or a built-in recipe
    #[arg(value_name = "RECIPE")]
    recipe: String,

    /// Images: a data set's name or a folder [default: the recipe's]
    #[arg(long, value_name = "D")]
    data: Option<String>,

    /// Change a value of the recipe
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    sets: Vec<String>,

    /// Batch size [default: the recipe's]
    #[arg(long, value_name = "N")]
    batch: Option<NonZeroUsize>,

    /// Number of timed batches, after those that were prefetched
    #[arg(long, value_name = "N", default_value = "10")]
    iters: NonZeroUsize,
}

/// Object of `--json`.
#[derive(Debug, Serialize)]
struct InputReport {
    what: &'static str,
    recipe: String,
    batch: usize,
    input: [usize; 3],
    images_per_second: f64,
    /// Mean time per batch.
    ms_per_step: f64,
    peak_rss_mb: Option<u64>,
    isa: String,
    threads: usize,
    /// Always `null`: images are bytes until they are normalised.
    precision: Option<PrecisionArg>,
    device: &'static str,
    cpu: String,
}

/// Runs the benchmark and prints the result.
pub fn run(options: &InputArgs, ui: &mut Ui) -> Result<()> {
    let mut overrides: Vec<String> =
        options.data.iter().map(|data| format!("data.source={}", serde_json::Value::from(data.as_str()))).collect();
    overrides.extend(options.batch.map(|batch| format!("train.batch={batch}")));
    overrides.extend(options.sets.iter().cloned());
    let recipe = Recipe::load(&options.recipe, &overrides)?;
    let prepared = train::prepare(&recipe, false, &mut ui.bars())?;
    let mut loader = prepared.loader(0)?;
    let (ms_per_step, input) = time(&mut loader, options.iters.get())?;
    let (batch, machine) = (prepared.recipe.train.batch, Machine::here());
    let report = InputReport {
        what: "input",
        recipe: options.recipe.clone(),
        batch,
        input,
        images_per_second: 1e3 * batch as f64 / ms_per_step,
        ms_per_step,
        peak_rss_mb: peak_rss_mb(),
        isa: machine.isa,
        threads: machine.threads,
        precision: None,
        device: DEVICE,
        cpu: machine.cpu,
    };
    if ui.json() {
        return ui.value(&report);
    }
    let [h, w, c] = report.input;
    let speed = rate(report.images_per_second);
    ui.line(&format!("input of {}, batch {batch}, {h}x{w}x{c}: {speed} images/s", report.recipe))?;
    ui.line(&format!("{:.2} ms per batch; {}, {} threads", report.ms_per_step, report.cpu, report.threads))
}

/// Returns the mean milliseconds per batch and the batch's image size. Prefetched batches are not
/// timed; the mean is used because batches may arrive in bursts.
fn time(loader: &mut Loader, iters: usize) -> Result<(f64, [usize; 3])> {
    let (mut began, mut size) = (Instant::now(), [0; 3]);
    for number in 0..iters + PREFETCHED {
        if number == PREFETCHED {
            began = Instant::now();
        }
        size = loader.next()?.size;
    }
    Ok((1e3 * began.elapsed().as_secs_f64() / iters as f64, size))
}

/// Batches that the loader prefetches before the clock starts.
const PREFETCHED: usize = 5;
