//! One run, from a recipe to tested weights: it may die at any moment and go on. How it ends is in `ending`.

mod ending;
#[cfg(test)]
mod tests;

use super::event::{Event, Sink};
use super::folder::RunFolder;
use super::machine::Machine;
use super::memory;
use super::prepare::{Prepared, loader, prepare, to_restore};
use super::record;
use super::schedule::Schedule;
use super::state::{self, Best, Origin, Progress};
use super::trainer::{Outcome, Trainer};
use crate::data::{self, Batch, Loader, Normalizer};
use crate::error::{Error, Kind, Result};
use crate::eval::{Classifier, Evaluation, evaluate};
use crate::models::Model;
use crate::recipe::Recipe;
use crate::weights::{self, Metadata};
use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Steps after which a loss that still stands at ln(classes) is worth a warning.
const STUCK_AFTER: u64 = 300;

/// What a run is told beside its recipe.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// The run folder.
    pub out: PathBuf,
    /// Go on from the folder's checkpoint, if it has one.
    pub resume: bool,
    /// Leave out images that do not decode.
    pub skip_bad: bool,
    /// The id of the row of a paper that the run reproduces; `summary.json` keeps it.
    pub row: Option<String>,
    /// Set by Ctrl-C: the run writes a checkpoint and ends.
    pub stop: Arc<AtomicBool>,
    /// Writes the page about the finished run; no page without it.
    pub report: Option<ReportWriter>,
}

/// Writes the page about a finished run to the path, and returns where it is.
pub type ReportWriter =
    fn(record::Record, &data::Dataset, &std::path::Path, &mut dyn data::Progress) -> Result<PathBuf>;

/// How a run ended: the contents of `summary.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunResult {
    /// Optimiser steps.
    pub step: u64,
    /// Test top-1 error, percent.
    pub test_top1_error: Option<f64>,
    /// Test top-5 error, percent.
    pub test_top5_error: Option<f64>,
    /// Test loss.
    pub test_loss: Option<f64>,
    /// The tested weights.
    pub checkpoint: PathBuf,
    /// `best` (lowest validation error) or `last`.
    pub rule: String,
    /// The best validation error, percent.
    pub best_val_top1_error: Option<f64>,
    /// Seconds of training, validation included, earlier sittings too.
    pub seconds: f64,
    /// The most memory that was used, in MiB.
    pub peak_rss_mb: Option<u64>,
    /// What it was trained and tested on.
    pub data: String,
    /// Fingerprint of these images ([`data::Provenance`]).
    #[serde(default)]
    #[serde(alias = "pictures_md5")]
    pub images_md5: Option<String>,
    /// The id of the row of a paper that the run reproduces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<String>,
    /// The network.
    pub model: String,
}

/// Trains by `recipe` in the folder that `options` names, tests once, and leaves everything there.
///
/// # Errors
/// A recipe, data or folder that is no good; a loss that is not finite; Ctrl-C (with a checkpoint).
pub fn run(
    recipe: &Recipe,
    options: &RunOptions,
    progress: &mut dyn data::Progress,
    sink: &mut dyn Sink,
) -> Result<RunResult> {
    let device = Device::flex().autodiff();
    // The folder comes second: a slip in the recipe or the data leaves nothing behind.
    let taken = || {
        let message = format!("{} already holds a run", options.out.display());
        Error::usage(message).with_hint("go on with it by --resume, or choose another --out")
    };
    let begun = RunFolder::holds_a_run(&options.out);
    if begun && !options.resume {
        return Err(taken());
    }
    let goes_on = options.resume && begun;
    if goes_on && let Some(result) = ending::ended(recipe, &options.out, sink) {
        return Ok(result);
    }
    let prepared = match goes_on {
        true => to_restore(recipe, options.skip_bad, &device, progress)?,
        false => prepare(recipe, options.skip_bad, &device, progress)?,
    };
    let folder = RunFolder::open(&options.out)?;
    // Again under the lock: while the data was read another process may have trained here, and ended.
    if !goes_on && RunFolder::holds_a_run(folder.path()) {
        return Err(taken());
    }
    let mut run = Run::begin(prepared, goes_on, folder, &device)?;
    if let Some(result) = run.finished()? {
        run.report(&result, options.report, progress, sink)?;
        return Ok(result);
    }
    run.announce(sink)?;
    let outcome = run.train(options, progress, sink);
    if let Err(error) = &outcome
        && error.kind() != Kind::Interrupted
    {
        // For `residual runs`; the disk may be the very reason, and then nobody can be told.
        let _ = run.folder.log(&Event::Failed { step: run.now.step, message: error.to_string() });
    }
    outcome
}

