//! The errors of a run: confusion matrix, accuracy by class, calibration.

use super::lang::Lang;
use super::report_data::ReportData;
use maud::{Markup, PreEscaped, html};
use residual::numbers::{percent, thousands};
use residual_train::data::Split;
use residual_train::eval::TestProtocol;
use residual_train::eval::predictions::{BINS, Bin};
use std::fmt::Write;

/// Largest number of classes of a confusion matrix; with more, the largest confusions are listed
/// instead.
const MATRIX_UP_TO: usize = 20;

/// Cells of a larger share than this are dark with light text (light with dark text in the dark
/// scheme); see style.css.
const STRONG: f64 = 0.6;

/// Number of confusions in that list.
const LISTED: usize = 25;

/// Returns the name of the split.
pub fn split_name(split: Split, lang: Lang) -> &'static str {
    match split {
        Split::Test => lang.text("test"),
        Split::Validation => lang.text("validation"),
        Split::Train => lang.text("training"),
        Split::All => lang.text("all-splits"),
    }
}

/// Writes confusions, accuracy by class and calibration of `run`.
pub fn evaluation(run: &ReportData, lang: Lang) -> Markup {
    let classes = run.classes.len();
    let confusion = run.predictions.confusion();
    let images = run.predictions.rows.len() as u64;
    let split = split_name(run.split, lang);
    let flipped = run.split == Split::Test && run.record.recipe.data.test == TestProtocol::Flip;
    let seen = match flipped {
        false => lang.text("tested-at-center"),
        true => lang.text("tested-with-flip"),
    };
    html! {
        p class="note" {
            (lang.format("errors-note", &[("images", thousands(images).into()), ("split", split.into()), ("protocol", seen.into())]))
            @if run.split != Split::Test {
                " " (lang.text("errors-unfinished"))
            }
        }
        div class="grid" {
            div {
                h3 { (lang.text("confusion-matrix")) }
                @if classes <= MATRIX_UP_TO { (matrix(run, &confusion, lang)) } @else { (list(run, &confusion, lang)) }
            }
            div {
                h3 { (lang.text("accuracy-by-class")) }
                (by_class(run, &confusion, lang))
            }
        }
        h3 { (lang.text("calibration")) }
        (calibration(run, lang))
    }
}

/// States in a sentence how many images are misclassified, and the most frequent confusion.
pub fn sentence(run: &ReportData, lang: Lang) -> Option<String> {
    if run.split != Split::Test || run.predictions.rows.is_empty() || run.classes.is_empty() {
        return None;
    }
    let images = thousands(run.predictions.rows.len() as u64);
    let confusions = confusions(&run.predictions.confusion());
    let Some(&(n, label, predicted)) = confusions.first() else {
        return Some(lang.format("all-correct", &[("images", images.into())]));
    };
    let wrong = thousands(confusions.iter().map(|(n, ..)| n).sum());
    let (label, predicted) = (run.class(label), run.class(predicted));
    let values = [
        ("wrong", wrong.into()),
        ("images", images.into()),
        ("label", label.into()),
        ("prediction", predicted.into()),
        ("times", n.into()),
    ];
    Some(lang.format("errors-sentence", &values))
}

fn matrix(run: &ReportData, confusion: &[Vec<u64>], lang: Lang) -> Markup {
    // Right and wrong answers are shaded on scales of their own: one large diagonal would leave the
    // rest white.
    let most_wrong = confusion.iter().enumerate().flat_map(|(label, row)| {
        row.iter().enumerate().filter(move |(predicted, _)| *predicted != label).map(|(_, n)| *n)
    });
    let most_wrong = most_wrong.max().unwrap_or(0).max(1) as f64;
    let cell = |label: usize, predicted: usize, n: u64| {
        let total = confusion[label].iter().sum::<u64>().max(1) as f64;
        let share = if label == predicted { n as f64 / total } else { n as f64 / most_wrong };
        let mut class = if label == predicted { "right" } else { "wrong" }.to_owned();
        class += if n == 0 { " none" } else { "" };
        // The style gives the two kinds shades that their text stands out from.
        class += if share > STRONG { " strong" } else { "" };
        html! { td class=(class) style=(format!("--share:{share:.2}")) { (n) } }
    };
    html! {
        // Narrower columns would cut numbers of three digits off.
        div class="scroll" tabindex="0" { table class="confusion" style=(format!("min-width:{:.1}em", 7.2 + 2.2 * confusion.len() as f64)) {
            caption class="visually-hidden" { (lang.text("confusion-caption")) }
            thead { tr { th class="row" { span class="visually-hidden" { (lang.text("label")) } } @for name in &run.classes { th scope="col" { span { (name) } } } } }
            tbody {
                @for (label, row) in confusion.iter().enumerate() {
                    tr {
                        th scope="row" class="row" title=(run.class(label)) { (run.class(label)) }
                        @for (predicted, n) in row.iter().enumerate() { (cell(label, predicted, *n)) }
                    }
                }
            }
        } }
        p class="note" { (lang.text("confusion-note")) }
    }
}

