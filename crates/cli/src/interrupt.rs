//! Ctrl-C, and SIGTERM, by which schedulers and `docker stop` end a process: the first asks a run to write its checkpoint
//! and end, the second ends the process.
//!
//! Where there is no step to wait for the first one ends the process: in commands that have nothing to save, while
//! images are read before a run, while it is tested after its last checkpoint. Terminals that close (SIGHUP) are left to
//! `nohup`.

use residual::{Error, Kind, Result};
use residual_train::train::{Event, Sink};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

static STOP: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// The last step of the run under way, while its next checkpoint is worth waiting for; else 0.
static LAST: AtomicU64 = AtomicU64::new(0);

/// Exit code of a process that was interrupted: 128 and the signal's number, SIGINT's unless it was another.
static CODE: AtomicU8 = AtomicU8::new(130);

/// Starts listening; called once, by `main`.
pub fn listen() -> Result<()> {
    listen_to_signals().map_err(|error| Error::new(Kind::Io, format!("cannot listen to Ctrl-C: {error}")))
}

#[cfg(unix)]
fn listen_to_signals() -> std::io::Result<()> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])?;
    let listen = move || {
        for signal in signals.forever() {
            // Both numbers are far below 128.
            CODE.store(128 + signal as u8, Ordering::Relaxed);
            interrupt();
        }
    };
    std::thread::Builder::new().name("signals".into()).spawn(listen).map(drop)
}

#[cfg(not(unix))]
fn listen_to_signals() -> std::result::Result<(), ctrlc::Error> {
    ctrlc::set_handler(interrupt)
}

fn interrupt() {
    match STOP.get() {
        Some(stop) if LAST.load(Ordering::Relaxed) > 0 && !stop.swap(true, Ordering::Relaxed) => {
            crate::ui::interject("stopping after this step, with a checkpoint; press Ctrl-C again to stop at once");
        }
        _ => end(),
    }
}

/// The flag that the first Ctrl-C sets while a run is under way, as [`heeding`] hears.
pub fn save_first() -> Arc<AtomicBool> {
    Arc::clone(STOP.get_or_init(Arc::default))
}

/// A sink before `sink` that hears between which events a checkpoint is worth waiting for.
pub fn heeding(sink: &mut dyn Sink) -> impl FnMut(&Event) {
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

/// The exit code of a process that was interrupted.
pub fn code() -> u8 {
    CODE.load(Ordering::Relaxed)
}

#[expect(clippy::exit, reason = "the second Ctrl-C means now; checkpoints are atomic, so nothing is lost")]
fn end() {
    crate::ui::give_back();
    std::process::exit(i32::from(code()))
}
