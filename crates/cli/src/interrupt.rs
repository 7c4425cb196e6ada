//! Handles Ctrl-C and SIGTERM, which schedulers and `docker stop` send.
//!
//! The first signal asks a training run to write a checkpoint and stop; the second ends the process
//! at once. Outside of training (reading data, the final test, other commands) there is nothing to
//! save, so the first signal ends the process. SIGHUP keeps its default action, so `nohup` works.

use residual::{Error, Kind, Result};
use residual_train::train::{Event, Sink};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

static STOP: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// Last step of the current run while a checkpoint should be awaited; 0 otherwise.
static LAST: AtomicU64 = AtomicU64::new(0);

/// Exit code after an interrupt: 128 plus the signal number, SIGINT's by default.
static CODE: AtomicU8 = AtomicU8::new(130);

/// Installs the signal handlers. `main` calls it once.
pub fn install() -> Result<()> {
    handle_signals().map_err(|error| Error::new(Kind::Io, format!("cannot install the Ctrl-C handler: {error}")))
}

#[cfg(unix)]
fn handle_signals() -> std::io::Result<()> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])?;
    let listen = move || {
        for signal in signals.forever() {
            // 2 or 15.
            CODE.store(128 + signal as u8, Ordering::Relaxed);
            interrupt();
        }
    };
    std::thread::Builder::new().name("signals".into()).spawn(listen).map(drop)
}

#[cfg(not(unix))]
fn handle_signals() -> std::result::Result<(), ctrlc::Error> {
    ctrlc::set_handler(interrupt)
}

fn interrupt() {
    match STOP.get() {
        Some(stop) if LAST.load(Ordering::Relaxed) > 0 && !stop.swap(true, Ordering::Relaxed) => {
            crate::ui::print_from_signal(
                "stopping after this step, with a checkpoint; press Ctrl-C again to stop at once",
            );
        }
        _ => end(),
    }
}

/// Returns the flag that the first Ctrl-C sets while a run observed by [`ctrl_c_sink`] trains.
pub fn stop_flag() -> Arc<AtomicBool> {
    Arc::clone(STOP.get_or_init(Arc::default))
}

/// Wraps `sink` to track when Ctrl-C should wait for a checkpoint instead of ending the process.
pub fn ctrl_c_sink(sink: &mut dyn Sink) -> impl FnMut(&Event) {
    move |event: &Event| {
        let last = match event {
            Event::Start { step, steps, .. } if step < steps => Some(*steps),
            Event::Checkpoint { step, .. } if *step < LAST.load(Ordering::Relaxed) => None,
            Event::Checkpoint { .. } | Event::Done { .. } | Event::Failed { .. } => Some(0),
            _ => None,
        };
        if let Some(last) = last {
            LAST.store(last, Ordering::Relaxed);
        }
        sink.event(event);
    }
}

/// Returns the exit code of an interrupted process.
pub fn code() -> u8 {
    CODE.load(Ordering::Relaxed)
}

#[expect(clippy::exit, reason = "the second Ctrl-C ends at once; checkpoint writes are atomic, so nothing is lost")]
fn end() {
    crate::ui::restore_terminal();
    std::process::exit(i32::from(code()))
}
