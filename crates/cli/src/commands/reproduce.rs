//! `residual reproduce`: repeats rows of the papers' tables and compares the results.

use crate::interrupt;
use crate::ui::Ui;
use crate::ui::multi_run::MultiRunView;
use crate::ui::numbers::duration;
use crate::ui::table::{Align, Table};
use residual::{Error, Result};
use residual_study::report::{self, Lang};
use residual_study::reproduce::counts::verify;
use residual_study::reproduce::estimate::Pace;
use residual_study::reproduce::options::{ReproduceOptions, default_folder, folder};
use residual_study::reproduce::outcome::{Claim, Outcome, ResultRow};
use residual_study::reproduce::run::{run, weights};
use residual_study::reproduce::verdict::Verdict;
use residual_study::reproduce::{Experiment, Part, Scale, experiments, filter_stacks, find, pretrained};
use residual_train::eval::Weights;
use residual_train::train::Record;
use serde::Serialize;
use std::path::PathBuf;

/// Reproduce a row of the papers' tables, or list them
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Without ID, lists all experiments with the paper's value, the data needed and the time on this machine.

Examples:
  residual reproduce vgg/params                                  verifies counts in seconds
  residual reproduce vgg/small-filters --scale quick             counts, and trains the two stacks
  residual reproduce resnet/t6/n=3 --seeds 3                     trains as in the paper, three times
  residual reproduce resnet/t6/n=3 --scale quick                 a shortened comparison, minutes
  residual reproduce resnet/t3/50 --weights resnet50.safetensors --data imagenet
  residual reproduce vgg/t6 --weights vgg16.safetensors --weights vgg19.safetensors --data imagenet
  residual reproduce resnet/t6                                   every row of the table")]
pub struct ReproduceArgs {
    /// An experiment, or a table
    #[arg(value_name = "ID")]
    id: Option<String>,

    /// Number of seeds
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u64).range(1..=100))]
    seeds: u64,

    /// The paper's training, or a shortened comparison of the networks
    #[arg(long, value_name = "full|quick", default_value = "full")]
    scale: ScaleArg,

    /// Test these weights by the paper's protocol instead of training; repeat it for an ensemble
    #[arg(long, value_name = "FILE", requires = "id", conflicts_with_all = ["seeds", "scale"])]
    weights: Vec<PathBuf>,

    /// Images: a data set's name or a folder [default: the experiment's]
    #[arg(long, value_name = "D", requires = "id")]
    data: Option<String>,

    /// The folder of its runs; interrupted ones are resumed [default: runs/reproduce-ID]
    #[arg(long, value_name = "DIR", requires = "id")]
    out: Option<PathBuf>,

    /// Language of the report
    #[arg(long, value_name = "en|ko", default_value = "en", value_parser = super::report::lang)]
    lang: Lang,
}

/// Value of `--scale`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum ScaleArg {
    /// Train as in the paper
    Full,
    /// Train shorter, to compare the networks with each other
    Quick,
}

/// Line of `--json` in the list.
#[derive(Debug, Serialize)]
struct ExperimentLine<'a> {
    id: &'a str,
    title: &'a str,
    paper: Option<f64>,
    paper_top5: Option<f64>,
    ours: Option<f64>,
    std: Option<f64>,
    tolerance: f64,
    verdict: Option<Verdict>,
    unit: &'a str,
    networks: Vec<String>,
    /// Data set; `null` if nothing is trained.
    needs: Option<&'a str>,
    protocol: Option<&'a str>,
    estimated_seconds: f64,
    estimated_quick_seconds: f64,
}

impl ReproduceArgs {
    /// Lists the experiments, or verifies, trains or tests one.
    pub fn run(&self, ui: &mut Ui) -> Result<()> {
        let Some(id) = &self.id else { return list(ui) };
        let found = find(id)?;
        if self.out.is_some() && found.len() > 1 {
            let message = format!("{id} is {} experiments, but --out names one folder", found.len());
            return Err(Error::usage(message).with_hint("omit --out, or name one experiment"));
        }
        let given = self.weights.iter().map(|path| Weights::load(path)).collect::<Result<Vec<_>>>()?;
        let found = if given.is_empty() || found.len() == 1 { found } else { testable(found, &given) };
        for experiment in found {
            let outcome = self.one(experiment, &given, ui)?;
            if ui.json() {
                ui.value(&outcome)?;
            } else {
                show(&outcome, ui)?;
            }
        }
        Ok(())
    }

