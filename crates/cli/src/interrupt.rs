//! Ctrl-C: the first asks a run to write its checkpoint and end, the second ends the process.
//!
//! Commands that have nothing to save never call [`save_first`], and the first Ctrl-C ends them.

use residual::{Error, Kind, Result};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// Exit code of a process that Ctrl-C ended: 128 + SIGINT.
const INTERRUPTED: i32 = 130;

static STOP: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// Starts listening; called once, by `main`.
pub fn listen() -> Result<()> {
    ctrlc::set_handler(|| match STOP.get() {
        Some(stop) if !stop.swap(true, Ordering::Relaxed) => {
            crate::ui::interject("stopping after this step, with a checkpoint; press Ctrl-C again to stop at once");
        }
        _ => end(),
    })
    .map_err(|error| Error::new(Kind::Io, format!("cannot listen to Ctrl-C: {error}")))
}

/// From now on the first Ctrl-C only sets the flag that is returned.
pub fn save_first() -> Arc<AtomicBool> {
    Arc::clone(STOP.get_or_init(Arc::default))
}

#[expect(clippy::exit, reason = "the second Ctrl-C means now; checkpoints are atomic, so nothing is lost")]
fn end() {
    crate::ui::give_back();
    std::process::exit(INTERRUPTED)
}