/// Returns `(images, label, prediction)` off the diagonal, the most frequent first.
fn confusions(confusion: &[Vec<u64>]) -> Vec<(u64, usize, usize)> {
    let mut found = Vec::new();
    for (label, row) in confusion.iter().enumerate() {
        found.extend(
            row.iter()
                .enumerate()
                .filter(|(predicted, n)| *predicted != label && **n > 0)
                .map(|(predicted, n)| (*n, label, predicted)),
        );
    }
    found.sort_by_key(|(n, label, predicted)| (std::cmp::Reverse(*n), *label, *predicted));
    found
}

fn list(run: &ReportData, confusion: &[Vec<u64>], lang: Lang) -> Markup {
    html! {
        div class="scroll" tabindex="0" {
            table {
                thead { tr { th class="text" { (lang.text("label")) } th class="text" { (lang.text("predicted")) } th { (lang.text("images-column")) } } }
                tbody { @for (n, label, predicted) in confusions(confusion).into_iter().take(LISTED) {
                    tr { th scope="row" class="text" { (run.class(label)) } td class="text" { (run.class(predicted)) } td { (n) } }
                } }
            }
        }
    }
}

fn bar(share: f64) -> Markup {
    PreEscaped(format!(
        r#"<svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true"><rect class="track" width="100" height="10" rx="1"/><rect class="fill" width="{:.1}" height="10" rx="1"/></svg>"#,
        100.0 * share
    ))
}

fn by_class(run: &ReportData, confusion: &[Vec<u64>], lang: Lang) -> Markup {
    let mut rows: Vec<(usize, f64, u64)> = confusion
        .iter()
        .enumerate()
        .filter_map(|(class, row)| {
            let images: u64 = row.iter().sum();
            (images > 0).then(|| (class, row[class] as f64 / images as f64, images))
        })
        .collect();
    rows.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
    let worst = |class: usize| {
        let others = confusion[class].iter().enumerate().filter(|(predicted, n)| *predicted != class && **n > 0);
        others
            .max_by_key(|(predicted, n)| (**n, std::cmp::Reverse(*predicted)))
            .map(|(predicted, n)| (run.class(predicted), *n))
    };
    html! {
        div class="scroll tall" tabindex="0" {
            table class="bars" {
                thead { tr {
                    th class="text" scope="col" { (lang.text("class")) }
                    th scope="col" { span class="visually-hidden" { (lang.text("bar")) } }
                    th scope="col" { (lang.text("accuracy")) }
                    th class="text" scope="col" { (lang.text("most-confused-with")) }
                } }
                tbody { @for (class, share, _) in rows {
                    tr {
                        th scope="row" { (run.class(class)) }
                        td class="bar" { (bar(share)) }
                        td { (format!("{:.1} %", 100.0 * share)) }
                        td class="text note" { @if let Some((name, n)) = worst(class) { (name) " " (n) } }
                    }
                } }
            }
        }
    }
}

