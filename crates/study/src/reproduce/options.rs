//! Options of a reproduction, and its folders.

use super::experiment::{Experiment, Part, Scale};
use residual_train::train::ReportWriter;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Options of a reproduction.
#[derive(Debug, Clone)]
pub struct ReproduceOptions {
    /// The folder of its run folders.
    pub out: PathBuf,
    /// Number of seeds: 0, 1, ….
    pub seeds: u64,
    /// The size of the experiment.
    pub scale: Scale,
    /// The data set, if not the experiment's.
    pub data: Option<String>,
    /// Set by Ctrl-C.
    pub stop: Arc<AtomicBool>,
    /// Writes the page about each finished run; no pages without it.
    pub report: Option<ReportWriter>,
}

/// Returns the run folder of the network of `part` with `seed`; parts that differ only in the
/// protocol share it.
pub fn folder(part: &Part, out: &Path, seed: u64) -> PathBuf {
    let network = part.network.as_deref().unwrap_or("network");
    let shortcut = part.shortcut.map_or_else(String::new, |shortcut| format!("-{shortcut:?}"));
    out.join(format!("{network}{shortcut}-seed{seed}"))
}

/// Returns the default folder of an experiment.
pub fn default_folder(experiment: &Experiment, scale: Scale) -> PathBuf {
    let quick = if scale == Scale::Quick { "-quick" } else { "" };
    Path::new("runs").join(format!("reproduce-{}{quick}", experiment.id.replace('/', "-")))
}
