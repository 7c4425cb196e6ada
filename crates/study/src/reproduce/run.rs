//! Runs an experiment: each network with each seed in its own run folder, tested by the paper's
//! protocol.
//!
//! `OUT/NETWORK-seedN` are ordinary run folders. Finished runs are not repeated, interrupted ones
//! resume; the outcome is `OUT/result.json`.

use super::counts::verify;
use super::experiment::{Experiment, Part, Scale, is_papers_data};
use super::options::{ReproduceOptions, default_folder, folder};
use super::outcome::{Claim, Outcome, ResultRow};
use super::tables::{experiments, find};
use super::verdict::{Sample, Verdict};
use super::{filter_stacks, pretrained};
use residual::error::{Error, Result};
use residual_train::data::{self, Dataset};
use residual_train::eval::{Evaluation, Weights};
use residual_train::ops::buffer;
use residual_train::recipe::Recipe;
use residual_train::train::{self, RunOptions, RunResult, Sink};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Arc;

/// The test result of one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct TestResult {
    top1_error: f64,
    top5_error: Option<f64>,
    images: usize,
    data: String,
    #[serde(default)]
    classes: usize,
    /// A digit for each test image: 1 if it was classified correctly.
    #[serde(default)]
    right: String,
    /// The recipe as TOML; the result is valid only for this recipe.
    #[serde(default)]
    asked: String,
}

impl TestResult {
    fn new(result: &Evaluation, data: &Dataset) -> Self {
        Self {
            top1_error: result.top1_error,
            top5_error: result.top5_error,
            images: result.images,
            data: data.label(),
            classes: data.classes.len(),
            right: digits(&result.predictions.right()),
            asked: String::new(),
        }
    }

    /// Returns whether the test images are those of the paper.
    fn is_on_papers_own(&self, experiment: &Experiment) -> bool {
        is_papers_data(experiment.data.as_deref(), &self.data, self.classes, self.images)
    }

    /// Adds the errors of this seed to `[top-1, top-5]`.
    fn add_to(&self, [top1, top5]: &mut [Sample; 2]) {
        top1.values.push(self.top1_error);
        top1.right.push(self.right.bytes().map(|digit| digit == b'1').collect());
        top5.values.extend(self.top5_error);
        (top1.images, top5.images) = (self.images, self.images);
    }
}

fn digits(right: &[bool]) -> String {
    right.iter().map(|right| if *right { '1' } else { '0' }).collect()
}

/// Tests `weights` by the protocol of each row of their networks.
///
/// # Errors
/// Fails if the weights are of another network, or if the images are not available.
pub fn weights(
    experiment: &Experiment,
    weights: &[Weights],
    data: Option<&str>,
    progress: &mut dyn data::Progress,
) -> Result<Outcome> {
    let parts = pretrained::parts(experiment, weights)?;
    let data = pretrained::images(experiment, &weights[0], data, progress)?;
    let mut rows = Vec::new();
    for (part, weights) in parts {
        let tested = TestResult::new(&pretrained::test(experiment, part, &weights, &data, true, progress)?, &data);
        let mut samples = <[Sample; 2]>::default();
        tested.add_to(&mut samples);
        let unjudged = match pretrained::are_papers_network(experiment, part, &weights)? {
            _ if !tested.is_on_papers_own(experiment) => Some(Verdict::OtherImages),
            false => Some(Verdict::OtherNetwork),
            true => None,
        };
        rows.push(ResultRow::new(experiment, part, samples, unjudged));
    }
    Ok(Outcome::new(experiment, rows, None, 1, Some(data.label())))
}