    fn one(&self, experiment: &Experiment, given: &[Weights], ui: &mut Ui) -> Result<Outcome> {
        if !given.is_empty() {
            return weights(experiment, given, self.data.as_deref(), &mut ui.bars());
        }
        let scale = if self.scale == ScaleArg::Quick { Scale::Quick } else { Scale::Full };
        if experiment.only_counts(scale) {
            return verify(experiment);
        }
        let out = self.out.clone().unwrap_or_else(|| default_folder(experiment, scale));
        let options = ReproduceOptions {
            out: out.clone(),
            seeds: self.seeds,
            scale,
            data: self.data.as_deref().map(super::absolute_if_exists),
            stop: interrupt::stop_flag(),
            report: Some(report::of_run),
        };
        let page = out.join("report.html");
        let mut view = MultiRunView::new(ui.bars());
        let mut sink = interrupt::ctrl_c_sink(&mut view);
        if experiment.is_count() {
            let (mut outcome, trials) = filter_stacks::run(experiment, &options, &mut ui.bars(), &mut sink)?;
            outcome.report = Some(report::save(&report::filter_stacks(&outcome, &trials, self.lang), &page)?);
            outcome.save(&out)?;
            return Ok(outcome);
        }
        let mut outcome = run(experiment, &options, &mut ui.bars(), &mut sink)?;
        let mut records: Vec<Record> = Vec::new();
        for part in experiment.parts.iter().flat_map(Part::members) {
            let path = folder(&part, &out, 0);
            // Parts that differ only in the test protocol share a run.
            if records.iter().all(|record| record.path.file_name() != path.file_name()) {
                records.push(Record::read(&path)?);
            }
        }
        outcome.report = Some(report::reproduction(&outcome, records, self.lang, &page, &mut ui.bars())?);
        outcome.save(&out)?;
        Ok(outcome)
    }
}

/// Returns the experiments that `weights` can be tested for, or all if there are none, so that the
/// caller reports the error.
fn testable(experiments: Vec<&'static Experiment>, weights: &[Weights]) -> Vec<&'static Experiment> {
    let testable: Vec<_> = experiments.iter().copied().filter(|one| pretrained::parts(one, weights).is_ok()).collect();
    if testable.is_empty() { experiments } else { testable }
}

fn list(ui: &mut Ui) -> Result<()> {
    let pace = Pace::here(&mut ui.bars())?;
    if ui.json() {
        return experiments().iter().try_for_each(|experiment| ui.value(&line(experiment, &pace)?));
    }
    let mut table = Table::new(&[
        ("experiment", Align::Left),
        ("paper", Align::Right),
        ("ours", Align::Right),
        ("needs", Align::Left),
        ("full", Align::Right),
        ("quick", Align::Right),
        ("", Align::Left),
    ]);
    for experiment in experiments() {
        let line = line(experiment, &pace)?;
        let time = |seconds: f64| if seconds > 0.0 { long(seconds) } else { "-".into() };
        let incomparable = matches!(line.verdict, Some(Verdict::OtherImages | Verdict::OtherNetwork));
        let ours =
            line.ours.map_or_else(|| "-".into(), |ours| value(ours, line.unit) + if incomparable { "*" } else { "" });
        table.row(vec![
            line.id.to_owned(),
            goal(&row_of(experiment), line.unit),
            ours,
            line.needs.unwrap_or("-").to_owned(),
            time(line.estimated_seconds),
            time(line.estimated_quick_seconds),
            line.title.to_owned(),
        ]);
    }
    ui.line(&table.render())?;
    ui.line(
        "\nErrors in %; in brackets: from a replication, where the paper has no number; *: measured on other images.\n\
         full, quick: estimated time on this machine, from 20 training steps of a small network of each kind.\n\
         `residual reproduce ID` runs one.",
    )
}

fn line<'a>(experiment: &'a Experiment, pace: &Pace) -> Result<ExperimentLine<'a>> {
    let done = if experiment.is_count() {
        Some(verify(experiment)?)
    } else {
        Outcome::load(&default_folder(experiment, Scale::Full))
    };
    let main = experiment.main();
    Ok(ExperimentLine {
        id: &experiment.id,
        title: &experiment.title,
        paper: main.paper,
        paper_top5: main.top5,
        ours: done.as_ref().and_then(|done| done.ours),
        std: done.as_ref().and_then(|done| done.std),
        tolerance: experiment.tolerance(main),
        verdict: done.as_ref().map(|done| done.verdict),
        unit: &experiment.unit,
        networks: experiment.parts.iter().map(Part::name).collect(),
        needs: experiment.data.as_deref(),
        protocol: (!experiment.is_count()).then(|| experiment.protocol(main)),
        estimated_seconds: pace.seconds(experiment, Scale::Full)?,
        estimated_quick_seconds: pace.seconds(experiment, Scale::Quick)?,
    })
}

