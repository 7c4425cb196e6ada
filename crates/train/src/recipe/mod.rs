//! Recipes: how a net is trained, as a TOML file.
//!
//! [`Recipe::load`] reads a file or a recipe that ships with the library, strictly: an unknown key, a wrong type or an
//! impossible value is an error with file, line and key. [`Recipe::resolve`] fills in what only the data can tell; the
//! resolved recipe is what a run folder keeps, and it parses back to the same value.

mod check;
mod draft;
mod fields;
mod sections;
mod shipped;

pub use sections::{
    AugmentOptions, DataOptions, Filter, Flip, LossOptions, Normalize, OptimizerKind, OptimizerOptions, PolicyKind,
    Resize, ScheduleKind, ScheduleOptions, TrainOptions,
};
pub use shipped::{Shipped, shipped};

use crate::error::{Error, Kind, Result};
use crate::models::options::ModelOptions;
use crate::train::schedule::Schedule;
use draft::Draft;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// Everything that decides a training run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Recipe {
    /// The network.
    pub model: ModelOptions,
    /// The images.
    pub data: DataOptions,
    /// What happens to training images.
    pub augment: AugmentOptions,
    /// How long, in which portions.
    pub train: TrainOptions,
    /// What is minimised.
    pub loss: LossOptions,
    /// With which steps.
    pub optimizer: OptimizerOptions,
    /// At which rate.
    pub schedule: ScheduleOptions,
}

/// What a recipe has to know of its data to be resolved.
#[derive(Debug, Clone, PartialEq)]
pub struct DataFacts {
    /// Height and width in pixels; `None` where images are resized to what the net wants.
    pub input: Option<usize>,
    /// Channels.
    pub channels: usize,
    /// Classes.
    pub classes: usize,
    /// Images in the validation split, as the data was opened.
    pub validation: usize,
    /// Mean of each channel, pixels being 0 to 1.
    pub mean: Vec<f64>,
    /// Standard deviation of each channel.
    pub std: Vec<f64>,
}

impl Recipe {
    /// Reads the recipe that `what` names — a path, or a recipe that ships with the library (`shapes-resnet20`) — and
    /// applies `overrides` (`section.key=value`).
    ///
    /// # Errors
    /// A file that cannot be read, is not TOML, has an unknown key, a value of the wrong type or an impossible one.
    pub fn load(what: &str, overrides: &[String]) -> Result<Self> {
        let path = Path::new(what);
        if path.is_file() {
            let text = std::fs::read_to_string(path).map_err(|e| Error::io("read", path, e))?;
            return Self::parse(&text, what, overrides);
        }
        if let Some(recipe) = shipped::named(what) {
            return Self::parse(recipe.text, &format!("{}.toml", recipe.name), overrides);
        }
        Err(shipped::missing(what))
    }

    /// The recipe in `text`, called `name` in errors, with `overrides` applied.
    ///
    /// # Errors
    /// As [`Recipe::load`].
    pub fn parse(text: &str, name: &str, overrides: &[String]) -> Result<Self> {
        let mut draft = Draft::read(text, name)?;
        draft.set(overrides)?;
        draft.finish()
    }

    /// The recipe that `residual train NETWORK --data SOURCE` takes when none is named.
    ///
    /// # Errors
    /// Only if a shipped recipe is broken, which the tests rule out.
    pub fn default_for(source: &str, network: &str) -> Result<Self> {
        shipped::default_for(source, network)
    }

    /// The same recipe with `overrides` (`section.key=value`) applied.
    ///
    /// # Errors
    /// An unknown key, a value of the wrong type or an impossible one; the error names the override.
    pub fn with(&self, overrides: &[String]) -> Result<Self> {
        let mut draft = Draft::from_recipe(self)?;
        draft.set(overrides)?;
        draft.finish()
    }

    /// Whether all values can be.
    ///
    /// # Errors
    /// The first that cannot.
    pub fn check(&self) -> Result<()> {
        check::check(self).map_err(|p| {
            let error = Error::new(Kind::Recipe, format!("{}.{} {}", p.section, p.key, p.message));
            match p.hint {
                Some(hint) => error.with_hint(hint),
                None => error,
            }
        })
    }

