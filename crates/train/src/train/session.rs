//! A run while this process trains it: its steps, epochs and checkpoints.

use super::event::{Event, Sink};
use super::folder::RunFolder;
use super::machine::Machine;
use super::memory;
use super::prepare::Prepared;
use super::record::{self, RunResult};
use super::state::{self, Best, RunIdentity, TrainState};
use super::trainer::{StepMetrics, Trainer};
use crate::data::{self, Batch, Dataset, Loader, Normalizer};
use crate::error::{Error, Kind, Result};
use crate::eval::{Evaluation, InferenceSession, evaluate};
use crate::models::Model;
use crate::recipe::ResolvedRecipe;
use crate::weights::{self, Metadata};
use burn::tensor::Device;
use std::path::PathBuf;
use std::time::Instant;

/// Steps after which a loss that is still ln(classes) is worth a warning.
const STUCK_AFTER: u64 = 300;

/// A warning that is given before the first step.
struct StartWarning {
    message: String,
    hint: Option<String>,
}

/// A run while this process trains it.
pub(super) struct Session {
    pub folder: RunFolder,
    pub recipe: ResolvedRecipe,
    recipe_text: String,
    pub data: Dataset,
    pub metadata: Metadata,
    pub normalizer: Normalizer,
    pub trainer: Trainer,
    loader: Loader,
    pub state: TrainState,
    /// When the times in `state` were last updated.
    clock: Instant,
    /// The loader's waiting time at that moment, in seconds.
    waited: f64,
    warnings: Vec<StartWarning>,
}

impl Session {
    /// Begins a new run in `folder`, or resumes the one in it from its newest readable state.
    ///
    /// # Errors
    /// The state is of another run or damaged, or the folder cannot be written.
    pub fn begin(
        prepared: Prepared,
        mut trainer: Trainer,
        mut folder: RunFolder,
        resumed: bool,
        device: &Device,
    ) -> Result<Self> {
        let recipe_text = prepared.recipe.written().to_toml()?;
        let mut warnings = start_warnings(&prepared, &trainer);
        let mut state = TrainState::default();
        if resumed {
            let identity = RunIdentity { recipe: &recipe_text, images: &prepared.data.provenance.md5 };
            let (restored, warning) = restore(&folder, &mut trainer, &identity, device)?;
            state = restored;
            warnings.extend(warning);
        }
        let train = &prepared.recipe.train;
        folder.rewind(state.step)?;
        folder.write("recipe.toml", &recipe_text)?;
        // A finished run keeps the machine that trained it.
        if state.step < train.steps || Machine::of_run(folder.path()).is_none() {
            Machine::here().save(folder.path())?;
        }
        let loader = prepared.loader(state.step * train.accumulate as u64)?;
        let Prepared { recipe, data, preprocessing } = prepared;
        let normalizer = preprocessing.normalizer()?;
        let metadata = Metadata {
            model: trainer.spec().options(),
            preprocessing,
            classes: data.classes.clone(),
            recipe: Some(recipe_text.clone()),
            step: 0,
            trained_on: Some(data.label()),
        };
        Ok(Self {
            folder,
            recipe,
            recipe_text,
            data,
            metadata,
            normalizer,
            trainer,
            loader,
            state,
            clock: Instant::now(),
            waited: 0.0,
            warnings,
        })
    }

    /// Whether all steps are taken.
    pub fn is_done(&self) -> bool {
        self.state.step >= self.recipe.train.steps
    }

    /// Whether an epoch ends after the last step.
    pub fn is_epoch_end(&self) -> bool {
        self.state.step.is_multiple_of(self.recipe.train.steps_per_epoch) || self.state.step == self.recipe.train.steps
    }

    /// Whether a checkpoint is due after the last step.
    pub fn is_checkpoint_due(&self) -> bool {
        let every = self.recipe.train.checkpoint_every;
        self.is_epoch_end() || (every > 0 && self.state.step.is_multiple_of(every))
    }

    /// Returns the result that the folder holds, if the run is finished.
    ///
    /// # Errors
    /// The file of the result cannot be read.
    pub fn result(&self) -> Result<Option<RunResult>> {
        let path = self.folder.summary();
        if !self.is_done() || !path.exists() {
            return Ok(None);
        }
        let text = std::fs::read_to_string(&path).map_err(|error| Error::io("read", &path, error))?;
        Ok(serde_json::from_str(&text).ok().map(|result| record::at(result, self.folder.path())))
    }

    /// Sends `event` to the sink and appends it to `metrics.jsonl`.
    pub fn emit(&mut self, event: Event, sink: &mut dyn Sink) -> Result<()> {
        self.folder.log(&event)?;
        sink.event(&event);
        Ok(())
    }