fn calibration(run: &ReportData, lang: Lang) -> Markup {
    let bins = run.predictions.calibration();
    let error = run.predictions.calibration_error();
    let mean = run.predictions.rows.iter().map(|row| f64::from(row.confidence)).sum::<f64>();
    let mean = 100.0 * mean / run.predictions.rows.len().max(1) as f64;
    let accuracy = 100.0 - run.predictions.top1_error();
    let verdict = match mean - accuracy {
        d if d > 1.0 => lang.text("calibration-overconfident"),
        d if d < -1.0 => lang.text("calibration-underconfident"),
        _ => lang.text("calibration-matched"),
    };
    html! {
        figure class="beside" {
            (PreEscaped(diagram(&bins, lang)))
            figcaption {
                p { (lang.format("calibration-means", &[
                    ("confidence", format!("{mean:.1}").into()),
                    ("accuracy", format!("{accuracy:.1}").into()),
                    ("verdict", verdict.into()),
                ])) }
                p { (lang.format("calibration-error", &[("error", format!("{error:.3}").into())])) }
                ul class="key" {
                    li { (key("bar")) (lang.text("calibration-key-accuracy")) }
                    li { (key("over")) (lang.text("calibration-key-over")) }
                    li { (key("under")) (lang.text("calibration-key-under")) }
                    li { (key("count")) (lang.text("calibration-key-count")) }
                }
            }
        }
    }
}

/// Draws a colour of the diagram for its key.
fn key(class: &str) -> Markup {
    PreEscaped(format!(
        r#"<svg class="diagram" viewBox="0 0 14 10" width="14" height="10" aria-hidden="true"><rect class="{class}" width="14" height="10" rx="1"/></svg>"#
    ))
}

fn diagram(bins: &[Bin; BINS], lang: Lang) -> String {
    let (left, top, side, strip) = (40.0, 8.0, 270.0, 40.0);
    let most = bins.iter().map(|bin| bin.images).max().unwrap_or(1).max(1) as f64;
    let width = side / BINS as f64;
    let name = lang.text("calibration-diagram");
    let mut svg = format!(r#"<svg class="diagram" viewBox="0 0 330 364" role="img" aria-label="{name}">"#);
    for (i, bin) in bins.iter().enumerate().filter(|(_, bin)| bin.images > 0) {
        let (right, sure) = (bin.right as f64 / bin.images as f64, bin.confidence / bin.images as f64);
        let x = left + i as f64 * width + 1.0;
        let y = |share: f64| top + side * (1.0 - share);
        let values = [
            ("confidence", format!("{:.0}", 100.0 * sure).into()),
            ("accuracy", format!("{:.0}", 100.0 * right).into()),
            ("images", bin.images.into()),
        ];
        let words = lang.format("calibration-bin", &values);
        let gap = if sure > right { "over" } else { "under" };
        // Written to a String: cannot fail.
        let _ = write!(
            svg,
            r#"<g><title>{words}</title><rect class="bar" x="{x:.1}" y="{:.1}" width="{:.1}" height="{:.1}"/><rect class="{gap}" x="{x:.1}" y="{:.1}" width="{:.1}" height="{:.1}"/><rect class="count" x="{x:.1}" y="{:.1}" width="{:.1}" height="{:.1}"/></g>"#,
            y(right.min(sure)),
            width - 2.0,
            side * right.min(sure),
            y(right.max(sure)),
            width - 2.0,
            side * (right - sure).abs(),
            top + side + 22.0 + strip * (1.0 - bin.images as f64 / most),
            width - 2.0,
            strip * bin.images as f64 / most
        );
    }
    let bottom = top + side;
    let _ = write!(
        svg,
        r#"<path class="ideal" d="M{left} {bottom}L{} {top}"/><rect class="frame" x="{left}" y="{top}" width="{side}" height="{side}"/>"#,
        left + side
    );
    for share in [0.0, 0.5, 1.0] {
        let percent = (share * 100.0) as u32;
        let anchor = ["start", "middle", "end"][(share * 2.0) as usize];
        let _ = write!(
            svg,
            r#"<text x="{:.1}" y="{:.1}" text-anchor="{anchor}">{percent} %</text><text x="{:.1}" y="{:.1}" text-anchor="end">{percent}</text>"#,
            left + side * share,
            bottom + 15.0,
            left - 6.0,
            bottom - side * share + if share == 1.0 { 9.0 } else { 3.0 }
        );
    }
    let _ = write!(
        svg,
        r#"<text x="{:.1}" y="{:.1}" text-anchor="middle">{}</text></svg>"#,
        left + side / 2.0,
        bottom + 80.0,
        lang.text("confidence")
    );
    svg
}

/// Formats the 95 % interval of an error (Wilson 1927). The unit appears once, so that the interval
/// fits on one line on a phone.
pub fn interval_of_error(error: f64, images: usize) -> String {
    let (low, high) = crate::stats::wilson(error / 100.0, images);
    format!("{:.2} – {}", 100.0 * low, percent(100.0 * high))
}
