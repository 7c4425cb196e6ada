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
        Section::new("paper", lang.of("Beside the paper", "논문과 비교"), paper::outcome(outcome, lang)),
        Section::new("curves", lang.of("Learning curves", "학습 곡선"), lab::stacks(specimens, lang)),
    ];
    let over = lang.of("Reproduction, shortened", "재현 실험 (단축)").to_owned();
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
    let beside = lang.of("Beside the paper", "논문과 비교");
    match (outcome, subjects) {
        (Some(outcome), _) => sections.push(Section::new("paper", beside, paper::outcome(outcome, lang))),
        (None, [one]) => sections.extend(paper::beside(one, lang).map(|body| Section::new("paper", beside, body))),
        (None, _) => {}
    }
    let several = subjects.len() > 1;
    if several {
        sections.push(Section::new("runs", lang.of("The runs", "학습 비교"), overview(subjects, lang)));
    }
    if records.iter().any(|record| !record.steps.is_empty()) {
        sections.push(Section::new("curves", lang.of("Learning curves", "학습 곡선"), curves::curves(&records, lang)));
    }
    for (i, subject) in subjects.iter().enumerate() {
        sections.extend(parts(subject, several.then_some(i), lang)?);
    }
    let title = match (outcome, subjects) {
        (Some(outcome), _) => lang::row(&outcome.title, lang),
        (None, [one]) => one.title(lang),
        (None, [a, b]) => format!("{} · {}", a.record.name(), b.record.name()),
        (None, several) => {
            lang.of(format!("{} runs side by side", several.len()), format!("학습 {}개 비교", several.len()))
        }
    };
    let head = match (outcome, subjects) {
        // A run's own test may have looked in another way than the paper, and is one seed of several.
        (Some(outcome), _) => paper::headline(outcome, lang),
        (None, []) => html! {},
        (None, [one]) => headline(one, lang),
        (None, several) => headlines(several, lang),
    };
    let over = match outcome {
        Some(outcome) if outcome.scale == Some(Scale::Quick) => lang.of("Reproduction, shortened", "재현 실험 (단축)"),
        Some(_) => lang.of("Reproduction", "재현 실험"),
        None => lang.of("Training report", "학습 보고서"),
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
        add("errors", lang.of("Where it errs", "오류 분석"), evaluation::evaluation(subject, lang));
    }
    let images = html! {
        @if let Some(why) = &subject.without {
            p class="warning" { (lang.of("The images could not be opened: ", "이미지를 열지 못했습니다: ")) (lang::told(why)) }
        }
        @if !subject.uncertain.is_empty() { (gallery::answers(subject, lang)?) }
        (gallery::explained(subject, lang)?)
        @let (variations, filters) = (gallery::variations(subject, lang)?, gallery::filters(subject, lang)?);
        @if !variations.0.is_empty() || !filters.0.is_empty() {
            div class="grid" { @for part in [variations, filters] { @if !part.0.is_empty() { div { (part) } } } }
        }
    };
    if !images.0.is_empty() {
        add("images", lang.of("Images", "이미지"), images);
    }
    if let Some(summary) = &subject.summary {
        add("network", lang.of("The network", "신경망"), network::layers(summary, lang));
    }
    add("facts", lang.of("Recipe and machine", "레시피와 환경"), facts::facts(subject, lang));
    Ok(sections)
}

/// How a run stands, in the page's language.
fn state(state: State, lang: Lang) -> &'static str {
    match state {
        State::Running => lang.of("running", "학습 중"),
        State::Finished => lang.of("finished", "완료"),
        State::Interrupted => lang.of("interrupted", "중단됨"),
        State::Failed => lang.of("failed", "실패"),
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
                (lang.of("This run is not finished: ", "아직 끝나지 않은 학습입니다: ")) (state(record.state, lang))
                @if let Some(failure) = &record.failure { " – " (lang::told(failure)) }
            }
        }
        @if let Some(sentence) = evaluation::sentence(subject, lang) { p class="lead" { (sentence) } }
        dl class="figures" {
            @if let Some(error) = result.and_then(|result| result.test_top1_error) {
                div class="first" {
                    dt {
                        (lang.of("test error, top-1", "시험 오류율 (Top-1)"))
                        @if images > 0 { small { (lang.of("95 %: ", "95 % 구간: ")) (evaluation::interval_of_error(error, images)) } }
                    }
                    dd { (percent(error)) }
                }
            }
            @if let Some(error) = result.and_then(|result| result.test_top5_error) {
                div { dt { (lang.of("test error, top-5", "시험 오류율 (Top-5)")) } dd { (percent(error)) } }
            }
            @if let Some(error) = validation {
                div { dt { (lang.of("best validation error", "최저 검증 오류율")) } dd { (percent(error)) } }
            }
            @if let Some(summary) = &subject.summary {
                div { dt { (lang.of("parameters", "매개변수")) } dd { (short(summary.params)) } }
            }
            div { dt { (lang.of("training time", "학습 시간")) } dd { (duration(record.seconds(), lang)) } }
            @if let Some(epoch) = record.epochs.last() {
                div { dt { (lang.of("images per second", "초당 이미지")) } dd { (thousands(epoch.images_per_second.round() as u64)) } }
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
            p class="lead" { (versus(subjects, lang).unwrap_or_else(|| lang.of("Test error, top-1:", "시험 오류율 (Top-1):").to_owned())) }
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
    Some(if difference.is_real() {
        lang.of(
            format!("The test error of {better} is {points} points lower than that of {worse}, which is more than chance (McNemar's test)."),
            format!("{better}의 시험 오류율이 {worse}보다 {points}퍼센트포인트 낮으며, 우연으로 보기 어려운 차이입니다(맥니마 검정)."),
        )
    } else {
        lang.of(
            format!(
                "{better} and {worse} differ by {points} points of test error, which may be chance (McNemar's test)."
            ),
            format!(
                "{better}와(과) {worse}의 시험 오류율 차이는 {points}퍼센트포인트이며, 우연일 수 있습니다(맥니마 검정)."
            ),
        )
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
                    th class="text" scope="col" { (lang.of("run", "실행")) }
                    th class="text" scope="col" { (lang.of("network", "신경망")) }
                    th class="text" scope="col" { (lang.of("state", "상태")) }
                    th scope="col" { (lang.of("parameters", "매개변수")) }
                    th scope="col" { (lang.of("training error", "학습 오류율")) }
                    th scope="col" { (lang.of("best validation error", "최저 검증 오류율")) }
                    th scope="col" { (lang.of("test error", "시험 오류율")) }
                    th scope="col" { (lang.of("time", "시간")) }
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
