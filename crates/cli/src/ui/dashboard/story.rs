//! What the dashboard knows of a run: it grows with the events, and is drawn from time to time.

use super::super::means::Means;
use super::super::numbers::{duration, percent};
use residual_train::train::{Event, Record};
use std::collections::VecDeque;

/// Points of the loss curve that are kept; more are halved by taking the mean of each two.
const POINTS: usize = 4096;

/// Recent events that are kept.
const RECENT: usize = 100;

/// One epoch on the curves.
#[derive(Debug, Clone, Copy)]
pub struct Epoch {
    /// Steps done.
    pub step: u64,
    /// Loss on the validation split.
    pub val_loss: Option<f64>,
    /// Training error, percent.
    pub train_error: f64,
    /// Validation error, percent.
    pub val_error: Option<f64>,
    /// Share of the epoch's seconds that were spent waiting for data.
    pub waiting: f64,
}

/// Work beside the steps: validating, testing.
#[derive(Debug, Clone, Default)]
pub struct Work {
    /// A phrase.
    pub what: String,
    /// Units in all; 0 where that is not known.
    pub total: u64,
    /// Units done.
    pub done: u64,
}

/// A run so far.
#[derive(Debug, Clone, Default)]
pub struct Story {
    /// Images of a step.
    pub batch: u64,
    /// The network, its size, its data.
    pub title: String,
    /// Steps done.
    pub step: u64,
    /// Steps in all.
    pub steps: u64,
    /// Steps of an epoch.
    pub steps_per_epoch: u64,
    /// Learning rate of the last step.
    pub lr: f64,
    /// Running means.
    pub means: Means,
    /// (step, loss), the loss of one batch or the mean of several.
    pub losses: Vec<(f64, f64)>,
    /// (step, images per second), running means.
    pub speeds: Vec<(f64, f64)>,
    /// Steps that stand behind one point of the two.
    stride: u64,
    /// Epochs that ended.
    pub epochs: Vec<Epoch>,
    /// Work beside the steps, if there is any under way.
    pub work: Option<Work>,
    /// (seconds since the beginning, what happened), the newest last.
    pub recent: VecDeque<(f64, String)>,
    /// The most memory that was used, MiB.
    pub memory_mb: Option<u64>,
    /// Somebody asked it to stop.
    pub stopping: bool,
}

impl Story {
    /// A run of `batch` images a step.
    pub fn new(batch: u64) -> Self {
        Self { batch, stride: 1, ..Self::default() }
    }

    /// Takes in what happened `at` seconds after the beginning.
    pub fn take(&mut self, event: &Event, at: f64) {
        match event {
            Event::Start { step, steps, steps_per_epoch, model, params, images, path } => {
                (self.step, self.steps, self.steps_per_epoch) = (*step, *steps, (*steps_per_epoch).max(1));
                let (params, images) =
                    (super::super::numbers::short(*params), super::super::numbers::thousands(*images));
                self.title = format!("{model}, {params} parameters, {images} images");
                let begin = if *step > 0 { format!("goes on at step {step}") } else { "begins".to_owned() };
                self.tell(at, format!("the run {begin}: {}", path.display()));
            }
            Event::Step { step, loss, lr } => self.step(*step, *loss, *lr, at),
            Event::Epoch { .. } => self.epoch(event, at),
            Event::Checkpoint { step, .. } => self.tell(at, format!("checkpoint at step {step}")),
            Event::Warning { message, hint, .. } => {
                let hint = hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
                self.tell(at, format!("warning: {message}{hint}"));
            }
            Event::Done { test_top1_error, .. } => self.tell(at, format!("test error {}", percent(*test_top1_error))),
            Event::Failed { message, .. } => self.tell(at, format!("failed: {message}")),
        }
    }

