//! The curves of one or several runs: loss, error, learning rate, images per second.

use super::chart::{Chart, MOST_POINTS, Series, Stroke, thinned};
use super::lang::Lang;
use maud::{Markup, html};
use residual_train::train::Record;
use residual_train::train::record::EpochRecord;

/// Draws the four charts, with the curves of all runs in each.
pub fn curves(runs: &[&Record], lang: Lang) -> Markup {
    let charts = [loss(runs, lang), error(runs, lang), rate(runs, lang), speed(runs, lang)];
    let validated = runs.iter().any(|run| run.recipe.data.validation != Some(0));
    html! {
        p class="note" {
            (hint(lang)) " "
            (lang.text("curves-note"))
            @if !validated {
                " " (lang.text("curves-no-validation"))
            }
        }
        div class="grid" { @for chart in charts.iter().filter(|chart| !chart.is_empty()) { (chart.render(lang)) } }
    }
}

/// Explains how values are read off a chart.
pub fn hint(lang: Lang) -> &'static str {
    lang.text("chart-hint")
}

/// Names a curve: `training`, or with several runs `resnet-20: training`.
fn named(runs: &[&Record], run: &Record, what: &str) -> String {
    if runs.len() == 1 { what.to_owned() } else { format!("{}: {what}", run.name()) }
}

/// Returns a dashed curve for training and a solid one for validation of each run; a single run has
/// two colours. `noisy` training values are smoothed by a running mean; a single run shows the
/// values as well.
fn pairs(
    runs: &[&Record],
    lang: Lang,
    noisy: bool,
    train: impl Fn(&Record) -> Vec<(f64, f64)>,
    validation: impl Fn(&EpochRecord) -> Option<f64>,
) -> Vec<Series> {
    let mut series = Vec::new();
    for (i, run) in runs.iter().enumerate() {
        let colours = if runs.len() == 1 { (1, 0) } else { (i % 8, i % 8) };
        let seen = train(run);
        if noisy && runs.len() == 1 {
            let points = thinned(&seen, MOST_POINTS);
            series.push(Series { name: String::new(), colour: colours.0, stroke: Stroke::Faint, points });
        }
        let points = thinned(&if noisy { smoothed(&seen) } else { seen }, MOST_POINTS);
        let name = named(runs, run, lang.text("training"));
        series.push(Series { name, colour: colours.0, stroke: Stroke::Dashed, points });
        let points: Vec<(f64, f64)> =
            run.epochs.iter().filter_map(|epoch| Some((epoch.step as f64, validation(epoch)?))).collect();
        if !points.is_empty() {
            let name = named(runs, run, lang.text("validation"));
            series.push(Series { name, colour: colours.1, stroke: Stroke::Solid, points });
        }
    }
    series
}

/// Returns the running mean with exponential weights over a fortieth of the curve.
fn smoothed(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let keep = 1.0 - 1.0 / (points.len() as f64 / 40.0).max(1.0);
    let (mut sum, mut weight) = (0.0, 0.0);
    let finite = points.iter().filter(|point| point.1.is_finite());
    finite
        .map(|&(step, value)| {
            (sum, weight) = (keep * sum + value, keep * weight + 1.0);
            (step, sum / weight)
        })
        .collect()
}

fn chart(title: &str, unit: &'static str, lang: Lang, series: Vec<Series>) -> Chart {
    let x = lang.text("step").to_owned();
    Chart { title: title.to_owned(), x, unit, from_zero: true, log_switch: true, log_first: false, series, range: None }
}

fn loss(runs: &[&Record], lang: Lang) -> Chart {
    let steps = |run: &Record| run.steps.iter().map(|step| (step.step as f64, step.loss)).collect();
    chart(lang.text("loss"), "", lang, pairs(runs, lang, true, steps, |epoch| epoch.val_loss))
}

/// Draws training and validation error by epoch.
pub fn error(runs: &[&Record], lang: Lang) -> Chart {
    let epochs = |run: &Record| run.epochs.iter().map(|epoch| (epoch.step as f64, epoch.train_error)).collect();
    chart(lang.text("top1-error-percent"), " %", lang, pairs(runs, lang, false, epochs, |epoch| epoch.val_error))
}

/// Returns one curve for each run.
fn singles(runs: &[&Record], points: impl Fn(&Record) -> Vec<(f64, f64)>) -> Vec<Series> {
    let one = |(i, run): (usize, &&Record)| Series {
        name: run.name(),
        colour: i % 8,
        stroke: Stroke::Solid,
        points: thinned(&points(run), MOST_POINTS),
    };
    runs.iter().enumerate().map(one).collect()
}

fn rate(runs: &[&Record], lang: Lang) -> Chart {
    let steps = |run: &Record| run.steps.iter().map(|step| (step.step as f64, step.lr)).collect();
    chart(lang.text("learning-rate"), "", lang, singles(runs, steps))
}

fn speed(runs: &[&Record], lang: Lang) -> Chart {
    let epochs = |run: &Record| run.epochs.iter().map(|epoch| (epoch.step as f64, epoch.images_per_second)).collect();
    chart(lang.text("training-speed"), "", lang, singles(runs, epochs))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_running_mean_begins_with_the_first_value_and_leaves_a_constant_alone() {
        let steady: Vec<_> = (1..=400).map(|i| (f64::from(i), 2.0)).collect();
        assert!(smoothed(&steady).iter().all(|point| (point.1 - 2.0).abs() < 1e-12));
        let noisy: Vec<_> = (1..=400).map(|i| (f64::from(i), if i % 2 == 0 { 1.0 } else { 3.0 })).collect();
        let mean = smoothed(&noisy);
        assert_eq!((mean.len(), mean[0]), (400, (1.0, 3.0)));
        assert!(mean[100..].iter().all(|point| (point.1 - 2.0).abs() < 0.2), "noise of one becomes a fifth");
        assert_eq!(smoothed(&noisy[..3]), &noisy[..3], "a few points are drawn as they are");
        assert_eq!(smoothed(&[(1.0, f64::NAN), (2.0, 5.0)]), [(2.0, 5.0)]);
    }
}
