//! An experiment carried out: each network with each seed in a run folder of its own, tested by the paper's protocol.
//!
//! `OUT/NETWORK-seedN` are ordinary run folders. What is finished is not run again, what was interrupted goes on; the
//! outcome is `OUT/result.json`.

use super::mark::Mark;
use super::verdict::{Goal, Order, Sample, Verdict, judge, order};
use super::{Experiment, Part, Scale, counts, find, given, is_papers_own};
use crate::data;
use crate::error::{Error, Result};
use crate::eval::Weights;
use crate::ops::buffer;
use crate::train::{self, RunOptions, Sink};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// What an experiment is told beside its table.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where its run folders go.
    pub out: PathBuf,
    /// Seeds 0, 1, ….
    pub seeds: u64,
    /// How much of it is done.
    pub scale: Scale,
    /// Pictures, where they are not where the experiment expects them.
    pub data: Option<String>,
    /// Set by Ctrl-C.
    pub stop: Arc<AtomicBool>,
}

/// A network's value beside the paper's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The part's name.
    pub name: String,
    /// The paper's value.
    pub paper: Option<f64>,
    /// What stands in where the paper prints none.
    pub reference: Option<f64>,
    /// Whose that is.
    pub source: Option<String>,
    /// The least that the paper says it is.
    pub at_least: Option<f64>,
    /// The mean over seeds.
    pub ours: Option<f64>,
    /// Their standard deviation.
    pub std: Option<f64>,
    /// Half the width of the mean's 95 % interval.
    pub noise: f64,
    /// A value for each seed.
    pub sample: Sample,
    /// The paper's top-5 error.
    pub paper_top5: Option<f64>,
    /// Our mean top-5 error.
    pub ours_top5: Option<f64>,
    /// How test pictures were looked at.
    pub protocol: String,
    /// `%` of error, or the unit of a count.
    #[serde(default = "super::percent")]
    pub unit: String,
    /// Beside the paper's value.
    pub verdict: Verdict,
}

/// Two networks of which the paper says that the first errs more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Claim {
    /// The one that errs more.
    pub worse: String,
    /// The one that errs less.
    pub better: String,
    /// Points between them, positive where the claim is right.
    pub difference: f64,
    /// Half the width of the difference's 95 % interval.
    pub noise: f64,
    /// Whether it is found again.
    pub verdict: Order,
}

/// What came out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The experiment.
    pub id: String,
    /// Where it stands in the paper.
    pub title: String,
    /// Of the row that the experiment is named after, as everything down to `verdict`.
    pub paper: Option<f64>,
    /// The mean over seeds.
    pub ours: Option<f64>,
    /// Their standard deviation.
    pub std: Option<f64>,
    /// How far a value may be from the paper's.
    pub tolerance: f64,
    /// The least favourable of all rows.
    pub verdict: Verdict,
    /// `%` of error, or the unit of a count.
    pub unit: String,
    /// How much of it was done; `None` for weights that were given.
    pub scale: Option<Scale>,
    /// Seeds behind each value.
    pub seeds: u64,
    /// What it was tested on.
    pub data: Option<String>,
    /// All rows.
    pub rows: Vec<Row>,
    /// The paper's conclusions.
    pub claims: Vec<Claim>,
    /// The page about it.
    pub report: Option<PathBuf>,
}

/// What testing one run gave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Tested {
    top1_error: f64,
    top5_error: Option<f64>,
    images: usize,
    data: String,
    #[serde(default)]
    classes: usize,
    /// What it was asked to train by, as TOML: of anything else this is no result.
    #[serde(default)]
    recipe: String,
}

/// Verifies an experiment that trains nothing.
///
/// # Errors
/// One that does.
pub fn verify(experiment: &Experiment) -> Result<Outcome> {
    let count =
        |part| counts::count(experiment, part).map(|ours| row(experiment, part, Sample::exact(ours), None, None, true));
    let rows = experiment.parts.iter().map(count).collect::<Result<Vec<_>>>()?;
    Ok(outcome(experiment, rows, None, 1, None))
}