    /// Emits the start of the run and the warnings about it.
    pub fn announce(&mut self, sink: &mut dyn Sink) -> Result<()> {
        let summary = self.trainer.spec().summary();
        let start = Event::Start {
            step: self.state.step,
            ranks: 1,
            steps: self.recipe.train.steps,
            steps_per_epoch: self.recipe.train.steps_per_epoch,
            model: summary.name,
            params: summary.params,
            images: self.recipe.data.train as u64,
            path: self.folder.path().to_owned(),
        };
        self.emit(start, sink)?;
        for StartWarning { message, hint } in std::mem::take(&mut self.warnings) {
            self.emit(Event::Warning { step: self.state.step, message, hint }, sink)?;
        }
        self.update_times();
        Ok(())
    }

    /// Returns the batches of the next step.
    ///
    /// # Errors
    /// An image cannot be read.
    pub fn next_batches(&mut self) -> Result<Vec<Batch>> {
        (0..self.recipe.train.accumulate).map(|_| self.loader.next()).collect()
    }

    /// Takes one optimiser step; returns its metrics and its learning rate.
    pub fn step(&mut self, batches: &mut [Batch]) -> (StepMetrics, f64) {
        let lr = self.recipe.schedule.lr(self.state.step, &self.state.schedule);
        let metrics = self.trainer.step(batches, self.state.step, lr);
        self.state.step += 1;
        (metrics, lr)
    }

    /// Records a step's metrics and emits them.
    ///
    /// # Errors
    /// The loss is not finite, or the disk is full.
    pub fn record(&mut self, metrics: StepMetrics, lr: f64, sink: &mut dyn Sink) -> Result<()> {
        let StepMetrics { loss, wrong, images } = metrics;
        self.update_times();
        self.emit(Event::Step { step: self.state.step, loss, lr }, sink)?;
        if !loss.is_finite() {
            return Err(self.diverged(&format!("the loss is {loss} at"), lr));
        }
        self.state.loss_sum += loss;
        self.state.wrong += wrong;
        self.state.images += images;
        self.recipe.schedule.trained(&mut self.state.schedule, 100.0 * wrong as f64 / images as f64);
        self.warn_if_stuck(loss, sink)
    }

    /// Checks that the weights are finite.
    ///
    /// # Errors
    /// They are not.
    pub fn check_weights(&self, lr: f64) -> Result<()> {
        match self.trainer.is_finite() {
            true => Ok(()),
            false => Err(self.diverged("the weights are no longer finite after", lr)),
        }
    }

    fn diverged(&self, what: &str, lr: f64) -> Error {
        let message = format!("{what} step {}, at a learning rate of {lr}", self.state.step);
        let hint = "try a tenth of optimizer.lr, schedule.warmup_steps = 500, or optimizer.clip_norm = 1";
        Error::new(Kind::Training, message).with_hint(hint)
    }

    /// Warns once if the loss stays that of random guessing.
    fn warn_if_stuck(&mut self, loss: f64, sink: &mut dyn Sink) -> Result<()> {
        let classes = self.metadata.classes.len();
        let guess = (classes as f64).ln();
        let smooth = self.state.smooth_loss.map_or(loss, |smooth| 0.98 * smooth + 0.02 * loss);
        self.state.smooth_loss = Some(smooth);
        let stuck = (smooth - guess).abs() < 0.01 * guess;
        if self.state.warned_stuck || self.state.step < STUCK_AFTER || !stuck {
            return Ok(());
        }
        self.state.warned_stuck = true;
        let step = self.state.step;
        let message = format!(
            "the network does not learn: after {step} steps the loss is that of guessing, ln({classes}) = {guess:.3}"
        );
        let hint = "in a deep VGG without batch norm the signal vanishes from a small random start: the paper \
                    trained net A first and started deeper ones from it (model.from); the -bn networks, \
                    model.init = \"he\" or a lower optimizer.lr help as well";
        self.emit(Event::Warning { step, message, hint: Some(hint.into()) }, sink)
    }

    /// Ends an epoch: validates, keeps the best weights, emits the epoch's metrics.
    ///
    /// # Errors
    /// A validation image cannot be read, or the folder cannot be written.
    pub fn end_epoch(&mut self, lr: f64, progress: &mut dyn data::Progress, sink: &mut dyn Sink) -> Result<()> {
        let training_seconds = self.state.epoch_seconds;
        let result = self.validate(progress)?;
        self.update_times();
        let train = &self.recipe.train;
        let images = self.state.images as f64;
        let steps = (images / (train.batch * train.accumulate) as f64).max(1.0);
        let epoch = Event::Epoch {
            epoch: self.state.step.div_ceil(train.steps_per_epoch),
            step: self.state.step,
            train_loss: self.state.loss_sum / steps.round(),
            train_top1_error: 100.0 * self.state.wrong as f64 / images.max(1.0),
            val_loss: result.as_ref().map(|result| result.loss),
            val_top1_error: result.as_ref().map(|result| result.top1_error),
            lr,
            images_per_second: images / training_seconds.max(1e-9),
            data_wait: self.state.epoch_wait,
            seconds: self.state.epoch_seconds,
        };
        self.emit(epoch, sink)?;
        self.state.begin_epoch();
        Ok(())
    }

