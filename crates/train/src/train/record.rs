//! What a run folder tells afterwards: its recipe, its machine, its curves, its result, and how it ended.

use super::machine::Machine;
use super::run::RunResult;
use crate::error::{Error, Result};
use crate::eval::predictions::Predictions;
use crate::recipe::Recipe;
use serde::Serialize;
use serde_json::Value;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// A process trains in the folder.
    Running,
    /// It was tested.
    Finished,
    /// It was stopped or killed, and can go on with `--resume`.
    Interrupted,
    /// It ended with an error.
    Failed,
}

impl State {
    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Interrupted => "interrupted",
            Self::Failed => "failed",
        }
    }
}

/// One step of a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// Steps done, this one included.
    pub step: u64,
    /// Its loss; not a number where the run blew up.
    pub loss: f64,
    /// Its learning rate.
    pub lr: f64,
}

/// One epoch of a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Epoch {
    /// Epochs done.
    pub epoch: u64,
    /// Steps done.
    pub step: u64,
    /// Mean training loss.
    pub train_loss: f64,
    /// Training error as the varied batches were seen, percent.
    pub train_error: f64,
    /// Validation loss.
    pub val_loss: Option<f64>,
    /// Validation error, percent.
    pub val_error: Option<f64>,
    /// Training images per second.
    pub images_per_second: f64,
    /// Seconds spent waiting for data.
    pub data_wait: f64,
    /// Seconds of the epoch.
    pub seconds: f64,
}

/// A run folder, read.
#[derive(Debug, Clone)]
pub struct Record {
    /// The folder, absolute.
    pub path: PathBuf,
    /// Its recipe, resolved.
    pub recipe: Recipe,
    /// The recipe as it stands in the folder.
    pub recipe_text: String,
    /// What it was made on.
    pub machine: Option<Machine>,
    /// Steps that it was to take.
    pub steps_planned: Option<u64>,
    /// Its steps.
    pub steps: Vec<Step>,
    /// Its epochs.
    pub epochs: Vec<Epoch>,
    /// What it warned of.
    pub warnings: Vec<String>,
    /// Why it ended early, where it could say.
    pub failure: Option<String>,
    /// Its result.
    pub result: Option<RunResult>,
    /// How it stands.
    pub state: State,
}

/// `result` with its weights in `folder`, which may have moved since.
pub(super) fn at(result: RunResult, folder: &Path) -> RunResult {
    let moved = result.checkpoint.file_name().map(|name| folder.join(name)).filter(|moved| moved.is_file());
    RunResult { checkpoint: moved.unwrap_or(result.checkpoint), ..result }
}

impl Record {
    /// Reads the run in `path`.
    ///
    /// # Errors
    /// A folder that holds no run, or one whose recipe cannot be read.
    pub fn read(path: &Path) -> Result<Self> {
        let path = path.canonicalize().map_err(|error| Error::io("open", path, error))?;
        let text = |name: &str| std::fs::read_to_string(path.join(name)).ok();
        let Some(recipe_text) = text("recipe.toml") else {
            return Err(Error::usage(format!("{} holds no run: there is no recipe.toml", path.display()))
                .with_hint("name a folder that `residual train` made; `residual runs` lists them"));
        };
        let name = path.join("recipe.toml").display().to_string();
        let mut record = Self {
            recipe: Recipe::parse(&recipe_text, &name, &[])?,
            recipe_text,
            machine: Machine::of_run(&path),
            steps_planned: None,
            steps: Vec::new(),
            epochs: Vec::new(),
            warnings: Vec::new(),
            failure: None,
            result: text("summary.json")
                .and_then(|text| serde_json::from_str(&text).ok())
                .map(|result| at(result, &path)),
            state: State::Interrupted,
            path,
        };
        for line in text_lines(&record.path.join("metrics.jsonl")) {
            record.take(&line);
        }
        record.state = record.standing();
        Ok(record)
    }

