//! `residual compare`: compares the recipes and results of two runs and tests the difference of
//! their test errors for significance.

use crate::ui::Ui;
use crate::ui::numbers::{duration, percent};
use crate::ui::table::{Align, Table};
use residual::Result;
use residual_study::stats::{Difference, wilson};
use residual_train::train::Record;
use serde::Serialize;
use std::path::PathBuf;

/// Compare two runs and test whether they differ
#[derive(Debug, clap::Args)]
pub struct CompareArgs {
    /// A run folder
    #[arg(value_name = "RUN")]
    a: PathBuf,

    /// The run folder to compare with
    #[arg(value_name = "RUN")]
    b: PathBuf,
}

/// Line of `--json`: a recipe key that differs, a result, or the verdict.
#[derive(Debug, Serialize)]
struct CompareRow {
    /// `recipe`, `result` or `verdict`.
    kind: &'static str,
    key: String,
    a: serde_json::Value,
    b: serde_json::Value,
    #[serde(flatten)]
    difference: Option<Difference>,
    /// `different` or `within noise`.
    verdict: Option<&'static str>,
}

impl CompareRow {
    fn new(kind: &'static str, key: impl Into<String>, a: impl Serialize, b: impl Serialize) -> Self {
        let value = |v: serde_json::Result<serde_json::Value>| v.unwrap_or_default();
        let (a, b) = (value(serde_json::to_value(a)), value(serde_json::to_value(b)));
        Self { kind, key: key.into(), a, b, difference: None, verdict: None }
    }
}

impl CompareArgs {
    /// Prints the recipe keys that differ, both results, and the verdict.
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
                "no verdict: predictions.csv is missing from one of the runs".to_owned()
            }
            None => "no verdict: one of the runs has no test error yet".to_owned(),
        })
    }
}

fn recipe_rows(a: &Record, b: &Record) -> Result<Vec<CompareRow>> {
    let (keys_a, keys_b) = (a.recipe.flattened()?, b.recipe.flattened()?);
    let names: std::collections::BTreeSet<&String> = keys_a.keys().chain(keys_b.keys()).collect();
    let differing = names.into_iter().filter(|key| keys_a.get(*key) != keys_b.get(*key));
    Ok(differing.map(|key| CompareRow::new("recipe", key, keys_a.get(key), keys_b.get(key))).collect())
}

fn result_rows(a: &Record, b: &Record) -> Vec<CompareRow> {
    let both = |key: &str, value: &dyn Fn(&Record) -> Option<f64>| CompareRow::new("result", key, value(a), value(b));
    vec![
        CompareRow::new("result", "state", a.state, b.state),
        both("train_top1_error", &|run| run.epochs.last().map(|epoch| epoch.train_error)),
        both("best_val_top1_error", &Record::best_val_error),
        both("test_top1_error", &|run| run.result.as_ref()?.test_top1_error),
        both("test_top5_error", &|run| run.result.as_ref()?.test_top5_error),
        both("test_loss", &|run| run.result.as_ref()?.test_loss),
        both("seconds", &|run| Some(run.seconds())),
    ]
}

/// Tests whether the test errors differ by more than the sampling noise of the test set.
fn verdict(a: &Record, b: &Record) -> Result<Option<CompareRow>> {
    let error = |run: &Record| run.result.as_ref().and_then(|result| result.test_top1_error);
    let (Some(error_a), Some(error_b)) = (error(a), error(b)) else { return Ok(None) };
    let (Some(predictions_a), Some(predictions_b)) = (a.predictions()?, b.predictions()?) else { return Ok(None) };
    let paired = if a.is_tested_as(b) { Difference::paired(&predictions_a, &predictions_b) } else { None };
    let difference = paired.unwrap_or_else(|| {
        Difference::unpaired((error_a, predictions_a.rows.len()), (error_b, predictions_b.rows.len()))
    });
    let interval = |error: f64, n: usize| {
        let (low, high) = wilson(error / 100.0, n);
        [100.0 * low, 100.0 * high]
    };
    let verdict = if difference.is_real() { "different" } else { "within noise" };
    Ok(Some(CompareRow {
        difference: Some(difference),
        verdict: Some(verdict),
        ..CompareRow::new(
            "verdict",
            "test_top1_error",
            interval(error_a, predictions_a.rows.len()),
            interval(error_b, predictions_b.rows.len()),
        )
    }))
}

fn table(title: &str, rows: &[CompareRow], show: &dyn Fn(&str, &serde_json::Value) -> String) -> String {
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

fn sentence(a: &Record, b: &Record, row: &CompareRow) -> String {
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
         seeds add variance of their own: `residual reproduce --seeds` measures it)",
        p = PValue(*p),
    )
}

/// Formats a p-value with four decimals, or in scientific notation below 0.0001.
struct PValue(f64);

impl std::fmt::Display for PValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0 < 1e-4 { write!(f, "{:.0e}", self.0) } else { write!(f, "{:.4}", self.0) }
    }
}
