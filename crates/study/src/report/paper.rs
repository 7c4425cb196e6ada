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
    let korean = match verdict {
        Verdict::Reproduced => "재현됨",
        Verdict::Better => "더 좋음: 잡음보다 큰 차이",
        Verdict::WithinNoise => "판단 불가: 허용 오차를 벗어났으나 잡음 범위 안",
        Verdict::NotReproduced => "재현되지 않음",
        Verdict::Shortened => "판단하지 않음: 단축 실행",
        Verdict::OtherImages => "판단하지 않음: 논문과 다른 이미지",
        Verdict::OtherNetwork => "판단하지 않음: 논문과 다른 신경망",
    };
    lang.of(verdict.words(), korean)
}

fn order(order: Order, lang: Lang) -> &'static str {
    let korean = match order {
        Order::Holds => "잡음보다 큰 차이",
        Order::WithinNoise => "잡음 범위 안",
        Order::Fails => "반대 방향으로 잡음보다 큰 차이",
    };
    lang.of(order.words(), korean)
}

/// What a shortened run is, for those who read only the page.
fn shortened(lang: Lang) -> Markup {
    html! {
        p class="warning" { (lang.of(
            "A shortened run: far fewer steps and images than the paper's. It compares the networks with each other and says nothing about the paper's numbers.",
            "단축 실행입니다. 논문보다 스텝과 이미지가 훨씬 적습니다. 신경망끼리 견줄 수는 있으나 논문의 수치에 대해서는 아무것도 말해 주지 않습니다.",
        )) }
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
            (lang.of(format!("above {}", value(least, unit)), format!("{} 초과", value(least, unit))))
        } @else { "–" }
    }
}

/// The head of the tables; with `top5`, where the paper prints that error too, its two columns.
fn head(top5: bool, lang: Lang) -> Markup {
    html! {
        thead { tr {
            th class="text" scope="col" { (lang.of("row", "항목")) }
            th scope="col" { (lang.of("paper", "논문")) }
            th scope="col" { (lang.of("ours", "결과")) }
            @if top5 {
                th scope="col" { (lang.of("paper, top-5", "논문, top-5")) }
                th scope="col" { (lang.of("ours, top-5", "결과, top-5")) }
            }
            th scope="col" { (lang.of("tolerance", "허용 오차")) }
            th class="text" scope="col" { (lang.of("verdict", "판정")) }
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
            (lang.of("One seed; the 95 % interval is that of the test images alone.", "시드 하나의 결과이며, 95 % 구간은 시험 이미지 수만 고려한 것입니다."))
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
                    None => (lang.of(format!("to be judged by {}", mark.protocol), format!("{} 방식으로 판단", lang::row(&mark.protocol, lang)))),
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
                            (lang.of("paper: ", "논문: "))
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
    let seeds = match outcome.seeds {
        1 => lang.of("One seed.".into(), "시드 1개의 결과입니다.".into()),
        n => {
            lang.of(format!("Mean ± standard deviation of {n} seeds."), format!("시드 {n}개의 평균 ± 표준 편차입니다."))
        }
    };
    let has_top5 = outcome.rows.iter().any(|row| row.paper_top5.is_some());
    html! {
        @if outcome.scale == Some(Scale::Quick) { (shortened(lang)) }
        p class="note" {
            (lang::row(&outcome.title, lang)) " (" code { (outcome.id) } "). " (seeds)
            @if let Some(data) = &outcome.data { " " (lang.of("Tested on ", "시험 데이터: ")) (lang::data(data, lang)) "." }
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
            h3 { (lang.of("The paper's argument", "논문의 주장")) }
            div class="scroll" tabindex="0" { table {
                thead { tr {
                    th class="text" scope="col" { (lang.of("errs more", "오류가 더 많은 쪽")) }
                    th class="text" scope="col" { (lang.of("errs less", "오류가 더 적은 쪽")) }
                    th scope="col" { (lang.of("difference, points", "차이 (퍼센트포인트)")) }
                    th class="text" scope="col" { (lang.of("found", "결과")) }
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
