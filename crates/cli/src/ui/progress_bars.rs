//! Progress bars of tasks: shown on a terminal, hidden elsewhere. Notes are printed
//! in both cases, unless `--quiet`.

use super::message;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use residual_train::data::Progress;
use std::time::{Duration, Instant};

/// Time before a task gets a bar; for shorter ones it would only flicker.
const DELAY: Duration = Duration::from_millis(400);

/// All bars of a command.
#[derive(Debug, Clone)]
pub struct ProgressBars {
    terminal: bool,
    /// Drops notes.
    quiet: bool,
    all: MultiProgress,
    /// Task that [`Progress::start`] began last.
    current: Option<ProgressTask>,
}

#[derive(Debug, Clone)]
struct ProgressTask {
    what: String,
    total: u64,
    done: u64,
    began: Instant,
    bar: Option<ProgressBar>,
}

impl ProgressBars {
    /// Creates bars, drawn on stderr if it is a `terminal`; `quiet` drops notes.
    pub fn new(terminal: bool, quiet: bool) -> Self {
        let target = if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Self { terminal, quiet, all: MultiProgress::with_draw_target(target), current: None }
    }

    /// Returns whether bars are drawn.
    pub fn visible(&self) -> bool {
        self.terminal
    }

    /// Hides the bars while `f` prints.
    pub fn suspend<T>(&self, f: impl FnOnce() -> T) -> T {
        if self.terminal { self.all.suspend(f) } else { f() }
    }

    /// Adds a bar below the others.
    pub fn add(&self, total: u64, template: &str) -> ProgressBar {
        let bar = self.all.add(ProgressBar::new(total));
        bar.set_style(style(template));
        bar
    }

    fn finish(&mut self) {
        if let Some(bar) = self.current.take().and_then(|task| task.bar) {
            bar.finish_and_clear();
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("templates are constants").progress_chars("━╸ ")
}

impl Progress for ProgressBars {
    fn start(&mut self, what: &str, total: u64) {
        self.finish();
        self.current = Some(ProgressTask { what: what.into(), total, done: 0, began: Instant::now(), bar: None });
    }

    fn advance(&mut self, n: u64) {
        let Some(mut task) = self.current.take() else { return };
        task.done += n;
        if task.total > 0 && task.done >= task.total {
            self.current = Some(task);
            return self.finish();
        }
        if task.bar.is_none() && self.terminal && task.began.elapsed() > DELAY {
            let template = if task.total > 0 {
                "{msg} {bar:24} {human_pos}/{human_len}  {eta} left"
            } else {
                "{msg} {spinner} {human_pos}"
            };
            let bar = self.add(task.total, template).with_elapsed(task.began.elapsed());
            bar.set_message(task.what.clone());
            task.bar = Some(bar);
        }
        if let Some(bar) = &task.bar {
            bar.set_position(task.done);
        }
        self.current = Some(task);
    }

    fn note(&mut self, text: &str) {
        if !self.quiet {
            self.suspend(|| message::print(text));
        }
    }
}

impl Drop for ProgressBars {
    fn drop(&mut self) {
        self.finish();
    }
}
