//! One lab: each candidate is trained with each seed, probed on the way and tested at the end.

use super::candidates::Candidate;
use super::chain;
use super::probes::{Probe, ProbeSink};
use super::trial::{LabOptions, TRIAL, TrialRow, TrialRun, read, write};
use residual::error::Result;
use residual_train::data;
use residual_train::ops::buffer;
use residual_train::train::{self, Record, RunOptions, Sink};
use std::sync::Arc;

/// Trains each of `candidates` with every seed; finished ones are read from their folders. Calls
/// `done` after each.
///
/// # Errors
/// Fails if the data or the recipe is invalid, if a run fails, and after Ctrl-C (a checkpoint is
/// kept).
pub fn run(
    candidates: &[Candidate],
    options: &LabOptions,
    progress: &mut dyn data::Progress,
    sink: &mut dyn Sink,
    mut done: impl FnMut(&TrialRow) -> Result<()>,
) -> Result<Vec<TrialRun>> {
    let mut trials = Vec::with_capacity(candidates.len() * options.seeds.len());
    for candidate in candidates {
        for &seed in &options.seeds {
            let trial = run_one(candidate, seed, options, progress, sink)?;
            done(&trial.row)?;
            trials.push(trial);
            // The next network's activations have other sizes.
            buffer::trim();
        }
    }
    Ok(trials)
}

fn run_one(
    candidate: &Candidate,
    seed: u64,
    options: &LabOptions,
    progress: &mut dyn data::Progress,
    sink: &mut dyn Sink,
) -> Result<TrialRun> {
    let out = options.out.join(format!("{}-seed{seed}", candidate.folder()));
    let mut recipe = options.recipe.clone();
    recipe.train.seed = seed;
    if let Some(design) = candidate.design() {
        return chain::run(design, &recipe, &out, options, progress, sink);
    }
    candidate.apply(&mut recipe);
    recipe.check()?;
    let kept = out.join(TRIAL);
    let mut probing = ProbeSink::new(&recipe, &out, options.probes, sink, progress)?;
    let run = RunOptions {
        out: out.clone(),
        resume: true,
        skip_bad: false,
        row: None,
        stop: Arc::clone(&options.stop),
        report: options.report,
    };
    let probed = probing.recipe().clone();
    let result = train::run(&probed, &run, progress, &mut probing)
        .map_err(|error| error.with_hint_when_interrupted("the same command goes on from there"))?;
    let (probes, params) = probing.finish()?;
    let row = match read(&kept) {
        Some(row) => row,
        None => {
            let last = probes.last();
            let weights = residual_train::eval::Weights::load(&out.join("last.safetensors"))?;
            let data = train::open(&recipe, false, progress)?;
            let normalizer = weights.metadata.preprocessing.normalizer()?;
            let session = weights.session(data.train.len());
            let error = |images: &data::Images, progress: &mut dyn data::Progress| {
                residual_train::eval::evaluate(&session, images, &normalizer, &data.classes, progress)
                    .map(|result| result.top1_error)
            };
            let row = TrialRow {
                network: candidate.name(),
                family: candidate.family().to_owned(),
                depth: candidate.depth(),
                shortcut: candidate.shortcut().map(|shortcut| format!("{shortcut:?}")),
                seed,
                steps: result.step,
                params,
                train_error: error(&data.train, progress)?,
                test_error: if data.test.is_empty() { None } else { Some(error(&data.test, progress)?) },
                gradient_ratio: probes.first().and_then(Probe::gradient_ratio),
                response: last.and_then(Probe::mean_response),
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
    Ok(TrialRun { row, probes, training })
}

#[cfg(test)]
mod tests {
    use super::*;
    use residual::models::options::Shortcut;
    use residual_train::recipe::Recipe;
    use residual_train::train::Event;
    use std::path::Path;

    fn options(folder: &Path) -> LabOptions {
        let set = ["train.steps=4", "train.batch=8", "data.train_size=40", "data.validation=0"];
        let recipe = Recipe::load("shapes-resnet20", &set.map(str::to_owned)).expect("a recipe");
        LabOptions { out: folder.to_owned(), recipe, seeds: vec![0, 1], probes: 2, stop: Arc::default(), report: None }
    }

    #[test]
    fn an_interrupted_lab_goes_on_with_the_same_command_and_says_so() {
        let folder = tempfile::tempdir().expect("a folder");
        let (candidates, options) = ([Candidate::plain(8).expect("6n+2")], options(folder.path()));
        let mut stop = |event: &Event| {
            if matches!(event, Event::Step { step: 2, .. }) {
                options.stop.store(true, std::sync::atomic::Ordering::Relaxed);
            }
        };
        let error = run(&candidates, &options, &mut (), &mut stop, |_| Ok(())).expect_err("stopped");
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
        run(&candidates, &options, &mut (), &mut count, |_| Ok(())).expect("it goes on");
        assert_eq!(begun, [2, 0], "the second seed begins");
    }

    #[test]
    fn finished_networks_are_not_trained_again_and_keep_their_probes() {
        let folder = tempfile::tempdir().expect("a folder");
        let candidates = [Candidate::plain(8).expect("6n+2"), Candidate::residual(8, Shortcut::B).expect("6n+2")];
        let mut steps = 0;
        let mut count = |event: &Event| steps += u64::from(matches!(event, Event::Step { .. }));
        let first = run(&candidates, &options(folder.path()), &mut (), &mut count, |_| Ok(())).expect("it runs");
        assert_eq!((first.len(), steps), (4, 16));
        let trial = &first[2];
        assert_eq!((trial.row.network.as_str(), trial.row.family.as_str()), ("resnet-cifar-8 (B)", "resnet"));
        assert_eq!(trial.probes.iter().map(|probe| probe.step).collect::<Vec<_>>(), [0, 2, 4]);
        // conv1 and six 3x3; two projections are no layers of the figure.
        assert_eq!(trial.probes[2].responses.len(), 7);
        assert_eq!(trial.probes[0].gradients.len(), 7);
        let mut silence = |event: &Event| assert!(!matches!(event, Event::Step { .. }), "trained again");
        let again = run(&candidates, &options(folder.path()), &mut (), &mut silence, |_| Ok(())).expect("it is there");
        let rows = |trials: &[TrialRun]| trials.iter().map(|one| one.row.clone()).collect::<Vec<_>>();
        assert_eq!(rows(&first), rows(&again));
    }
}