    /// Fills in what the data decides and what the schedule's kind defaults to, so that every key that applies is
    /// written out.
    ///
    /// # Errors
    /// Where recipe and data contradict each other.
    pub fn resolve(&self, facts: &DataFacts) -> Result<Self> {
        let mut full = self.clone();
        full.model.classes = Some(agree("classes", self.model.classes, facts.classes)?);
        full.model.channels = Some(agree("channels", self.model.channels, facts.channels)?);
        full.model.input = Some(match facts.input {
            Some(input) => agree("input", self.model.input, input)?,
            None => self.model.input.unwrap_or_else(|| shipped::native_input(&self.model.name)),
        });
        full.data.validation = Some(facts.validation);
        if self.data.normalize == Normalize::Channel {
            for (key, values, own) in
                [("mean", &mut full.data.mean, &facts.mean), ("std", &mut full.data.std, &facts.std)]
            {
                let values = values.get_or_insert_with(|| own.clone());
                if values.len() != facts.channels {
                    let message = format!(
                        "data.{key} has {} values, but the images' channels are {}",
                        values.len(),
                        facts.channels
                    );
                    let hint = format!("give one value for each channel, or leave data.{key} out to have it measured");
                    return Err(Error::new(Kind::Recipe, message).with_hint(hint));
                }
            }
        }
        full.schedule = self.schedule.filled();
        full.check()?;
        Ok(full)
    }

    /// Steps of one epoch over `images` training images (validation taken away): the last, smaller batch is left
    /// out; a set smaller than one batch is one step.
    pub fn steps_per_epoch(&self, images: usize) -> u64 {
        ((images / (self.train.batch * self.train.accumulate).max(1)) as u64).max(1)
    }

    /// Steps of the whole run.
    pub fn total_steps(&self, images: usize) -> u64 {
        match (self.train.steps, self.train.epochs) {
            (Some(steps), _) => steps,
            (None, epochs) => epochs.unwrap_or(1).saturating_mul(self.steps_per_epoch(images)),
        }
    }

    /// What the schedule would do only after a run of `steps` steps, in a sentence.
    pub fn out_of_reach(&self, steps: u64) -> Option<String> {
        let schedule = &self.schedule;
        if schedule.warmup_steps > 0 && schedule.warmup_steps >= steps {
            let warm_up = schedule.warmup_steps;
            return Some(format!(
                "the warm-up takes {warm_up} steps and the run {steps}: the rate never gets where it is to"
            ));
        }
        let beyond = |milestone: &&u64| **milestone >= steps;
        let late: Vec<String> = schedule.milestones.iter().flatten().filter(beyond).map(u64::to_string).collect();
        (!late.is_empty() && schedule.kind == ScheduleKind::MultiStep)
            .then(|| format!("the run ends at step {steps}: the rate does not fall at {}", late.join(", ")))
    }

    /// The learning rate of a run of `steps` steps.
    pub fn schedule(&self, steps: u64) -> Schedule {
        Schedule::new(&self.schedule, self.optimizer.lr, steps)
    }

    /// The recipe as TOML; a resolved one has all its keys written out.
    ///
    /// # Errors
    /// A value that TOML cannot hold, such as a path that is not UTF-8.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(self).map_err(|e| Error::new(Kind::Recipe, format!("cannot write the recipe as TOML: {e}")))
    }

    /// Every key that is set, as `section.key`, and its value: to tell recipes apart by.
    ///
    /// # Errors
    /// A value that JSON cannot hold.
    pub fn flattened(&self) -> Result<BTreeMap<String, String>> {
        let value = serde_json::to_value(self)
            .map_err(|error| Error::new(Kind::Recipe, format!("cannot read the recipe again: {error}")))?;
        let mut keys = BTreeMap::new();
        for (section, values) in value.as_object().into_iter().flatten() {
            for (key, value) in values.as_object().into_iter().flatten() {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                keys.insert(format!("{section}.{key}"), text);
            }
        }
        Ok(keys)
    }
}

/// The value of `model.key` where recipe and data have one each.
fn agree(key: &str, asked: Option<usize>, found: usize) -> Result<usize> {
    match asked {
        Some(asked) if asked != found => {
            let message = format!("model.{key} = {asked}, but the data says {found}");
            Err(Error::new(Kind::Recipe, message).with_hint(format!("leave model.{key} out to take the data's")))
        }
        _ => Ok(found),
    }
}

#[cfg(test)]
mod tests;