/// Returns the target of the experiment's main row.
fn row_of(experiment: &Experiment) -> Target<'_> {
    let main = experiment.main();
    Target { paper: main.paper, reference: main.reference, source: main.source.as_deref(), at_least: main.at_least }
}

/// Value that a result is compared with.
struct Target<'a> {
    paper: Option<f64>,
    reference: Option<f64>,
    source: Option<&'a str>,
    at_least: Option<f64>,
}

fn goal(goal: &Target, unit: &str) -> String {
    match (goal.paper, goal.reference, goal.at_least) {
        (Some(paper), ..) => value(paper, unit),
        (None, Some(reference), _) => format!("({})", value(reference, unit)),
        (None, None, Some(least)) => format!("> {}", value(least, unit)),
        (None, None, None) => "-".into(),
    }
}

fn value(value: f64, unit: &str) -> String {
    match unit {
        "%" => format!("{value:.2}"),
        unit => format!("{} {unit}", residual::numbers::significant(value, 4)).trim_end().to_owned(),
    }
}

/// Formats a duration; days and years from two days on.
fn long(seconds: f64) -> String {
    const DAY: f64 = 86_400.0;
    match seconds {
        s if s < 2.0 * DAY => duration(s),
        s if s < 365.0 * DAY => format!("{:.0} days", s / DAY),
        s => format!("{:.1} years", s / (365.0 * DAY)),
    }
}

fn show(outcome: &Outcome, ui: &mut Ui) -> Result<()> {
    ui.line(&format!("{}  {}", outcome.id, outcome.title))?;
    if outcome.scale == Some(Scale::Quick) {
        ui.line("a shortened run: it compares the networks with each other, not with the paper's numbers")?;
    }
    if let Some(data) = &outcome.data {
        ui.line(&format!("tested on {data}"))?;
    }
    let several = outcome.rows.len() > 1;
    for row in &outcome.rows {
        ui.line(&sentence(outcome, row, several))?;
    }
    for claim in &outcome.claims {
        ui.line(&claim_sentence(claim))?;
    }
    if let Some(report) = &outcome.report {
        ui.line(&format!("report: {}", report.display()))?;
    }
    Ok(())
}

/// Formats a row: `paper 8.75 | ours 8.90 ± 0.20 (3 seeds) | tolerance 0.5 | reproduced`.
fn sentence(outcome: &Outcome, row: &ResultRow, named: bool) -> String {
    let unit = row.unit.as_str();
    let ResultRow { paper, reference, at_least, .. } = *row;
    let compared = Target { paper, reference, source: row.source.as_deref(), at_least };
    let source = compared.source.unwrap_or("paper");
    let mut text = if named { format!("{}: ", row.name) } else { String::new() };
    text += &match (paper, reference, at_least) {
        (None, None, Some(least)) => format!("paper > {}", value(least, unit)),
        (None, None, None) => "not in the paper".to_owned(),
        _ => format!("{source} {}", value(paper.or(reference).unwrap_or(f64::NAN), unit)),
    };
    if let Some(top5) = row.paper_top5 {
        text += &format!(" (top-5 {top5:.2})");
    }
    if let Some(ours) = row.ours {
        text += &format!(" | ours {}", value(ours, unit));
        if let Some(std) = row.std {
            text += &format!(" ± {std:.2}");
        }
        if let Some(top5) = row.ours_top5 {
            text += &format!(" (top-5 {top5:.2})");
        }
        if outcome.scale.is_some() && row.protocol != "count" {
            text += &format!(" ({} {})", outcome.seeds, if outcome.seeds == 1 { "seed" } else { "seeds" });
        }
    }
    if paper.or(reference).or(at_least).is_some() {
        text += &format!(" | tolerance {}", row.tolerance);
    }
    text + &format!(" | {}", row.verdict.words())
}

fn claim_sentence(claim: &Claim) -> String {
    format!(
        "{} − {}: {:+.2} points ± {:.2} (95 %), {}",
        claim.worse,
        claim.better,
        claim.difference,
        claim.noise,
        claim.verdict.words()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_one_line_beside_the_papers() {
        let experiment = find("vgg/params").expect("one")[0];
        let outcome = verify(experiment).expect("counts");
        let line = sentence(&outcome, &outcome.rows[4], true);
        assert_eq!(line, "vgg-d: paper 138 M | ours 138.4 M | tolerance 0.5 | reproduced");
        assert_eq!([7500.0, 3.0 * 86_400.0, 4e9].map(long), ["2h 05m", "3 days", "126.8 years"]);
    }
}