/// Trains and tests every network of `experiment` with every seed; `sink` receives the events of
/// each run.
///
/// # Errors
/// Fails if the images are not available, if a run fails, and after Ctrl-C (a checkpoint is kept).
pub fn run(
    experiment: &Experiment,
    options: &ReproduceOptions,
    progress: &mut dyn data::Progress,
    sink: &mut dyn Sink,
) -> Result<Outcome> {
    if experiment.only_counts(options.scale) {
        return verify(experiment);
    }
    if experiment.is_count() {
        return filter_stacks::run(experiment, options, progress, sink).map(|(outcome, _)| outcome);
    }
    if options.scale == Scale::Full && options.data.is_none() {
        pretrained::available(experiment)?;
    }
    let mut rows = Vec::new();
    let mut label = None;
    for part in &experiment.parts {
        let (mut samples, mut own) = (<[Sample; 2]>::default(), true);
        for seed in 0..options.seeds {
            let tested = run_row(experiment, part, options, seed, progress, sink)?;
            tested.add_to(&mut samples);
            own &= tested.is_on_papers_own(experiment);
            label = Some(tested.data);
        }
        // The next network's activations have other sizes.
        buffer::trim();
        let unjudged = match options.scale {
            Scale::Quick => Some(Verdict::Shortened),
            Scale::Full => (!own).then_some(Verdict::OtherImages),
        };
        rows.push(ResultRow::new(experiment, part, samples, unjudged));
    }
    let mut outcome = Outcome::new(experiment, rows, Some(options.scale), options.seeds, label);
    outcome.claims.extend(against_baseline(experiment, options, &outcome));
    outcome.save(&options.out)?;
    Ok(outcome)
}

/// Trains the networks of one row with one seed, unless they are finished, and tests them by the
/// protocol of the row.
fn run_row(
    experiment: &Experiment,
    part: &Part,
    options: &ReproduceOptions,
    seed: u64,
    progress: &mut dyn data::Progress,
    sink: &mut dyn Sink,
) -> Result<TestResult> {
    let out = folder(part, &options.out, seed);
    // Rows that differ in the protocol, the scales or the networks beside this one share a folder.
    let scales = experiment.test.scales.iter().map(usize::to_string);
    let looked: Vec<String> =
        [experiment.protocol(part).to_owned()].into_iter().chain(scales).chain(part.with.clone()).collect();
    let kept = out.join(format!("tested-{}.json", looked.join("-")));
    let members = part.members();
    let recipe = |member| experiment.recipe(member, options.scale, options.data.as_deref(), seed);
    let recipes = members.iter().map(recipe).collect::<Result<Vec<_>>>()?;
    let asked = recipes.iter().map(Recipe::to_toml).collect::<Result<String>>()?;
    let read = || serde_json::from_str::<TestResult>(&std::fs::read_to_string(&kept).ok()?).ok();
    // A folder that holds another run is refused below, by the state in it.
    if let Some(tested) = read().filter(|tested| tested.asked == asked) {
        return Ok(tested);
    }
    let mut results = Vec::new();
    for (member, recipe) in members.iter().zip(&recipes) {
        let out = folder(member, &options.out, seed);
        let run = RunOptions {
            out,
            resume: true,
            skip_bad: false,
            row: Some(experiment.id.clone()),
            stop: Arc::clone(&options.stop),
            report: options.report,
        };
        let result = train::run(recipe, &run, progress, sink)
            .map_err(|error| error.with_hint_when_interrupted("the same command goes on from there"))?;
        results.push(result);
    }
    let mut tested = match (experiment.protocol(part), results.as_slice()) {
        ("center", [result]) => center(result, &out)?,
        _ => {
            let weights = results.iter().map(|result| Weights::load(&result.checkpoint)).collect::<Result<Vec<_>>>()?;
            let data = pretrained::images(experiment, &weights[0], Some(&recipes[0].data.source), progress)?;
            let weights: Vec<&Weights> = weights.iter().collect();
            let scaled = options.scale == Scale::Full;
            TestResult::new(&pretrained::test(experiment, part, &weights, &data, scaled, progress)?, &data)
        }
    };
    tested.asked = asked;
    residual::atomic::write(&kept, &serde_json::to_vec_pretty(&tested).expect("plain data"))?;
    Ok(tested)
}

/// Returns the test result at the end of the run in `folder`, by the center crop.
fn center(result: &RunResult, folder: &Path) -> Result<TestResult> {
    let Some(top1_error) = result.test_top1_error else {
        return Err(Error::data(format!("{} has no test images", result.data)));
    };
    let record = train::Record::read(folder)?;
    let right = record.predictions()?.map_or_else(Vec::new, |predictions| predictions.right());
    Ok(TestResult {
        top1_error,
        top5_error: result.test_top5_error,
        images: right.len(),
        data: result.data.clone(),
        classes: record.recipe.model.classes.unwrap_or(0),
        right: digits(&right),
        asked: String::new(),
    })
}