    /// Takes in what an earlier sitting left of a run that goes on, up to where it goes on.
    pub fn recall(&mut self, record: &Record) {
        let earlier = record.steps.iter().filter(|step| step.step <= self.step && step.loss.is_finite());
        self.losses = earlier.map(|step| (step.step as f64, step.loss)).collect();
        while self.losses.len() > POINTS {
            self.losses = halved(&self.losses);
            self.stride *= 2;
        }
        let epochs = record.epochs.iter().filter(|epoch| epoch.step <= self.step);
        self.epochs = epochs
            .map(|epoch| Epoch {
                step: epoch.step,
                val_loss: epoch.val_loss,
                train_error: epoch.train_error,
                val_error: epoch.val_error,
                waiting: epoch.data_wait / epoch.seconds.max(1e-9),
            })
            .collect();
    }

    /// Adds a line to the recent events.
    pub fn tell(&mut self, at: f64, text: String) {
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back((at, text));
    }

    fn step(&mut self, step: u64, loss: f64, lr: f64, at: f64) {
        self.means.step(at, loss);
        (self.step, self.lr, self.work) = (step, lr, None);
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
        self.epochs.push(Epoch {
            step: *step,
            val_loss: *val_loss,
            train_error: *train_top1_error,
            val_error: *val_top1_error,
            waiting: data_wait / seconds.max(1e-9),
        });
        let mut line = format!("epoch {epoch}: loss {train_loss:.4}, error {}", percent(Some(*train_top1_error)));
        if val_top1_error.is_some() {
            line += &format!(", validation {}", percent(*val_top1_error));
        }
        self.tell(at, format!("{line}, {}", duration(*seconds)));
    }

    /// The lowest validation error so far.
    pub fn best(&self) -> Option<f64> {
        self.epochs.iter().filter_map(|epoch| epoch.val_error).reduce(f64::min)
    }
}

/// The means of each two neighbours.
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
        let mut story = Story::new(8);
        for step in 1..=100_000 {
            story.take(&Event::Step { step, loss: 1.0 / step as f64, lr: 0.1 }, step as f64);
        }
        assert!(story.losses.len() <= POINTS && story.losses.len() > POINTS / 4);
        let steps: Vec<f64> = story.losses.iter().map(|point| point.0).collect();
        assert!(steps.is_sorted() && steps[0] < 50.0 && *steps.last().expect("points") > 99_900.0);
        assert!(story.speeds.iter().all(|point| (point.1 - 8.0).abs() < 1e-9));
    }

    #[test]
    fn a_run_that_goes_on_shows_what_it_was_before() {
        let folder = tempfile::tempdir().expect("a folder");
        let step = |step: u32| format!("{{\"event\":\"step\",\"step\":{step},\"loss\":2.0,\"lr\":0.1}}\n");
        let epoch = r#"{"event":"epoch","epoch":1,"step":2,"train_loss":2.0,"train_top1_error":80.0,"val_loss":1.0,"val_top1_error":70.0,"data_wait":1.0,"seconds":4.0}"#;
        let metrics = (1..=2).map(step).collect::<String>() + epoch + "\n" + &step(3);
        let recipe = residual_train::recipe::Recipe::load("shapes-resnet20", &[]).and_then(|recipe| recipe.to_toml());
        std::fs::write(folder.path().join("recipe.toml"), recipe.expect("a recipe")).expect("writable");
        std::fs::write(folder.path().join("metrics.jsonl"), metrics).expect("writable");
        let mut story = Story { step: 2, ..Story::new(8) };
        story.recall(&Record::read(folder.path()).expect("a run"));
        assert_eq!(story.losses, [(1.0, 2.0), (2.0, 2.0)], "the third step is taken again");
        assert_eq!((story.epochs.len(), story.best(), story.epochs[0].waiting), (1, Some(70.0), 0.25));
    }

    #[test]
    fn a_loss_that_is_no_number_does_not_bend_the_curve() {
        let mut story = Story::new(8);
        story.take(&Event::Step { step: 1, loss: f64::NAN, lr: 0.1 }, 1.0);
        assert!(story.losses.is_empty() && story.step == 1);
    }
}
