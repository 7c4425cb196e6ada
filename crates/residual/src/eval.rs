//! Testing weights: what comes out of it.

use serde::Serialize;

/// The result of testing one net on one split. Errors and accuracies are in percent.
#[derive(Debug, Clone, Serialize)]
pub struct Evaluation {
    /// Pictures tested.
    pub images: usize,
    /// Mean cross-entropy.
    pub loss: f64,
    /// Top-1 error.
    pub top1_error: f64,
    /// Top-5 error; `None` with fewer than six classes.
    pub top5_error: Option<f64>,
    /// Per class, in class order.
    pub per_class: Vec<ClassResult>,
    /// `confusion[truth][prediction]`: pictures.
    pub confusion: Vec<Vec<u64>>,
    /// Expected calibration error over 15 bins of equal width (Guo et al. 2017), as a fraction.
    pub ece: f64,
    /// The test protocol.
    pub protocol: String,
    /// Pictures per second.
    pub images_per_second: f64,
}

/// One class's share of an [`Evaluation`].
#[derive(Debug, Clone, Serialize)]
pub struct ClassResult {
    /// The class's name.
    pub class: String,
    /// Its pictures.
    pub images: usize,
    /// Percent of them that were classified right; `None` where it has no pictures.
    pub accuracy: Option<f64>,
}
