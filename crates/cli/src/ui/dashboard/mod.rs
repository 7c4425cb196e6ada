//! `--tui`: a run on the whole terminal.
//!
//! The run's thread tells what happens; a thread of the dashboard's own draws four times a second and reads the keys, so that
//! a step of a minute keeps nobody waiting. Lines for people are printed as ever, before the screen is taken and after
//! it is given back.

mod draw;
pub mod screen;
mod story;

use super::bars::Bars;
use super::training::TrainingView;
use ratatui::Terminal;
use residual::{Error, Kind, Result};
use residual_train::data::Progress;
use residual_train::train::machine::peak_rss_mb;
use residual_train::train::{Event, Record, Sink};
use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use story::{Story, Work};

/// Time between two images.
const FRAME: Duration = Duration::from_millis(250);

/// Whether there is a whole terminal to draw on.
pub fn is_possible() -> bool {
    std::io::stdin().is_terminal() && std::io::stdout().is_terminal() && std::io::stderr().is_terminal()
}

/// What the run's thread and the drawing one share.
#[derive(Debug)]
struct Shared {
    story: Mutex<Story>,
    began: Instant,
    /// The screen is to be given back.
    over: AtomicBool,
    /// Set by a key: the run writes a checkpoint and ends.
    stop: Arc<AtomicBool>,
}

impl Shared {
    fn story(&self) -> MutexGuard<'_, Story> {
        self.story.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn elapsed(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }
}

/// A listener of one run that shows it on the whole terminal.
#[derive(Debug)]
pub struct Dashboard<'a> {
    view: TrainingView<'a>,
    shared: Arc<Shared>,
    drawing: Option<JoinHandle<Result<()>>>,
    /// What is told when the screen is given back.
    later: Vec<Event>,
    failure: Option<Error>,
}

impl<'a> Dashboard<'a> {
    /// `view` prints what is left to read; `batch`: images of a step; keys set `stop`.
    pub fn new(view: TrainingView<'a>, batch: usize, stop: Arc<AtomicBool>) -> Self {
        let story = Mutex::new(Story::new(batch as u64));
        let shared = Arc::new(Shared { story, began: Instant::now(), over: AtomicBool::new(false), stop });
        Self { view, shared, drawing: None, later: Vec::new(), failure: None }
    }

    /// Work beside the steps: on the dashboard while there is one, with `bars` before.
    pub fn activity(&self, bars: Bars) -> Activity {
        Activity { bars, shared: Arc::clone(&self.shared) }
    }

    /// Gives the terminal back. Whether everything could be shown.
    pub fn finish(mut self) -> Result<()> {
        self.close();
        self.failure.take().map_or(Ok(()), Err).and(self.view.finish())
    }

    fn open(&mut self) {
        let shared = Arc::clone(&self.shared);
        self.drawing = Some(std::thread::spawn(move || run(&shared)));
    }

    fn close(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        if let Some(Err(error)) = self.drawing.take().and_then(|drawing| drawing.join().ok()) {
            self.failure.get_or_insert(error);
        }
        for event in std::mem::take(&mut self.later) {
            self.view.event(&event);
        }
    }
}

impl Sink for Dashboard<'_> {
    fn event(&mut self, event: &Event) {
        self.shared.story().take(event, self.shared.elapsed());
        match event {
            Event::Start { step, path, .. } => {
                if *step > 0
                    && let Ok(record) = Record::read(path)
                {
                    self.shared.story().recall(&record);
                }
                self.view.event(event);
                self.open();
            }
            Event::Done { .. } => {
                self.close();
                self.view.event(event);
            }
            Event::Epoch { .. } | Event::Warning { .. } => self.later.push(event.clone()),
            Event::Step { .. } | Event::Checkpoint { .. } | Event::Failed { .. } => {}
        }
    }
}

impl Drop for Dashboard<'_> {
    /// A panic must not leave the terminal as it is.
    fn drop(&mut self) {
        self.close();
    }
}

/// Takes the screen, draws until it is over, gives the screen back.
fn run(shared: &Shared) -> Result<()> {
    let outcome = screen::enter().and_then(|()| draw_until_over(shared));
    screen::leave();
    outcome.map_err(|error| Error::new(Kind::Io, format!("cannot draw on the terminal: {error}")))
}

