//! The lab: the papers' argument, run and seen. Several networks are trained under one recipe and looked into.
//!
//! `depth` is Figure 6 of the ResNet paper, plain and residual networks of several depths, with the layer
//! responses of its Figure 7 and the gradients that reach each layer; `vgg` the same for VGG's depth,
//! normalisation and LRN; `nonlinearity` compares stacks of filters with and without their ReLUs.
//!
//! Each network is a folder in the lab's folder: `plain-20-seed0`. Those of the papers are ordinary run folders and
//! resume; [`chain`] networks, which no paper has, begin again. What is finished is not run again. [`inside`] looks into a
//! network, [`watch`] keeps what it saw in `lab.jsonl`.

pub mod chain;
pub mod inside;
pub mod nets;
pub mod watch;

pub use nets::{Kind, Net};
pub use watch::Look;

use residual::error::Result;
use residual_train::data;
use residual_train::ops::buffer;
use residual_train::recipe::Recipe;
use residual_train::train::{self, Record, ReportWriter, RunOptions, Sink};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use watch::Watch;

/// What a lab is told.
#[derive(Debug, Clone)]
pub struct Options {
    /// Its folder.
    pub out: PathBuf,
    /// The recipe of every network; its own network and seed are replaced.
    pub recipe: Recipe,
    /// Seeds of each network.
    pub seeds: Vec<u64>,
    /// Times that it looks into a network while that trains, the end included and the start not.
    pub looks: u64,
    /// Set by Ctrl-C.
    pub stop: Arc<AtomicBool>,
    /// Writes the page about each finished run; no pages without it.
    pub report: Option<ReportWriter>,
}

/// A finished network: a line of the lab's table. Errors in percent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The network with its options: `resnet-20 (B)`.
    pub net: String,
    /// `plain`, `resnet`, `vgg`, `linear` and the like: what it is grouped by.
    pub family: String,
    /// Weight layers.
    pub depth: usize,
    /// Its shortcuts.
    pub shortcut: Option<String>,
    /// The seed.
    pub seed: u64,
    /// Steps that it was trained.
    pub steps: u64,
    /// Trainable parameters.
    pub params: u64,
    /// Error on the training images after the last step, not varied.
    pub train_error: f64,
    /// Error on all test images after the last step.
    pub test_error: Option<f64>,
    /// Norm of the gradient of the first convolution's weights over that of the last one's, at the start.
    pub gradient_ratio: Option<f64>,
    /// Mean of the layers' response deviations after the last step.
    pub response: Option<f64>,
    /// Seconds of training.
    pub seconds: f64,
    /// What it was trained and tested on.
    pub data: String,
    /// Its folder.
    pub path: PathBuf,
}

/// A network of the lab with everything that was seen of it.
#[derive(Debug, Clone)]
pub struct Specimen {
    /// Its line of the table.
    pub row: Row,
    /// What was seen while it trained, by step.
    pub looks: Vec<Look>,
    /// (step, percent) of training error as the varied batches were seen.
    pub training: Vec<(f64, f64)>,
}

/// Trains every one of `nets` with every seed, as far as that was not done yet. `done` hears of each that is finished.
///
/// # Errors
/// Data or a recipe that is no good, a run that fails, Ctrl-C (with a checkpoint).
pub fn run(
    nets: &[Net],
    options: &Options,
    progress: &mut dyn data::Progress,
    sink: &mut dyn Sink,
    mut done: impl FnMut(&Row) -> Result<()>,
) -> Result<Vec<Specimen>> {
    let mut specimens = Vec::with_capacity(nets.len() * options.seeds.len());
    for net in nets {
        for &seed in &options.seeds {
            let specimen = one(net, seed, options, progress, sink)?;
            done(&specimen.row)?;
            specimens.push(specimen);
            // The next network's activations have other sizes.
            buffer::trim();
        }
    }
    Ok(specimens)
}

