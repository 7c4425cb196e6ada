//! The result of testing a network on a split: errors, classes, confusion, calibration, speed.

use super::checks::{check_labels, check_size};
use super::predictions::Predictions;
use crate::data::{self, Images, Normalizer};
use crate::error::Result;
use residual::plan::InferenceSession;
use serde::Serialize;
use std::time::Instant;

/// The result of testing one network, or an ensemble, on one split. Errors are in percent.
#[derive(Debug, Clone, Serialize)]
pub struct Evaluation {
    /// Number of images tested.
    pub images: usize,
    /// Mean cross-entropy.
    pub loss: f64,
    /// Top-1 error.
    pub top1_error: f64,
    /// Top-5 error; `None` with fewer than six classes.
    pub top5_error: Option<f64>,
    /// Results per class, in class order.
    pub per_class: Vec<ClassResult>,
    /// Confusion matrix `[label][prediction]`, in images.
    pub confusion: Vec<Vec<u64>>,
    /// The predictions for each image, in the split's order.
    #[serde(skip)]
    pub predictions: Predictions,
    /// Expected calibration error over 15 bins of equal width (Guo et al. 2017), 0 to 1.
    pub ece: f64,
    /// The test protocol; names joined by `+` if several were averaged.
    pub protocol: String,
    /// Precision of the arithmetic: `f32`.
    pub precision: String,
    /// The scales (shorter sides in pixels) that images were resized to; empty if they were resized
    /// to the network's input size.
    pub scales: Vec<usize>,
    /// Number of crops that went through a network, mirrored ones included; whole images for
    /// `dense`.
    pub crops: usize,
    /// Number of images that were left out because they do not decode.
    pub skipped: usize,
    /// Seconds, decoding included.
    pub seconds: f64,
    /// Images per second.
    pub images_per_second: f64,
}

/// One class's share of an [`Evaluation`]. Precision, recall and F1 are 0 to 1.
#[derive(Debug, Clone, Serialize)]
pub struct ClassResult {
    /// The class's name.
    pub class: String,
    /// Number of images with this label.
    pub images: usize,
    /// Number of those that were classified as another class.
    pub errors: usize,
    /// Share of the images predicted as this class that have its label; `None` if there are none.
    pub precision: Option<f64>,
    /// Share of the images with this label that were predicted as it; `None` if there are none.
    pub recall: Option<f64>,
    /// Harmonic mean of precision and recall; `None` if the class has neither images nor
    /// predictions.
    pub f1: Option<f64>,
}

/// How an evaluation was computed.
#[derive(Debug, Clone)]
pub(super) struct Method {
    /// Protocol names joined by `+`.
    pub protocol: String,
    /// Scales, ascending.
    pub scales: Vec<usize>,
    /// Crops that went through a network.
    pub crops: usize,
    /// Images left out.
    pub skipped: usize,
    /// Seconds.
    pub seconds: f64,
}

impl Evaluation {
    /// Summarises `predictions`, made by `method`.
    pub(super) fn new(predictions: Predictions, method: Method) -> Self {
        let images = predictions.rows.len();
        let Method { protocol, scales, crops, skipped, seconds } = method;
        Self {
            images,
            loss: predictions.loss(),
            top1_error: predictions.top1_error(),
            top5_error: predictions.top5_error(),
            per_class: per_class(&predictions),
            confusion: predictions.confusion(),
            ece: predictions.calibration_error(),
            protocol,
            precision: "f32".to_owned(),
            scales,
            crops,
            skipped,
            seconds,
            images_per_second: images as f64 / seconds.max(1e-9),
            predictions,
        }
    }
}

/// Counts images, errors, precision, recall and F1 of each class.
fn per_class(predictions: &Predictions) -> Vec<ClassResult> {
    let confusion = predictions.confusion();
    let share = |part: u64, whole: u64| (whole > 0).then(|| part as f64 / whole as f64);
    let result = |(class, name): (usize, &String)| {
        let images = predictions.rows.iter().filter(|row| row.label == class).count() as u64;
        let predicted: u64 = confusion.iter().map(|row| row[class]).sum();
        let right = confusion[class][class];
        ClassResult {
            class: name.clone(),
            images: images as usize,
            errors: (images - right) as usize,
            precision: share(right, predicted),
            recall: share(right, images),
            f1: share(2 * right, images + predicted),
        }
    };
    predictions.classes.iter().enumerate().map(result).collect()
}

/// Tests `session` on `images`, which are of the network's size, by their centre crop. `progress`
/// is told of each batch.
///
/// # Errors
/// There are no images, an image cannot be read, or images or `classes` do not fit the network.
pub fn evaluate(
    session: &InferenceSession,
    images: &Images,
    normalizer: &Normalizer,
    classes: &[String],
    progress: &mut dyn data::Progress,
) -> Result<Evaluation> {
    check_labels(session, images, classes)?;
    check_size(session, images)?;
    let began = Instant::now();
    let predictions = Predictions::of(session, images, normalizer, classes, false, progress)?;
    let method = Method {
        protocol: "center".to_owned(),
        scales: Vec::new(),
        crops: images.len(),
        skipped: 0,
        seconds: began.elapsed().as_secs_f64(),
    };
    Ok(Evaluation::new(predictions, method))
}

#[cfg(test)]
mod tests {
    use super::super::predictions::Prediction;
    use super::*;

    fn evaluation(probabilities: &[&[f32]], labels: &[usize]) -> Evaluation {
        let rows = probabilities.iter().zip(labels).map(|(row, &label)| Prediction::new(row, label)).collect();
        let classes = (0..probabilities[0].len()).map(|i| i.to_string()).collect();
        let method = Method { protocol: "center".to_owned(), scales: Vec::new(), crops: 2, skipped: 0, seconds: 0.5 };
        Evaluation::new(Predictions { rows, classes }, method)
    }

    #[test]
    fn errors_classes_and_speed_are_those_computed_by_hand() {
        let result = evaluation(&[&[0.1, 0.6, 0.1, 0.1, 0.05, 0.05], &[0.5, 0.2, 0.1, 0.1, 0.06, 0.04]], &[1, 5]);
        assert_eq!((result.top1_error, result.top5_error), (50.0, Some(50.0)));
        assert_eq!((result.images, result.images_per_second), (2, 4.0));
        let loss = -(0.6f64.ln() + 0.04f64.ln()) / 2.0;
        assert!((result.loss - loss).abs() < 1e-6);
    }

    #[test]
    fn precision_recall_and_f1_are_those_computed_by_hand() {
        let result = evaluation(&[&[0.9, 0.1, 0.0], &[0.9, 0.1, 0.0], &[0.2, 0.8, 0.0]], &[0, 1, 1]);
        let [zero, one, two] = &result.per_class[..] else { panic!("three classes") };
        assert_eq!((zero.images, zero.errors, zero.precision, zero.recall), (1, 0, Some(0.5), Some(1.0)));
        assert_eq!((one.images, one.errors, one.precision, one.recall), (2, 1, Some(1.0), Some(0.5)));
        assert_eq!((zero.f1, one.f1), (Some(2.0 / 3.0), Some(2.0 / 3.0)));
        assert_eq!((two.images, two.precision, two.recall, two.f1), (0, None, None, None));
    }

    #[test]
    fn top_five_of_five_classes_does_not_apply() {
        assert_eq!(evaluation(&[&[0.2; 5]], &[4]).top5_error, None);
    }
}
