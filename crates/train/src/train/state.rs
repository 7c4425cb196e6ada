//! The state of a run: what a checkpoint keeps, so that a resumed run ends with the same bits.

use super::trainer::Trainer;
use crate::error::{Error, Result};
use crate::recipe::Recipe;
use crate::recipe::schedule::ScheduleState;
use crate::weights::container;
use burn::tensor::Device;
use residual::tensor::Tensors;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// The numbers of a run's state; weights and velocities are tensors beside them.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct TrainState {
    /// Optimiser steps taken.
    pub step: u64,
    /// Sum of the step losses of the current epoch.
    pub loss_sum: f64,
    /// Misclassified images of the current epoch.
    pub wrong: u64,
    /// Images of the current epoch.
    pub images: u64,
    /// Seconds of the current epoch.
    pub epoch_seconds: f64,
    /// Seconds of those that the trainer waited for data.
    pub epoch_wait: f64,
    /// Seconds of the whole run.
    pub seconds: f64,
    /// The state of the learning-rate schedule.
    pub schedule: ScheduleState,
    /// Validation error, loss and step of the best weights so far.
    pub best: Option<Best>,
    /// The loss, smoothed over about 50 steps.
    pub smooth_loss: Option<f64>,
    /// Whether the warning about a loss that does not fall was given.
    pub warned_stuck: bool,
}

impl TrainState {
    /// Resets the sums and times of the current epoch.
    pub fn begin_epoch(&mut self) {
        let new = Self::default();
        (self.loss_sum, self.wrong, self.images) = (new.loss_sum, new.wrong, new.images);
        (self.epoch_seconds, self.epoch_wait) = (new.epoch_seconds, new.epoch_wait);
    }
}

/// The validation result of the best weights so far.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// Validation top-1 error, percent.
    pub error: f64,
    /// Validation loss.
    pub loss: f64,
    /// The step after which they were validated.
    pub step: u64,
}

impl Best {
    /// Whether weights of `error` and `loss` are better: by error, then by loss.
    pub fn is_beaten_by(&self, error: f64, loss: f64) -> bool {
        (error, loss) < (self.error, self.loss)
    }
}

/// What a state belongs to: a run with another recipe or other images cannot resume from it.
#[derive(Debug, Clone, Copy)]
pub struct RunIdentity<'a> {
    /// The resolved recipe as TOML.
    pub recipe: &'a str,
    /// The fingerprint of the images.
    pub images: &'a str,
}

/// Writes the state to `path`. The file that was there is kept as `previous`, in case this one is
/// damaged later.
///
/// # Errors
/// The disk is full or the folder cannot be written; the older file survives.
pub fn save(
    path: &Path,
    previous: &Path,
    trainer: &Trainer,
    state: &TrainState,
    identity: &RunIdentity<'_>,
) -> Result<()> {
    let mut tensors = Tensors::new();
    let mut add = |prefix: &str, part: Tensors| {
        tensors.extend(part.into_iter().map(|(name, data)| (format!("{prefix}/{name}"), data)));
    };
    add("weights", trainer.tensors());
    add("velocity", trainer.optimizer.state());
    if let Some(average) = &trainer.average {
        add("average", average.state());
    }
    let metadata = [
        ("progress".to_owned(), serde_json::to_value(state).expect("numbers serialise")),
        ("recipe".to_owned(), Value::String(identity.recipe.to_owned())),
        ("images".to_owned(), Value::String(identity.images.to_owned())),
    ];
    // Written under another name first: the folder holds at least one complete state at any moment.
    let fresh = path.with_extension("new");
    container::write(&fresh, &tensors, metadata.into_iter().collect())?;
    let rename = |from: &Path, to: &Path| std::fs::rename(from, to).map_err(|error| Error::io("rename", from, error));
    if path.exists() {
        rename(path, previous)?;
    }
    rename(&fresh, path)?;
    path.parent().map_or(Ok(()), crate::atomic::sync_folder)
}

