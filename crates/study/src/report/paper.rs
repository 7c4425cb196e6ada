//! The comparison of a run or an experiment with the paper's values.

use super::lang::{self, Lang};
use super::report_data::ReportData;
use crate::reproduce::outcome::{Outcome, ResultRow};
use crate::reproduce::row::PaperRow;
use crate::reproduce::verdict::{Goal, Order, Sample, Verdict, judge};
use crate::reproduce::{Scale, is_papers_data};
use maud::{Markup, html};
use residual::numbers::{percent, significant};

fn verdict(verdict: Verdict, lang: Lang) -> &'static str {
    lang.text(match verdict {
        Verdict::Reproduced => "verdict-reproduced",
        Verdict::Better => "verdict-better",
        Verdict::WithinNoise => "verdict-within-noise",
        Verdict::NotReproduced => "verdict-not-reproduced",
        Verdict::Shortened => "verdict-shortened",
        Verdict::OtherImages => "verdict-other-images",
        Verdict::OtherNetwork => "verdict-other-network",
    })
}

fn order(order: Order, lang: Lang) -> &'static str {
    lang.text(match order {
        Order::Holds => "order-holds",
        Order::WithinNoise => "order-within-noise",
        Order::Fails => "order-fails",
    })
}

/// Explains what a shortened run is.
fn shortened(lang: Lang) -> Markup {
    html! {
        p class="warning" { (lang.text("shortened-note")) }
    }
}

fn value(value: f64, unit: &str) -> String {
    if unit == "%" { percent(value) } else { format!("{} {unit}", significant(value, 4)).trim_end().to_owned() }
}

/// Writes the value to compare with, and its source if it is not the paper.
fn compared(
    paper: Option<f64>,
    reference: Option<(f64, &str)>,
    at_least: Option<f64>,
    unit: &str,
    lang: Lang,
) -> Markup {
    html! {
        @if let Some(paper) = paper {
            (value(paper, unit))
        } @else if let Some((reference, source)) = reference {
            (value(reference, unit)) " (" (lang::row(source, lang)) ")"
        } @else if let Some(least) = at_least {
            (lang.format("above", &[("value", value(least, unit).into())]))
        } @else { "–" }
    }
}

/// Writes the head of the tables; `top5` adds the columns of that error.
fn head(top5: bool, lang: Lang) -> Markup {
    html! {
        thead { tr {
            th class="text" scope="col" { (lang.text("table-row")) }
            th scope="col" { (lang.text("paper")) }
            th scope="col" { (lang.text("ours")) }
            @if top5 {
                th scope="col" { (lang.text("paper-top5")) }
                th scope="col" { (lang.text("ours-top5")) }
            }
            th scope="col" { (lang.text("tolerance")) }
            th class="text" scope="col" { (lang.text("verdict")) }
        } }
    }
}

/// Writes the cells of both top-5 errors.
fn top5(paper: Option<f64>, ours: Option<f64>) -> Markup {
    let cell = |error: Option<f64>| error.map_or_else(|| "–".into(), percent);
    html! { td { (cell(paper)) } td { (cell(ours)) } }
}

