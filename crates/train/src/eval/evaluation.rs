//! What a test's predictions add up to.

use super::predictions::Predictions;
use serde::Serialize;

/// The result of testing one net on one split. Errors and accuracies are in percent.
#[derive(Debug, Clone, Serialize)]
pub struct Evaluation {
    /// Images tested.
    pub images: usize,
    /// Mean cross-entropy.
    pub loss: f64,
    /// Top-1 error.
    pub top1_error: f64,
    /// Top-5 error; `None` with fewer than six classes.
    pub top5_error: Option<f64>,
    /// Per class, in class order.
    pub per_class: Vec<ClassResult>,
    /// `confusion[truth][prediction]`: images.
    pub confusion: Vec<Vec<u64>>,
    /// Whether each image was classified right, in the split's order: by it two networks are compared image by image.
    #[serde(skip)]
    pub right: Vec<bool>,
    /// Expected calibration error over 15 bins of equal width (Guo et al. 2017), as a fraction.
    pub ece: f64,
    /// How each image was looked at; names joined by `+` where several ways were averaged.
    pub protocol: String,
    /// The shorter sides that images were brought to; none where they were brought to the network's input.
    pub scales: Vec<usize>,
    /// Views that went through a network: windows, or whole images where it is applied densely; mirrored ones too.
    pub crops: usize,
    /// Images that were left out because they do not decode.
    pub skipped: usize,
    /// Seconds, decoding included.
    pub seconds: f64,
    /// Images per second.
    pub images_per_second: f64,
}

/// One class's share of an [`Evaluation`].
#[derive(Debug, Clone, Serialize)]
pub struct ClassResult {
    /// The class's name.
    pub class: String,
    /// Its images.
    pub images: usize,
    /// Percent of them that were classified right; `None` where it has no images.
    pub accuracy: Option<f64>,
}

/// What testing took.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cost {
    /// Views that went through a network.
    pub crops: usize,
    /// Images left out.
    pub skipped: usize,
    /// Seconds.
    pub seconds: f64,
}

impl Evaluation {
    /// Of `predictions` of the classes `names`, made by `protocol` at `scales`.
    pub(super) fn new(
        predictions: &Predictions,
        names: &[String],
        protocol: &str,
        scales: &[usize],
        cost: Cost,
    ) -> Self {
        let images = predictions.rows.len();
        let confusion = predictions.confusion(names.len());
        let per_class = names.iter().zip(&confusion).enumerate().map(|(class, (name, row))| {
            let images = row.iter().sum::<u64>() as usize;
            let accuracy = (images > 0).then(|| 100.0 * row[class] as f64 / images as f64);
            ClassResult { class: name.clone(), images, accuracy }
        });
        Self {
            images,
            loss: predictions.loss(),
            top1_error: predictions.top1_error(),
            top5_error: (names.len() > 5).then(|| predictions.error_within(5)),
            per_class: per_class.collect(),
            ece: predictions.calibration_error(),
            protocol: protocol.to_owned(),
            scales: scales.to_vec(),
            crops: cost.crops,
            skipped: cost.skipped,
            seconds: cost.seconds,
            images_per_second: images as f64 / cost.seconds.max(1e-9),
            confusion,
            right: predictions.right(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::predictions::Prediction;
    use super::*;

    const COST: Cost = Cost { crops: 2, skipped: 0, seconds: 0.5 };

    fn evaluation(probabilities: &[&[f32]], labels: &[usize]) -> Evaluation {
        let rows = probabilities.iter().zip(labels).map(|(row, &label)| Prediction::new(row, label)).collect();
        let names: Vec<String> = (0..probabilities[0].len()).map(|i| i.to_string()).collect();
        Evaluation::new(&Predictions { rows }, &names, "center", &[], COST)
    }

    #[test]
    fn errors_classes_and_speed_are_those_worked_out_by_hand() {
        let result = evaluation(&[&[0.1, 0.6, 0.1, 0.1, 0.05, 0.05], &[0.5, 0.2, 0.1, 0.1, 0.06, 0.04]], &[1, 5]);
        assert_eq!((result.top1_error, result.top5_error), (50.0, Some(50.0)));
        assert_eq!((result.per_class[0].accuracy, result.per_class[1].accuracy), (None, Some(100.0)));
        assert_eq!((result.images, result.images_per_second), (2, 4.0));
        let loss = -(0.6f64.ln() + 0.04f64.ln()) / 2.0;
        assert!((result.loss - loss).abs() < 1e-6);
    }

    #[test]
    fn top_five_of_five_classes_does_not_apply() {
        assert_eq!(evaluation(&[&[0.2; 5]], &[4]).top5_error, None);
    }
}
