//! State of the dashboard, updated by the events of a run.

use super::super::numbers::{duration, percent};
use super::super::running_means::RunningMeans;
use residual_train::train::{Event, Record};
use std::collections::VecDeque;

/// Most points of a curve; beyond, each two neighbours are averaged.
const POINTS: usize = 4096;

/// Number of recent events kept.
const RECENT: usize = 100;

/// Point of the curves by epoch.
#[derive(Debug, Clone, Copy)]
pub struct EpochPoint {
    /// Steps done.
    pub step: u64,
    /// Loss on the validation split.
    pub val_loss: Option<f64>,
    /// Training error, percent.
    pub train_error: f64,
    /// Validation error, percent.
    pub val_error: Option<f64>,
    /// Fraction of the epoch's time spent waiting for data.
    pub data_wait: f64,
}

/// Task other than training steps: validation, testing.
#[derive(Debug, Clone, Default)]
pub struct Task {
    /// What is done, as the progress bar shows it.
    pub name: String,
    /// Number of units; 0 if unknown.
    pub total: u64,
    /// Units done.
    pub done: u64,
}

/// Progress of a run.
#[derive(Debug, Clone, Default)]
pub struct DashboardState {
    /// Images per step.
    pub batch: u64,
    /// Title: network, parameters, images.
    pub title: String,
    /// Steps done.
    pub step: u64,
    /// Steps of the run.
    pub steps: u64,
    /// Steps per epoch.
    pub steps_per_epoch: u64,
    /// Learning rate of the last step.
    pub lr: f64,
    /// Running means.
    pub means: RunningMeans,
    /// (step, loss): the loss of a batch, or the mean of several.
    pub losses: Vec<(f64, f64)>,
    /// (step, images per second): running means.
    pub speeds: Vec<(f64, f64)>,
    /// Steps per point of both curves.
    stride: u64,
    /// Finished epochs.
    pub epochs: Vec<EpochPoint>,
    /// Current task, if it is not training.
    pub task: Option<Task>,
    /// (seconds since the start, text), newest last.
    pub recent: VecDeque<(f64, String)>,
    /// Peak memory, MiB.
    pub memory_mb: Option<u64>,
    /// A stop was requested.
    pub stopping: bool,
}

impl DashboardState {
    /// Creates the state of a run with `batch` images per step.
    pub fn new(batch: u64) -> Self {
        Self { batch, stride: 1, ..Self::default() }
    }

    /// Updates the state by an event, `at` seconds after the start.
    pub fn update(&mut self, event: &Event, at: f64) {
        match event {
            Event::Start { step, steps, steps_per_epoch, model, params, images, path, .. } => {
                (self.step, self.steps, self.steps_per_epoch) = (*step, *steps, (*steps_per_epoch).max(1));
                let (params, images) =
                    (super::super::numbers::short(*params), super::super::numbers::thousands(*images));
                self.title = format!("{model}, {params} parameters, {images} images");
                let verb = if *step > 0 { format!("resumed at step {step}") } else { "started".to_owned() };
                self.log(at, format!("run {verb}: {}", path.display()));
            }
            Event::Step { step, loss, lr } => self.step(*step, *loss, *lr, at),
            Event::Epoch { .. } => self.epoch(event, at),
            Event::Checkpoint { step, .. } => self.log(at, format!("checkpoint at step {step}")),
            Event::Warning { message, hint, .. } => {
                let hint = hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
                self.log(at, format!("warning: {message}{hint}"));
            }
            Event::Done { test_top1_error, .. } => self.log(at, format!("test error {}", percent(*test_top1_error))),
            Event::Failed { message, .. } => self.log(at, format!("failed: {message}")),
        }
    }

    /// Restores the curves of a resumed run, up to the step at which it resumes.
    pub fn restore(&mut self, record: &Record) {
        let earlier = record.steps.iter().filter(|step| step.step <= self.step && step.loss.is_finite());
        self.losses = earlier.map(|step| (step.step as f64, step.loss)).collect();
        while self.losses.len() > POINTS {
            self.losses = halved(&self.losses);
            self.stride *= 2;
        }
        let epochs = record.epochs.iter().filter(|epoch| epoch.step <= self.step);
        self.epochs = epochs
            .map(|epoch| EpochPoint {
                step: epoch.step,
                val_loss: epoch.val_loss,
                train_error: epoch.train_error,
                val_error: epoch.val_error,
                data_wait: epoch.data_wait / epoch.seconds.max(1e-9),
            })
            .collect();
    }

