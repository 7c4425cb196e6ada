//! A run folder, read: recipe, machine, curves, result, and how it ended.

use super::machine::Machine;
use crate::error::{Error, Result};
use crate::eval::predictions::Predictions;
use crate::recipe::Recipe;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

/// The result of a finished run: the contents of `summary.json`. Errors are in percent.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunResult {
    /// Optimiser steps.
    pub step: u64,
    /// Test top-1 error.
    pub test_top1_error: Option<f64>,
    /// Test top-5 error.
    pub test_top5_error: Option<f64>,
    /// Test loss.
    pub test_loss: Option<f64>,
    /// The file of the tested weights.
    pub checkpoint: PathBuf,
    /// The rule that chose them: `best` (lowest validation error) or `last`.
    pub rule: String,
    /// The lowest validation error.
    pub best_val_top1_error: Option<f64>,
    /// Seconds of training and validation, earlier sessions included.
    pub seconds: f64,
    /// Peak memory in MiB.
    pub peak_rss_mb: Option<u64>,
    /// The data that it was trained and tested on.
    pub data: String,
    /// Fingerprint of the images ([`crate::data::Provenance`]).
    #[serde(default)]
    #[serde(alias = "pictures_md5")]
    pub images_md5: Option<String>,
    /// The id of the row of a paper that the run reproduces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<String>,
    /// The network's name.
    pub model: String,
}

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    /// A process trains in the folder.
    Running,
    /// The weights were tested.
    Finished,
    /// The run was stopped or killed, and can be resumed.
    Interrupted,
    /// The run ended with an error.
    Failed,
}

impl RunState {
    /// Returns the state's name.
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
pub struct StepRecord {
    /// Number of the step, from 1.
    pub step: u64,
    /// Its loss; NaN if the run diverged.
    pub loss: f64,
    /// Its learning rate.
    pub lr: f64,
}

/// One epoch of a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EpochRecord {
    /// Epochs done.
    pub epoch: u64,
    /// Steps done.
    pub step: u64,
    /// Mean training loss.
    pub train_loss: f64,
    /// Training error on the augmented batches, percent.
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
    /// Its resolved recipe.
    pub recipe: Recipe,
    /// The recipe as it stands in the folder.
    pub recipe_text: String,
    /// The machine that it was trained on.
    pub machine: Option<Machine>,
    /// Steps of the whole run.
    pub steps_planned: Option<u64>,
    /// Its steps.
    pub steps: Vec<StepRecord>,
    /// Its epochs.
    pub epochs: Vec<EpochRecord>,
    /// Its warnings.
    pub warnings: Vec<String>,
    /// The error that ended it, if it was recorded.
    pub failure: Option<String>,
    /// Its result.
    pub result: Option<RunResult>,
    /// How it stands.
    pub state: RunState,
}

/// Returns `result` with the path of its weights in `folder`, which may have been moved.
pub(super) fn at(result: RunResult, folder: &Path) -> RunResult {
    let moved = result.checkpoint.file_name().map(|name| folder.join(name)).filter(|moved| moved.is_file());
    RunResult { checkpoint: moved.unwrap_or(result.checkpoint), ..result }
}

impl Record {
    /// Reads the run in `path`.
    ///
    /// # Errors
    /// The folder holds no run, or its recipe does not parse.
    pub fn read(path: &Path) -> Result<Self> {
        let path = path.canonicalize().map_err(|error| Error::io("open", path, error))?;
        let text = |name: &str| std::fs::read_to_string(path.join(name)).ok();
        let Some(recipe_text) = text("recipe.toml") else {
            return Err(Error::usage(format!("{} holds no run: there is no recipe.toml", path.display()))
                .with_hint("name a folder that `residual train` made; `residual runs` lists them"));
        };
        let name = path.join("recipe.toml").display().to_string();
        let mut record = Self {
            recipe: Recipe::parse_stored(&recipe_text, &name)?,
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
            state: RunState::Interrupted,
            path,
        };
        for line in text_lines(&record.path.join("metrics.jsonl")) {
            record.take(&line);
        }
        record.state = record.standing();
        Ok(record)
    }

    /// Adds one event of `metrics.jsonl`.
    fn take(&mut self, event: &Value) {
        let number = |key: &str| event[key].as_f64();
        let step = event["step"].as_u64().unwrap_or(0);
        match event["event"].as_str() {
            Some("start") => {
                self.steps_planned = event["steps"].as_u64();
                // A resumed run has not failed yet.
                self.failure = None;
            }
            // JSON has no NaN: such a loss is null.
            Some("step") => self.steps.push(StepRecord {
                step,
                loss: number("loss").unwrap_or(f64::NAN),
                lr: number("lr").unwrap_or(f64::NAN),
            }),
            Some("epoch") => self.epochs.push(EpochRecord {
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
            // Each session repeats the warnings of the start.
            Some("warning") => {
                let message =
                    event["message"].as_str().filter(|message| !self.warnings.iter().any(|known| known == message));
                self.warnings.extend(message.map(str::to_owned));
            }
            Some("failed") => self.failure = event["message"].as_str().map(str::to_owned),
            _ => {}
        }
    }

    fn standing(&self) -> RunState {
        if self.result.is_some() {
            RunState::Finished
        } else if is_locked(&self.path.join("lock")) {
            RunState::Running
        } else if self.failure.is_some() || self.steps.last().is_some_and(|step| !step.loss.is_finite()) {
            RunState::Failed
        } else {
            RunState::Interrupted
        }
    }

    /// Whether both runs were tested on the same images, by name and fingerprint.
    pub fn is_tested_as(&self, other: &Self) -> bool {
        let of = |record: &Self| record.result.as_ref().map(|result| (result.data.clone(), result.images_md5.clone()));
        of(self) == of(other)
    }

    /// Returns the folder's name.
    pub fn name(&self) -> String {
        self.path.file_name().map_or_else(|| self.path.display().to_string(), |name| name.to_string_lossy().into())
    }

    /// Returns the lowest validation error of an epoch in percent; `None` without a validation
    /// split.
    pub fn best_val_error(&self) -> Option<f64> {
        self.epochs.iter().filter_map(|epoch| epoch.val_error).reduce(f64::min)
    }

    /// Returns the seconds of training so far.
    pub fn seconds(&self) -> f64 {
        let epochs = || self.epochs.iter().map(|epoch| epoch.seconds).sum();
        self.result.as_ref().map_or_else(epochs, |result| result.seconds)
    }

    /// Returns the file of the run's weights: the tested ones, else the best, else the last.
    pub fn weights(&self) -> Option<PathBuf> {
        let tested = self.result.as_ref().map(|result| result.checkpoint.clone());
        let others = ["best.safetensors", "last.safetensors"].map(|name| self.path.join(name));
        tested.into_iter().chain(others).find(|path| path.is_file())
    }

    /// Reads the predictions for the test images; `None` if the run was not tested.
    ///
    /// # Errors
    /// The file is damaged, or was written by an earlier version.
    pub fn predictions(&self) -> Result<Option<Predictions>> {
        let path = self.path.join("predictions.csv");
        if self.result.is_some() && path.is_file() { Predictions::read(&path).map(Some) } else { Ok(None) }
    }
}

/// Returns the run folders in `path`, by name; `path` itself if it is one.
///
/// # Errors
/// The folder cannot be read.
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

/// Whether a process holds the lock. The system releases it when the process ends, so it is never
/// stale.
fn is_locked(path: &Path) -> bool {
    let Ok(file) = File::open(path) else { return false };
    matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
}

/// Returns the lines of a file of JSON lines that parse; a kill may have cut the last one short.
fn text_lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}
