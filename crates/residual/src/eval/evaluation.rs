//! What came out, picture by picture, and what it adds up to.

use super::argmax;
use serde::Serialize;

/// Bins of the calibration error.
const BINS: usize = 15;

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
    /// How each picture was looked at; names joined by `+` where several ways were averaged.
    pub protocol: String,
    /// The shorter sides that pictures were brought to; none where they were brought to the network's input.
    pub scales: Vec<usize>,
    /// Views that went through a network: windows, or whole pictures where it is applied densely; mirrored ones too.
    pub crops: usize,
    /// Pictures that were left out because they do not decode.
    pub skipped: usize,
    /// Seconds, decoding included.
    pub seconds: f64,
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

/// What testing took.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cost {
    /// Views that went through a network.
    pub crops: usize,
    /// Pictures left out.
    pub skipped: usize,
    /// Seconds.
    pub seconds: f64,
}

/// The sum of outcomes so far.
#[derive(Debug)]
pub(super) struct Tally {
    classes: usize,
    images: usize,
    loss: f64,
    top1: usize,
    top5: usize,
    confusion: Vec<Vec<u64>>,
    /// By confidence: pictures, of them right, sum of confidences.
    bins: [(usize, usize, f64); BINS],
}

impl Tally {
    pub fn new(classes: usize) -> Self {
        let confusion = vec![vec![0; classes]; classes];
        Self { classes, images: 0, loss: 0.0, top1: 0, top5: 0, confusion, bins: [(0, 0, 0.0); BINS] }
    }

    /// Takes in one picture's `probabilities`. Ties go to the lower class, as in `argmax`.
    pub fn add(&mut self, probabilities: &[f32], label: usize) {
        let own = probabilities[label];
        let better = |(class, p): (usize, &f32)| *p > own || (*p == own && class < label);
        let rank = probabilities.iter().enumerate().filter(|&candidate| better(candidate)).count();
        let best = argmax(probabilities);
        let confidence = f64::from(probabilities[best]);
        self.images += 1;
        // A probability that rounds to zero costs as much as the smallest float.
        self.loss -= f64::from(own.max(f32::MIN_POSITIVE)).ln();
        self.top1 += usize::from(rank == 0);
        self.top5 += usize::from(rank < 5);
        self.confusion[label][best] += 1;
        let bin = &mut self.bins[((confidence * BINS as f64) as usize).min(BINS - 1)];
        bin.0 += 1;
        bin.1 += usize::from(best == label);
        bin.2 += confidence;
    }

    fn calibration_error(&self) -> f64 {
        let gap = |&(_, right, confidence): &(usize, usize, f64)| (right as f64 - confidence).abs();
        self.bins.iter().map(gap).sum::<f64>() / self.images.max(1) as f64
    }

    pub fn finish(self, names: &[String], protocol: &str, scales: &[usize], cost: Cost) -> Evaluation {
        let n = self.images.max(1) as f64;
        let error = |right: usize| 100.0 * (self.images - right) as f64 / n;
        let per_class = names.iter().zip(&self.confusion).enumerate().map(|(class, (name, row))| {
            let images = row.iter().sum::<u64>() as usize;
            let accuracy = (images > 0).then(|| 100.0 * row[class] as f64 / images as f64);
            ClassResult { class: name.clone(), images, accuracy }
        });
        Evaluation {
            images: self.images,
            loss: self.loss / n,
            top1_error: error(self.top1),
            top5_error: (self.classes > 5).then(|| error(self.top5)),
            per_class: per_class.collect(),
            ece: self.calibration_error(),
            protocol: protocol.to_owned(),
            scales: scales.to_vec(),
            crops: cost.crops,
            skipped: cost.skipped,
            seconds: cost.seconds,
            images_per_second: self.images as f64 / cost.seconds.max(1e-9),
            confusion: self.confusion,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COST: Cost = Cost { crops: 2, skipped: 0, seconds: 1.0 };

    #[test]
    fn ranks_confusion_and_calibration_are_those_worked_out_by_hand() {
        let mut tally = Tally::new(6);
        tally.add(&[0.1, 0.6, 0.1, 0.1, 0.05, 0.05], 1);
        tally.add(&[0.5, 0.2, 0.1, 0.1, 0.06, 0.04], 5);
        let names: Vec<String> = (0..6).map(|i| i.to_string()).collect();
        let result = tally.finish(&names, "center", &[], COST);
        assert_eq!((result.top1_error, result.top5_error), (50.0, Some(50.0)));
        assert_eq!((result.confusion[1][1], result.confusion[5][0]), (1, 1));
        assert_eq!(result.per_class[0].accuracy, None);
        // Bins 9 and 7: |1 − 0.6| and |0 − 0.5| over two pictures.
        assert!((result.ece - 0.45).abs() < 1e-7);
        let loss = -(0.6f64.ln() + 0.04f64.ln()) / 2.0;
        assert!((result.loss - loss).abs() < 1e-6);
    }

    #[test]
    fn top_five_of_five_classes_does_not_apply() {
        let mut tally = Tally::new(5);
        tally.add(&[0.2; 5], 4);
        let names: Vec<String> = (0..5).map(|i| i.to_string()).collect();
        assert_eq!(tally.finish(&names, "center", &[], COST).top5_error, None);
    }
}