    /// Adds a recent event.
    pub fn log(&mut self, at: f64, text: String) {
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back((at, text));
    }

    fn step(&mut self, step: u64, loss: f64, lr: f64, at: f64) {
        self.means.step(at, loss);
        (self.step, self.lr, self.task) = (step, lr, None);
        if loss.is_finite() && step.is_multiple_of(self.stride) {
            self.losses.push((step as f64, if self.stride == 1 { loss } else { self.means.loss.unwrap_or(loss) }));
            self.speeds.extend(self.means.rate(self.batch).map(|rate| (step as f64, rate)));
        }
        if self.losses.len() > POINTS {
            (self.losses, self.speeds) = (halved(&self.losses), halved(&self.speeds));
            self.stride *= 2;
        }
    }

    fn epoch(&mut self, event: &Event, at: f64) {
        let Event::Epoch {
            epoch,
            step,
            train_loss,
            train_top1_error,
            val_loss,
            val_top1_error,
            data_wait,
            seconds,
            ..
        } = event
        else {
            return;
        };
        self.means.pause();
        self.epochs.push(EpochPoint {
            step: *step,
            val_loss: *val_loss,
            train_error: *train_top1_error,
            val_error: *val_top1_error,
            data_wait: data_wait / seconds.max(1e-9),
        });
        let mut line = format!("epoch {epoch}: loss {train_loss:.4}, error {}", percent(Some(*train_top1_error)));
        if val_top1_error.is_some() {
            line += &format!(", validation {}", percent(*val_top1_error));
        }
        self.log(at, format!("{line}, {}", duration(*seconds)));
    }

    /// Returns the lowest validation error so far.
    pub fn best(&self) -> Option<f64> {
        self.epochs.iter().filter_map(|epoch| epoch.val_error).reduce(f64::min)
    }
}

/// Averages each two neighbours.
fn halved(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mean = |pair: &[(f64, f64)]| {
        let n = pair.len() as f64;
        (pair.iter().map(|p| p.0).sum::<f64>() / n, pair.iter().map(|p| p.1).sum::<f64>() / n)
    };
    points.chunks(2).map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_run_keeps_a_bounded_curve_from_its_first_step_to_its_last() {
        let mut state = DashboardState::new(8);
        for step in 1..=100_000 {
            state.update(&Event::Step { step, loss: 1.0 / step as f64, lr: 0.1 }, step as f64);
        }
        assert!(state.losses.len() <= POINTS && state.losses.len() > POINTS / 4);
        let steps: Vec<f64> = state.losses.iter().map(|point| point.0).collect();
        assert!(steps.is_sorted() && steps[0] < 50.0 && *steps.last().expect("points") > 99_900.0);
        assert!(state.speeds.iter().all(|point| (point.1 - 8.0).abs() < 1e-9));
    }

    #[test]
    fn a_resumed_run_shows_its_earlier_curves() {
        let folder = tempfile::tempdir().expect("a folder");
        let step = |step: u32| format!("{{\"event\":\"step\",\"step\":{step},\"loss\":2.0,\"lr\":0.1}}\n");
        let epoch = r#"{"event":"epoch","epoch":1,"step":2,"train_loss":2.0,"train_top1_error":80.0,"val_loss":1.0,"val_top1_error":70.0,"data_wait":1.0,"seconds":4.0}"#;
        let metrics = (1..=2).map(step).collect::<String>() + epoch + "\n" + &step(3);
        let recipe = residual_train::recipe::Recipe::load("shapes-resnet20", &[]).and_then(|recipe| recipe.to_toml());
        std::fs::write(folder.path().join("recipe.toml"), recipe.expect("a recipe")).expect("writable");
        std::fs::write(folder.path().join("metrics.jsonl"), metrics).expect("writable");
        let mut state = DashboardState { step: 2, ..DashboardState::new(8) };
        state.restore(&Record::read(folder.path()).expect("a run"));
        assert_eq!(state.losses, [(1.0, 2.0), (2.0, 2.0)], "the third step is repeated");
        assert_eq!((state.epochs.len(), state.best(), state.epochs[0].data_wait), (1, Some(70.0), 0.25));
    }

    #[test]
    fn a_loss_that_is_nan_is_left_out_of_the_curve() {
        let mut state = DashboardState::new(8);
        state.update(&Event::Step { step: 1, loss: f64::NAN, lr: 0.1 }, 1.0);
        assert!(state.losses.is_empty() && state.step == 1);
    }
}
