//! Pages about training runs: one run, several compared, or those of a reproduced experiment.

use super::lang::{self, Lang};
use super::page::{Page, Section, save};
use super::report_data::ReportData;
use super::summary::{headline, headlines, overview};
use super::{curves, environment, evaluation, examples, lab, network, paper};
use crate::lab::TrialRun;
use crate::reproduce::Scale;
use crate::reproduce::outcome::Outcome;
use maud::{Markup, html};
use residual::error::Result;
use residual_train::data::{self, Dataset};
use residual_train::train::Record;
use std::path::{Path, PathBuf};

/// Largest size of a page in bytes: pages are mailed and opened on phones.
pub const LIMIT: usize = 2_000_000;

/// Number of images of each kind of a single run.
const THUMBNAILS: usize = 24;

/// Writes the page about `records` to `out` and returns its path. `data` is the data set of the
/// first run, if the caller has it open.
///
/// # Errors
/// Fails if a run folder is damaged, or if `out` cannot be written.
pub fn write(
    records: Vec<Record>,
    data: Option<&Dataset>,
    lang: Lang,
    out: &Path,
    progress: &mut dyn data::Progress,
) -> Result<PathBuf> {
    let mut runs = gather(records, data, progress)?;
    save(&render(&mut runs, None, lang)?, out)
}

/// Writes the English page about a run that has just finished: the report writer of
/// [`residual_train::train::RunOptions`].
///
/// # Errors
/// Fails as [`write()`] does.
pub fn of_run(record: Record, data: &Dataset, out: &Path, progress: &mut dyn data::Progress) -> Result<PathBuf> {
    write(vec![record], Some(data), Lang::En, out, progress)
}

/// Writes the page about a reproduced experiment and its `records` to `out`.
///
/// # Errors
/// Fails as [`write()`] does.
pub fn reproduction(
    outcome: &Outcome,
    records: Vec<Record>,
    lang: Lang,
    out: &Path,
    progress: &mut dyn data::Progress,
) -> Result<PathBuf> {
    let mut runs = gather(records, None, progress)?;
    save(&render(&mut runs, Some(outcome), lang)?, out)
}

/// Builds the page about stacks of filters that were trained in addition to their counts.
pub fn filter_stacks(outcome: &Outcome, trials: &[TrialRun], lang: Lang) -> String {
    let sections = vec![
        Section::new("paper", lang.text("paper-title"), paper::outcome(outcome, lang)),
        Section::new("curves", lang.text("learning-curves"), lab::filter_stacks(trials, lang)),
    ];
    let over = lang.text("reproduction-shortened").to_owned();
    Page { lang, over, title: lang::row(&outcome.title, lang), head: html! {}, sections }.render()
}

fn gather(records: Vec<Record>, data: Option<&Dataset>, progress: &mut dyn data::Progress) -> Result<Vec<ReportData>> {
    let thumbnails = (THUMBNAILS / records.len().max(1)).max(6);
    let mut runs = Vec::with_capacity(records.len());
    for (i, record) in records.into_iter().enumerate() {
        runs.push(ReportData::gather(record, data.filter(|_| i == 0), thumbnails, progress)?);
    }
    Ok(runs)
}

/// Renders the page, with fewer images if it would be too large.
fn render(runs: &mut [ReportData], outcome: Option<&Outcome>, lang: Lang) -> Result<String> {
    loop {
        let page = page(runs, outcome, lang)?.render();
        let fewer = |run: &mut ReportData| {
            run.mistakes.truncate(run.mistakes.len() / 2);
            run.uncertain.truncate(run.uncertain.len() / 2);
            run.explained.truncate(run.explained.len() / 2);
            run.variations.truncate(run.variations.len() / 2);
        };
        if page.len() < LIMIT || runs.iter().all(|run| run.mistakes.is_empty()) {
            return Ok(page);
        }
        runs.iter_mut().for_each(fewer);
    }
}

fn page(runs: &[ReportData], outcome: Option<&Outcome>, lang: Lang) -> Result<Page> {
    let records: Vec<&Record> = runs.iter().map(|run| &run.record).collect();
    let mut sections = Vec::new();
    let beside = lang.text("paper-title");
    match (outcome, runs) {
        (Some(outcome), _) => sections.push(Section::new("paper", beside, paper::outcome(outcome, lang))),
        (None, [one]) => sections.extend(paper::run(one, lang).map(|body| Section::new("paper", beside, body))),
        (None, _) => {}
    }
    let several = runs.len() > 1;
    if several {
        sections.push(Section::new("runs", lang.text("runs-title"), overview(runs, lang)));
    }
    if records.iter().any(|record| !record.steps.is_empty()) {
        sections.push(Section::new("curves", lang.text("learning-curves"), curves::curves(&records, lang)));
    }
    for (i, run) in runs.iter().enumerate() {
        sections.extend(parts(run, several.then_some(i), lang)?);
    }
    let title = match (outcome, runs) {
        (Some(outcome), _) => lang::row(&outcome.title, lang),
        (None, [one]) => one.title(lang),
        (None, [a, b]) => format!("{} · {}", a.record.name(), b.record.name()),
        (None, several) => lang.format("runs-compared", &[("count", several.len().into())]),
    };
    let head = match (outcome, runs) {
        // A run's own test may have looked in another way than the paper, and is one seed of
        // several.
        (Some(outcome), _) => paper::headline(outcome, lang),
        (None, []) => html! {},
        (None, [one]) => headline(one, lang),
        (None, several) => headlines(several, lang),
    };
    let over = match outcome {
        Some(outcome) if outcome.scale == Some(Scale::Quick) => lang.text("reproduction-shortened"),
        Some(_) => lang.text("reproduction"),
        None => lang.text("training-report"),
    };
    Ok(Page { lang, over: over.to_owned(), title, head, sections })
}

/// Builds the sections about one run; `number` distinguishes several.
fn parts(run: &ReportData, number: Option<usize>, lang: Lang) -> Result<Vec<Section>> {
    let mut sections = Vec::new();
    let mut add = |id: &str, title: &str, body: Markup| {
        let (id, title) = match number {
            None => (id.to_owned(), title.to_owned()),
            Some(i) => (format!("{id}-{}", i + 1), format!("{}: {title}", run.record.name())),
        };
        let mut section = Section::new(id, title, body);
        if number.is_some() {
            // Of several runs the first part alone is in the navigation, under the run's name.
            section.nav = sections.is_empty().then(|| run.record.name());
        }
        sections.push(section);
    };
    if !run.predictions.rows.is_empty() && !run.classes.is_empty() {
        add("errors", lang.text("errors-title"), evaluation::evaluation(run, lang));
    }
    let images = html! {
        @if let Some(why) = &run.missing_images {
            p class="warning" { (lang.text("images-not-opened")) " " (lang::message(why)) }
        }
        @if !run.uncertain.is_empty() { (examples::predictions(run, lang)?) }
        (examples::explained(run, lang)?)
        @let (variations, filters) = (examples::variations(run, lang)?, examples::filters(run, lang)?);
        @if !variations.0.is_empty() || !filters.0.is_empty() {
            div class="grid" { @for part in [variations, filters] { @if !part.0.is_empty() { div { (part) } } } }
        }
    };
    if !images.0.is_empty() {
        add("images", lang.text("images-title"), images);
    }
    if let Some(summary) = &run.summary {
        add("network", lang.text("network-title"), network::layers(summary, lang));
    }
    add("facts", lang.text("facts-title"), environment::environment(run, lang));
    Ok(sections)
}
