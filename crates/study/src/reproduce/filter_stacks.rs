//! Training of stacks of filters in addition to their counts (`vgg/small-filters`): VGG's argument
//! for three 3x3 in place of one 7x7. The paper counts weights and trains no such pair.

use super::counts::verify;
use super::experiment::{Experiment, Part, Scale, percent};
use super::options::ReproduceOptions;
use super::outcome::{Outcome, ResultRow};
use super::verdict::{Sample, Verdict};
use crate::lab::{self, Candidate, LabOptions, TrialRun};
use residual::error::Result;
use residual_train::data;
use residual_train::train::{self, Sink};
use std::sync::Arc;

/// Verifies the counts of `experiment` and trains its stacks of filters, each with every seed. The
/// paper has no such networks, so only their order is judged. Returns the trials as well, for a
/// page.
///
/// # Errors
/// Fails if the images are not available, if a loss is not finite, and after Ctrl-C (finished
/// networks are kept).
pub fn run(
    experiment: &Experiment,
    options: &ReproduceOptions,
    progress: &mut dyn data::Progress,
    sink: &mut dyn Sink,
) -> Result<(Outcome, Vec<TrialRun>)> {
    let mut rows = verify(experiment)?.rows;
    let recipe = experiment.filter_stack_recipe(options.data.as_deref())?;
    let data = train::open(&recipe, false, progress)?;
    let (out, stop, seeds) = (options.out.clone(), Arc::clone(&options.stop), (0..options.seeds).collect());
    let lab = LabOptions { out, recipe, seeds, probes: 10, stop, report: options.report };
    let candidates: Vec<Candidate> =
        experiment.filter_stacks.iter().map(|stack| Candidate::chain(stack.design())).collect();
    let trials = lab::run(&candidates, &lab, progress, sink, |_| Ok(()))?;
    for (stack, candidate) in experiment.filter_stacks.iter().zip(&candidates) {
        let own = trials.iter().filter(|trial| trial.row.network == candidate.name());
        let values = own.filter_map(|trial| trial.row.test_error).collect();
        let sample = Sample { values, images: data.test.len(), right: Vec::new() };
        let part = Part { name: Some(stack.name.clone()), ..Part::default() };
        let (protocol, unit) = ("center".to_owned(), percent());
        rows.push(ResultRow {
            protocol,
            unit,
            ..ResultRow::new(experiment, &part, [sample, Sample::default()], Some(Verdict::Shortened))
        });
    }
    let outcome = Outcome::new(experiment, rows, Some(Scale::Quick), options.seeds, Some(data.label()));
    outcome.save(&options.out)?;
    Ok((outcome, trials))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reproduce::find;
    use crate::reproduce::verdict::Verdict;

    #[test]
    fn at_the_quick_scale_stacks_of_filters_are_trained_beside_their_counts() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut experiment = find("vgg/small-filters").expect("one")[0].clone();
        assert!(experiment.only_counts(Scale::Full) && !experiment.only_counts(Scale::Quick));
        experiment.quick = ["train.steps=3", "train.batch=8", "data.train_size=40"].map(String::from).into();
        let out = folder.path().to_owned();
        let data = Some("shapes".into());
        let options = ReproduceOptions { out, seeds: 2, scale: Scale::Quick, data, stop: Arc::default(), report: None };
        let mut steps = 0;
        let mut count = |event: &train::Event| steps += u64::from(matches!(event, train::Event::Step { .. }));
        let (first, seen) = run(&experiment, &options, &mut (), &mut count).expect("it runs");
        assert_eq!((seen.len(), steps), (4, 12), "two stacks, two seeds, three steps");
        let counts = verify(&experiment).expect("counts").rows;
        assert_eq!(first.rows[..counts.len()], counts);
        let trained = &first.rows[counts.len()..];
        assert!(trained.iter().all(|row| row.unit == "%" && row.sample.values.len() == 2 && row.std.is_some()));
        assert_eq!(
            (first.ours, first.unit.as_str()),
            (counts.last().expect("counts").ours, ""),
            "still named after a count"
        );
        assert_eq!((first.claims.len(), first.verdict), (1, Verdict::Shortened));
        assert_eq!((&first.claims[0].worse, &first.claims[0].better), (&trained[1].name, &trained[0].name));
    }
}