fn draw_until_over(shared: &Shared) -> std::io::Result<()> {
    let mut terminal = Terminal::new(screen::Ansi::new())?;
    while !shared.over.load(Ordering::Relaxed) && screen::is_taken() {
        let story = {
            let mut story = shared.story();
            story.memory_mb = peak_rss_mb();
            story.stopping = shared.stop.load(Ordering::Relaxed);
            story.clone()
        };
        terminal.draw(|frame| draw::draw(frame, &story, shared.elapsed()))?;
        if screen::keys(FRAME).iter().any(|key| b"qQ".contains(key)) {
            shared.stop.store(true, Ordering::Relaxed);
        }
    }
    Ok(())
}

/// Progress of what is no step.
#[derive(Debug)]
pub struct Activity {
    bars: Bars,
    shared: Arc<Shared>,
}

impl Activity {
    /// Whether the dashboard shows it.
    fn is_seen(&self) -> bool {
        self.shared.story().steps > 0 && !self.shared.over.load(Ordering::Relaxed)
    }
}

impl Progress for Activity {
    fn start(&mut self, what: &str, total: u64) {
        if self.is_seen() {
            self.shared.story().work = Some(Work { what: what.to_owned(), total, done: 0 });
        } else {
            self.bars.start(what, total);
        }
    }

    fn advance(&mut self, n: u64) {
        if self.is_seen() {
            if let Some(work) = &mut self.shared.story().work {
                work.done += n;
            }
        } else {
            self.bars.advance(n);
        }
    }

    fn note(&mut self, text: &str) {
        if self.is_seen() {
            self.shared.story().tell(self.shared.elapsed(), text.to_owned());
        } else {
            self.bars.note(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::backend::TestBackend;

    /// A run of three epochs, in the second.
    fn story() -> Story {
        let mut story = Story::new(128);
        let path = "/runs/resnet-20-shapes".into();
        let (steps, steps_per_epoch, params, images) = (420, 140, 269_722, 18_000);
        let model = "resnet-20".into();
        story.take(&Event::Start { step: 0, steps, steps_per_epoch, model, params, images, path }, 0.0);
        for step in 1..=200u64 {
            let loss = 2.3 * (-(step as f64) / 60.0).exp() + 0.05 + 0.02 * f64::from(step as u32 % 5);
            story.take(&Event::Step { step, loss, lr: 0.1 }, step as f64 * 0.16);
            if step == 140 {
                story.take(&epoch(), 22.9);
                story.take(&Event::Checkpoint { step, path: "state".into() }, 23.0);
            }
        }
        story.memory_mb = Some(268);
        story
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

    fn drawn(story: &Story, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a screen in memory");
        terminal.draw(|frame| draw::draw(frame, story, 32.0)).expect("it cannot fail");
        let buffer = terminal.backend().buffer();
        let row = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned() + "\n";
        (0..height).map(row).collect()
    }

    /// Compares with the file of that name; `SNAPSHOTS=overwrite` writes it.
    fn assert_looks_like(name: &str, found: &str) {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/ui/dashboard/snapshots").join(name);
        if std::env::var_os("SNAPSHOTS").is_some_and(|how| how == "overwrite") {
            std::fs::write(&path, found).expect("a folder of ours");
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(found == expected, "{name} looks like this now:\n{found}");
    }

    #[test]
    fn everything_fits_a_terminal_of_80_by_24() {
        assert_looks_like("80x24.txt", &drawn(&story(), 80, 24));
    }

    #[test]
    fn a_large_terminal_shows_throughput_and_waits_as_curves() {
        assert_looks_like("200x50.txt", &drawn(&story(), 200, 50));
    }

    #[test]
    fn no_size_is_too_small_and_no_run_too_young() {
        for (width, height) in [(1, 1), (20, 3), (50, 16), (79, 23), (300, 100)] {
            for story in [Story::new(8), story()] {
                drawn(&story, width, height);
            }
        }
        assert!(drawn(&story(), 40, 2).starts_with("epoch 2/3  step 200/420"));
    }
}
