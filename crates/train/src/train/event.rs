//! The events of a run: one type, many listeners (terminal, JSON lines, `metrics.jsonl`, a
//! dashboard).

use crate::eval::protocol::TestProtocol;
use serde::Serialize;
use std::path::PathBuf;

/// An event of a run. Serialised with an `event` key, events are the lines of `--json` and of
/// `metrics.jsonl`. Errors are in percent, times in seconds; `None` is `null` and means that the
/// value does not apply.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Event {
    /// Training begins, or is resumed, at `step` (0: a new run).
    Start {
        /// Steps done so far.
        step: u64,
        /// Processes that train together.
        ranks: u64,
        /// Steps of the whole run.
        steps: u64,
        /// Steps of one epoch.
        steps_per_epoch: u64,
        /// The network's name.
        model: String,
        /// Its trainable parameters.
        params: u64,
        /// Training images.
        images: u64,
        /// The run folder.
        path: PathBuf,
    },
    /// One optimiser step was taken.
    Step {
        /// Steps done, this one included.
        step: u64,
        /// Mean loss of the step's batch.
        loss: f64,
        /// Learning rate of the step.
        lr: f64,
    },
    /// One epoch ended and was validated.
    Epoch {
        /// Epochs done.
        epoch: u64,
        /// Steps done.
        step: u64,
        /// Mean training loss over the epoch.
        train_loss: f64,
        /// Training top-1 error over the epoch, as the augmented batches were seen.
        train_top1_error: f64,
        /// Validation loss.
        val_loss: Option<f64>,
        /// Validation top-1 error.
        val_top1_error: Option<f64>,
        /// Learning rate of the last step.
        lr: f64,
        /// Training images per second, waits included.
        images_per_second: f64,
        /// Seconds that the trainer waited for data in this epoch.
        data_wait: f64,
        /// Seconds that the epoch took, validation included.
        seconds: f64,
    },
    /// A checkpoint is safely on the disk.
    Checkpoint {
        /// Steps done.
        step: u64,
        /// The file that `--resume` reads.
        path: PathBuf,
    },
    /// Something the user should know that does not stop the run.
    Warning {
        /// Steps done.
        step: u64,
        /// One sentence.
        message: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// The run is over and its weights were tested once.
    Done {
        /// Steps done.
        step: u64,
        /// Test top-1 error.
        test_top1_error: Option<f64>,
        /// Test top-5 error; `None` with fewer than six classes.
        test_top5_error: Option<f64>,
        /// The weights that were tested.
        checkpoint: PathBuf,
        /// Which rule chose them: `best` (validation error) or `last`.
        rule: String,
        /// The test protocol: `center` or `flip`.
        protocol: TestProtocol,
        /// Seconds of the whole run, earlier sessions included.
        seconds: f64,
        /// The report; `None` if it was not written.
        report: Option<PathBuf>,
    },
    /// The run ended with an error. Only `metrics.jsonl` gets it: a listener gets the error itself.
    Failed {
        /// Steps done.
        step: u64,
        /// The error, in one sentence.
        message: String,
    },
}

/// A listener of a run's events.
pub trait Sink {
    /// Receives `event`.
    fn event(&mut self, event: &Event);
}

impl<F: FnMut(&Event)> Sink for F {
    fn event(&mut self, event: &Event) {
        self(event);
    }
}
