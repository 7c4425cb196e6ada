//! Rows that need no training: parameters, multiply-adds, receptive fields.

use super::{Count, Experiment, Of, Part};
use residual::error::{Error, Result};
use residual_train::models::{self, ModelOptions, Summary, options::StrideIn};

/// The value of `part`, in the experiment's unit.
///
/// # Errors
/// A part that names no network, or counts nothing.
pub fn count(experiment: &Experiment, part: &Part) -> Result<f64> {
    let nothing = || Error::usage(format!("{} counts nothing", experiment.id));
    let count = part.count.or(experiment.count).ok_or_else(nothing)?;
    if count == Count::Filters {
        return filters(part).ok_or_else(nothing);
    }
    let summary = summary(part)?;
    Ok(match count {
        Count::Params => summary.params as f64 / 1e6,
        Count::Macs => summary.macs as f64 / 1e9,
        Count::ConvMacs => {
            let convolutions = summary.layers.iter().filter(|layer| layer.kind.starts_with("conv"));
            convolutions.map(|layer| layer.macs).sum::<u64>() as f64 / 1e9
        }
        Count::Filters => return Err(nothing()),
    })
}

/// The network of `part` at the paper's own size.
fn summary(part: &Part) -> Result<Summary> {
    models::summary(&ModelOptions {
        name: part.network.clone().unwrap_or_default(),
        shortcut: part.shortcut,
        stride_in: StrideIn::Conv1x1,
        ..ModelOptions::default()
    })
}

/// Filters of `sides`, one on the other, C channels in and out: their weights in C².
fn weights(sides: &[usize]) -> f64 {
    sides.iter().map(|side| (side * side) as f64).sum()
}

fn filters(part: &Part) -> Option<f64> {
    Some(match part.of? {
        Of::Weights => weights(&part.filters),
        Of::Field => models::inspect::receptive_field(&part.filters) as f64,
        Of::More => 100.0 * (weights(&part.filters) / weights(&part.over) - 1.0),
    })
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