/// Tests the weights in `path` by the protocol of each row that is about their network.
///
/// # Errors
/// Weights of another network; pictures that cannot be had.
pub fn weights(
    experiment: &Experiment,
    path: &Path,
    data: Option<&str>,
    progress: &mut dyn data::Progress,
) -> Result<Outcome> {
    let weights = Weights::load(path)?;
    let parts = given::parts(experiment, &weights)?;
    let data = given::pictures(experiment, &weights, data, progress)?;
    let mut rows = Vec::new();
    for part in parts {
        let result = given::test(experiment, part, &weights, &data, true, progress)?;
        let sample = Sample { values: vec![result.top1_error], images: result.images };
        let own = is_papers_own(experiment.data.as_deref(), &data.label(), data.classes.len());
        rows.push(row(experiment, part, sample, result.top5_error, None, own));
    }
    Ok(outcome(experiment, rows, None, 1, Some(data.label())))
}

/// Trains and tests every network of `experiment` with every seed; `sink` hears of each run.
///
/// # Errors
/// Pictures that cannot be had, a run that fails, Ctrl-C (with a checkpoint).
pub fn run(
    experiment: &Experiment,
    options: &Options,
    progress: &mut dyn data::Progress,
    sink: &mut dyn Sink,
) -> Result<Outcome> {
    if experiment.only_counts(options.scale) {
        return verify(experiment);
    }
    if experiment.is_count() {
        return super::stacks::run(experiment, options, progress, sink).map(|(outcome, _)| outcome);
    }
    if options.scale == Scale::Full && options.data.is_none() {
        given::available(experiment)?;
    }
    let mut rows = Vec::new();
    let mut label = None;
    for part in &experiment.parts {
        let (mut sample, mut top5, mut own) = (Sample::default(), Sample::default(), true);
        for seed in 0..options.seeds {
            let tested = one(experiment, part, options, seed, progress, sink)?;
            sample.values.push(tested.top1_error);
            sample.images = tested.images;
            top5.values.extend(tested.top5_error);
            own &= is_papers_own(experiment.data.as_deref(), &tested.data, tested.classes);
            label = Some(tested.data);
        }
        // The next network's activations have other sizes.
        buffer::trim();
        rows.push(row(experiment, part, sample, top5.mean(), Some(options.scale), own));
    }
    let mut outcome = outcome(experiment, rows, Some(options.scale), options.seeds, label);
    outcome.claims.extend(beside_twin(experiment, options, &outcome));
    outcome.save(&options.out)?;
    Ok(outcome)
}

/// The run folder of `part` with `seed`; parts that differ in the protocol alone share it.
pub fn folder(part: &Part, out: &Path, seed: u64) -> PathBuf {
    let network = part.network.as_deref().unwrap_or("network");
    let shortcut = part.shortcut.map_or_else(String::new, |shortcut| format!("-{shortcut:?}"));
    out.join(format!("{network}{shortcut}-seed{seed}"))
}

/// The folder that an experiment goes to where nobody names one.
pub fn default_folder(experiment: &Experiment, scale: Scale) -> PathBuf {
    let quick = if scale == Scale::Quick { "-quick" } else { "" };
    Path::new("runs").join(format!("reproduce-{}{quick}", experiment.id.replace('/', "-")))
}

