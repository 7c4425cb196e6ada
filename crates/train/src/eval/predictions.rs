//! What weights said of each image of a split: `predictions.csv` of a run folder.
//!
//! One line an image is enough for errors, confusions, calibration, the worst mistakes, and for comparing two runs
//! image by image, without a second look at the test set.

use super::look::mirrored;
use super::{Classifier, argmax};
use crate::data::{self, Images, Normalizer};
use crate::error::{Error, Result};
use crate::models::Spec;
use std::fmt::Write;
use std::path::Path;

/// Bins of the calibration diagram, as in the calibration error (Guo et al. 2017).
pub const BINS: usize = 15;

const HEAD: &str = "image,truth,told,confidence,second,second_confidence,truth_probability,truth_rank,entropy";

/// One image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prediction {
    /// Its class.
    pub truth: usize,
    /// The likeliest class to the network.
    pub told: usize,
    /// How likely, 0 to 1.
    pub confidence: f32,
    /// The class that came second.
    pub second: usize,
    /// How likely that is.
    pub second_confidence: f32,
    /// How likely the truth is to the network.
    pub truth_probability: f32,
    /// Classes that are likelier than the truth: 0 where the network is right.
    pub truth_rank: usize,
    /// Of the distribution over classes, in nats.
    pub entropy: f32,
}

impl Prediction {
    /// From an image's `probabilities` by class. Ties go to the lower class.
    pub fn new(probabilities: &[f32], truth: usize) -> Self {
        let told = argmax(probabilities);
        let mut second = usize::from(told == 0 && probabilities.len() > 1);
        for (class, &p) in probabilities.iter().enumerate() {
            if class != told && p > probabilities[second] {
                second = class;
            }
        }
        let own = probabilities[truth];
        // What is not a number beats the truth: a network that answers NaN is wrong, not right.
        let beaten = |(class, p): (usize, &f32)| *p < own || (*p == own && class >= truth);
        Self {
            truth,
            told,
            confidence: probabilities[told],
            second,
            second_confidence: probabilities[second],
            truth_probability: own,
            truth_rank: probabilities.iter().enumerate().filter(|&candidate| !beaten(candidate)).count(),
            entropy: probabilities.iter().filter(|p| **p > 0.0).map(|p| -p * p.ln()).sum(),
        }
    }

    /// Whether the likeliest class is the true one.
    pub fn is_right(&self) -> bool {
        self.truth_rank == 0
    }
}

/// The predictions for all images of a split, in its order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Predictions {
    /// One for each image.
    pub rows: Vec<Prediction>,
}

/// A bin of the calibration diagram.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Bin {
    /// Images whose confidence lies in it.
    pub images: usize,
    /// How many of them are right.
    pub right: usize,
    /// Sum of their confidences.
    pub confidence: f64,
}

impl Predictions {
    /// What `classifier` says of each of `images`, looked at once or, with `flip`, mirrored too.
    ///
    /// # Errors
    /// An image that cannot be read; images that do not fit the network.
    pub fn of(
        classifier: &Classifier,
        images: &Images,
        normalizer: &Normalizer,
        flip: bool,
        progress: &mut dyn data::Progress,
    ) -> Result<Self> {
        let Spec { input: [_, w, c], classes, .. } = classifier.model().spec;
        progress.start("testing", images.len() as u64);
        let mut rows = Vec::with_capacity(images.len());
        for batch in data::batches(images, normalizer, classifier.batch()) {
            let batch = batch?;
            let n = batch.labels.len();
            let mut told = classifier.probabilities(&batch.pixels, n)?;
            if flip {
                let other = classifier.probabilities(&mirrored(&batch.pixels, w, c), n)?;
                told.iter_mut().zip(other).for_each(|(p, q)| *p = (*p + q) / 2.0);
            }
            let pairs = told.chunks_exact(classes).zip(&batch.labels);
            rows.extend(pairs.map(|(row, &label)| Prediction::new(row, label as usize)));
            progress.advance(batch.labels.len() as u64);
        }
        Ok(Self { rows })
    }

    /// Whether each image was classified right.
    pub fn right(&self) -> Vec<bool> {
        self.rows.iter().map(Prediction::is_right).collect()
    }

    /// Top-1 error, percent.
    pub fn top1_error(&self) -> f64 {
        self.error_within(1)
    }

    /// Percent of images whose class is not among the `n` likeliest.
    pub fn error_within(&self, n: usize) -> f64 {
        let right = self.rows.iter().filter(|row| row.truth_rank < n).count();
        100.0 * (self.rows.len() - right) as f64 / self.rows.len().max(1) as f64
    }

    /// Mean cross-entropy. A probability that rounds to zero costs as much as the smallest float; NaN stays NaN.
    pub fn loss(&self) -> f64 {
        let cost = |p: f32| if p.is_nan() { f64::NAN } else { -f64::from(p.max(f32::MIN_POSITIVE)).ln() };
        let sum: f64 = self.rows.iter().map(|row| cost(row.truth_probability)).sum();
        sum / self.rows.len().max(1) as f64
    }

