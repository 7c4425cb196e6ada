//! What an experiment gave: rows beside the paper's, and its claims beside ours. Errors are in percent.

use super::verdict::{Goal, Order, Sample, Verdict, judge, order};
use super::{Experiment, Part, Scale};
use residual::error::Result;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

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
    /// How test images were looked at.
    pub protocol: String,
    /// `%` of error, or the unit of a count.
    #[serde(default = "super::percent")]
    pub unit: String,
    /// How far it may be from the paper's.
    #[serde(default)]
    pub tolerance: f64,
    /// Beside the paper's values: the less favourable of top-1 and top-5.
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

impl Row {
    /// `sample` holds top-1 errors or a count, `top5` the errors of that kind, where the data has so many classes;
    /// `unjudged` says why the paper's value is not to be expected, where it is not.
    pub(super) fn new(
        experiment: &Experiment,
        part: &Part,
        [sample, top5]: [Sample; 2],
        unjudged: Option<Verdict>,
    ) -> Self {
        let tolerance = experiment.tolerance(part);
        let judged = |goal, sample| judge(goal, sample, tolerance, !experiment.is_count());
        let top1 = judged(Goal::of(part), &sample);
        // Where the paper prints both errors, both are to be the paper's.
        let by_top5 = part.top5.filter(|_| !top5.values.is_empty()).map(|goal| judged(Goal::Value(goal), &top5));
        let verdict = unjudged.unwrap_or_else(|| by_top5.map_or(top1, |by_top5| top1.max(by_top5)));
        Self {
            name: part.name(),
            paper: part.paper,
            reference: part.reference,
            source: part.source.clone(),
            at_least: part.at_least,
            ours: sample.mean(),
            std: sample.std(),
            noise: sample.noise(),
            paper_top5: part.top5,
            ours_top5: top5.mean(),
            protocol: if experiment.is_count() { "count".into() } else { experiment.protocol(part).to_owned() },
            unit: experiment.unit.clone(),
            tolerance,
            verdict,
            sample,
        }
    }
}

impl Claim {
    /// That `worse` errs more than `better`; nothing where one of them has no value.
    pub(super) fn between(worse: &Row, better: &Row) -> Option<Self> {
        let (difference, noise, verdict) = order(&worse.sample, &better.sample)?;
        Some(Self { worse: worse.name.clone(), better: better.name.clone(), difference, noise, verdict })
    }
}

impl Outcome {
    /// `rows` of `experiment`, and what they say of its claims.
    pub(super) fn new(
        experiment: &Experiment,
        mut rows: Vec<Row>,
        scale: Option<Scale>,
        seeds: u64,
        data: Option<String>,
    ) -> Self {
        let claims = claims(experiment, &rows);
        // They were for the claims, and are kept with the runs.
        rows.iter_mut().for_each(|row| row.sample.right.clear());
        let main = rows.iter().rfind(|row| row.unit == experiment.unit).expect("every experiment has a part");
        Self {
            id: experiment.id.clone(),
            title: experiment.title.clone(),
            paper: main.paper,
            ours: main.ours,
            std: main.std,
            tolerance: main.tolerance,
            verdict: rows.iter().map(|row| row.verdict).max().unwrap_or(Verdict::NotReproduced),
            unit: experiment.unit.clone(),
            scale,
            seeds,
            data,
            claims,
            rows,
            report: None,
        }
    }

    /// Keeps it as `result.json` in `folder`.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub fn save(&self, folder: &Path) -> Result<()> {
        residual::atomic::write(&folder.join("result.json"), &serde_json::to_vec_pretty(self).expect("plain data"))
    }

    /// The outcome that was kept in `folder`.
    pub fn load(folder: &Path) -> Option<Self> {
        serde_json::from_str(&std::fs::read_to_string(folder.join("result.json")).ok()?).ok()
    }
}

/// The paper's conclusions, as far as both sides were tested.
fn claims(experiment: &Experiment, rows: &[Row]) -> Vec<Claim> {
    let named = |name: &str| {
        let at = experiment.parts.iter().find(|part| part.is_called(name)).map(Part::name);
        let at = at.as_deref().unwrap_or(name);
        rows.iter().find(|row| row.name == at)
    };
    let claims = experiment.claims.iter().filter_map(|[worse, better]| Claim::between(named(worse)?, named(better)?));
    claims.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reproduce::find;

    #[test]
    fn a_row_is_reproduced_only_if_both_of_its_errors_are() {
        let part = Part { network: Some("resnet-50".into()), paper: Some(22.85), top5: Some(6.71), ..Part::default() };
        let experiment = find("resnet/t3/50").expect("one")[0];
        let of = |top1, top5: &[f64]| {
            let samples = [vec![top1], top5.to_vec()];
            let samples = samples.map(|values| Sample { values, images: 50_000, right: Vec::new() });
            Row::new(experiment, &part, samples, None).verdict
        };
        assert_eq!([of(22.9, &[6.5]), of(22.9, &[])], [Verdict::Reproduced; 2]);
        assert_eq!([of(22.9, &[8.0]), of(24.9, &[6.7])], [Verdict::NotReproduced; 2]);
    }
}