/// Something to warn of before the first step.
struct Notice {
    message: String,
    hint: Option<String>,
}

/// A run under way.
struct Run {
    folder: RunFolder,
    recipe: Recipe,
    recipe_text: String,
    data: data::Dataset,
    metadata: Metadata,
    normalizer: Arc<Normalizer>,
    trainer: Trainer,
    schedule: Schedule,
    loader: Loader,
    steps: u64,
    steps_per_epoch: u64,
    now: Progress,
    /// When the clocks in `now` were last brought up to date.
    clock: Instant,
    /// What the loader had waited by then.
    waited: f64,
    warnings: Vec<Notice>,
}

impl Run {
    /// Steps until the last, or until somebody asks it to stop; then tests.
    fn train(
        &mut self,
        options: &RunOptions,
        progress: &mut dyn data::Progress,
        sink: &mut dyn Sink,
    ) -> Result<RunResult> {
        while self.now.step < self.steps {
            let mut batches = self.next_batches()?;
            let (outcome, lr) = self.step(&mut batches);
            self.observe(outcome, lr, sink)?;
            // Once for the step: asked to stop between two looks, it would stop without the checkpoint that it tells of.
            let stop = options.stop.load(Ordering::Relaxed);
            if (self.is_checkpoint_due() || stop) && !self.trainer.is_finite() {
                return Err(self.diverged("the weights are no longer finite after", lr));
            }
            if self.is_epoch_end() {
                self.validate(lr, progress, sink)?;
            }
            if self.is_checkpoint_due() || stop {
                self.checkpoint(sink)?;
            }
            if stop && self.now.step < self.steps {
                return Err(self.interrupted());
            }
        }
        let result = RunResult { row: options.row.clone(), ..self.test(progress)? };
        self.report(&result, options.report, progress, sink)?;
        Ok(result)
    }

    /// Sets out from the beginning, or from a checkpoint where that is asked for and there is one.
    fn begin(prepared: Prepared, goes_on: bool, mut folder: RunFolder, device: &Device) -> Result<Self> {
        let Prepared { recipe, data, preprocessing, model } = prepared;
        let recipe_text = recipe.to_toml()?;
        let mut warnings: Vec<Notice> =
            data.warnings.iter().map(|warning| Notice { message: warning.clone(), hint: None }).collect();
        let tight = memory::warning(&model.summary(), recipe.train.batch, recipe.train.accumulate);
        warnings.extend(tight.map(|(message, hint)| Notice { message, hint: Some(hint) }));
        warnings.extend(
            recipe.out_of_reach(recipe.total_steps(data.train.len())).map(|message| Notice { message, hint: None }),
        );
        let mut trainer = Trainer::new(model, &recipe, device);
        let now = if goes_on {
            let origin = Origin { recipe: &recipe_text, images: &data.provenance.md5 };
            let (now, warning) = restore(&folder, &mut trainer, &origin, device)?;
            warnings.extend(warning);
            now
        } else {
            Progress::default()
        };
        folder.rewind(now.step)?;
        folder.write("recipe.toml", &recipe_text)?;
        // A finished run was trained where it says.
        if now.step < recipe.total_steps(data.train.len()) || Machine::of_run(folder.path()).is_none() {
            Machine::here().save(folder.path())?;
        }
        let normalizer = Arc::new(preprocessing.normalizer()?);
        let first_step = now.step * recipe.train.accumulate as u64;
        let loader = loader(Arc::new(data.train.clone()), &preprocessing, &recipe, first_step)?;
        let steps = recipe.total_steps(data.train.len());
        let metadata = Metadata {
            model: trainer.model().spec.options(),
            preprocessing,
            classes: data.classes.clone(),
            recipe: Some(recipe_text.clone()),
            step: 0,
            trained_on: Some(data.label()),
        };
        Ok(Self {
            folder,
            steps,
            steps_per_epoch: recipe.steps_per_epoch(data.train.len()),
            schedule: recipe.schedule(steps),
            recipe,
            recipe_text,
            data,
            metadata,
            normalizer,
            trainer,
            loader,
            now,
            clock: Instant::now(),
            waited: 0.0,
            warnings,
        })
    }

    /// The result of a run that had ended already.
    fn finished(&self) -> Result<Option<RunResult>> {
        let path = self.folder.summary();
        if self.now.step < self.steps || !path.exists() {
            return Ok(None);
        }
        let text = std::fs::read_to_string(&path).map_err(|error| Error::io("read", &path, error))?;
        Ok(serde_json::from_str(&text).ok().map(|result| record::at(result, self.folder.path())))
    }

