//! The results of an experiment beside the paper's values and claims. Errors are in percent.

use super::experiment::{Experiment, Part, Scale, percent};
use super::verdict::{Goal, Order, Sample, Verdict, judge, order};
use residual::error::Result;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The value of a network beside the paper's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResultRow {
    /// The name of the part.
    pub name: String,
    /// The paper's value.
    pub paper: Option<f64>,
    /// A value from another publication, if the paper prints none.
    pub reference: Option<f64>,
    /// The source of `reference`.
    pub source: Option<String>,
    /// The lower bound, if the paper states only that.
    pub at_least: Option<f64>,
    /// The mean over seeds.
    pub ours: Option<f64>,
    /// The standard deviation over seeds.
    pub std: Option<f64>,
    /// Half the width of the mean's 95 % interval.
    pub noise: f64,
    /// The values of all seeds.
    pub sample: Sample,
    /// The paper's top-5 error.
    pub paper_top5: Option<f64>,
    /// Our mean top-5 error.
    pub ours_top5: Option<f64>,
    /// The test protocol.
    pub protocol: String,
    /// `%` of error, or the unit of a count.
    #[serde(default = "percent")]
    pub unit: String,
    /// The accepted distance from the paper's value.
    #[serde(default)]
    pub tolerance: f64,
    /// The less favourable of the verdicts on top-1 and top-5.
    pub verdict: Verdict,
}

/// A claim of the paper: the first of two networks has the higher error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Claim {
    /// The network with the higher error.
    pub worse: String,
    /// The network with the lower error.
    pub better: String,
    /// Difference in points, positive if the claim holds.
    pub difference: f64,
    /// Half the width of the difference's 95 % interval.
    pub noise: f64,
    /// Whether the claim holds here.
    pub verdict: Order,
}

/// The results of one experiment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The experiment.
    pub id: String,
    /// The table of the paper and the content of the row.
    pub title: String,
    /// The paper's value in the row that the experiment is named after, as the next fields.
    pub paper: Option<f64>,
    /// The mean over seeds.
    pub ours: Option<f64>,
    /// The standard deviation over seeds.
    pub std: Option<f64>,
    /// The accepted distance from the paper's value.
    pub tolerance: f64,
    /// The least favourable verdict of all rows.
    pub verdict: Verdict,
    /// `%` of error, or the unit of a count.
    pub unit: String,
    /// The size of the experiment; `None` for counts and pretrained weights.
    pub scale: Option<Scale>,
    /// Number of seeds of each value.
    pub seeds: u64,
    /// The data set of the test.
    pub data: Option<String>,
    /// All rows.
    pub rows: Vec<ResultRow>,
    /// The paper's claims.
    pub claims: Vec<Claim>,
    /// The page about the experiment.
    pub report: Option<PathBuf>,
}

impl ResultRow {
    /// Judges `sample`, which holds top-1 errors or a count, and `top5`, which holds top-5 errors
    /// if there are any. `unjudged` is the reason not to compare with the paper, if there is one.
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
    /// Compares the errors of two rows; `None` if one of them has no value.
    pub(super) fn between(worse: &ResultRow, better: &ResultRow) -> Option<Self> {
        let (difference, noise, verdict) = order(&worse.sample, &better.sample)?;
        Some(Self { worse: worse.name.clone(), better: better.name.clone(), difference, noise, verdict })
    }
}

impl Outcome {
    /// Collects `rows` of `experiment`, and judges its claims.
    pub(super) fn new(
        experiment: &Experiment,
        mut rows: Vec<ResultRow>,
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

    /// Writes `result.json` in `folder`.
    ///
    /// # Errors
    /// Fails if the file cannot be written.
    pub fn save(&self, folder: &Path) -> Result<()> {
        residual::atomic::write(&folder.join("result.json"), &serde_json::to_vec_pretty(self).expect("plain data"))
    }

    /// Reads `result.json` in `folder`; `None` if there is none.
    pub fn load(folder: &Path) -> Option<Self> {
        serde_json::from_str(&std::fs::read_to_string(folder.join("result.json")).ok()?).ok()
    }
}

/// Judges the claims of which both networks were tested.
fn claims(experiment: &Experiment, rows: &[ResultRow]) -> Vec<Claim> {
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
            ResultRow::new(experiment, &part, samples, None).verdict
        };
        assert_eq!([of(22.9, &[6.5]), of(22.9, &[])], [Verdict::Reproduced; 2]);
        assert_eq!([of(22.9, &[8.0]), of(24.9, &[6.7])], [Verdict::NotReproduced; 2]);
    }
}
