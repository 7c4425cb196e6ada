//! The predictions for each image of a split: `predictions.csv` of a run folder.
//!
//! One line per image is enough for errors, confusion, calibration and the worst mistakes, and for
//! comparing two runs image by image, without another pass over the test set.

use super::crops::mirrored;
use super::probability::argmax;
use crate::data::{self, Images, Normalizer};
use crate::error::{Error, Result};
use residual::plan::InferenceSession;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Bins of the calibration diagram, as in the calibration error (Guo et al. 2017).
pub const BINS: usize = 15;

/// The prediction for one image.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// The image's index in its split.
    pub index: usize,
    /// The image's file; `None` if many images share one.
    pub file: Option<String>,
    /// The image's class.
    pub label: usize,
    /// The most probable class.
    pub prediction: usize,
    /// The probability of that class, 0 to 1.
    pub confidence: f32,
    /// The second most probable class.
    pub second_prediction: usize,
    /// The probability of that class, 0 to 1.
    pub second_confidence: f32,
    /// The cross-entropy of the label, in nats.
    pub loss: f64,
    /// The number of classes that are more probable than the label; `None` if the prediction was
    /// read from a file.
    pub label_rank: Option<usize>,
}

impl Prediction {
    /// Summarises the `probabilities` of an image, one per class. Of equal ones the lower class
    /// counts as more probable.
    pub fn new(probabilities: &[f32], label: usize) -> Self {
        let prediction = argmax(probabilities);
        let mut second = usize::from(prediction == 0 && probabilities.len() > 1);
        for (class, &p) in probabilities.iter().enumerate() {
            if class != prediction && p > probabilities[second] {
                second = class;
            }
        }
        let own = probabilities[label];
        // NaN ranks above the label: a network that returns NaN is wrong, not right.
        let is_below = |(class, p): (usize, &f32)| *p < own || (*p == own && class >= label);
        // A probability that rounds to zero costs as much as the smallest float; NaN stays NaN.
        let loss = if own.is_nan() { f64::NAN } else { -f64::from(own.max(f32::MIN_POSITIVE)).ln() };
        Self {
            index: 0,
            file: None,
            label,
            prediction,
            confidence: probabilities[prediction],
            second_prediction: second,
            second_confidence: probabilities[second],
            loss,
            label_rank: Some(probabilities.iter().enumerate().filter(|&class| !is_below(class)).count()),
        }
    }

    /// Returns the same prediction as that of image `index` of `images`.
    pub fn of_image(self, images: &Images, index: usize) -> Self {
        let file = images.file(index).map(|path| path.display().to_string());
        Self { index, file, ..self }
    }

    /// Whether the prediction is the label.
    pub fn is_right(&self) -> bool {
        match self.label_rank {
            Some(rank) => rank == 0,
            None => self.prediction == self.label && !self.confidence.is_nan(),
        }
    }
}

/// The predictions for a split, in its order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Predictions {
    /// Class names, by class index.
    pub classes: Vec<String>,
    /// One prediction per image.
    pub rows: Vec<Prediction>,
}

/// A bin of the calibration diagram.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Bin {
    /// Number of images whose confidence lies in the bin.
    pub images: usize,
    /// Number of those that are classified correctly.
    pub right: usize,
    /// Sum of their confidences.
    pub confidence: f64,
}

/// A line of `predictions.csv`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    index: usize,
    file: Option<String>,
    label: String,
    prediction: String,
    confidence: f32,
    second_prediction: String,
    second_confidence: f32,
    loss: f64,
}

impl Predictions {
    /// Classifies each of `images`, which are of the network's size, by its centre crop; with
    /// `flip` the probabilities of the mirrored image are averaged in. `classes` are the class
    /// names.
    ///
    /// # Errors
    /// An image cannot be read, or does not fit the network.
    pub fn of(
        session: &InferenceSession,
        images: &Images,
        normalizer: &Normalizer,
        classes: &[String],
        flip: bool,
        progress: &mut dyn data::Progress,
    ) -> Result<Self> {
        let ([_, w, c], count) = (session.input(), session.classes());
        progress.start("testing", images.len() as u64);
        let mut rows = Vec::with_capacity(images.len());
        for batch in data::batches(images, normalizer, session.batch()) {
            let batch = batch?;
            let n = batch.labels.len();
            let mut probabilities = session.probabilities(&batch.pixels, n)?;
            if flip {
                let other = session.probabilities(&mirrored(&batch.pixels, w, c), n)?;
                probabilities.iter_mut().zip(other).for_each(|(p, q)| *p = (*p + q) / 2.0);
            }
            for (row, &label) in probabilities.chunks_exact(count).zip(&batch.labels) {
                rows.push(Prediction::new(row, label as usize).of_image(images, rows.len()));
            }
            progress.advance(batch.labels.len() as u64);
        }
        Ok(Self { classes: classes.to_vec(), rows })
    }