    /// Tells `event` to the sink and to `metrics.jsonl`.
    fn tell(&mut self, event: Event, sink: &mut dyn Sink) -> Result<()> {
        self.folder.log(&event)?;
        sink.event(&event);
        Ok(())
    }

    fn announce(&mut self, sink: &mut dyn Sink) -> Result<()> {
        let summary = self.trainer.model().summary();
        let start = Event::Start {
            step: self.now.step,
            steps: self.steps,
            steps_per_epoch: self.steps_per_epoch,
            model: summary.name,
            params: summary.params,
            images: self.data.train.len() as u64,
            path: self.folder.path().to_owned(),
        };
        self.tell(start, sink)?;
        for Notice { message, hint } in std::mem::take(&mut self.warnings) {
            self.tell(Event::Warning { step: self.now.step, message, hint }, sink)?;
        }
        self.tick();
        Ok(())
    }

    fn next_batches(&mut self) -> Result<Vec<Batch>> {
        (0..self.recipe.train.accumulate).map(|_| self.loader.next()).collect()
    }

    fn step(&mut self, batches: &mut [Batch]) -> (Outcome, f64) {
        let lr = self.schedule.lr(self.now.step, &self.now.schedule);
        let outcome = self.trainer.step(batches, self.now.step, lr);
        self.now.step += 1;
        (outcome, lr)
    }

    /// Brings the clocks up to date.
    fn tick(&mut self) {
        let elapsed = self.clock.elapsed().as_secs_f64();
        self.clock = Instant::now();
        let waited = self.loader.waited().as_secs_f64();
        self.now.seconds += elapsed;
        self.now.epoch_seconds += elapsed;
        self.now.epoch_wait += waited - self.waited;
        self.waited = waited;
    }

    /// Takes in what a step saw.
    fn observe(&mut self, outcome: Outcome, lr: f64, sink: &mut dyn Sink) -> Result<()> {
        let step = self.now.step;
        self.tick();
        self.tell(Event::Step { step, loss: outcome.loss, lr }, sink)?;
        if !outcome.loss.is_finite() {
            return Err(self.diverged(&format!("the loss is {} at", outcome.loss), lr));
        }
        self.now.loss_sum += outcome.loss;
        self.now.wrong += outcome.wrong;
        self.now.images += outcome.images;
        let error = 100.0 * outcome.wrong as f64 / outcome.images as f64;
        self.schedule.trained(&mut self.now.schedule, error);
        self.watch(outcome.loss, sink)
    }

    fn diverged(&self, what: &str, lr: f64) -> Error {
        let message = format!("{what} step {}, at a learning rate of {lr}", self.now.step);
        let hint = "try a tenth of optimizer.lr, schedule.warmup_steps = 500, or optimizer.clip_norm = 1";
        Error::new(Kind::Training, message).with_hint(hint)
    }

    /// Warns once where the loss has not left that of guessing.
    fn watch(&mut self, loss: f64, sink: &mut dyn Sink) -> Result<()> {
        let guess = (self.metadata.classes.len() as f64).ln();
        let smooth = self.now.smooth_loss.map_or(loss, |smooth| 0.98 * smooth + 0.02 * loss);
        self.now.smooth_loss = Some(smooth);
        let stuck = (smooth - guess).abs() < 0.01 * guess;
        if self.now.warned_stuck || self.now.step < STUCK_AFTER || !stuck {
            return Ok(());
        }
        self.now.warned_stuck = true;
        let message = format!(
            "after {} steps the loss is still that of guessing, ln({}) = {guess:.3}: the network does not learn",
            self.now.step,
            self.metadata.classes.len()
        );
        let hint = "a deep VGG without batch norm stands there because its signal dies out from a small random start: the \
                    paper trained net A first and started deeper ones from it (model.from); the -bn networks, \
                    model.init = \"he\" or a lower optimizer.lr help as well";
        self.tell(Event::Warning { step: self.now.step, message, hint: Some(hint.into()) }, sink)
    }

    fn is_epoch_end(&self) -> bool {
        self.now.step.is_multiple_of(self.steps_per_epoch) || self.now.step == self.steps
    }

    fn is_checkpoint_due(&self) -> bool {
        let every = self.recipe.train.checkpoint_every;
        self.is_epoch_end() || (every > 0 && self.now.step.is_multiple_of(every))
    }

