//! The top of a page about runs: main figures, and the comparison of several runs.

use super::evaluation;
use super::lang::{self, Lang, duration};
use super::report_data::ReportData;
use crate::stats::Difference;
use maud::{Markup, html};
use residual::numbers::{percent, short, thousands};
use residual_train::data;
use residual_train::train::record::RunState;

/// Returns the state of a run in words.
fn state(state: RunState, lang: Lang) -> &'static str {
    match state {
        RunState::Running => lang.text("state-running"),
        RunState::Finished => lang.text("state-finished"),
        RunState::Interrupted => lang.text("state-interrupted"),
        RunState::Failed => lang.text("state-failed"),
    }
}

/// Writes the main figures of a run: errors, parameters, time.
pub fn headline(run: &ReportData, lang: Lang) -> Markup {
    let record = &run.record;
    let result = record.result.as_ref();
    let images = run.predictions.rows.len();
    let validation = record.best_val_error();
    html! {
        @if record.state != RunState::Finished {
            p class="lead" {
                (lang.format("run-unfinished", &[("state", state(record.state, lang).into())]))
                @if let Some(failure) = &record.failure { " – " (lang::message(failure)) }
            }
        }
        @if let Some(sentence) = evaluation::sentence(run, lang) { p class="lead" { (sentence) } }
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
            @if let Some(summary) = &run.summary {
                div { dt { (lang.text("parameters")) } dd { (short(summary.params)) } }
            }
            div { dt { (lang.text("training-time")) } dd { (duration(record.seconds(), lang)) } }
            @if let Some(epoch) = record.epochs.last() {
                div { dt { (lang.text("images-per-second")) } dd { (thousands(epoch.images_per_second.round() as u64)) } }
            }
        }
    }
}

/// Writes the test error of each of several runs.
pub fn headlines(runs: &[ReportData], lang: Lang) -> Markup {
    let tested: Vec<(String, f64)> =
        runs.iter().filter_map(|one| Some((one.record.name(), one.record.result.as_ref()?.test_top1_error?))).collect();
    let best = tested.iter().map(|(_, error)| *error).reduce(f64::min);
    html! {
        @if !tested.is_empty() {
            p class="lead" { (comparison(runs, lang).unwrap_or_else(|| lang.text("test-errors-top1").to_owned())) }
            dl class="figures" {
                @for (name, error) in &tested {
                    div class=[(Some(*error) == best).then_some("first")] { dt { (name) } dd { (percent(*error)) } }
                }
            }
        }
    }
}

/// States which of two runs has the lower test error and whether the difference is significant.
fn comparison(runs: &[ReportData], lang: Lang) -> Option<String> {
    let [a, b] = runs else { return None };
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

/// Writes a table of several runs.
pub fn overview(runs: &[ReportData], lang: Lang) -> Markup {
    let errors: Vec<Option<f64>> =
        runs.iter().map(|run| run.record.result.as_ref().and_then(|result| result.test_top1_error)).collect();
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
                tbody { @for (run, error) in runs.iter().zip(&errors) {
                    @let record = &run.record;
                    @let validation = record.best_val_error();
                    tr {
                        th scope="row" class="text" { (record.name()) }
                        td class="text" { (record.recipe.model.name) }
                        td class="text" { (state(record.state, lang)) }
                        td { (run.summary.as_ref().map_or_else(String::new, |summary| short(summary.params))) }
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