/// One network with one seed: trained, as far as it was not yet, and tested by the row's protocol.
fn one(
    experiment: &Experiment,
    part: &Part,
    options: &Options,
    seed: u64,
    progress: &mut dyn data::Progress,
    sink: &mut dyn Sink,
) -> Result<Tested> {
    let out = folder(part, &options.out, seed);
    let kept = out.join(format!("tested-{}.json", experiment.protocol(part)));
    let recipe = experiment.recipe(part, options.scale, options.data.as_deref(), seed)?;
    let asked = recipe.to_toml()?;
    let read = || serde_json::from_str::<Tested>(&std::fs::read_to_string(&kept).ok()?).ok();
    // A folder that holds another run is refused below, by the state in it.
    if let Some(tested) = read().filter(|tested| tested.recipe == asked) {
        return Ok(tested);
    }
    Mark::new(experiment, part, options.scale).write(&out)?;
    let run = RunOptions { out, resume: true, skip_bad: false, stop: Arc::clone(&options.stop) };
    let result = train::run(&recipe, &run, progress, sink)
        .map_err(|error| error.with_hint_when_interrupted("the same command goes on from there"))?;
    let no_test = || Error::data(format!("{} has no test pictures", result.data));
    let tested = match (experiment.protocol(part), result.test_top1_error) {
        ("center", Some(top1_error)) => {
            let record = train::Record::read(&run.out)?;
            let images = record.predictions()?.map_or(0, |predictions| predictions.rows.len());
            let top5_error = result.test_top5_error;
            let classes = record.recipe.model.classes.unwrap_or(0);
            Tested { top1_error, top5_error, images, data: result.data.clone(), classes, recipe: asked }
        }
        ("center", None) => return Err(no_test()),
        _ => {
            let weights = Weights::load(&result.checkpoint)?;
            let data = given::pictures(experiment, &weights, Some(&recipe.data.source), progress)?;
            let scaled = options.scale == Scale::Full;
            let result = given::test(experiment, part, &weights, &data, scaled, progress)?;
            let (top1_error, top5_error) = (result.top1_error, result.top5_error);
            let classes = data.classes.len();
            Tested { top1_error, top5_error, images: result.images, data: data.label(), classes, recipe: asked }
        }
    };
    crate::atomic::write(&kept, &serde_json::to_vec_pretty(&tested).expect("plain data"))?;
    Ok(tested)
}

pub(super) fn row(
    experiment: &Experiment,
    part: &Part,
    sample: Sample,
    top5: Option<f64>,
    scale: Option<Scale>,
    own_pictures: bool,
) -> Row {
    let verdict = match scale {
        Some(Scale::Quick) => Verdict::Shortened,
        _ if !own_pictures => Verdict::OtherPictures,
        _ => judge(Goal::of(part), &sample, experiment.tolerance, !experiment.is_count()),
    };
    Row {
        name: part.name(),
        paper: part.paper,
        reference: part.reference,
        source: part.source.clone(),
        at_least: part.at_least,
        ours: sample.mean(),
        std: sample.std(),
        noise: sample.noise(),
        paper_top5: part.top5,
        ours_top5: top5,
        protocol: if experiment.is_count() { "count".into() } else { experiment.protocol(part).to_owned() },
        unit: experiment.unit.clone(),
        verdict,
        sample,
    }
}

pub(super) fn outcome(
    experiment: &Experiment,
    rows: Vec<Row>,
    scale: Option<Scale>,
    seeds: u64,
    data: Option<String>,
) -> Outcome {
    let main = rows.iter().rfind(|row| row.unit == experiment.unit).expect("every experiment has a part");
    Outcome {
        id: experiment.id.clone(),
        title: experiment.title.clone(),
        paper: main.paper,
        ours: main.ours,
        std: main.std,
        tolerance: experiment.tolerance,
        verdict: rows.iter().map(|row| row.verdict).max().unwrap_or(Verdict::NotReproduced),
        unit: experiment.unit.clone(),
        scale,
        seeds,
        data,
        claims: claims(experiment, &rows),
        rows,
        report: None,
    }
}

/// The paper's conclusions, as far as both sides were tested.
fn claims(experiment: &Experiment, rows: &[Row]) -> Vec<Claim> {
    let named = |name: &str| {
        let at = experiment.parts.iter().find(|part| part.is_called(name)).map(Part::name);
        let at = at.as_deref().unwrap_or(name);
        rows.iter().find(|row| row.name == at)
    };
    let claims = experiment.claims.iter().filter_map(|[worse, better]| claim(named(worse)?, named(better)?));
    claims.collect()
}

fn claim(worse: &Row, better: &Row) -> Option<Claim> {
    let (difference, noise, verdict) = order(&worse.sample, &better.sample)?;
    Some(Claim { worse: worse.name.clone(), better: better.name.clone(), difference, noise, verdict })
}

