//! `residual tune`: finds values for a recipe.

use crate::ui::Ui;
use crate::ui::numbers::learning_rate;
use crate::ui::table::{Align, Table};
use residual::Result;
use residual_train::data::Progress;
use residual_train::recipe::Recipe;
use residual_train::train::range::{self, LrPoint, LrRange};
use serde::Serialize;

/// Rows of the table, and the width of its bars.
const ROWS: usize = 24;
const WIDTH: f64 = 40.0;

/// Find values for a recipe
#[derive(Debug, clap::Subcommand)]
pub enum TuneCommand {
    /// Find a learning rate with a range test (Smith 2017)
    Lr(LrArgs),
}

/// Arguments of `tune lr`.
#[derive(Debug, clap::Args)]
pub struct LrArgs {
    /// A network (`residual models` lists them)
    #[arg(value_name = "NAME")]
    name: String,

    /// Images: shapes, cifar10, cifar100, mnist, fashion-mnist, or a folder
    #[arg(long, value_name = "D", default_value = "shapes")]
    data: String,

    /// Change a value of the default recipe
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    sets: Vec<String>,

    /// First learning rate
    #[arg(long, value_name = "RATE", default_value = "0.0001")]
    from: f64,

    /// Last learning rate
    #[arg(long, value_name = "RATE", default_value = "10")]
    to: f64,

    /// Number of steps, more than 10
    #[arg(long, value_name = "N", default_value = "100")]
    steps: usize,
}

/// Last line of `--json`.
#[derive(Debug, Serialize)]
struct SuggestedRate {
    suggested_lr: f64,
}

impl TuneCommand {
    /// Runs the range test and prints the curve and the suggestion.
    pub fn run(&self, ui: &mut Ui) -> Result<()> {
        let Self::Lr(lr) = self;
        lr.run(ui)
    }
}

impl LrArgs {
    fn run(&self, ui: &mut Ui) -> Result<()> {
        let entry = residual::models::find(&self.name)?;
        let mut overrides = vec![format!("data.source={}", serde_json::Value::from(self.data.as_str()))];
        overrides.extend(self.sets.iter().cloned());
        let recipe = Recipe::default_for(&self.data, &entry.name)?.with(&overrides)?;
        let range = LrRange { from: self.from, to: self.to, steps: self.steps };
        let (mut preparing, mut bars) = (ui.bars(), ui.bars());
        bars.start("range test", self.steps as u64);
        let points = range::test(&recipe, range, &mut preparing, |_| bars.advance(1))?;
        drop(bars);
        let lr = range::suggestion(&points);
        if ui.json() {
            points.iter().try_for_each(|point| ui.value(point))?;
            return ui.value(&SuggestedRate { suggested_lr: lr? });
        }
        ui.line(&curve(&points, lr.as_ref().ok().copied()))?;
        let lr = lr?;
        ui.line(&format!("suggested: --set optimizer.lr={}", learning_rate(lr)))
    }
}

/// Draws the smoothed loss by learning rate as bars and marks the suggestion.
fn curve(points: &[LrPoint], suggested: Option<f64>) -> String {
    let mut table = Table::new(&[("lr", Align::Right), ("loss", Align::Right), ("", Align::Left)]);
    let means = || points.iter().map(|point| point.smoothed);
    let (least, largest) = (means().fold(f64::INFINITY, f64::min), means().fold(0.0, f64::max));
    let rows: Vec<&LrPoint> = points.iter().step_by(points.len().div_ceil(ROWS).max(1)).collect();
    let distance = |point: &LrPoint| suggested.map_or(f64::INFINITY, |lr| (point.lr / lr).ln().abs());
    let marked =
        rows.iter().copied().min_by(|a, b| distance(a).total_cmp(&distance(b))).filter(|_| suggested.is_some());
    for point in rows {
        let share = (point.smoothed - least) / (largest - least).max(1e-9);
        let mark = if marked.is_some_and(|marked| marked.step == point.step) { "  <- suggested" } else { "" };
        let bar = "#".repeat(1 + (WIDTH * share).round() as usize) + mark;
        table.row(vec![learning_rate(point.lr), format!("{:.4}", point.smoothed), bar]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_curve_reaches_from_its_least_value_to_its_largest_and_marks_the_suggestion() {
        let point = |step: usize, lr: f64, smoothed: f64| LrPoint { step, lr, loss: smoothed, smoothed };
        let points = [point(0, 0.001, 2.4), point(1, 0.01, 2.3), point(2, 0.1, 2.2)];
        let drawn = curve(&points, Some(0.012));
        let rows: Vec<&str> = drawn.lines().skip(1).collect();
        let bars = rows.iter().map(|row| row.matches('#').count()).collect::<Vec<_>>();
        assert_eq!(bars, [41, 21, 1]);
        let marks = rows.iter().map(|row| row.contains("<- suggested")).collect::<Vec<_>>();
        assert_eq!(marks, [false, true, false]);
        assert!(!curve(&points, None).contains("suggested"));
    }
}