    /// Takes in one event of `metrics.jsonl`.
    fn take(&mut self, event: &Value) {
        let number = |key: &str| event[key].as_f64();
        let step = event["step"].as_u64().unwrap_or(0);
        match event["event"].as_str() {
            Some("start") => {
                self.steps_planned = event["steps"].as_u64();
                // A run that goes on is no failure any more.
                self.failure = None;
            }
            // JSON has no word for what is not a number: such a loss is null.
            Some("step") => self.steps.push(Step {
                step,
                loss: number("loss").unwrap_or(f64::NAN),
                lr: number("lr").unwrap_or(f64::NAN),
            }),
            Some("epoch") => self.epochs.push(Epoch {
                epoch: event["epoch"].as_u64().unwrap_or(0),
                step,
                train_loss: number("train_loss").unwrap_or(f64::NAN),
                train_error: number("train_top1_error").unwrap_or(f64::NAN),
                val_loss: number("val_loss"),
                val_error: number("val_top1_error"),
                images_per_second: number("images_per_second").unwrap_or(f64::NAN),
                data_wait: number("data_wait").unwrap_or(0.0),
                seconds: number("seconds").unwrap_or(0.0),
            }),
            // Each sitting of a run warns anew of what has not changed.
            Some("warning") => {
                let message =
                    event["message"].as_str().filter(|message| !self.warnings.iter().any(|known| known == message));
                self.warnings.extend(message.map(str::to_owned));
            }
            Some("failed") => self.failure = event["message"].as_str().map(str::to_owned),
            _ => {}
        }
    }

    fn standing(&self) -> State {
        if self.result.is_some() {
            State::Finished
        } else if is_locked(&self.path.join("lock")) {
            State::Running
        } else if self.failure.is_some() || self.steps.last().is_some_and(|step| !step.loss.is_finite()) {
            State::Failed
        } else {
            State::Interrupted
        }
    }

    /// Whether both were tested on the same images: a name and labels in the same order do not make them so.
    pub fn is_tested_as(&self, other: &Self) -> bool {
        let of = |record: &Self| record.result.as_ref().map(|result| (result.data.clone(), result.images_md5.clone()));
        of(self) == of(other)
    }

    /// What it is called: the folder's name.
    pub fn name(&self) -> String {
        self.path.file_name().map_or_else(|| self.path.display().to_string(), |name| name.to_string_lossy().into())
    }

    /// The lowest validation error of an epoch in percent, where there is a validation split.
    pub fn best_val_error(&self) -> Option<f64> {
        self.epochs.iter().filter_map(|epoch| epoch.val_error).reduce(f64::min)
    }

    /// Seconds of training so far.
    pub fn seconds(&self) -> f64 {
        let epochs = || self.epochs.iter().map(|epoch| epoch.seconds).sum();
        self.result.as_ref().map_or_else(epochs, |result| result.seconds)
    }

    /// The weights that stand for the run: those that were tested, else the best, else the last.
    pub fn weights(&self) -> Option<PathBuf> {
        let tested = self.result.as_ref().map(|result| result.checkpoint.clone());
        let others = ["best.safetensors", "last.safetensors"].map(|name| self.path.join(name));
        tested.into_iter().chain(others).find(|path| path.is_file())
    }

    /// What the tested weights said of each test image, where the run was tested.
    ///
    /// # Errors
    /// A file that is damaged.
    pub fn predictions(&self) -> Result<Option<Predictions>> {
        let path = self.path.join("predictions.csv");
        if self.result.is_some() && path.is_file() { Predictions::read(&path).map(Some) } else { Ok(None) }
    }
}

/// The run folders in `path`, or `path` itself where it is one; by name.
///
/// # Errors
/// A folder that cannot be read.
pub fn find(path: &Path) -> Result<Vec<PathBuf>> {
    let is_run = |path: &Path| path.join("recipe.toml").is_file() && path.join("lock").is_file();
    if is_run(path) {
        return Ok(vec![path.to_owned()]);
    }
    let entries = std::fs::read_dir(path).map_err(|error| Error::io("read", path, error))?;
    let mut found = Vec::new();
    for folder in entries.filter_map(std::result::Result::ok).map(|entry| entry.path()).filter(|path| path.is_dir()) {
        if is_run(&folder) {
            found.push(folder);
        } else if let Ok(inner) = std::fs::read_dir(&folder) {
            // A lab keeps its runs one level down.
            found.extend(inner.filter_map(std::result::Result::ok).map(|entry| entry.path()).filter(|p| is_run(p)));
        }
    }
    found.sort();
    Ok(found)
}

/// Whether a process holds the lock: it dies with its process, so this is never stale.
fn is_locked(path: &Path) -> bool {
    let Ok(file) = File::open(path) else { return false };
    matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
}

/// The lines of a file of JSON lines that parse; one that a kill cut short does not.
fn text_lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}
