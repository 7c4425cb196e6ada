//! A recipe of which nothing is left open: what was typed, completed by what the data says.

use super::schedule::Schedule;
use super::sections::{AugmentOptions, Filter, LossOptions, Normalize, OptimizerOptions, Recipe, Resize, ScheduleKind};
use crate::error::{Error, Kind, Result};
use crate::eval::protocol::TestProtocol;
use crate::models::Spec;
use std::path::PathBuf;

/// What the data decides of a recipe.
#[derive(Debug, Clone, PartialEq)]
pub struct DataFacts {
    /// Height and width of the images in pixels.
    pub input: usize,
    /// Channels of the images.
    pub channels: usize,
    /// Number of classes.
    pub classes: usize,
    /// Number of training images, without the validation split.
    pub train: usize,
    /// Number of validation images.
    pub validation: usize,
    /// Mean of each channel, with pixels from 0 to 1.
    pub mean: Vec<f64>,
    /// Standard deviation of each channel.
    pub std: Vec<f64>,
}

/// A recipe that is complete: every value is known.
#[derive(Debug, Clone, PartialEq)]
pub struct ResolvedRecipe {
    /// The network, with its input size, channels and classes.
    pub network: Spec,
    /// Weights to start from, if any.
    pub from: Option<PathBuf>,
    /// Name prefixes of parameters that are not trained.
    pub freeze: Vec<String>,
    /// The images.
    pub data: ResolvedData,
    /// How training images are augmented.
    pub augment: AugmentOptions,
    /// Steps, batches and seed.
    pub train: ResolvedTrain,
    /// The loss.
    pub loss: LossOptions,
    /// The optimiser.
    pub optimizer: OptimizerOptions,
    /// The learning rate of each step, warm-up included.
    pub schedule: Schedule,
    /// The recipe with every key that applies written out.
    written: Recipe,
}

/// `[data]` of a resolved recipe.
#[derive(Debug, Clone, PartialEq)]
pub struct ResolvedData {
    /// Number of training images.
    pub train: usize,
    /// Number of validation images.
    pub validation: usize,
    /// How pixels are normalised.
    pub normalize: Normalization,
    /// The shorter side in pixels before the centre crop; `None` resizes to the input size.
    pub scale: Option<usize>,
    /// How images become square.
    pub resize: Resize,
    /// The filter of resizing.
    pub filter: Filter,
    /// The protocol of the test at the end of the run.
    pub test: TestProtocol,
}

/// Normalisation of pixels, with its constants where the recipe holds them.
#[derive(Debug, Clone, PartialEq)]
pub enum Normalization {
    /// `(x − mean) / std` per channel, with pixels from 0 to 1.
    Channel {
        /// Mean of each channel.
        mean: Vec<f64>,
        /// Standard deviation of each channel.
        std: Vec<f64>,
    },
    /// The mean image of the training images is subtracted (ResNet §4.2).
    Pixel,
}

/// `[train]` of a resolved recipe.
#[derive(Debug, Clone, PartialEq)]
pub struct ResolvedTrain {
    /// Optimiser steps of the whole run.
    pub steps: u64,
    /// Optimiser steps of one epoch.
    pub steps_per_epoch: u64,
    /// Images per forward pass.
    pub batch: usize,
    /// Forward passes whose gradients are averaged into one step.
    pub accumulate: usize,
    /// Decay per step of the moving average of the weights; 0 is off.
    pub ema: f64,
    /// Whether convolutions may use Winograd.
    pub winograd: bool,
    /// Steps between checkpoints besides the one at the end of each epoch; 0 for none besides.
    pub checkpoint_every: u64,
    /// Seed of initial weights, order, augmentation and dropout.
    pub seed: u64,
}