    /// Returns the name of class `class`, or its index if it has none.
    pub fn class(&self, class: usize) -> String {
        self.classes.get(class).cloned().unwrap_or_else(|| class.to_string())
    }

    /// Returns for each image whether it is classified correctly.
    pub fn right(&self) -> Vec<bool> {
        self.rows.iter().map(Prediction::is_right).collect()
    }

    /// Returns the top-1 error in percent.
    pub fn top1_error(&self) -> f64 {
        self.percent_wrong(Prediction::is_right)
    }

    /// Returns the top-5 error in percent; `None` if there are fewer than six classes, or if the
    /// predictions were read from a file.
    pub fn top5_error(&self) -> Option<f64> {
        let is_known = self.rows.iter().all(|row| row.label_rank.is_some());
        (is_known && self.classes.len() > 5)
            .then(|| self.percent_wrong(|row| row.label_rank.is_some_and(|rank| rank < 5)))
    }

    fn percent_wrong(&self, is_right: impl Fn(&Prediction) -> bool) -> f64 {
        let right = self.rows.iter().filter(|row| is_right(row)).count();
        100.0 * (self.rows.len() - right) as f64 / self.rows.len().max(1) as f64
    }

    /// Returns the mean cross-entropy.
    pub fn loss(&self) -> f64 {
        let sum: f64 = self.rows.iter().map(|row| row.loss).sum();
        sum / self.rows.len().max(1) as f64
    }

    /// Returns the confusion matrix `[label][prediction]`, in images.
    pub fn confusion(&self) -> Vec<Vec<u64>> {
        let mut confusion = vec![vec![0; self.classes.len()]; self.classes.len()];
        // A network that returns NaN predicts no class.
        for row in self.rows.iter().filter(|row| !row.confidence.is_nan()) {
            if let Some(cell) = confusion.get_mut(row.label).and_then(|cells| cells.get_mut(row.prediction)) {
                *cell += 1;
            }
        }
        confusion
    }

    /// Returns the images by confidence, in bins of equal width.
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

    /// Returns the expected calibration error, 0 to 1.
    pub fn calibration_error(&self) -> f64 {
        let gaps = self.calibration().map(|bin| (bin.right as f64 - bin.confidence).abs());
        gaps.iter().sum::<f64>() / self.rows.len().max(1) as f64
    }

    /// Returns the same predictions with class indices of `classes`.
    ///
    /// # Errors
    /// A predicted class or a label is not among `classes`.
    pub fn for_classes(self, classes: &[String]) -> Result<Self> {
        if self.classes == classes {
            return Ok(self);
        }
        let find = |name: &String| {
            classes.iter().position(|class| class == name).ok_or_else(|| {
                Error::data(format!("predictions.csv has a class {name}, which the weights do not have"))
                    .with_hint("`residual eval --predictions` writes the file again")
            })
        };
        let indices = self.classes.iter().map(find).collect::<Result<Vec<_>>>()?;
        let rows = self.rows.into_iter().map(|row| Prediction {
            label: indices[row.label],
            prediction: indices[row.prediction],
            second_prediction: indices[row.second_prediction],
            ..row
        });
        Ok(Self { rows: rows.collect(), classes: classes.to_vec() })
    }

