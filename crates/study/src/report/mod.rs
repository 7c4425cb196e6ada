//! `report.html`: one page about one run or several, in one file that needs nothing else.
//!
//! [`Subject`] gathers what is known of a run; `curves`, `evaluation`, `gallery`, `network` and `facts` each write a part
//! of the page; `page` is the frame around them. Charts are drawn here, as SVG; the small script of the page only shows
//! the values under the pointer. [`compare`] holds the statistics of comparisons.

pub mod chart;
pub mod compare;
mod curves;
mod evaluation;
mod facts;
mod gallery;
pub mod images;
pub mod lab;
pub mod lang;
mod messages;
mod network;
pub mod page;
mod paper;
mod sheet;
mod subject;

pub use lang::Lang;
pub use sheet::sheet;
pub use subject::Subject;

use crate::lab::Specimen;
use crate::reproduce::Scale;
use crate::reproduce::outcome::Outcome;
use compare::Difference;
use lang::duration;
use maud::{Markup, html};
use page::{Page, Section};
use residual::error::{Error, Result};
use residual::numbers::{percent, short, thousands};
use residual_train::data::{self, Dataset};
use residual_train::train::Record;
use residual_train::train::record::State;
use std::path::{Path, PathBuf};

/// Bytes that a page may have: it is mailed, and opened on phones.
pub const LIMIT: usize = 2_000_000;

/// Images of each kind that are shown of a single run.
const THUMBNAILS: usize = 24;

/// Writes the page about `runs` to `out`. `data` is the first run's, where the caller has it open already.
///
/// # Errors
/// A run folder that is damaged, or a place that cannot be written.
pub fn write(
    runs: Vec<Record>,
    data: Option<&Dataset>,
    lang: Lang,
    out: &Path,
    progress: &mut dyn data::Progress,
) -> Result<PathBuf> {
    let mut subjects = gather(runs, data, progress)?;
    save(&render(&mut subjects, None, lang)?, out)
}

/// Writes the page about a run that has just finished, in English: the hook of [`residual_train::train::RunOptions`].
///
/// # Errors
/// As [`write()`].
pub fn of_run(record: Record, data: &Dataset, out: &Path, progress: &mut dyn data::Progress) -> Result<PathBuf> {
    write(vec![record], Some(data), Lang::En, out, progress)
}

/// Writes the page about a reproduced experiment and its `runs` to `out`.
///
/// # Errors
/// As [`write()`].
pub fn reproduction(
    outcome: &Outcome,
    runs: Vec<Record>,
    lang: Lang,
    out: &Path,
    progress: &mut dyn data::Progress,
) -> Result<PathBuf> {
    let mut subjects = gather(runs, None, progress)?;
    save(&render(&mut subjects, Some(outcome), lang)?, out)
}

/// The page about stacks of filters that were trained beside their counts.
pub fn stacks(outcome: &Outcome, specimens: &[Specimen], lang: Lang) -> String {
    let sections = vec![
        Section::new("paper", lang.text("paper-title"), paper::outcome(outcome, lang)),
        Section::new("curves", lang.text("learning-curves"), lab::stacks(specimens, lang)),
    ];
    let over = lang.text("reproduction-shortened").to_owned();
    Page { lang, over, title: lang::row(&outcome.title, lang), head: html! {}, sections }.render()
}

fn gather(runs: Vec<Record>, data: Option<&Dataset>, progress: &mut dyn data::Progress) -> Result<Vec<Subject>> {
    let thumbnails = (THUMBNAILS / runs.len().max(1)).max(6);
    let mut subjects = Vec::with_capacity(runs.len());
    for (i, run) in runs.into_iter().enumerate() {
        subjects.push(Subject::gather(run, data.filter(|_| i == 0), thumbnails, progress)?);
    }
    Ok(subjects)
}

/// Writes a page to `out`; returns where, absolute.
///
/// # Errors
/// A place that cannot be written.
pub fn save(page: &str, out: &Path) -> Result<PathBuf> {
    residual::atomic::write(out, page.as_bytes())?;
    out.canonicalize().map_err(|error| Error::io("open", out, error))
}

/// The page; with fewer images where it would be too large.
fn render(subjects: &mut [Subject], outcome: Option<&Outcome>, lang: Lang) -> Result<String> {
    loop {
        let page = page(subjects, outcome, lang)?.render();
        let fewer = |subject: &mut Subject| {
            subject.mistakes.truncate(subject.mistakes.len() / 2);
            subject.uncertain.truncate(subject.uncertain.len() / 2);
            subject.explained.truncate(subject.explained.len() / 2);
            subject.variations.truncate(subject.variations.len() / 2);
        };
        if page.len() < LIMIT || subjects.iter().all(|subject| subject.mistakes.is_empty()) {
            return Ok(page);
        }
        subjects.iter_mut().for_each(fewer);
    }
}

