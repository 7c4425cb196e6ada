//! Testing weights: every picture of a split once, in a fixed order, without dropout and with running statistics.

use crate::data::{self, Batch, Normalizer, Pictures};
use crate::error::{Error, Result};
use crate::infer::Plan;
use crate::models::Model;
use crate::ops::Nhwc;
use burn::tensor::{Device, Tensor, TensorData};
use serde::Serialize;
use std::time::Instant;

/// Pictures per forward pass: enough to keep every core busy, little enough to stay small beside training.
pub(crate) const BATCH: usize = 128;

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

/// One picture's outcome: its probabilities by class.
#[derive(Debug)]
struct Tally {
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
    fn new(classes: usize) -> Self {
        let confusion = vec![vec![0; classes]; classes];
        Self { classes, images: 0, loss: 0.0, top1: 0, top5: 0, confusion, bins: [(0, 0, 0.0); BINS] }
    }

    /// Takes in one picture's `probabilities`. Ties go to the lower class, as in `argmax`.
    fn add(&mut self, probabilities: &[f32], label: usize) {
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

    fn finish(self, names: &[String], protocol: &str, seconds: f64) -> Evaluation {
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
            images_per_second: n / seconds.max(1e-9),
            confusion: self.confusion,
        }
    }
}

/// The index of the largest value; the first of equals.
pub fn argmax(values: &[f32]) -> usize {
    let mut best = 0;
    for (i, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = i;
        }
    }
    best
}

/// A batch's pixels as the network takes them; they move out of the batch, without a copy.
pub fn input(batch: &mut Batch, [h, w, c]: [usize; 3], device: &Device) -> Nhwc {
    let pixels = std::mem::take(&mut batch.pixels);
    Nhwc(Tensor::from_data(TensorData::new(pixels, [batch.labels.len(), h, w, c]), device))
}

/// Tests `model` on `pictures` by their single centre view. `progress` hears of each batch.
///
/// # Errors
/// No pictures, a picture that cannot be read, pictures or classes that do not fit the network.
pub fn evaluate(
    model: &Model,
    pictures: &Pictures,
    normalizer: &Normalizer,
    classes: &[String],
    progress: &mut dyn data::Progress,
) -> Result<Evaluation> {
    check(model, pictures, classes)?;
    let [h, w, _] = model.spec.input;
    let mut plan = Plan::new(model, BATCH.min(pictures.len()), false);
    let mut tally = Tally::new(classes.len());
    let began = Instant::now();
    progress.start("testing", pictures.len() as u64);
    for batch in data::batches(pictures, normalizer, BATCH) {
        let batch = batch?;
        let probabilities = plan.probabilities(&batch.pixels, [batch.labels.len(), h, w])?;
        for (row, &label) in probabilities.chunks_exact(classes.len()).zip(&batch.labels) {
            tally.add(row, label as usize);
        }
        progress.advance(batch.labels.len() as u64);
    }
    Ok(tally.finish(classes, "center", began.elapsed().as_secs_f64()))
}

fn check(model: &Model, pictures: &Pictures, classes: &[String]) -> Result<()> {
    if pictures.is_empty() {
        return Err(Error::data("there are no pictures to test on").with_hint("choose another --split"));
    }
    let (wanted, found) = (model.spec.classes, classes.len());
    if wanted != found {
        return Err(Error::data(format!("the network tells {wanted} classes apart, the data has {found}"))
            .with_hint("test on data with the classes that it was trained on"));
    }
    let found = [pictures.height(), pictures.width(), pictures.channels()];
    if model.spec.input != found {
        let message = format!("the network takes pictures of {:?}, the data has {found:?}", model.spec.input);
        return Err(Error::data(message).with_hint("height, width and channels must agree"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_confusion_and_calibration_are_those_worked_out_by_hand() {
        let mut tally = Tally::new(6);
        tally.add(&[0.1, 0.6, 0.1, 0.1, 0.05, 0.05], 1);
        tally.add(&[0.5, 0.2, 0.1, 0.1, 0.06, 0.04], 5);
        let names: Vec<String> = (0..6).map(|i| i.to_string()).collect();
        let result = tally.finish(&names, "center", 1.0);
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
        assert_eq!(tally.finish(&names, "center", 1.0).top5_error, None);
    }
}
