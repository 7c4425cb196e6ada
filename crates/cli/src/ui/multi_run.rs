//! Shows several runs that are trained one after the other: a bar for the current run on a
//! terminal, a line every 30 seconds elsewhere. All output goes to stderr, since stdout is for the
//! results.

use super::numbers::{duration, percent};
use super::progress_bars::ProgressBars;
use indicatif::ProgressBar;
use residual_train::data::Progress;
use residual_train::train::{Event, Sink};
use std::time::{Duration, Instant};

const BAR: &str = "{prefix} {bar:24} {pos}/{len}  {msg}";

/// Time between plain lines.
const INTERVAL: Duration = Duration::from_secs(30);

/// Sink that shows the current run.
#[derive(Debug)]
pub struct MultiRunView {
    bars: ProgressBars,
    bar: Option<ProgressBar>,
    name: String,
    steps: u64,
    first: u64,
    began: Instant,
    last_line: Instant,
}

impl MultiRunView {
    /// Creates a view that draws with `bars`.
    pub fn new(bars: ProgressBars) -> Self {
        let now = Instant::now();
        Self { bars, bar: None, name: String::new(), steps: 0, first: 0, began: now, last_line: now }
    }

    fn step(&mut self, step: u64, loss: f64) {
        let (taken, elapsed) = (step.saturating_sub(self.first).max(1), self.began.elapsed().as_secs_f64());
        let left = duration(self.steps.saturating_sub(step) as f64 * elapsed / taken as f64);
        if let Some(bar) = &self.bar {
            bar.set_message(format!("loss {loss:.4}  {left} left"));
            bar.set_position(step);
        } else if self.last_line.elapsed() > INTERVAL {
            self.last_line = Instant::now();
            let line = format!("{}: step {step}/{}  loss {loss:.4}  {left} left", self.name, self.steps);
            self.bars.note(&line);
        }
    }
}

impl Sink for MultiRunView {
    fn event(&mut self, event: &Event) {
        match event {
            Event::Start { step, steps, path, .. } => {
                self.name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
                (self.steps, self.first) = (*steps, *step);
                (self.began, self.last_line) = (Instant::now(), Instant::now());
                if self.bars.visible() {
                    let bar = self.bars.add(*steps, BAR);
                    bar.set_prefix(self.name.clone());
                    self.bar = Some(bar);
                }
            }
            Event::Step { step, loss, .. } => self.step(*step, *loss),
            Event::Warning { message, .. } => self.bars.note(&format!("{}: {message}", self.name)),
            Event::Done { test_top1_error, seconds, .. } => {
                // A run that was already finished sends no start event.
                if self.name.is_empty() {
                    return;
                }
                self.finish();
                let line = format!("{}: test error {}  {}", self.name, percent(*test_top1_error), duration(*seconds));
                self.bars.note(&line);
                self.name.clear();
            }
            Event::Epoch { .. } | Event::Checkpoint { .. } | Event::Failed { .. } => {}
        }
    }
}

impl MultiRunView {
    fn finish(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl Drop for MultiRunView {
    fn drop(&mut self) {
        self.finish();
    }
}
