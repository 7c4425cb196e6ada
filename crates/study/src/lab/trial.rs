//! A trial of the lab: one network trained with one seed.

use super::probes::Probe;
use residual::error::Result;
use residual_train::recipe::Recipe;
use residual_train::train::ReportWriter;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// The file in a run folder that keeps the row of a finished trial.
pub(super) const TRIAL: &str = "trial.json";

/// Options of a lab.
#[derive(Debug, Clone)]
pub struct LabOptions {
    /// The folder of the lab.
    pub out: PathBuf,
    /// The recipe of every network; each candidate replaces the network, each trial the seed.
    pub recipe: Recipe,
    /// The seeds with which each network is trained.
    pub seeds: Vec<u64>,
    /// Probes of a network during training; the last is taken at the end. One more is taken at the
    /// start.
    pub probes: u64,
    /// Set by Ctrl-C.
    pub stop: Arc<AtomicBool>,
    /// Writes the page about each finished run; no pages without it.
    pub report: Option<ReportWriter>,
}

/// A finished network as a row of the lab's table. Errors are in percent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrialRow {
    /// The network with its options: `resnet-20 (B)`.
    pub network: String,
    /// The group of the network: `plain`, `resnet`, `vgg`, `linear` and the like.
    pub family: String,
    /// Number of weight layers.
    pub depth: usize,
    /// Kind of the shortcuts, if the network has any.
    pub shortcut: Option<String>,
    /// The seed.
    pub seed: u64,
    /// Number of training steps.
    pub steps: u64,
    /// Number of trainable parameters.
    pub params: u64,
    /// Error on the training images after the last step, without augmentation.
    pub train_error: f64,
    /// Error on all test images after the last step.
    pub test_error: Option<f64>,
    /// Gradient norm of the first convolution's weights over that of the last one's, at the start.
    pub gradient_ratio: Option<f64>,
    /// Mean of the standard deviations of the layers' responses after the last step.
    pub response: Option<f64>,
    /// Seconds of training.
    pub seconds: f64,
    /// The data set of training and test.
    pub data: String,
    /// The folder of the run.
    pub path: PathBuf,
}

/// A trained network of the lab with everything that was measured during training.
#[derive(Debug, Clone)]
pub struct TrialRun {
    /// The row of the table.
    pub row: TrialRow,
    /// Probes during training, by step.
    pub probes: Vec<Probe>,
    /// `(step, percent)` of training error on the augmented batches.
    pub training: Vec<(f64, f64)>,
}

/// Reads the row of a finished trial.
pub(super) fn read(path: &Path) -> Option<TrialRow> {
    serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok()
}

/// Keeps the row of a finished trial.
pub(super) fn write(path: &Path, row: &TrialRow) -> Result<()> {
    residual::atomic::write(path, &serde_json::to_vec_pretty(row).expect("plain data"))
}
