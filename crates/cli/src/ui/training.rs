//! Shows a training run: JSON lines with `--json`, else a line per epoch on stdout and a progress
//! bar of the epoch's steps. Without a terminal, a line every ten seconds replaces the bar.

use super::Ui;
use super::numbers::{duration, learning_rate, percent, rate, thousands};
use super::running_means::RunningMeans;
use super::table::{Align, Table};
use indicatif::ProgressBar;
use residual::{Error, Result};
use residual_train::eval::TestProtocol;
use residual_train::ops::profile::{self, Spent};
use residual_train::train::{Event, Sink};
use serde::Serialize;
use std::time::{Duration, Instant};

/// Time between step lines.
const INTERVAL: Duration = Duration::from_secs(10);

const BAR: &str = "{prefix} {bar:24} {pos}/{len}  {msg}";

/// Line of `--json`: the time of each operation.
#[derive(Debug, Serialize)]
struct ProfileEvent {
    event: &'static str,
    /// Seconds since the first step.
    seconds: f64,
    operations: Vec<Spent>,
}

/// Sink that shows one run.
#[derive(Debug)]
pub struct TrainingView<'a> {
    ui: &'a mut Ui,
    profile: bool,
    /// Images per step.
    batch: u64,
    steps: u64,
    steps_per_epoch: u64,
    bar: Option<ProgressBar>,
    began: Instant,
    last_line: Instant,
    means: RunningMeans,
    failure: Option<Error>,
}

impl<'a> TrainingView<'a> {
    /// Creates a view. `batch` is the number of images per step; `profile` prints the time of each
    /// operation at the end.
    pub fn new(ui: &'a mut Ui, batch: usize, profile: bool) -> Self {
        Self {
            ui,
            profile,
            batch: batch as u64,
            steps: 0,
            steps_per_epoch: 1,
            bar: None,
            began: Instant::now(),
            last_line: Instant::now(),
            means: RunningMeans::default(),
            failure: None,
        }
    }

    /// Ends the view and returns the first error of printing.
    pub fn finish(&mut self) -> Result<()> {
        self.clear();
        self.failure.take().map_or(Ok(()), Err)
    }

    fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn show(&mut self, event: &Event) -> Result<()> {
        if self.profile {
            match event {
                Event::Start { .. } => profile::start(),
                Event::Done { .. } => self.operations()?,
                _ => {}
            }
        }
        if self.ui.json() {
            self.ui.value(event)?;
        }
        match event {
            Event::Start { step, steps, steps_per_epoch, model, params, images, path, .. } => {
                (self.steps, self.steps_per_epoch) = (*steps, (*steps_per_epoch).max(1));
                let begin =
                    if *step > 0 { format!("resuming at step {step} of {steps}") } else { format!("{steps} steps") };
                let epochs = steps.div_ceil(self.steps_per_epoch);
                self.text(&format!(
                    "{model}: {} parameters, {} training images, {begin}, {epochs} {} → {}",
                    thousands(*params),
                    thousands(*images),
                    if epochs == 1 { "epoch" } else { "epochs" },
                    path.display()
                ))
            }
            Event::Step { step, loss, lr } => self.step(*step, *loss, *lr),
            Event::Epoch { .. } => self.epoch(event),
            Event::Checkpoint { .. } | Event::Failed { .. } => Ok(()),
            Event::Warning { message, hint, .. } => {
                self.ui.warning(message, hint.as_deref());
                Ok(())
            }
            Event::Done { .. } => self.done(event),
        }
    }

    /// Prints a line, unless stdout is JSON.
    fn text(&mut self, line: &str) -> Result<()> {
        if self.ui.json() { Ok(()) } else { self.ui.line(line) }
    }

    fn step(&mut self, step: u64, loss: f64, lr: f64) -> Result<()> {
        let now = Instant::now();
        self.means.step((now - self.began).as_secs_f64(), loss);
        if self.ui.bars.visible() {
            self.draw(step, lr);
        } else if now - self.last_line > INTERVAL {
            self.last_line = now;
            let line = format!("step {step}/{}  {}", self.steps, self.state(step, lr));
            return self.text(&line);
        }
        Ok(())
    }

