//! Rows that need no training: parameters, multiply-adds, receptive fields.

use super::experiment::{Experiment, FilterMetric, Metric, Part};
use super::outcome::{Outcome, ResultRow};
use super::verdict::Sample;
use residual::error::{Error, Result};
use residual::graph::{Op, Summary, receptive_field};
use residual::models::{self, ModelOptions, options::StrideIn};

/// Returns the value of `part` in the unit of the experiment.
///
/// # Errors
/// Fails if the network is unknown, or if the experiment has no metric.
pub fn count(experiment: &Experiment, part: &Part) -> Result<f64> {
    let nothing = || Error::usage(format!("{} has no metric", experiment.id));
    let count = part.count.or(experiment.count).ok_or_else(nothing)?;
    if count == Metric::Filters {
        return filters(part).ok_or_else(nothing);
    }
    let summary = summary(part)?;
    Ok(match count {
        Metric::Params => summary.params as f64 / 1e6,
        Metric::Macs => summary.macs as f64 / 1e9,
        Metric::ConvMacs => {
            let convolutions = summary.layers.iter().filter(|layer| matches!(layer.kind, Op::Conv(_)));
            convolutions.map(|layer| layer.macs).sum::<u64>() as f64 / 1e9
        }
        Metric::Filters => return Err(nothing()),
    })
}

/// Returns the summary of the network of `part` at the paper's input size.
fn summary(part: &Part) -> Result<Summary> {
    models::summary(&ModelOptions {
        name: part.network.clone().unwrap_or_default(),
        shortcut: part.shortcut,
        stride_in: StrideIn::Conv1x1,
        ..ModelOptions::default()
    })
}

/// Returns the weights of a stack of filters in units of C², for C input and output channels.
fn weights(sides: &[usize]) -> f64 {
    sides.iter().map(|side| (side * side) as f64).sum()
}

fn filters(part: &Part) -> Option<f64> {
    Some(match part.metric? {
        FilterMetric::Weights => weights(&part.filters),
        FilterMetric::ReceptiveField => receptive_field(&part.filters) as f64,
        FilterMetric::ExtraWeights => 100.0 * (weights(&part.filters) / weights(&part.compared_with) - 1.0),
    })
}

/// Verifies an experiment that trains nothing.
///
/// # Errors
/// Fails if the experiment trains networks.
pub fn verify(experiment: &Experiment) -> Result<Outcome> {
    let row = |part| {
        count(experiment, part)
            .map(|ours| ResultRow::new(experiment, part, [Sample::exact(ours), Sample::default()], None))
    };
    let rows = experiment.parts.iter().map(row).collect::<Result<Vec<_>>>()?;
    Ok(Outcome::new(experiment, rows, None, 1, None))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reproduce::experiments;
    use crate::reproduce::verdict::{Goal, Sample, Verdict, judge};

    #[test]
    fn every_count_of_both_papers_is_reproduced() {
        let mut rows = 0;
        for experiment in experiments().iter().filter(|experiment| experiment.is_count()) {
            for part in &experiment.parts {
                let ours = count(experiment, part).expect("a network");
                let verdict = judge(Goal::of(part), &Sample::exact(ours), experiment.tolerance(part), false);
                assert_eq!(verdict, Verdict::Reproduced, "{} {}: {ours}", experiment.id, part.name());
                rows += 1;
            }
        }
        assert_eq!(rows, 25, "a row of the tables is missing");
    }
}
