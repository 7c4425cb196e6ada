//! What a run is given beside its recipe.

use super::record::Record;
use crate::data::{self, Dataset};
use crate::error::Result;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// What a run is given beside its recipe.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// The run folder.
    pub out: PathBuf,
    /// Whether to resume from the folder's checkpoint, if it has one.
    pub resume: bool,
    /// Whether to leave out images that do not decode.
    pub skip_bad: bool,
    /// The id of the row of a paper that the run reproduces; `summary.json` keeps it.
    pub row: Option<String>,
    /// Set by Ctrl-C: the run writes a checkpoint and ends.
    pub stop: Arc<AtomicBool>,
    /// Writes the report about the finished run; `None` writes none.
    pub report: Option<ReportWriter>,
}

/// Writes the report about a finished run to the path, and returns where it is.
pub type ReportWriter = fn(Record, &Dataset, &Path, &mut dyn data::Progress) -> Result<PathBuf>;