    /// `[truth][told]`: images.
    pub fn confusion(&self, classes: usize) -> Vec<Vec<u64>> {
        let mut confusion = vec![vec![0; classes]; classes];
        // A network that answers NaN tells no class.
        for row in self.rows.iter().filter(|row| !row.confidence.is_nan()) {
            if let Some(cell) = confusion.get_mut(row.truth).and_then(|told| told.get_mut(row.told)) {
                *cell += 1;
            }
        }
        confusion
    }

    /// Images by confidence, in bins of equal width.
    pub fn calibration(&self) -> [Bin; BINS] {
        let mut bins = [Bin::default(); BINS];
        for row in &self.rows {
            let bin = &mut bins[((f64::from(row.confidence) * BINS as f64) as usize).min(BINS - 1)];
            bin.images += 1;
            bin.right += usize::from(row.is_right());
            bin.confidence += f64::from(row.confidence);
        }
        bins
    }

    /// Expected calibration error, 0 to 1.
    pub fn calibration_error(&self) -> f64 {
        let gaps = self.calibration().map(|bin| (bin.right as f64 - bin.confidence).abs());
        gaps.iter().sum::<f64>() / self.rows.len().max(1) as f64
    }

    /// Writes them to `path`, a line each.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut text = format!("{HEAD}\n");
        for (i, row) in self.rows.iter().enumerate() {
            let Prediction { truth, told, second, truth_rank, .. } = row;
            // Written to a String: cannot fail.
            let _ = writeln!(
                text,
                "{i},{truth},{told},{},{second},{},{:e},{truth_rank},{}",
                row.confidence, row.second_confidence, row.truth_probability, row.entropy
            );
        }
        crate::atomic::write(path, text.as_bytes())
    }

    /// Reads what [`write`](Self::write) wrote.
    ///
    /// # Errors
    /// A file that is missing or is something else; the line is named.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|error| Error::io("read", path, error))?;
        let foreign = |line: usize| {
            Error::data(format!("{}:{line}: not a line of predictions", path.display()))
                .with_hint("`residual train` writes this file when it tests; remove it and test again")
        };
        let mut lines = text.lines();
        if lines.next() != Some(HEAD) {
            return Err(foreign(1));
        }
        let rows = lines.enumerate().map(|(i, line)| parse(line).ok_or_else(|| foreign(i + 2)));
        Ok(Self { rows: rows.collect::<Result<_>>()? })
    }
}

fn parse(line: &str) -> Option<Prediction> {
    let mut cells = line.split(',').skip(1);
    let row = Prediction {
        truth: cells.next()?.parse().ok()?,
        told: cells.next()?.parse().ok()?,
        confidence: cells.next()?.parse().ok()?,
        second: cells.next()?.parse().ok()?,
        second_confidence: cells.next()?.parse().ok()?,
        truth_probability: cells.next()?.parse().ok()?,
        truth_rank: cells.next()?.parse().ok()?,
        entropy: cells.next()?.parse().ok()?,
    };
    cells.next().is_none().then_some(row)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> Predictions {
        let rows = vec![
            Prediction::new(&[0.1, 0.6, 0.1, 0.1, 0.05, 0.05], 1),
            Prediction::new(&[0.5, 0.2, 0.1, 0.1, 0.06, 0.04], 5),
        ];
        Predictions { rows }
    }

    #[test]
    fn errors_confusions_and_calibration_are_those_worked_out_by_hand() {
        let two = two();
        assert_eq!((two.top1_error(), two.error_within(5), two.error_within(6)), (50.0, 50.0, 0.0));
        assert_eq!((two.rows[1].told, two.rows[1].second, two.rows[1].truth_rank), (0, 1, 5));
        let confusion = two.confusion(6);
        assert_eq!((confusion[1][1], confusion[5][0]), (1, 1));
        // Bins 9 and 7: |1 − 0.6| and |0 − 0.5| over two images.
        assert!((two.calibration_error() - 0.45).abs() < 1e-7);
        let entropy = -(0.6f32 * 0.6f32.ln() + 0.3 * 0.1f32.ln() + 0.1 * 0.05f32.ln());
        assert!((two.rows[0].entropy - entropy).abs() < 1e-6);
    }

    #[test]
    fn a_network_that_answers_nan_has_every_image_wrong_and_no_loss() {
        let nan = Predictions { rows: vec![Prediction::new(&[f32::NAN; 10], 3)] };
        assert_eq!((nan.top1_error(), nan.error_within(5)), (100.0, 100.0));
        assert!(!nan.rows[0].is_right() && nan.loss().is_nan());
        let other = Prediction::new(&[0.6, f32::NAN, 0.4], 0);
        assert_eq!(other.truth_rank, 1, "a class whose probability is no number may be the likeliest");
    }

    #[test]
    fn what_is_written_reads_back_the_same_and_a_damaged_line_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("predictions.csv");
        two().write(&path).expect("a fresh folder");
        assert_eq!(Predictions::read(&path).expect("its own"), two());
        std::fs::write(&path, format!("{HEAD}\n0,1,1,0.6\n")).expect("writable");
        let error = Predictions::read(&path).expect_err("a short line");
        assert!(error.to_string().contains("predictions.csv:2:"), "{error}");
    }
}