impl Recipe {
    /// Completes the recipe with what the data decides and with the defaults of the schedule's
    /// kind.
    ///
    /// # Errors
    /// Recipe and data contradict each other, or the network does not take the images.
    pub fn resolve(self, facts: &DataFacts) -> Result<ResolvedRecipe> {
        let mut written = self;
        written.model.classes = Some(agree("classes", written.model.classes, facts.classes)?);
        written.model.channels = Some(agree("channels", written.model.channels, facts.channels)?);
        written.model.input = Some(agree("input", written.model.input, facts.input)?);
        written.data.validation = Some(facts.validation);
        let normalize = normalization(&mut written, facts)?;
        written.schedule = written.schedule.filled();
        written.check()?;
        let steps = written.total_steps(facts.train);
        Ok(ResolvedRecipe {
            network: Spec::resolve(&written.model)?,
            from: written.model.from.clone(),
            freeze: written.model.freeze.clone(),
            data: ResolvedData {
                train: facts.train,
                validation: facts.validation,
                normalize,
                scale: written.data.scale,
                resize: written.data.resize,
                filter: written.data.filter,
                test: written.data.test,
            },
            augment: written.augment.clone(),
            train: ResolvedTrain {
                steps,
                steps_per_epoch: written.steps_per_epoch(facts.train),
                batch: written.train.batch,
                accumulate: written.train.accumulate,
                ema: written.train.ema,
                winograd: written.train.winograd,
                checkpoint_every: written.train.checkpoint_every,
                seed: written.train.seed,
            },
            loss: written.loss.clone(),
            optimizer: written.optimizer.clone(),
            schedule: Schedule::new(&written.schedule, written.optimizer.lr, steps),
            written,
        })
    }
}

impl ResolvedRecipe {
    /// Returns the recipe with every key that applies written out: `recipe.toml` of a run folder.
    pub fn written(&self) -> &Recipe {
        &self.written
    }

    /// Describes what the schedule would do only after the end of the run; `None` if it does
    /// everything.
    pub fn unreached(&self) -> Option<String> {
        let (schedule, steps) = (&self.written.schedule, self.train.steps);
        if schedule.warmup_steps > 0 && schedule.warmup_steps >= steps {
            let warm_up = schedule.warmup_steps;
            return Some(format!("the warm-up ({warm_up} steps) is not shorter than the run ({steps} steps)"));
        }
        let beyond = |milestone: &&u64| **milestone >= steps;
        let late: Vec<String> = schedule.milestones.iter().flatten().filter(beyond).map(u64::to_string).collect();
        (!late.is_empty() && schedule.kind == ScheduleKind::MultiStep)
            .then(|| format!("the run ends at step {steps}, before the milestones {}", late.join(", ")))
    }
}

/// Completes `data.mean` and `data.std`, and returns the normalisation.
fn normalization(recipe: &mut Recipe, facts: &DataFacts) -> Result<Normalization> {
    if recipe.data.normalize == Normalize::Pixel {
        return Ok(Normalization::Pixel);
    }
    let complete = |key: &str, values: &mut Option<Vec<f64>>, measured: &[f64]| {
        let values = values.get_or_insert_with(|| measured.to_vec());
        if values.len() != facts.channels {
            let message =
                format!("data.{key} has {} values, but the images have {} channels", values.len(), facts.channels);
            let hint = format!("give one value for each channel, or leave data.{key} out to have it measured");
            return Err(Error::new(Kind::Recipe, message).with_hint(hint));
        }
        Ok(values.clone())
    };
    let mean = complete("mean", &mut recipe.data.mean, &facts.mean)?;
    let std = complete("std", &mut recipe.data.std, &facts.std)?;
    Ok(Normalization::Channel { mean, std })
}

/// Returns the value of `model.key`, which the data decides.
///
/// # Errors
/// The recipe gives another value than the data.
fn agree(key: &str, asked: Option<usize>, found: usize) -> Result<usize> {
    match asked {
        Some(asked) if asked != found => {
            let message = format!("model.{key} = {asked}, but the data has {found}");
            Err(Error::new(Kind::Recipe, message).with_hint(format!("leave model.{key} out to take the data's")))
        }
        _ => Ok(found),
    }
}