/// The plain twin or the residual one beside this one, where it was run at the same scale in a folder beside this one's.
fn beside_twin(experiment: &Experiment, options: &Options, outcome: &Outcome) -> Option<Claim> {
    let mut pairs = super::experiments().iter().filter_map(|one| Some((one, find(one.twin.as_deref()?).ok()?.pop()?)));
    let (residual, plain) = pairs.find(|(one, twin)| one.id == experiment.id || twin.id == experiment.id)?;
    let other = if residual.id == experiment.id { plain } else { residual };
    let name = default_folder(other, options.scale);
    let theirs = Outcome::load(&options.out.parent()?.join(name.file_name()?))?;
    if theirs.data != outcome.data || theirs.scale != outcome.scale {
        return None;
    }
    let (ours, theirs) = (outcome.rows.last()?, theirs.rows.last()?);
    if other.id == plain.id { claim(theirs, ours) } else { claim(ours, theirs) }
}

impl Outcome {
    /// Keeps it as `result.json` in `folder`.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub fn save(&self, folder: &Path) -> Result<()> {
        crate::atomic::write(&folder.join("result.json"), &serde_json::to_vec_pretty(self).expect("plain data"))
    }

    /// The outcome that was kept in `folder`.
    pub fn load(folder: &Path) -> Option<Self> {
        serde_json::from_str(&std::fs::read_to_string(folder.join("result.json")).ok()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shapes(folder: &Path, seeds: u64) -> Options {
        Options {
            out: folder.to_owned(),
            seeds,
            scale: Scale::Quick,
            data: Some("shapes".into()),
            stop: Arc::default(),
        }
    }

    /// A tiny table of its own: the smallest network, three steps.
    fn tiny() -> Experiment {
        toml::from_str(
            r#"
            id = "tiny"
            title = "the smallest network"
            data = "cifar10"
            recipe = "cifar10-resnet20-paper"
            quick = ["train.steps=3", "train.batch=4", "data.train_size=40"]
            look = { protocol = "dense" }
            tolerance = 0.5
            claims = [["plain-cifar-8", "resnet-cifar-8"]]
            parts = [{ network = "plain-cifar-8", paper = 9.0 }, { network = "resnet-cifar-8", paper = 8.0, top5 = 1.0 }]
            "#,
        )
        .expect("a table")
    }

    #[test]
    fn a_shortened_run_is_marked_as_one_compared_by_its_claims_and_not_run_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut steps = 0;
        let mut count = |event: &train::Event| steps += u64::from(matches!(event, train::Event::Step { .. }));
        let first = run(&tiny(), &shapes(folder.path(), 2), &mut (), &mut count).expect("it runs");
        assert_eq!((first.verdict, first.scale, first.rows.len()), (Verdict::Shortened, Some(Scale::Quick), 2));
        assert_eq!((first.rows[0].sample.values.len(), first.rows[1].sample.images), (2, 2000));
        assert!(first.std.is_some() && first.rows[1].ours_top5.is_some(), "two seeds, ten classes");
        assert_eq!(first.claims.len(), 1);
        assert_eq!(steps, 12, "two networks, two seeds, three steps");
        let mut silence = |event: &train::Event| panic!("run again: {event:?}");
        let again = run(&tiny(), &shapes(folder.path(), 2), &mut (), &mut silence).expect("it is there");
        assert_eq!(again, first);
        assert_eq!(Outcome::load(folder.path()), Some(first));
        let mut longer = tiny();
        longer.quick[0] = "train.steps=4".into();
        let error = run(&longer, &shapes(folder.path(), 2), &mut (), &mut silence).expect_err("another recipe");
        assert!(error.to_string().contains("belongs to another recipe"), "{error}");
    }

    #[test]
    fn without_imagenet_the_error_says_what_can_be_done() {
        let folder = tempfile::tempdir().expect("a folder");
        let options = Options { data: None, scale: Scale::Full, ..shapes(folder.path(), 1) };
        let experiment = find("resnet/t3/50").expect("one")[0];
        let error = run(experiment, &options, &mut (), &mut |_: &train::Event| ()).expect_err("no pictures");
        let hint = error.hint().unwrap_or_default();
        assert!(hint.contains("--weights") && hint.contains("--scale quick"), "{hint}");
    }
}
