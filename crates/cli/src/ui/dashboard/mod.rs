//! Dashboard of `--tui`: shows a run on the whole terminal.
//!
//! The training thread updates the state; a separate thread draws it four times a second and reads
//! keys, so long steps do not delay either. The usual lines are printed before the alternate screen
//! is entered and after it is left.

mod draw;
pub mod screen;
mod state;

use super::progress_bars::ProgressBars;
use super::training::TrainingView;
use ratatui::Terminal;
use residual::{Error, Kind, Result};
use residual_train::data::Progress;
use residual_train::train::machine::peak_rss_mb;
use residual_train::train::{Event, Record, Sink};
use state::{DashboardState, Task};
use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Time between two frames.
const FRAME: Duration = Duration::from_millis(250);

/// Returns whether stdin, stdout and stderr are all a terminal.
pub fn is_possible() -> bool {
    std::io::stdin().is_terminal() && std::io::stdout().is_terminal() && std::io::stderr().is_terminal()
}

/// State shared by the training and the drawing thread.
#[derive(Debug)]
struct Shared {
    state: Mutex<DashboardState>,
    began: Instant,
    /// Tells the drawing thread to leave the screen.
    finished: AtomicBool,
    /// Set by a key: the run writes a checkpoint and stops.
    stop: Arc<AtomicBool>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, DashboardState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn elapsed(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }
}

/// Sink that shows one run on the whole terminal.
#[derive(Debug)]
pub struct Dashboard<'a> {
    view: TrainingView<'a>,
    shared: Arc<Shared>,
    drawing: Option<JoinHandle<Result<()>>>,
    /// Events that are printed after the screen is left.
    deferred: Vec<Event>,
    failure: Option<Error>,
}

impl<'a> Dashboard<'a> {
    /// Creates a dashboard. `view` prints the usual lines, `batch` is the number of images per
    /// step, and keys set `stop`.
    pub fn new(view: TrainingView<'a>, batch: usize, stop: Arc<AtomicBool>) -> Self {
        let state = Mutex::new(DashboardState::new(batch as u64));
        let shared = Arc::new(Shared { state, began: Instant::now(), finished: AtomicBool::new(false), stop });
        Self { view, shared, drawing: None, deferred: Vec::new(), failure: None }
    }

    /// Returns a progress that is shown on the dashboard while it is open, and with `bars` before.
    pub fn progress(&self, bars: ProgressBars) -> DashboardProgress {
        DashboardProgress { bars, shared: Arc::clone(&self.shared) }
    }

    /// Leaves the screen and returns the first error of drawing or printing.
    pub fn finish(mut self) -> Result<()> {
        self.close();
        self.failure.take().map_or(Ok(()), Err).and(self.view.finish())
    }

    fn open(&mut self) {
        let shared = Arc::clone(&self.shared);
        self.drawing = Some(std::thread::spawn(move || run(&shared)));
    }

    fn close(&mut self) {
        self.shared.finished.store(true, Ordering::Relaxed);
        if let Some(Err(error)) = self.drawing.take().and_then(|drawing| drawing.join().ok()) {
            self.failure.get_or_insert(error);
        }
        for event in std::mem::take(&mut self.deferred) {
            self.view.event(&event);
        }
    }
}

impl Sink for Dashboard<'_> {
    fn event(&mut self, event: &Event) {
        self.shared.state().update(event, self.shared.elapsed());
        match event {
            Event::Start { step, path, .. } => {
                if *step > 0
                    && let Ok(record) = Record::read(path)
                {
                    self.shared.state().restore(&record);
                }
                self.view.event(event);
                self.open();
            }
            Event::Done { .. } => {
                self.close();
                self.view.event(event);
            }
            Event::Epoch { .. } | Event::Warning { .. } => self.deferred.push(event.clone()),
            Event::Step { .. } | Event::Checkpoint { .. } | Event::Failed { .. } => {}
        }
    }
}

impl Drop for Dashboard<'_> {
    /// Restores the terminal, also after a panic.
    fn drop(&mut self) {
        self.close();
    }
}

/// Enters the screen, draws until the run is finished, leaves the screen.
fn run(shared: &Shared) -> Result<()> {
    let outcome = screen::enter().and_then(|()| draw_until_finished(shared));
    screen::leave();
    outcome.map_err(|error| Error::new(Kind::Io, format!("cannot draw on the terminal: {error}")))
}

