//! The run folder: its files, its lock, its metrics.

use super::event::Event;
use crate::error::{Error, Kind, Result};
use serde_json::Value;
use std::fs::{File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

const STATE: &str = "state.safetensors";
const SUMMARY: &str = "summary.json";
const PREVIOUS_STATE: &str = "state.previous.safetensors";

/// A run folder that this process has for itself.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    metrics: File,
    /// Held as long as the process lives; the system releases it however that ends.
    _lock: File,
}

impl RunFolder {
    /// Takes `path`, made if it is not there.
    ///
    /// # Errors
    /// A folder that cannot be made or written, or that another process trains in.
    pub fn open(path: &Path) -> Result<Self> {
        let hint = "choose another folder with --out";
        std::fs::create_dir_all(path).map_err(|error| Error::io("make", path, error).with_hint(hint))?;
        let path = path.canonicalize().map_err(|error| Error::io("open", path, error))?;
        let create = |name: &str| {
            let file = path.join(name);
            let opened = File::options().create(true).append(true).open(&file);
            opened.map_err(|error| Error::io("write", &file, error).with_hint(hint))
        };
        let lock = create("lock")?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let message = format!("another process is training in {}", path.display());
                return Err(Error::new(Kind::Io, message).with_hint("wait for it, stop it, or choose another --out"));
            }
            Err(TryLockError::Error(error)) => return Err(Error::io("lock", &path, error)),
        }
        crate::atomic::sweep(&path);
        let metrics = create("metrics.jsonl")?;
        Ok(Self { metrics, _lock: lock, path })
    }

    /// Whether a run has left a state in `path`; a kill between two renames leaves the earlier one alone.
    pub fn holds_a_state(path: &Path) -> bool {
        [STATE, PREVIOUS_STATE].iter().any(|name| path.join(name).exists())
    }

    /// Whether a run has left a state or a result in `path`: of a finished run the states may have been taken away, or it was
    /// copied without them.
    pub fn holds_a_run(path: &Path) -> bool {
        Self::holds_a_state(path) || path.join(SUMMARY).exists()
    }

    /// Where it is, absolute.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The weights after the last step.
    pub fn last(&self) -> PathBuf {
        self.file("last.safetensors")
    }

    /// The weights with the lowest validation error.
    pub fn best(&self) -> PathBuf {
        self.file("best.safetensors")
    }

    /// What resuming needs.
    pub fn state(&self) -> PathBuf {
        self.file(STATE)
    }

    /// The state before that.
    pub fn previous_state(&self) -> PathBuf {
        self.file(PREVIOUS_STATE)
    }

    /// The result of a finished run.
    pub fn summary(&self) -> PathBuf {
        self.file(SUMMARY)
    }

    /// What the tested weights said of each test image.
    pub fn predictions(&self) -> PathBuf {
        self.file("predictions.csv")
    }

    /// The page about the run.
    pub fn report(&self) -> PathBuf {
        self.file("report.html")
    }

    /// Appends `event` to `metrics.jsonl`.
    ///
    /// # Errors
    /// A full disk.
    pub fn log(&mut self, event: &Event) -> Result<()> {
        let mut line = serde_json::to_string(event).expect("events serialise");
        line.push('\n');
        self.metrics.write_all(line.as_bytes()).map_err(|error| {
            Error::io("write", &self.file("metrics.jsonl"), error).with_hint("the last checkpoint is intact")
        })
    }

    /// Takes back all metrics after `step`: a resumed run writes them again.
    ///
    /// # Errors
    /// A file that cannot be read or written.
    pub fn rewind(&mut self, step: u64) -> Result<()> {
        let path = self.file("metrics.jsonl");
        let text = std::fs::read_to_string(&path).map_err(|error| Error::io("read", &path, error))?;
        let kept = |line: &&str| {
            // A line that a kill cut short does not parse, and is not kept.
            serde_json::from_str::<Value>(line).is_ok_and(|event| event["step"].as_u64().is_some_and(|s| s <= step))
        };
        let text: String = text.lines().filter(kept).flat_map(|line| [line, "\n"]).collect();
        crate::atomic::write(&path, text.as_bytes())?;
        let reopened = File::options().append(true).open(&path);
        self.metrics = reopened.map_err(|error| Error::io("write", &path, error))?;
        Ok(())
    }

    /// Writes a small text file, whole or not at all.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub fn write(&self, name: &str, text: &str) -> Result<()> {
        crate::atomic::write(&self.file(name), text.as_bytes())
    }
}