/// Restores the tensors of the state in `path` into `trainer`; returns its numbers.
///
/// # Errors
/// The file is missing, damaged, or of another run.
pub fn load(path: &Path, trainer: &mut Trainer, identity: &RunIdentity<'_>, device: &Device) -> Result<TrainState> {
    let contents = container::read(path)?;
    let foreign = || Error::weights(format!("{} is not the state of a run", path.display()));
    let metadata = contents.metadata.ok_or_else(foreign)?;
    let numbers = metadata.get("progress").ok_or_else(foreign)?;
    let state: TrainState = serde_json::from_value(numbers.clone()).map_err(|_| foreign())?;
    let stated = |key: &str| metadata.get(key).and_then(Value::as_str);
    // The images come first: other images mean other measured channel means, and so another recipe.
    // States written before 0.1.0 call the images pictures.
    if stated("images").or_else(|| stated("pictures")) != Some(identity.images) {
        let message = format!("{} belongs to other images: some were added, changed or removed since", path.display());
        return Err(
            Error::weights(message).with_hint("restore the images that the run began with, or choose another --out")
        );
    }
    let own = stated("recipe").ok_or_else(foreign)?;
    if let Some(changed) = differing(own, identity.recipe) {
        let message = format!("{} belongs to another recipe{changed}", path.display());
        return Err(
            Error::weights(message).with_hint("use the recipe that it was trained with, or choose another --out")
        );
    }
    let part = |prefix: &str| -> Tensors {
        let own = |name: &String| name.strip_prefix(prefix).map(str::to_owned);
        contents.tensors.iter().filter_map(|(name, data)| Some((own(name)?, data.clone()))).collect()
    };
    trainer.set_values(&part("weights/"));
    trainer.optimizer.restore(&part("velocity/"), device);
    if let Some(average) = &mut trainer.average {
        average.restore(&part("average/"), device);
    }
    Ok(state)
}

/// The recipe key of the images' path. Images are identified by their fingerprint and may be moved.
pub(super) const IMAGES_KEY: &str = "data.source";

/// Returns the keys in which the recipe `asked` differs from the stored recipe `own`, with the
/// values of `asked`; `None` for keys that it leaves out.
///
/// # Errors
/// A recipe does not parse.
pub(super) fn changes(own: &str, asked: &str) -> Result<BTreeMap<String, Option<String>>> {
    let keys = |text: &str| Recipe::parse_stored(text, "recipe")?.flattened();
    let (own, mut asked) = (keys(own)?, keys(asked)?);
    let left_out = own.keys().filter(|key| !asked.contains_key(*key)).map(|key| (key.clone(), None)).collect();
    let mut changes: BTreeMap<String, Option<String>> = left_out;
    asked.retain(|key, value| own.get(key) != Some(value));
    changes.extend(asked.into_iter().map(|(key, value)| (key, Some(value))));
    Ok(changes)
}

/// Describes how `asked` differs from `own`; `None` if both train the same on the same images.
fn differing(own: &str, asked: &str) -> Option<String> {
    if own == asked {
        return None;
    }
    let Ok(mut changes) = changes(own, asked) else { return Some(String::new()) };
    changes.remove(IMAGES_KEY);
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
    fn moved_images_are_the_same_recipe_and_another_rate_is_not() {
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
        // The earlier name of train.winograd is read in stored recipes.
        let before = own.replace("winograd = true", "precise = false");
        assert!(before != own && differing(&before, &own).is_none());
        let before = own.replace("winograd = true", "precise = true");
        assert_eq!(differing(&before, &own).as_deref(), Some(" than train.winograd = true"));
        // A key that only the run has is a difference as well.
        let windows = with("augment.resized_crop=[0.5, 1.0]").replace("seed = 0", "seed = 1");
        let left_out = changes(&windows, &own.replace("pad_crop = 4", "pad_crop = 0")).expect("recipes");
        assert_eq!(left_out.get("augment.resized_crop"), Some(&None), "{left_out:?}");
    }
}