fn draw_until_finished(shared: &Shared) -> std::io::Result<()> {
    let mut terminal = Terminal::new(screen::AnsiBackend::new())?;
    while !shared.finished.load(Ordering::Relaxed) && screen::is_open() {
        let state = {
            let mut state = shared.state();
            state.memory_mb = peak_rss_mb();
            state.stopping = shared.stop.load(Ordering::Relaxed);
            state.clone()
        };
        terminal.draw(|frame| draw::draw(frame, &state, shared.elapsed()))?;
        if screen::keys(FRAME).iter().any(|key| b"qQ".contains(key)) {
            shared.stop.store(true, Ordering::Relaxed);
        }
    }
    Ok(())
}

/// Progress of validation and testing.
#[derive(Debug)]
pub struct DashboardProgress {
    bars: ProgressBars,
    shared: Arc<Shared>,
}

impl DashboardProgress {
    /// Returns whether the dashboard is open.
    fn is_open(&self) -> bool {
        self.shared.state().steps > 0 && !self.shared.finished.load(Ordering::Relaxed)
    }
}

impl Progress for DashboardProgress {
    fn start(&mut self, what: &str, total: u64) {
        if self.is_open() {
            self.shared.state().task = Some(Task { name: what.to_owned(), total, done: 0 });
        } else {
            self.bars.start(what, total);
        }
    }

    fn advance(&mut self, n: u64) {
        if self.is_open() {
            if let Some(task) = &mut self.shared.state().task {
                task.done += n;
            }
        } else {
            self.bars.advance(n);
        }
    }

    fn note(&mut self, text: &str) {
        if self.is_open() {
            self.shared.state().log(self.shared.elapsed(), text.to_owned());
        } else {
            self.bars.note(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::backend::TestBackend;

    /// A run in the second of three epochs.
    fn state() -> DashboardState {
        let mut state = DashboardState::new(128);
        let path = "/runs/resnet-20-shapes".into();
        let (steps, steps_per_epoch, params, images) = (420, 140, 269_722, 18_000);
        let model = "resnet-20".into();
        state.update(&Event::Start { step: 0, ranks: 1, steps, steps_per_epoch, model, params, images, path }, 0.0);
        for step in 1..=200u64 {
            let loss = 2.3 * (-(step as f64) / 60.0).exp() + 0.05 + 0.02 * f64::from(step as u32 % 5);
            state.update(&Event::Step { step, loss, lr: 0.1 }, step as f64 * 0.16);
            if step == 140 {
                state.update(&epoch(), 22.9);
                state.update(&Event::Checkpoint { step, path: "state".into() }, 23.0);
            }
        }
        state.memory_mb = Some(268);
        state
    }

    fn epoch() -> Event {
        Event::Epoch {
            epoch: 1,
            step: 140,
            train_loss: 0.812,
            train_top1_error: 27.25,
            val_loss: Some(0.301),
            val_top1_error: Some(9.4),
            lr: 0.1,
            images_per_second: 801.0,
            data_wait: 0.11,
            seconds: 22.8,
        }
    }

    fn drawn(state: &DashboardState, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a screen in memory");
        terminal.draw(|frame| draw::draw(frame, state, 32.0)).expect("it cannot fail");
        let buffer = terminal.backend().buffer();
        let row = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned() + "\n";
        (0..height).map(row).collect()
    }

    /// Compares with the file of that name; `SNAPSHOTS=overwrite` writes it.
    fn assert_matches_snapshot(name: &str, found: &str) {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/ui/dashboard/snapshots").join(name);
        if std::env::var_os("SNAPSHOTS").is_some_and(|how| how == "overwrite") {
            std::fs::write(&path, found).expect("a folder of ours");
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(found == expected, "{name} now is:\n{found}");
    }

    #[test]
    fn the_dashboard_fits_a_terminal_of_80_by_24() {
        assert_matches_snapshot("80x24.txt", &drawn(&state(), 80, 24));
    }

    #[test]
    fn a_large_terminal_shows_throughput_and_waits_as_curves() {
        assert_matches_snapshot("200x50.txt", &drawn(&state(), 200, 50));
    }

    #[test]
    fn no_size_is_too_small_and_no_run_too_young() {
        for (width, height) in [(1, 1), (20, 3), (50, 16), (79, 23), (300, 100)] {
            for state in [DashboardState::new(8), state()] {
                drawn(&state, width, height);
            }
        }
        assert!(drawn(&state(), 40, 2).starts_with("epoch 2/3  step 200/420"));
    }
}
