//! `residual compare`: what differs between two runs, and whether the difference of their errors is more than chance.

use crate::ui::Ui;
use crate::ui::numbers::{duration, percent};
use crate::ui::table::{Align, Table};
use residual::Result;
use residual_study::report::compare::{Difference, wilson};
use residual_train::train::Record;
use serde::Serialize;
use std::path::PathBuf;

/// Tell what differs between two runs, and whether it is more than chance
#[derive(Debug, clap::Args)]
pub struct Compare {
    /// A run folder
    #[arg(value_name = "RUN")]
    a: PathBuf,

    /// The run folder to compare it with
    #[arg(value_name = "RUN")]
    b: PathBuf,
}

/// A line of `--json`: a key of the recipes that differs, a result, or the verdict.
#[derive(Debug, Serialize)]
struct Row {
    /// `recipe`, `machine`, `result` or `verdict`.
    kind: &'static str,
    key: String,
    a: serde_json::Value,
    b: serde_json::Value,
    #[serde(flatten)]
    difference: Option<Difference>,
    /// `different` or `within noise`.
    verdict: Option<&'static str>,
}

impl Row {
    fn new(kind: &'static str, key: impl Into<String>, a: impl Serialize, b: impl Serialize) -> Self {
        let value = |v: serde_json::Result<serde_json::Value>| v.unwrap_or_default();
        let (a, b) = (value(serde_json::to_value(a)), value(serde_json::to_value(b)));
        Self { kind, key: key.into(), a, b, difference: None, verdict: None }
    }
}

impl Compare {
    /// Prints recipes' differences, both results, and the verdict.
    pub fn run(&self, ui: &mut Ui) -> Result<()> {
        let (a, b) = (Record::read(&self.a)?, Record::read(&self.b)?);
        let recipe = recipe_rows(&a, &b)?;
        let results = result_rows(&a, &b);
        let verdict = verdict(&a, &b)?;
        if ui.json() {
            return recipe.iter().chain(&results).chain(&verdict).try_for_each(|row| ui.value(row));
        }
        ui.line(&format!("A  {}\nB  {}\n", a.path.display(), b.path.display()))?;
        if recipe.is_empty() {
            ui.line("the recipes are the same")?;
        } else {
            ui.line(&table("recipe", &recipe, &plain))?;
        }
        ui.line("")?;
        ui.line(&table("result", &results, &figure))?;
        ui.line("")?;
        ui.line(&match &verdict {
            Some(row) => sentence(&a, &b, row),
            None if [&a, &b].iter().all(|run| run.result.is_some()) => {
                "one of them has no predictions.csv any more: nothing to judge".to_owned()
            }
            None => "one of them has no test error yet: nothing to judge".to_owned(),
        })
    }
}

fn recipe_rows(a: &Record, b: &Record) -> Result<Vec<Row>> {
    let (keys_a, keys_b) = (a.recipe.flattened()?, b.recipe.flattened()?);
    let names: std::collections::BTreeSet<&String> = keys_a.keys().chain(keys_b.keys()).collect();
    let differing = names.into_iter().filter(|key| keys_a.get(*key) != keys_b.get(*key));
    Ok(differing.map(|key| Row::new("recipe", key, keys_a.get(key), keys_b.get(key))).collect())
}

fn result_rows(a: &Record, b: &Record) -> Vec<Row> {
    let both = |key: &str, value: &dyn Fn(&Record) -> Option<f64>| Row::new("result", key, value(a), value(b));
    vec![
        Row::new("result", "state", a.state, b.state),
        both("train_top1_error", &|run| run.epochs.last().map(|epoch| epoch.train_error)),
        both("best_val_top1_error", &Record::best_val_error),
        both("test_top1_error", &|run| run.result.as_ref()?.test_top1_error),
        both("test_top5_error", &|run| run.result.as_ref()?.test_top5_error),
        both("test_loss", &|run| run.result.as_ref()?.test_loss),
        both("seconds", &|run| Some(run.seconds())),
    ]
}

/// Whether the test errors differ by more than the test set's noise.
fn verdict(a: &Record, b: &Record) -> Result<Option<Row>> {
    let error = |run: &Record| run.result.as_ref().and_then(|result| result.test_top1_error);
    let (Some(error_a), Some(error_b)) = (error(a), error(b)) else { return Ok(None) };
    let (Some(told_a), Some(told_b)) = (a.predictions()?, b.predictions()?) else { return Ok(None) };
    let paired = if a.is_tested_as(b) { Difference::paired(&told_a, &told_b) } else { None };
    let difference =
        paired.unwrap_or_else(|| Difference::unpaired((error_a, told_a.rows.len()), (error_b, told_b.rows.len())));
    let interval = |error: f64, n: usize| {
        let (low, high) = wilson(error / 100.0, n);
        [100.0 * low, 100.0 * high]
    };
    let verdict = if difference.is_real() { "different" } else { "within noise" };
    Ok(Some(Row {
        difference: Some(difference),
        verdict: Some(verdict),
        ..Row::new(
            "verdict",
            "test_top1_error",
            interval(error_a, told_a.rows.len()),
            interval(error_b, told_b.rows.len()),
        )
    }))
}

fn table(title: &str, rows: &[Row], show: &dyn Fn(&str, &serde_json::Value) -> String) -> String {
    let mut table = Table::new(&[(title, Align::Left), ("A", Align::Right), ("B", Align::Right)]);
    for row in rows {
        table.row(vec![row.key.clone(), show(&row.key, &row.a), show(&row.key, &row.b)]);
    }
    table.render()
}

fn plain(_: &str, value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| if value.is_null() { "-".into() } else { value.to_string() }, str::to_owned)
}

fn figure(key: &str, value: &serde_json::Value) -> String {
    match value.as_f64() {
        Some(seconds) if key == "seconds" => duration(seconds),
        Some(loss) if key == "test_loss" => format!("{loss:.4}"),
        Some(error) => percent(Some(error)),
        None => plain(key, value),
    }
}

fn sentence(a: &Record, b: &Record, row: &Row) -> String {
    let Some(difference) = &row.difference else { return String::new() };
    let Difference { difference: points, low, high, p, .. } = difference;
    let how = match (difference.only_a_wrong, difference.only_b_wrong) {
        (Some(only_a), Some(only_b)) => {
            format!("McNemar's test: {only_a} images that only A got wrong, {only_b} that only B got wrong")
        }
        _ => "two-proportion z-test: the test images are not the same".to_owned(),
    };
    let verdict = match (difference.is_real(), *points > 0.0) {
        (false, _) => "within the test set's noise".to_owned(),
        (true, true) => format!("more than the test set's noise: {} is better", a.name()),
        (true, false) => format!("more than the test set's noise: {} is better", b.name()),
    };
    format!(
        "B − A: {points:+.2} points of test error (95 %: {low:+.2} to {high:+.2}, p = {p}), {verdict}\n({how}; \
         another seed moves a result as well: `residual reproduce --seeds` tells how much)",
        p = Short(*p),
    )
}

/// A probability: two digits, or less than one in ten thousand.
struct Short(f64);

impl std::fmt::Display for Short {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0 < 1e-4 { write!(f, "{:.0e}", self.0) } else { write!(f, "{:.4}", self.0) }
    }
}