    /// Writes the predictions to `path` as CSV, one line per image.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        for row in &self.rows {
            let line = Line {
                index: row.index,
                file: row.file.clone(),
                label: self.class(row.label),
                prediction: self.class(row.prediction),
                confidence: row.confidence,
                second_prediction: self.class(row.second_prediction),
                second_confidence: row.second_confidence,
                loss: row.loss,
            };
            writer.serialize(line).expect("a line of numbers and names serialises to memory");
        }
        let text = writer.into_inner().expect("memory does not fail to flush");
        crate::atomic::write(path, &text)
    }

    /// Reads a file that [`write`](Self::write) wrote. The classes are those that it names, in
    /// alphabetical order; [`for_classes`](Self::for_classes) restores the network's order.
    ///
    /// # Errors
    /// The file is missing, has the columns of an earlier version, or has a line that does not
    /// parse; the error names the line.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read(path).map_err(|error| Error::io("read", path, error))?;
        let mut reader = csv::Reader::from_reader(text.as_slice());
        let hint = "`residual eval --predictions` writes the file again";
        let old = |headers: &csv::StringRecord| headers.iter().any(|header| header == "truth_rank");
        if reader.headers().is_ok_and(old) {
            let message = format!("{} has the columns of an earlier version", path.display());
            return Err(Error::data(message).with_hint(hint));
        }
        let invalid = |error: csv::Error| {
            let line = error.position().map_or(1, csv::Position::line);
            Error::data(format!("{}:{line}: not a line of predictions", path.display())).with_hint(hint)
        };
        let lines = reader.deserialize().collect::<std::result::Result<Vec<Line>, _>>().map_err(invalid)?;
        let mut classes: Vec<String> =
            lines.iter().flat_map(|line| [&line.label, &line.prediction, &line.second_prediction]).cloned().collect();
        classes.sort_unstable();
        classes.dedup();
        let find = |name: &String| classes.binary_search(name).expect("every name is in the list");
        let rows = lines.into_iter().map(|line| Prediction {
            index: line.index,
            label: find(&line.label),
            prediction: find(&line.prediction),
            confidence: line.confidence,
            second_prediction: find(&line.second_prediction),
            second_confidence: line.second_confidence,
            loss: line.loss,
            label_rank: None,
            file: line.file,
        });
        Ok(Self { rows: rows.collect(), classes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Vec<String> {
        ["cat", "bird", "dog, small", "ship", "truck", "frog"].map(str::to_owned).to_vec()
    }

    fn two() -> Predictions {
        let rows = vec![
            Prediction::new(&[0.1, 0.6, 0.1, 0.1, 0.05, 0.05], 1),
            Prediction::new(&[0.5, 0.2, 0.1, 0.1, 0.06, 0.04], 5),
        ];
        Predictions { rows, classes: names() }
    }

    #[test]
    fn errors_confusion_and_calibration_are_those_computed_by_hand() {
        let two = two();
        assert_eq!((two.top1_error(), two.top5_error()), (50.0, Some(50.0)));
        let second = &two.rows[1];
        assert_eq!((second.prediction, second.second_prediction, second.label_rank), (0, 1, Some(5)));
        let confusion = two.confusion();
        assert_eq!((confusion[1][1], confusion[5][0]), (1, 1));
        // Bins 9 and 7: |1 − 0.6| and |0 − 0.5| over two images.
        assert!((two.calibration_error() - 0.45).abs() < 1e-7);
        let loss = -(f64::from(0.6f32).ln() + f64::from(0.04f32).ln()) / 2.0;
        assert_eq!(two.loss(), loss);
    }

    #[test]
    fn a_network_that_returns_nan_has_every_image_wrong_and_no_loss() {
        let rows = vec![Prediction::new(&[f32::NAN; 10], 3)];
        let nan = Predictions { rows, classes: (0..10).map(|class| class.to_string()).collect() };
        assert_eq!((nan.top1_error(), nan.top5_error()), (100.0, Some(100.0)));
        assert!(!nan.rows[0].is_right() && nan.loss().is_nan());
        let other = Prediction::new(&[0.6, f32::NAN, 0.4], 0);
        assert_eq!(other.label_rank, Some(1), "a class whose probability is NaN may be the most probable");
    }

    #[test]
    fn a_written_file_reads_back_with_names_and_a_damaged_line_is_reported() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("predictions.csv");
        two().write(&path).expect("a fresh folder");
        let text = std::fs::read_to_string(&path).expect("written");
        let header = "index,file,label,prediction,confidence,second_prediction,second_confidence,loss\n";
        assert!(text.starts_with(header), "{text}");
        let read = Predictions::read(&path).expect("its own").for_classes(&names()).expect("the same classes");
        assert_eq!((read.top1_error(), read.loss(), read.top5_error()), (50.0, two().loss(), None));
        assert_eq!((read.confusion(), read.calibration()), (two().confusion(), two().calibration()));
        std::fs::write(&path, format!("{header}0,,cat,cat,0.6\n")).expect("writable");
        let error = Predictions::read(&path).expect_err("a short line");
        assert!(error.to_string().contains("predictions.csv:2:"), "{error}");
    }

    #[test]
    fn a_file_of_an_earlier_version_is_refused_by_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("predictions.csv");
        let header = "image,truth,told,confidence,second,second_confidence,truth_probability,truth_rank,entropy";
        std::fs::write(&path, format!("{header}\n0,1,1,0.6,2,0.1,6e-1,0,1.2\n")).expect("writable");
        let error = Predictions::read(&path).expect_err("old columns");
        assert!(error.to_string().ends_with("has the columns of an earlier version"), "{error}");
    }
}
