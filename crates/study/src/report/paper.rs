//! The paper's values beside ours, where a run reproduces a row of its tables.

use super::lang::{self, Lang};
use super::subject::Subject;
use crate::reproduce::mark::Mark;
use crate::reproduce::outcome::{Outcome, Row};
use crate::reproduce::verdict::{Goal, Order, Sample, Verdict, judge};
use crate::reproduce::{Scale, is_papers_own};
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

/// What a shortened run is, for those who read only the page.
fn shortened(lang: Lang) -> Markup {
    html! {
        p class="warning" { (lang.text("shortened-note")) }
    }
}

fn value(value: f64, unit: &str) -> String {
    if unit == "%" { percent(value) } else { format!("{} {unit}", significant(value, 4)).trim_end().to_owned() }
}

/// The value compared with, and whose it is.
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

/// The head of the tables; with `top5`, where the paper prints that error too, its two columns.
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

/// The cells of both top-5 errors.
fn top5(paper: Option<f64>, ours: Option<f64>) -> Markup {
    let cell = |error: Option<f64>| error.map_or_else(|| "–".into(), percent);
    html! { td { (cell(paper)) } td { (cell(ours)) } }
}

/// The row that `subject` reproduces; nothing where it reproduces none or was not tested yet.
pub fn beside(subject: &Subject, lang: Lang) -> Option<Markup> {
    let record = &subject.record;
    let mark = Mark::of(&record.path, &record.recipe)?;
    let result = record.result.as_ref()?;
    let ours = result.test_top1_error?;
    let images = subject.predictions.rows.len();
    let sample = Sample { values: vec![ours], images, right: Vec::new() };
    let goal = Goal::new(mark.paper.or(mark.reference.as_ref().map(|reference| reference.0)), mark.at_least);
    let judged = match (mark.scale, mark.protocol.as_str()) {
        (Scale::Quick, _) => Some(Verdict::Shortened),
        // A run without predictions does not say how many they were.
        _ if images > 0
            && !is_papers_own(mark.data.as_deref(), &result.data, record.recipe.model.classes.unwrap_or(0), images) =>
        {
            Some(Verdict::OtherImages)
        }
        (Scale::Full, "center") => Some(judge(goal, &sample, mark.tolerance, true)),
        // The page's own test looks at the centre only: another protocol's value is not to be judged by it.
        (Scale::Full, _) => None,
    };
    let reference = mark.reference.as_ref().map(|(value, source)| (*value, source.as_str()));
    Some(html! {
        @if mark.scale == Scale::Quick { (shortened(lang)) }
        p class="note" {
            (lang::row(&mark.title, lang)) " (" code { (mark.id) } "). "
            (lang.text("one-seed-interval"))
        }
        div class="scroll" tabindex="0" { table {
            (head(mark.paper_top5.is_some(), lang))
            tbody { tr {
                th class="text" scope="row" { (lang::row(&mark.part, lang)) }
                td { (compared(mark.paper, reference, mark.at_least, "%", lang)) }
                td { (percent(ours)) " ± " (format!("{:.2}", sample.noise())) }
                @if mark.paper_top5.is_some() { (top5(mark.paper_top5, result.test_top5_error)) }
                td { (mark.tolerance) }
                td class="text" { @match judged {
                    Some(judged) => (verdict(judged, lang)),
                    None => (lang.format("judged-by", &[("protocol", lang::row(&mark.protocol, lang).into())])),
                } }
            } }
        } }
    })
}

/// Our value of `row`, with its deviation over seeds.
fn ours(row: &Row) -> String {
    let std = row.std.map_or_else(String::new, |std| format!(" ± {std:.2}"));
    row.ours.map_or_else(|| "–".into(), |ours| format!("{}{std}", value(ours, &row.unit)))
}

/// The values that an experiment gave, the one that it is named after first.
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

/// Everything that an experiment gave.
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