fn one(
    net: &Net,
    seed: u64,
    options: &Options,
    progress: &mut dyn data::Progress,
    sink: &mut dyn Sink,
) -> Result<Specimen> {
    let out = options.out.join(format!("{}-seed{seed}", net.folder()));
    let mut recipe = options.recipe.clone();
    recipe.train.seed = seed;
    if let Some(design) = net.design() {
        return chain::run(net, design, &recipe, &out, options, progress, sink);
    }
    net.apply(&mut recipe);
    recipe.check()?;
    let kept = out.join("specimen.json");
    let mut watch = Watch::new(&recipe, &out, options.looks, sink, progress)?;
    let run = RunOptions {
        out: out.clone(),
        resume: true,
        skip_bad: false,
        stop: Arc::clone(&options.stop),
        report: options.report,
    };
    let watched = watch.recipe().clone();
    let result = train::run(&watched, &run, progress, &mut watch)
        .map_err(|error| error.with_hint_when_interrupted("the same command goes on from there"))?;
    let (looks, params) = watch.finish()?;
    let row = match read(&kept) {
        Some(row) => row,
        None => {
            let last = looks.last();
            let weights = residual_train::eval::Weights::load(&out.join("last.safetensors"))?;
            let data = train::open(&recipe, false, progress)?;
            let normalizer = weights.metadata.preprocessing.normalizer()?;
            let classifier = weights.classifier(data.train.len());
            let error = |images: &data::Images, progress: &mut dyn data::Progress| {
                residual_train::eval::evaluate(&classifier, images, &normalizer, &data.classes, progress)
                    .map(|result| result.top1_error)
            };
            let row = Row {
                net: net.name(),
                family: net.family().to_owned(),
                depth: net.depth(),
                shortcut: net.shortcut().map(|shortcut| format!("{shortcut:?}")),
                seed,
                steps: result.step,
                params,
                train_error: error(&data.train, progress)?,
                test_error: if data.test.is_empty() { None } else { Some(error(&data.test, progress)?) },
                gradient_ratio: looks.first().and_then(Look::gradient_ratio),
                response: last.and_then(Look::mean_response),
                seconds: result.seconds,
                data: result.data,
                path: std::path::absolute(&out).unwrap_or_else(|_| out.clone()),
            };
            write(&kept, &row)?;
            row
        }
    };
    let record = Record::read(&out)?;
    let training = record.epochs.iter().map(|epoch| (epoch.step as f64, epoch.train_error)).collect();
    Ok(Specimen { row, looks, training })
}

fn read(path: &Path) -> Option<Row> {
    serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok()
}

fn write(path: &Path, row: &Row) -> Result<()> {
    residual::atomic::write(path, &serde_json::to_vec_pretty(row).expect("plain data"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use residual_train::models::options::Shortcut;
    use residual_train::train::Event;

    fn options(folder: &Path) -> Options {
        let set = ["train.steps=4", "train.batch=8", "data.train_size=40", "data.validation=0"];
        let recipe = Recipe::load("shapes-resnet20", &set.map(str::to_owned)).expect("a recipe");
        Options { out: folder.to_owned(), recipe, seeds: vec![0, 1], looks: 2, stop: Arc::default(), report: None }
    }

    #[test]
    fn an_interrupted_lab_goes_on_with_the_same_command_and_says_so() {
        let folder = tempfile::tempdir().expect("a folder");
        let (nets, options) = ([Net::plain(8).expect("6n+2")], options(folder.path()));
        let mut stop = |event: &Event| {
            if matches!(event, Event::Step { step: 2, .. }) {
                options.stop.store(true, std::sync::atomic::Ordering::Relaxed);
            }
        };
        let error = run(&nets, &options, &mut (), &mut stop, |_| Ok(())).expect_err("stopped");
        assert_eq!(
            (error.kind(), error.hint()),
            (crate::Kind::Interrupted, Some("the same command goes on from there"))
        );
        options.stop.store(false, std::sync::atomic::Ordering::Relaxed);
        let mut begun = Vec::new();
        let mut count = |event: &Event| {
            if let Event::Start { step, .. } = event {
                begun.push(*step);
            }
        };
        run(&nets, &options, &mut (), &mut count, |_| Ok(())).expect("it goes on");
        assert_eq!(begun, [2, 0], "the second seed begins");
    }

    #[test]
    fn finished_networks_are_not_trained_again_and_tell_what_was_seen() {
        let folder = tempfile::tempdir().expect("a folder");
        let nets = [Net::plain(8).expect("6n+2"), Net::residual(8, Shortcut::B).expect("6n+2")];
        let mut steps = 0;
        let mut count = |event: &Event| steps += u64::from(matches!(event, Event::Step { .. }));
        let first = run(&nets, &options(folder.path()), &mut (), &mut count, |_| Ok(())).expect("it runs");
        assert_eq!((first.len(), steps), (4, 16));
        let specimen = &first[2];
        assert_eq!((specimen.row.net.as_str(), specimen.row.family.as_str()), ("resnet-cifar-8 (B)", "resnet"));
        assert_eq!(specimen.looks.iter().map(|look| look.step).collect::<Vec<_>>(), [0, 2, 4]);
        // conv1 and six 3x3; two projections are no layers of the figure.
        assert_eq!(specimen.looks[2].responses.len(), 7);
        assert_eq!(specimen.looks[0].gradients.len(), 7);
        let mut silence = |event: &Event| assert!(!matches!(event, Event::Step { .. }), "trained again");
        let again = run(&nets, &options(folder.path()), &mut (), &mut silence, |_| Ok(())).expect("it is there");
        let rows = |specimens: &[Specimen]| specimens.iter().map(|one| one.row.clone()).collect::<Vec<_>>();
        assert_eq!(rows(&first), rows(&again));
    }
}
