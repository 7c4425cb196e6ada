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

/// A run folder that this process has locked.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    metrics: File,
    /// The lock; the system releases it when the process ends, however it ends.
    _lock: File,
}

impl RunFolder {
    /// Locks the folder at `path`, which is created if it does not exist.
    ///
    /// # Errors
    /// The folder cannot be created or written, or another process trains in it.
    pub fn open(path: &Path) -> Result<Self> {
        let hint = "choose another folder with --out";
        std::fs::create_dir_all(path).map_err(|error| Error::io("create", path, error).with_hint(hint))?;
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

    /// Whether `path` holds the state of a run. A kill between two renames leaves only the earlier
    /// one.
    pub fn holds_a_state(path: &Path) -> bool {
        [STATE, PREVIOUS_STATE].iter().any(|name| path.join(name).exists())
    }

    /// Whether `path` holds the state or the result of a run. The states of a finished run may have
    /// been deleted, or not copied.
    pub fn holds_a_run(path: &Path) -> bool {
        Self::holds_a_state(path) || path.join(SUMMARY).exists()
    }

    /// Returns the folder's absolute path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the path of a file in the folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Returns the file of the weights after the last step.
    pub fn last(&self) -> PathBuf {
        self.file("last.safetensors")
    }

    /// Returns the file of the weights with the lowest validation error.
    pub fn best(&self) -> PathBuf {
        self.file("best.safetensors")
    }

    /// Returns the file of the state that a run is resumed from.
    pub fn state(&self) -> PathBuf {
        self.file(STATE)
    }

    /// Returns the file of the state before that.
    pub fn previous_state(&self) -> PathBuf {
        self.file(PREVIOUS_STATE)
    }

    /// Returns the file of a finished run's result.
    pub fn summary(&self) -> PathBuf {
        self.file(SUMMARY)
    }

    /// Returns the file of the predictions for the test images.
    pub fn predictions(&self) -> PathBuf {
        self.file("predictions.csv")
    }

    /// Returns the file of the report.
    pub fn report(&self) -> PathBuf {
        self.file("report.html")
    }

    /// Appends `event` to `metrics.jsonl`.
    ///
    /// # Errors
    /// The disk is full.
    pub fn log(&mut self, event: &Event) -> Result<()> {
        let mut line = serde_json::to_string(event).expect("events serialise");
        line.push('\n');
        self.metrics.write_all(line.as_bytes()).map_err(|error| {
            Error::io("write", &self.file("metrics.jsonl"), error).with_hint("the last checkpoint is intact")
        })
    }

    /// Removes all metrics after `step`; a resumed run writes them again.
    ///
    /// # Errors
    /// The metrics cannot be read or written.
    pub fn rewind(&mut self, step: u64) -> Result<()> {
        let path = self.file("metrics.jsonl");
        let text = std::fs::read_to_string(&path).map_err(|error| Error::io("read", &path, error))?;
        let kept = |line: &&str| {
            // A line that a kill cut short does not parse and is removed.
            serde_json::from_str::<Value>(line).is_ok_and(|event| event["step"].as_u64().is_some_and(|s| s <= step))
        };
        let text: String = text.lines().filter(kept).flat_map(|line| [line, "\n"]).collect();
        crate::atomic::write(&path, text.as_bytes())?;
        let reopened = File::options().append(true).open(&path);
        self.metrics = reopened.map_err(|error| Error::io("write", &path, error))?;
        Ok(())
    }

    /// Writes a text file atomically.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn write(&self, name: &str, text: &str) -> Result<()> {
        crate::atomic::write(&self.file(name), text.as_bytes())
    }
}