    /// Formats loss, learning rate, speed and remaining time.
    fn state(&self, step: u64, lr: f64) -> String {
        let mut text = format!("loss {:.4}  lr {}", self.means.loss.unwrap_or(f64::NAN), learning_rate(lr));
        let left = self.means.left(self.steps.saturating_sub(step));
        if let (Some(speed), Some(left)) = (self.means.rate(self.batch), left) {
            text += &format!("  {} images/s  {} left", rate(speed), duration(left));
        }
        text
    }

    fn draw(&mut self, step: u64, lr: f64) {
        let epoch = step.saturating_sub(1) / self.steps_per_epoch;
        let epochs = self.steps.div_ceil(self.steps_per_epoch);
        let first = epoch * self.steps_per_epoch;
        let length = self.steps_per_epoch.min(self.steps - first.min(self.steps));
        let message = self.state(step, lr);
        let bars = &self.ui.bars;
        let bar = self.bar.get_or_insert_with(|| bars.add(length, BAR));
        bar.set_length(length);
        bar.set_prefix(format!("epoch {}/{epochs}", epoch + 1));
        bar.set_message(message);
        bar.set_position(step - first);
    }

    fn epoch(&mut self, event: &Event) -> Result<()> {
        let Event::Epoch {
            epoch,
            train_loss,
            train_top1_error,
            val_loss,
            val_top1_error,
            lr,
            images_per_second,
            data_wait,
            seconds,
            ..
        } = event
        else {
            return Ok(());
        };
        self.means.pause();
        self.last_line = Instant::now();
        let epochs = self.steps.div_ceil(self.steps_per_epoch);
        let mut line =
            format!("epoch {epoch}/{epochs}  loss {train_loss:.4}  error {}", percent(Some(*train_top1_error)));
        if let Some(val_loss) = val_loss {
            line += &format!("  val loss {val_loss:.4}  val error {}", percent(*val_top1_error));
        }
        line += &format!(
            "  lr {}  {} images/s  data wait {}  {}",
            learning_rate(*lr),
            rate(*images_per_second),
            duration(*data_wait),
            duration(*seconds)
        );
        self.text(&line)
    }

    /// Prints the time of each operation since the first step.
    fn operations(&mut self) -> Result<()> {
        let (operations, total) = profile::spent();
        if self.ui.json() {
            return self.ui.value(&ProfileEvent { event: "profile", seconds: total, operations });
        }
        self.clear();
        let mut table = Table::new(&[
            ("operation", Align::Left),
            ("calls", Align::Right),
            ("seconds", Align::Right),
            ("share", Align::Right),
        ]);
        let row = |name: &str, calls: String, seconds: f64, share: f64| {
            vec![name.to_owned(), calls, format!("{seconds:.2}"), format!("{:.1} %", 100.0 * share)]
        };
        for spent in &operations {
            table.row(row(spent.operation, thousands(spent.calls), spent.seconds, spent.share));
        }
        let rest = total - operations.iter().map(|spent| spent.seconds).sum::<f64>();
        table.row(row("other", String::new(), rest, rest / total.max(1e-9)));
        self.ui.line(&table.render())
    }

    fn done(&mut self, event: &Event) -> Result<()> {
        let Event::Done { test_top1_error, test_top5_error, checkpoint, rule, protocol, seconds, report, .. } = event
        else {
            return Ok(());
        };
        self.clear();
        let selection = match rule.as_str() {
            "best" => "best (lowest validation error)",
            "last" => "last (no validation split)",
            other => other,
        };
        let mut line = format!("test error {}", percent(*test_top1_error));
        if test_top5_error.is_some() {
            line += &format!(", top-5 {}", percent(*test_top5_error));
        }
        if *protocol == TestProtocol::Flip {
            line += " (averaged with mirror images)";
        }
        line += &format!("  weights: {selection}, {}  {}", checkpoint.display(), duration(*seconds));
        if let Some(report) = report {
            line += &format!("\nreport: {}", report.display());
        }
        self.text(&line)
    }
}

impl Sink for TrainingView<'_> {
    /// Shows the event. Errors of printing do not stop a run; [`TrainingView::finish`] returns the
    /// first.
    fn event(&mut self, event: &Event) {
        if let Err(error) = self.show(event) {
            self.failure.get_or_insert(error);
        }
    }
}
