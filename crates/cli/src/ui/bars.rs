//! Progress of work whose length is known or not: a bar on a terminal, silence elsewhere. Notes are printed either way.

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use residual_train::data::Progress;
use std::time::{Duration, Instant};

/// Work that is done sooner gets no bar: it would only flicker.
const PATIENCE: Duration = Duration::from_millis(400);

/// All bars of a command.
#[derive(Debug, Clone)]
pub struct Bars {
    terminal: bool,
    all: MultiProgress,
    /// The bar of the work that [`Progress::start`] began last.
    current: Option<Work>,
}

#[derive(Debug, Clone)]
struct Work {
    what: String,
    total: u64,
    done: u64,
    began: Instant,
    bar: Option<ProgressBar>,
}

impl Bars {
    /// Bars are drawn on stderr if it is a `terminal`.
    pub fn new(terminal: bool) -> Self {
        let target = if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Self { terminal, all: MultiProgress::with_draw_target(target), current: None }
    }

    /// Whether anybody sees bars.
    pub fn visible(&self) -> bool {
        self.terminal
    }

    /// Takes the bars away while `f` prints.
    pub fn suspend<T>(&self, f: impl FnOnce() -> T) -> T {
        if self.terminal { self.all.suspend(f) } else { f() }
    }

    /// A bar of its own, below the others.
    pub fn add(&self, total: u64, template: &str) -> ProgressBar {
        let bar = self.all.add(ProgressBar::new(total));
        bar.set_style(style(template));
        bar
    }

    fn finish(&mut self) {
        if let Some(bar) = self.current.take().and_then(|work| work.bar) {
            bar.finish_and_clear();
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("templates are constants of this program").progress_chars("━╸ ")
}

impl Progress for Bars {
    fn start(&mut self, what: &str, total: u64) {
        self.finish();
        self.current = Some(Work { what: what.into(), total, done: 0, began: Instant::now(), bar: None });
    }

    fn advance(&mut self, n: u64) {
        let Some(mut work) = self.current.take() else { return };
        work.done += n;
        if work.total > 0 && work.done >= work.total {
            self.current = Some(work);
            return self.finish();
        }
        if work.bar.is_none() && self.terminal && work.began.elapsed() > PATIENCE {
            let template = if work.total > 0 {
                "{msg} {bar:24} {human_pos}/{human_len}  {eta} left"
            } else {
                "{msg} {spinner} {human_pos}"
            };
            let bar = self.add(work.total, template).with_elapsed(work.began.elapsed());
            bar.set_message(work.what.clone());
            work.bar = Some(bar);
        }
        if let Some(bar) = &work.bar {
            bar.set_position(work.done);
        }
        self.current = Some(work);
    }

    fn note(&mut self, text: &str) {
        self.suspend(|| super::say(text));
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        self.finish();
    }
}