fn page(subjects: &[Subject], outcome: Option<&Outcome>, lang: Lang) -> Result<Page> {
    let records: Vec<&Record> = subjects.iter().map(|subject| &subject.record).collect();
    let mut sections = Vec::new();
    let beside = lang.text("paper-title");
    match (outcome, subjects) {
        (Some(outcome), _) => sections.push(Section::new("paper", beside, paper::outcome(outcome, lang))),
        (None, [one]) => sections.extend(paper::beside(one, lang).map(|body| Section::new("paper", beside, body))),
        (None, _) => {}
    }
    let several = subjects.len() > 1;
    if several {
        sections.push(Section::new("runs", lang.text("runs-title"), overview(subjects, lang)));
    }
    if records.iter().any(|record| !record.steps.is_empty()) {
        sections.push(Section::new("curves", lang.text("learning-curves"), curves::curves(&records, lang)));
    }
    for (i, subject) in subjects.iter().enumerate() {
        sections.extend(parts(subject, several.then_some(i), lang)?);
    }
    let title = match (outcome, subjects) {
        (Some(outcome), _) => lang::row(&outcome.title, lang),
        (None, [one]) => one.title(lang),
        (None, [a, b]) => format!("{} · {}", a.record.name(), b.record.name()),
        (None, several) => lang.format("runs-compared", &[("count", several.len().into())]),
    };
    let head = match (outcome, subjects) {
        // A run's own test may have looked in another way than the paper, and is one seed of several.
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

/// The parts about one run; `number` tells several apart.
fn parts(subject: &Subject, number: Option<usize>, lang: Lang) -> Result<Vec<Section>> {
    let mut sections = Vec::new();
    let mut add = |id: &str, title: &str, body: Markup| {
        let (id, title) = match number {
            None => (id.to_owned(), title.to_owned()),
            Some(i) => (format!("{id}-{}", i + 1), format!("{}: {title}", subject.record.name())),
        };
        let mut section = Section::new(id, title, body);
        if number.is_some() {
            // Of several runs the first part alone is in the navigation, under the run's name.
            section.nav = sections.is_empty().then(|| subject.record.name());
        }
        sections.push(section);
    };
    if !subject.predictions.rows.is_empty() && !subject.classes.is_empty() {
        add("errors", lang.text("errors-title"), evaluation::evaluation(subject, lang));
    }
    let images = html! {
        @if let Some(why) = &subject.without {
            p class="warning" { (lang.text("images-not-opened")) " " (lang::told(why)) }
        }
        @if !subject.uncertain.is_empty() { (gallery::answers(subject, lang)?) }
        (gallery::explained(subject, lang)?)
        @let (variations, filters) = (gallery::variations(subject, lang)?, gallery::filters(subject, lang)?);
        @if !variations.0.is_empty() || !filters.0.is_empty() {
            div class="grid" { @for part in [variations, filters] { @if !part.0.is_empty() { div { (part) } } } }
        }
    };
    if !images.0.is_empty() {
        add("images", lang.text("images-title"), images);
    }
    if let Some(summary) = &subject.summary {
        add("network", lang.text("network-title"), network::layers(summary, lang));
    }
    add("facts", lang.text("facts-title"), facts::facts(subject, lang));
    Ok(sections)
}

/// How a run stands, in the page's language.
fn state(state: State, lang: Lang) -> &'static str {
    match state {
        State::Running => lang.text("state-running"),
        State::Finished => lang.text("state-finished"),
        State::Interrupted => lang.text("state-interrupted"),
        State::Failed => lang.text("state-failed"),
    }
}

/// The figures that people look for first.
fn headline(subject: &Subject, lang: Lang) -> Markup {
    let record = &subject.record;
    let result = record.result.as_ref();
    let images = subject.predictions.rows.len();
    let validation = record.best_val_error();
    html! {
        @if record.state != State::Finished {
            p class="lead" {
                (lang.format("run-unfinished", &[("state", state(record.state, lang).into())]))
                @if let Some(failure) = &record.failure { " – " (lang::told(failure)) }
            }
        }
        @if let Some(sentence) = evaluation::sentence(subject, lang) { p class="lead" { (sentence) } }
        dl class="figures" {
            @if let Some(error) = result.and_then(|result| result.test_top1_error) {
                div class="first" {
                    dt {
                        (lang.text("test-error-top1"))
                        @if images > 0 { small { (lang.format("interval", &[("interval", evaluation::interval_of_error(error, images).into())])) } }
                    }
                    dd { (percent(error)) }
                }
            }
            @if let Some(error) = result.and_then(|result| result.test_top5_error) {
                div { dt { (lang.text("test-error-top5")) } dd { (percent(error)) } }
            }
            @if let Some(error) = validation {
                div { dt { (lang.text("best-validation-error")) } dd { (percent(error)) } }
            }
            @if let Some(summary) = &subject.summary {
                div { dt { (lang.text("parameters")) } dd { (short(summary.params)) } }
            }
            div { dt { (lang.text("training-time")) } dd { (duration(record.seconds(), lang)) } }
            @if let Some(epoch) = record.epochs.last() {
                div { dt { (lang.text("images-per-second")) } dd { (thousands(epoch.images_per_second.round() as u64)) } }
            }
        }
    }
}

/// The test error of each of several runs.
fn headlines(subjects: &[Subject], lang: Lang) -> Markup {
    let tested: Vec<(String, f64)> = subjects
        .iter()
        .filter_map(|one| Some((one.record.name(), one.record.result.as_ref()?.test_top1_error?)))
        .collect();
    let best = tested.iter().map(|(_, error)| *error).reduce(f64::min);
    html! {
        @if !tested.is_empty() {
            p class="lead" { (versus(subjects, lang).unwrap_or_else(|| lang.text("test-errors-top1").to_owned())) }
            dl class="figures" {
                @for (name, error) in &tested {
                    div class=[(Some(*error) == best).then_some("first")] { dt { (name) } dd { (percent(*error)) } }
                }
            }
        }
    }
}

/// Of two runs, which one errs less and whether that is more than chance.
fn versus(subjects: &[Subject], lang: Lang) -> Option<String> {
    let [a, b] = subjects else { return None };
    if [a, b].iter().any(|one| one.split != data::Split::Test) || !a.record.is_tested_as(&b.record) {
        return None;
    }
    let difference = Difference::paired(&a.predictions, &b.predictions)?;
    let (better, worse) = if difference.difference > 0.0 { (a, b) } else { (b, a) };
    let (better, worse) = (better.record.name(), worse.record.name());
    let points = format!("{:.2}", difference.difference.abs());
    let values = [("better", better.into()), ("worse", worse.into()), ("points", points.into())];
    Some(if difference.is_real() {
        lang.format("difference-significant", &values)
    } else {
        lang.format("difference-by-chance", &values)
    })
}

/// Several runs as a table.
fn overview(subjects: &[Subject], lang: Lang) -> Markup {
    let errors: Vec<Option<f64>> = subjects
        .iter()
        .map(|subject| subject.record.result.as_ref().and_then(|result| result.test_top1_error))
        .collect();
    let best = errors.iter().flatten().copied().reduce(f64::min);
    html! {
        div class="scroll" tabindex="0" {
            table {
                thead { tr {
                    th class="text" scope="col" { (lang.text("run")) }
                    th class="text" scope="col" { (lang.text("network")) }
                    th class="text" scope="col" { (lang.text("state")) }
                    th scope="col" { (lang.text("parameters")) }
                    th scope="col" { (lang.text("training-error")) }
                    th scope="col" { (lang.text("best-validation-error")) }
                    th scope="col" { (lang.text("test-error")) }
                    th scope="col" { (lang.text("time")) }
                } }
                tbody { @for (subject, error) in subjects.iter().zip(&errors) {
                    @let record = &subject.record;
                    @let validation = record.best_val_error();
                    tr {
                        th scope="row" class="text" { (record.name()) }
                        td class="text" { (record.recipe.model.name) }
                        td class="text" { (state(record.state, lang)) }
                        td { (subject.summary.as_ref().map_or_else(String::new, |summary| short(summary.params))) }
                        td { (record.epochs.last().map_or_else(|| "–".into(), |epoch| percent(epoch.train_error))) }
                        td { (validation.map_or_else(|| "–".into(), percent)) }
                        td class=[(error.is_some() && *error == best).then_some("better")] { (error.map_or_else(|| "–".into(), percent)) }
                        td { (duration(record.seconds(), lang)) }
                    }
                } }
            }
        }
    }
}