    /// Ends an epoch: validates, keeps the best weights, reports.
    fn validate(&mut self, lr: f64, progress: &mut dyn data::Progress, sink: &mut dyn Sink) -> Result<()> {
        let training_seconds = self.now.epoch_seconds;
        let result = if self.data.validation.is_empty() {
            None
        } else {
            let model = self.trainer.tested();
            let validation = &self.data.validation;
            let classifier = Classifier::new(&model, validation.len(), self.recipe.train.precise);
            let result = evaluate(&classifier, validation, &self.normalizer, &self.data.classes, progress)?;
            self.keep_best(&model, &result)?;
            self.schedule.validated(&mut self.now.schedule, result.top1_error);
            Some(result)
        };
        self.tick();
        let images = self.now.images as f64;
        let steps = (self.now.images as f64 / (self.recipe.train.batch * self.recipe.train.accumulate) as f64).max(1.0);
        let epoch = Event::Epoch {
            epoch: self.now.step.div_ceil(self.steps_per_epoch),
            step: self.now.step,
            train_loss: self.now.loss_sum / steps.round(),
            train_top1_error: 100.0 * self.now.wrong as f64 / images.max(1.0),
            val_loss: result.as_ref().map(|result| result.loss),
            val_top1_error: result.as_ref().map(|result| result.top1_error),
            lr,
            images_per_second: images / training_seconds.max(1e-9),
            data_wait: self.now.epoch_wait,
            seconds: self.now.epoch_seconds,
        };
        self.tell(epoch, sink)?;
        let (now, fresh) = (&mut self.now, Progress::default());
        (now.loss_sum, now.wrong, now.images) = (fresh.loss_sum, fresh.wrong, fresh.images);
        (now.epoch_seconds, now.epoch_wait) = (fresh.epoch_seconds, fresh.epoch_wait);
        Ok(())
    }

    fn keep_best(&mut self, model: &Model, result: &Evaluation) -> Result<()> {
        let (error, loss) = (result.top1_error, result.loss);
        // Finite weights may still overflow on an image.
        if !loss.is_finite() || self.now.best.is_some_and(|best| !best.is_beaten_by(error, loss)) {
            return Ok(());
        }
        self.now.best = Some(Best { error, loss, step: self.now.step });
        self.save_weights(model, self.folder.best())
    }

    fn save_weights(&self, model: &Model, path: PathBuf) -> Result<()> {
        weights::save(&path, model, &Metadata { step: self.now.step, ..self.metadata.clone() })
    }

    fn origin(&self) -> Origin<'_> {
        Origin { recipe: &self.recipe_text, images: &self.data.provenance.md5 }
    }

    /// Makes what was done so far safe from anything.
    fn checkpoint(&mut self, sink: &mut dyn Sink) -> Result<()> {
        self.tick();
        let (path, previous) = (self.folder.state(), self.folder.previous_state());
        state::save(&path, &previous, &self.trainer, &self.now, &self.origin())?;
        self.save_weights(&self.trainer.tested(), self.folder.last())?;
        self.tell(Event::Checkpoint { step: self.now.step, path }, sink)
    }

    fn interrupted(&self) -> Error {
        let message = format!("stopped at step {} of {}, with a checkpoint", self.now.step, self.steps);
        let path = self.folder.path().display().to_string();
        // As a shell takes it.
        let path = if path.contains(char::is_whitespace) { format!("'{path}'") } else { path };
        let hint = format!("go on with `residual train --resume --out {path}`");
        Error::new(Kind::Interrupted, message).with_hint(hint)
    }
}

/// The state that a run goes on from: the newest that is whole. A note where that is not the newest.
fn restore(
    folder: &RunFolder,
    trainer: &mut Trainer,
    origin: &Origin<'_>,
    device: &Device,
) -> Result<(Progress, Option<Notice>)> {
    let (newest, previous) = (folder.state(), folder.previous_state());
    let error = match state::load(&newest, trainer, origin, device) {
        Ok(progress) => return Ok((progress, None)),
        Err(error) => error,
    };
    if !previous.exists() {
        return Err(match newest.exists() {
            true => error,
            false => Error::usage(format!(
                "{} holds a finished run, and no state of it to go on from",
                folder.path().display()
            ))
            .with_hint("choose another --out"),
        });
    }
    let progress = state::load(&previous, trainer, origin, device)?;
    let message = format!("{error}; going on from the one before it, of step {}", progress.step);
    Ok((progress, Some(Notice { message, hint: None })))
}