/// Compares `run` with the row that it reproduces; `None` if there is no such row or no test yet.
pub fn run(run: &ReportData, lang: Lang) -> Option<Markup> {
    let record = &run.record;
    let result = record.result.as_ref()?;
    let PaperRow { experiment, part, scale } = PaperRow::of(result.row.as_deref(), &record.recipe)?;
    let (protocol, tolerance) = (experiment.protocol(part), experiment.tolerance(part));
    let ours = result.test_top1_error?;
    let images = run.predictions.rows.len();
    let sample = Sample { values: vec![ours], images, right: Vec::new() };
    let classes = record.recipe.model.classes.unwrap_or(0);
    let judged = match scale {
        Scale::Quick => Some(Verdict::Shortened),
        // A run without predictions does not say how many they were.
        _ if images > 0 && !is_papers_data(experiment.data.as_deref(), &result.data, classes, images) => {
            Some(Verdict::OtherImages)
        }
        Scale::Full if protocol == "center" => Some(judge(Goal::of(part), &sample, tolerance, true)),
        // The page's own test is by the center crop: it does not decide on another protocol's
        // value.
        Scale::Full => None,
    };
    let reference = part.reference.zip(part.source.as_deref());
    Some(html! {
        @if scale == Scale::Quick { (shortened(lang)) }
        p class="note" {
            (lang::row(&experiment.title, lang)) " (" code { (experiment.id) } "). " (lang.text("one-seed-interval"))
        }
        div class="scroll" tabindex="0" { table {
            (head(part.top5.is_some(), lang))
            tbody { tr {
                th class="text" scope="row" { (lang::row(&part.name(), lang)) }
                td { (compared(part.paper, reference, part.at_least, "%", lang)) }
                td { (percent(ours)) " ± " (format!("{:.2}", sample.noise())) }
                @if part.top5.is_some() { (top5(part.top5, result.test_top5_error)) }
                td { (tolerance) }
                td class="text" { @match judged {
                    Some(judged) => (verdict(judged, lang)),
                    None => (lang.format("judged-by", &[("protocol", lang::row(protocol, lang).into())])),
                } }
            } }
        } }
    })
}

/// Formats our value of `row` with its standard deviation over seeds.
fn ours(row: &ResultRow) -> String {
    let std = row.std.map_or_else(String::new, |std| format!(" ± {std:.2}"));
    row.ours.map_or_else(|| "–".into(), |ours| format!("{}{std}", value(ours, &row.unit)))
}

/// Writes the values of an experiment; the one that it is named after comes first.
pub fn headline(outcome: &Outcome, lang: Lang) -> Markup {
    html! {
        dl class="figures" {
            @for (i, row) in outcome.rows.iter().rev().enumerate() {
                div class=[(i == 0).then_some("first")] {
                    dt {
                        (lang::row(&row.name, lang))
                        small {
                            (lang.text("paper")) ": "
                            (compared(row.paper, row.reference.zip(row.source.as_deref()), row.at_least, &row.unit, lang))
                        }
                    }
                    dd { (ours(row)) }
                }
            }
        }
    }
}

/// Writes all rows and claims of an experiment.
pub fn outcome(outcome: &Outcome, lang: Lang) -> Markup {
    let seeds = lang.format("mean-of-seeds", &[("seeds", outcome.seeds.into())]);
    let has_top5 = outcome.rows.iter().any(|row| row.paper_top5.is_some());
    html! {
        @if outcome.scale == Some(Scale::Quick) { (shortened(lang)) }
        p class="note" {
            (lang::row(&outcome.title, lang)) " (" code { (outcome.id) } "). " (seeds)
            @if let Some(data) = &outcome.data { " " (lang.format("tested-on", &[("data", lang::data(data, lang).into())])) }
        }
        div class="scroll" tabindex="0" { table {
            (head(has_top5, lang))
            tbody { @for row in &outcome.rows { tr {
                th class="text" scope="row" { (lang::row(&row.name, lang)) }
                td { (compared(row.paper, row.reference.zip(row.source.as_deref()), row.at_least, &row.unit, lang)) }
                td { (ours(row)) }
                @if has_top5 { (top5(row.paper_top5, row.ours_top5)) }
                td { @if row.paper.or(row.reference).or(row.at_least).is_some() { (row.tolerance) } @else { "–" } }
                td class="text" { (verdict(row.verdict, lang)) }
            } } }
        } }
        @if !outcome.claims.is_empty() {
            h3 { (lang.text("claims-title")) }
            div class="scroll" tabindex="0" { table {
                thead { tr {
                    th class="text" scope="col" { (lang.text("higher-error")) }
                    th class="text" scope="col" { (lang.text("lower-error")) }
                    th scope="col" { (lang.text("difference-points")) }
                    th class="text" scope="col" { (lang.text("claim-result")) }
                } }
                tbody { @for claim in &outcome.claims { tr {
                    th class="text" scope="row" { (lang::row(&claim.worse, lang)) }
                    td class="text" { (lang::row(&claim.better, lang)) }
                    td { (format!("{:+.2} ± {:.2}", claim.difference, claim.noise)) }
                    td class="text" { (order(claim.verdict, lang)) }
                } } }
            } }
        }
    }
}
