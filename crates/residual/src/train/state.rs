//! What a run must remember to end, after any interruption, with the bits it would have had without one.

use super::schedule::ScheduleState;
use super::trainer::Trainer;
use crate::error::{Error, Result};
use crate::weights::{self, container};
use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::Path;

/// The numbers beside the tensors.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Progress {
    /// Optimiser steps taken.
    pub step: u64,
    /// Sum of the step losses of the epoch under way.
    pub loss_sum: f64,
    /// Wrong pictures of the epoch under way.
    pub wrong: u64,
    /// Pictures of the epoch under way.
    pub images: u64,
    /// Seconds spent in the epoch under way.
    pub epoch_seconds: f64,
    /// Seconds of those that the trainer waited for data.
    pub epoch_wait: f64,
    /// Seconds spent in the whole run.
    pub seconds: f64,
    /// What the schedule has seen.
    pub schedule: ScheduleState,
    /// Validation error and loss of the best weights so far, and the step they are of.
    pub best: Option<Best>,
    /// The loss, smoothed over about 50 steps.
    pub smooth_loss: Option<f64>,
    /// Whether the warning about a loss that does not move was given.
    pub warned_stuck: bool,
}

/// The best weights so far.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// Validation top-1 error, percent.
    pub error: f64,
    /// Validation loss.
    pub loss: f64,
    /// Steps taken by then.
    pub step: u64,
}

impl Best {
    /// Whether weights of `error` and `loss` are better: by error, then by loss.
    pub fn is_beaten_by(&self, error: f64, loss: f64) -> bool {
        (error, loss) < (self.error, self.loss)
    }
}

/// Writes everything to `path`. The file before it stays beside as `previous`, in case this one is damaged later.
///
/// # Errors
/// A full disk or a folder that cannot be written; the older file survives.
pub fn save(path: &Path, previous: &Path, trainer: &Trainer, progress: &Progress, recipe: &str) -> Result<()> {
    let mut tensors = container::Tensors::new();
    let mut add = |prefix: &str, part: container::Tensors| {
        tensors.extend(part.into_iter().map(|(name, data)| (format!("{prefix}/{name}"), data)));
    };
    add("weights", weights::values(trainer.model()));
    add("velocity", trainer.optimizer.state());
    if let Some(average) = &trainer.average {
        add("average", average.state());
    }
    let metadata = [
        ("progress".to_owned(), serde_json::to_value(progress).expect("numbers serialise")),
        ("recipe".to_owned(), Value::String(recipe.to_owned())),
    ];
    // Written under another name first: at no moment is there less than one whole state in the folder.
    let fresh = path.with_extension("new");
    container::write(&fresh, &tensors, metadata.into_iter().collect())?;
    let rename = |from: &Path, to: &Path| std::fs::rename(from, to).map_err(|error| Error::io("rename", from, error));
    if path.exists() {
        rename(path, previous)?;
    }
    rename(&fresh, path)?;
    path.parent().map_or(Ok(()), crate::atomic::sync_folder)
}

/// Puts the state in `path` into `trainer`; returns the numbers.
///
/// # Errors
/// A file that is missing, damaged, or of another run.
pub fn load(path: &Path, trainer: &mut Trainer, recipe: &str, device: &Device) -> Result<Progress> {
    let contents = container::read(path)?;
    let foreign = || Error::weights(format!("{} is not the state of a run", path.display()));
    let metadata = contents.metadata.ok_or_else(foreign)?;
    let progress = metadata.get("progress").ok_or_else(foreign)?;
    let progress: Progress = serde_json::from_value(progress.clone()).map_err(|_| foreign())?;
    if metadata.get("recipe").and_then(Value::as_str) != Some(recipe) {
        return Err(Error::weights(format!("{} belongs to another recipe", path.display()))
            .with_hint("resume with the recipe of the run folder, or choose another --out"));
    }
    let part = |prefix: &str| -> container::Tensors {
        let own = |name: &String| name.strip_prefix(prefix).map(str::to_owned);
        contents.tensors.iter().filter_map(|(name, data)| Some((own(name)?, data.clone()))).collect()
    };
    trainer.set_values(&part("weights/"));
    trainer.optimizer.restore(part("velocity/"), device);
    if let Some(average) = &mut trainer.average {
        average.restore(part("average/"), device);
    }
    Ok(progress)
}
