//! `residual runs`: lists run folders with their state and results.

use crate::ui::Ui;
use crate::ui::numbers::{duration, percent, thousands};
use crate::ui::table::{Align, Table};
use residual::{Error, Result};
use residual_train::recipe::Recipe;
use residual_train::train::Record;
use residual_train::train::record::{RunState, find};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// List run folders
#[derive(Debug, clap::Args)]
pub struct RunsArgs {
    /// The folder to search [default: runs]
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
}

/// Line of `--json`. Errors are in percent, times in seconds.
#[derive(Debug, Serialize)]
struct RunRow {
    run: String,
    path: PathBuf,
    state: RunState,
    model: String,
    data: String,
    recipe: String,
    seed: u64,
    step: u64,
    steps: Option<u64>,
    best_error: Option<f64>,
    test_top1_error: Option<f64>,
    seconds: f64,
    failure: Option<String>,
}

impl RunRow {
    /// Describes the run of `record`, found in `folder`.
    fn new(record: &Record, folder: &Path) -> Self {
        // Runs of a lab are in subfolders.
        let place = folder.canonicalize().ok();
        let within =
            place.and_then(|place| record.path.strip_prefix(place).ok().map(|path| path.display().to_string()));
        let source = &record.recipe.data.source;
        Self {
            run: within.filter(|path| !path.is_empty()).unwrap_or_else(|| record.name()),
            path: record.path.clone(),
            state: record.state,
            model: record.recipe.model.name.clone(),
            data: Path::new(source).file_name().map_or_else(|| source.clone(), |name| name.to_string_lossy().into()),
            recipe: recipe(&record.recipe),
            seed: record.recipe.train.seed,
            step: record.steps.last().map_or(0, |step| step.step),
            steps: record.steps_planned,
            best_error: record.best_val_error(),
            test_top1_error: record.result.as_ref().and_then(|result| result.test_top1_error),
            seconds: record.seconds(),
            failure: record.failure.clone(),
        }
    }
}

/// Summarises a recipe: length, batch size, optimiser, learning rate.
fn recipe(recipe: &Recipe) -> String {
    let length = match (recipe.train.epochs, recipe.train.steps) {
        (Some(1), _) => "1 epoch".to_owned(),
        (Some(epochs), _) => format!("{epochs} epochs"),
        (None, steps) => format!("{} steps", thousands(steps.unwrap_or(0))),
    };
    let batch = recipe.train.batch * recipe.train.accumulate;
    let kind = serde_json::to_value(recipe.optimizer.kind).unwrap_or_default();
    format!("{length} of {batch}, {} {}", kind.as_str().unwrap_or("optimiser"), recipe.optimizer.lr)
}

impl RunsArgs {
    /// Prints a line for each run.
    pub fn run(&self, ui: &mut Ui) -> Result<()> {
        let folder = self.folder.as_deref().unwrap_or(Path::new("runs"));
        if self.folder.is_none() && !folder.exists() {
            return if ui.json() { Ok(()) } else { ui.line("no runs yet: start one with `residual train`") };
        }
        if !folder.is_dir() {
            return Err(Error::usage(format!("{} is not a folder", folder.display()))
                .with_hint("name a folder of run folders, such as runs"));
        }
        let mut rows = Vec::new();
        for path in find(folder)? {
            match Record::read(&path) {
                Ok(record) => rows.push(RunRow::new(&record, folder)),
                Err(error) => ui.warning(&error.to_string(), error.hint()),
            }
        }
        if ui.json() {
            return rows.iter().try_for_each(|row| ui.value(row));
        }
        if rows.is_empty() {
            return ui.line(&format!("no runs in {}", folder.display()));
        }
        ui.line(&table(&rows))
    }
}

fn table(rows: &[RunRow]) -> String {
    let mut table = Table::new(&[
        ("run", Align::Left),
        ("state", Align::Left),
        ("network", Align::Left),
        ("data", Align::Left),
        ("recipe", Align::Left),
        ("seed", Align::Right),
        ("steps", Align::Right),
        ("best validation error", Align::Right),
        ("test error", Align::Right),
        ("time", Align::Right),
    ]);
    for row in rows {
        let planned = row.steps.map_or_else(String::new, |steps| format!("/{steps}"));
        table.row(vec![
            row.run.clone(),
            row.state.word().to_owned(),
            row.model.clone(),
            row.data.clone(),
            row.recipe.clone(),
            row.seed.to_string(),
            format!("{}{planned}", row.step),
            percent(row.best_error),
            percent(row.test_top1_error),
            duration(row.seconds),
        ]);
    }
    table.render()
}