    /// Tests the weights on the validation split, if there is one, and keeps them if they are the
    /// best.
    fn validate(&mut self, progress: &mut dyn data::Progress) -> Result<Option<Evaluation>> {
        let validation = &self.data.validation;
        if validation.is_empty() {
            return Ok(None);
        }
        let model = self.trainer.tested();
        let session = InferenceSession::new(&model, validation.len(), self.recipe.train.winograd);
        let result = evaluate(&session, validation, &self.normalizer, &self.data.classes, progress)?;
        self.keep_best(&model, &result)?;
        self.recipe.schedule.validated(&mut self.state.schedule, result.top1_error);
        Ok(Some(result))
    }

    fn keep_best(&mut self, model: &Model, result: &Evaluation) -> Result<()> {
        let (error, loss) = (result.top1_error, result.loss);
        // Finite weights may still overflow on an image.
        if !loss.is_finite() || self.state.best.is_some_and(|best| !best.is_beaten_by(error, loss)) {
            return Ok(());
        }
        self.state.best = Some(Best { error, loss, step: self.state.step });
        self.save_weights(model, self.folder.best())
    }

    /// Writes `model` with this run's metadata to `path`.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn save_weights(&self, model: &Model, path: PathBuf) -> Result<()> {
        weights::save(&path, model, &Metadata { step: self.state.step, ..self.metadata.clone() })
    }

    /// Writes the state to resume from, and the weights.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn checkpoint(&mut self, sink: &mut dyn Sink) -> Result<()> {
        self.update_times();
        let (path, previous) = (self.folder.state(), self.folder.previous_state());
        let identity = RunIdentity { recipe: &self.recipe_text, images: &self.data.provenance.md5 };
        state::save(&path, &previous, &self.trainer, &self.state, &identity)?;
        self.save_weights(&self.trainer.tested(), self.folder.last())?;
        self.emit(Event::Checkpoint { step: self.state.step, path }, sink)
    }

    /// Updates the times in the state.
    pub fn update_times(&mut self) {
        let elapsed = self.clock.elapsed().as_secs_f64();
        self.clock = Instant::now();
        let waited = self.loader.waited().as_secs_f64();
        self.state.seconds += elapsed;
        self.state.epoch_seconds += elapsed;
        self.state.epoch_wait += waited - self.waited;
        self.waited = waited;
    }

    /// The error of a run that Ctrl-C stopped.
    pub fn interrupted(&self) -> Error {
        let (step, steps) = (self.state.step, self.recipe.train.steps);
        let path = self.folder.path().display().to_string();
        // Quoted for the shell.
        let path = if path.contains(char::is_whitespace) { format!("'{path}'") } else { path };
        Error::new(Kind::Interrupted, format!("stopped at step {step} of {steps}, with a checkpoint"))
            .with_hint(format!("go on with `residual train --resume --out {path}`"))
    }
}

/// Collects the warnings that the data, the batch size and the schedule give rise to.
fn start_warnings(prepared: &Prepared, trainer: &Trainer) -> Vec<StartWarning> {
    let Prepared { recipe, data, .. } = prepared;
    let plain = |message: String| StartWarning { message, hint: None };
    let memory = memory::warning(&trainer.spec().summary(), recipe.train.batch, recipe.train.accumulate);
    let mut warnings: Vec<StartWarning> = data.warnings.iter().cloned().map(plain).collect();
    warnings.extend(memory.map(|(message, hint)| StartWarning { message, hint: Some(hint) }));
    warnings.extend(recipe.unreached().map(plain));
    warnings
}

/// Restores the newest state that is readable, with a warning if that is not the newest.
///
/// # Errors
/// No state is readable, or the newest readable one is of another run.
fn restore(
    folder: &RunFolder,
    trainer: &mut Trainer,
    identity: &RunIdentity<'_>,
    device: &Device,
) -> Result<(TrainState, Option<StartWarning>)> {
    let (newest, previous) = (folder.state(), folder.previous_state());
    let error = match state::load(&newest, trainer, identity, device) {
        Ok(state) => return Ok((state, None)),
        Err(error) => error,
    };
    if !previous.exists() {
        return Err(match newest.exists() {
            true => error,
            false => {
                let message = format!("{} holds a finished run without a state to resume", folder.path().display());
                Error::usage(message).with_hint("choose another --out")
            }
        });
    }
    let state = state::load(&previous, trainer, identity, device)?;
    let message = format!("{error}; resuming from the one before it, of step {}", state.step);
    Ok((state, Some(StartWarning { message, hint: None })))
}