/// Compares this outcome with that of the plain baseline, or of the residual network that has it,
/// if that was run at the same scale in a folder beside this one.
fn against_baseline(experiment: &Experiment, options: &ReproduceOptions, outcome: &Outcome) -> Option<Claim> {
    let mut pairs = experiments().iter().filter_map(|one| Some((one, find(one.baseline.as_deref()?).ok()?.pop()?)));
    let (residual, plain) = pairs.find(|(one, baseline)| one.id == experiment.id || baseline.id == experiment.id)?;
    let other = if residual.id == experiment.id { plain } else { residual };
    let name = default_folder(other, options.scale);
    let theirs = Outcome::load(&options.out.parent()?.join(name.file_name()?))?;
    if theirs.data != outcome.data || theirs.scale != outcome.scale {
        return None;
    }
    let (ours, theirs) = (outcome.rows.last()?, theirs.rows.last()?);
    if other.id == plain.id { Claim::between(theirs, ours) } else { Claim::between(ours, theirs) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shapes(folder: &Path, seeds: u64) -> ReproduceOptions {
        ReproduceOptions {
            out: folder.to_owned(),
            seeds,
            scale: Scale::Quick,
            data: Some("shapes".into()),
            stop: Arc::default(),
            report: None,
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
            test = { protocol = "dense" }
            tolerance = 0.5
            claims = [["plain-cifar-8", "resnet-cifar-8"]]
            parts = [
                { network = "plain-cifar-8", paper = 9.0 },
                { network = "plain-cifar-8", with = ["resnet-cifar-8"], paper = 7.0 },
                { network = "resnet-cifar-8", paper = 8.0, top5 = 1.0 },
            ]
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
        assert_eq!((first.verdict, first.scale, first.rows.len()), (Verdict::Shortened, Some(Scale::Quick), 3));
        assert_eq!((first.rows[0].sample.values.len(), first.rows[2].sample.images), (2, 2000));
        assert!(first.std.is_some() && first.rows[2].ours_top5.is_some(), "two seeds, ten classes");
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
    fn a_row_of_two_networks_averages_those_of_the_rows_of_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let outcome = run(&tiny(), &shapes(folder.path(), 1), &mut (), &mut |_: &train::Event| ()).expect("it runs");
        assert_eq!(outcome.rows[1].name, "plain-cifar-8 + resnet-cifar-8");
        let load = |part: &Part| Weights::load(&self::folder(part, folder.path(), 0).join("last.safetensors"));
        let given: Vec<Weights> = tiny().parts[1].members().iter().map(|part| load(part).expect("weights")).collect();
        let data = pretrained::images(&tiny(), &given[0], Some("shapes"), &mut ()).expect("images");
        let probabilities = |given: &[Weights]| {
            let dense = given
                .iter()
                .map(|weights| weights.member(residual_train::eval::TestProtocol::Dense, &[]).expect("a look"));
            let images: Vec<_> = (0..50).map(|i| data.test.original(i).expect("an image")).collect();
            let ensemble = residual_train::eval::Ensemble::new(dense.collect()).expect("networks");
            ensemble.probabilities(&images).expect("looks")
        };
        let (plain, residual) = (probabilities(&given[..1]), probabilities(&given[1..]));
        for ((both, a), b) in
            probabilities(&given).iter().flatten().zip(plain.iter().flatten()).zip(residual.iter().flatten())
        {
            assert!((both - (a + b) / 2.0).abs() < 1e-6, "{both}: {a}, {b}");
        }
        // Given as files they are tested alike; one of them alone is only for its own row.
        let again = weights(&tiny(), &given, Some("shapes"), &mut ()).expect("weights of every row");
        assert_eq!(
            again.rows.iter().map(|row| row.ours).collect::<Vec<_>>(),
            outcome.rows.iter().map(|row| row.ours).collect::<Vec<_>>()
        );
        let alone = weights(&tiny(), &given[1..], Some("shapes"), &mut ()).expect("weights of one row");
        assert_eq!(alone.rows.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(), ["resnet-cifar-8"]);
    }

    #[test]
    fn without_imagenet_the_error_says_what_can_be_done() {
        let folder = tempfile::tempdir().expect("a folder");
        let options = ReproduceOptions { data: None, scale: Scale::Full, ..shapes(folder.path(), 1) };
        let experiment = find("resnet/t3/50").expect("one")[0];
        let error = run(experiment, &options, &mut (), &mut |_: &train::Event| ()).expect_err("no images");
        let hint = error.hint().unwrap_or_default();
        assert!(hint.contains("--weights") && hint.contains("--scale quick"), "{hint}");
    }
}
