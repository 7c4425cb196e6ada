//! What a run must remember to end, after any interruption, with the bits it would have had without one.

use super::schedule::ScheduleState;
use super::trainer::Trainer;
use crate::error::{Error, Result};
use crate::recipe::Recipe;
use crate::weights::{self, container};
use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// The numbers beside the tensors.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Progress {
    /// Optimiser steps taken.
    pub step: u64,
    /// Sum of the step losses of the epoch under way.
    pub loss_sum: f64,
    /// Wrong images of the epoch under way.
    pub wrong: u64,
    /// Images of the epoch under way.
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

/// What a run is of: with another recipe or other images its steps would be those of no run.
pub struct Origin<'a> {
    /// The recipe, resolved, as TOML.
    pub recipe: &'a str,
    /// The fingerprint of the images.
    pub images: &'a str,
}

/// Writes everything to `path`. The file before it stays beside as `previous`, in case this one is damaged later.
///
/// # Errors
/// A full disk or a folder that cannot be written; the older file survives.
pub fn save(path: &Path, previous: &Path, trainer: &Trainer, progress: &Progress, origin: &Origin<'_>) -> Result<()> {
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
        ("recipe".to_owned(), Value::String(origin.recipe.to_owned())),
        ("images".to_owned(), Value::String(origin.images.to_owned())),
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
pub fn load(path: &Path, trainer: &mut Trainer, origin: &Origin<'_>, device: &Device) -> Result<Progress> {
    let contents = container::read(path)?;
    let foreign = || Error::weights(format!("{} is not the state of a run", path.display()));
    let metadata = contents.metadata.ok_or_else(foreign)?;
    let progress = metadata.get("progress").ok_or_else(foreign)?;
    let progress: Progress = serde_json::from_value(progress.clone()).map_err(|_| foreign())?;
    let stated = |key: &str| metadata.get(key).and_then(Value::as_str);
    // First: means that were measured on other images are another recipe as well.
    // States written before 0.1.0 call the images pictures.
    if stated("images").or_else(|| stated("pictures")) != Some(origin.images) {
        let message = format!("{} belongs to other images: some were added, changed or left out since", path.display());
        return Err(
            Error::weights(message).with_hint("bring back the images that the run began with, or choose another --out")
        );
    }
    let own = stated("recipe").ok_or_else(foreign)?;
    if let Some(changed) = differing(own, origin.recipe) {
        let message = format!("{} belongs to another recipe{changed}", path.display());
        return Err(Error::weights(message).with_hint("give what it was trained with, or choose another --out"));
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

/// Where the images lie: they are told by their fingerprint, and may have been moved.
pub(super) const PLACE: &str = "data.source";

/// What `asked`, a recipe as TOML, sets otherwise than `own` does: keys and values; all keys of `own` that it leaves out, too.
///
/// # Errors
/// A recipe that cannot be read.
pub(super) fn changes(own: &str, asked: &str) -> Result<BTreeMap<String, Option<String>>> {
    let keys = |text: &str| Recipe::parse(text, "recipe", &[])?.flattened();
    let (own, mut asked) = (keys(own)?, keys(asked)?);
    let left_out = own.keys().filter(|key| !asked.contains_key(*key)).map(|key| (key.clone(), None)).collect();
    let mut changes: BTreeMap<String, Option<String>> = left_out;
    asked.retain(|key, value| own.get(key) != Some(value));
    changes.extend(asked.into_iter().map(|(key, value)| (key, Some(value))));
    Ok(changes)
}

/// What `asked` sets otherwise than `own`, in words, as far as it can be read; `None` where they train the same on the same images.
fn differing(own: &str, asked: &str) -> Option<String> {
    if own == asked {
        return None;
    }
    let Ok(mut changes) = changes(own, asked) else { return Some(String::new()) };
    changes.remove(PLACE);
    let set: Vec<String> =
        changes.iter().filter_map(|(key, value)| Some(format!("{key} = {}", value.as_ref()?))).collect();
    match (changes.is_empty(), set.is_empty()) {
        (true, _) => None,
        (false, true) => Some(String::new()),
        (false, false) => Some(format!(" than {}", set.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_images_lie_makes_no_other_recipe_and_a_rate_does() {
        let with = |set: &str| {
            Recipe::load("cifar10-resnet20-paper", &[set.into()]).expect("shipped").to_toml().expect("text")
        };
        let own = with("train.seed=1");
        let moved = own.replace("cifar10", "/elsewhere");
        assert!(own != moved && differing(&own, &moved).is_none());
        assert_eq!(
            differing(&own, &with("optimizer.lr=0.2")).as_deref(),
            Some(" than optimizer.lr = 0.2, train.seed = 0")
        );
        // What only the run has, and the recipe leaves out, is a difference as well.
        let windows = with("augment.resized_crop=[0.5, 1.0]").replace("seed = 0", "seed = 1");
        let left_out = changes(&windows, &own.replace("pad_crop = 4", "pad_crop = 0")).expect("recipes");
        assert_eq!(left_out.get("augment.resized_crop"), Some(&None), "{left_out:?}");
    }
}
