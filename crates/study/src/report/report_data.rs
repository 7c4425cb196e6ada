//! The data of a page about a run: its record, the predictions of its weights, and example images.

use super::images::{self, Bitmap};
use super::lang::{self, Lang};
use residual::error::Result;
use residual::explain;
use residual::graph::Summary;
use residual::plan::InferenceSession;
use residual::weights::{self, Metadata};
use residual_train::data::{self, Dataset, Image, Images, Normalizer, Split};
use residual_train::eval::predictions::{Prediction, Predictions};
use residual_train::train::Record;
use residual_train::train::record::RunState;

/// Confidence of a wrong prediction from which on the label itself is suspicious (Northcutt et al.
/// 2021, "Pervasive Label Errors in Test Sets", find 0.54 % of CIFAR-10's test labels wrong, most
/// of them by confident disagreement).
const SUSPICIOUS: f32 = 0.95;

/// Augmented versions shown beside each training image.
const DRAWS: usize = 7;

/// An image with the network's prediction.
#[derive(Debug, Clone)]
pub struct Example {
    /// The image.
    pub image: Bitmap,
    /// The name of the image.
    pub name: String,
    /// The prediction.
    pub prediction: Prediction,
}

/// An image with the Grad-CAM overlay of its prediction.
#[derive(Debug, Clone)]
pub struct Explained {
    /// The image and its prediction.
    pub example: Example,
    /// The overlay.
    pub overlay: Bitmap,
}

/// Largest number of images with a Grad-CAM overlay.
const EXPLAINED: usize = 12;

/// A run with everything that its page shows.
#[derive(Debug)]
pub struct ReportData {
    /// The record of the run folder.
    pub record: Record,
    /// The summary of the network.
    pub summary: Option<Summary>,
    /// The metadata of the weights.
    pub metadata: Option<Metadata>,
    /// The names of the classes.
    pub classes: Vec<String>,
    /// The predictions for all images of `split`.
    pub predictions: Predictions,
    /// The split of the predictions: test of a finished run, validation of an unfinished one.
    pub split: Split,
    /// The most confident errors.
    pub mistakes: Vec<Example>,
    /// The images whose two most probable classes are closest.
    pub uncertain: Vec<Example>,
    /// Images with Grad-CAM overlays.
    pub explained: Vec<Explained>,
    /// Training images, each followed by augmented versions.
    pub variations: Vec<Vec<Bitmap>>,
    /// The filters of the first convolution, and their height in pixels.
    pub filters: Option<(Vec<Bitmap>, usize)>,
    /// The reason why there are no images, if there are none.
    pub missing_images: Option<String>,
}

impl ReportData {
    /// Returns whether the label of `example` is suspicious: a network that is mostly right is
    /// confident of another.
    pub fn has_suspicious_label(&self, example: &Example) -> bool {
        !example.prediction.is_right()
            && example.prediction.confidence >= SUSPICIOUS
            && self.predictions.top1_error() < 50.0
    }

    /// Gathers the data of a run. Images come from `data` if the caller has it open, else from the
    /// recipe's source; if that cannot be opened, the page has no images and states the reason. At
    /// most `thumbnails` of each kind are taken.
    ///
    /// # Errors
    /// Fails if a file of the run folder is damaged.
    pub fn gather(
        record: Record,
        data: Option<&Dataset>,
        thumbnails: usize,
        progress: &mut dyn data::Progress,
    ) -> Result<Self> {
        let opened = match data {
            Some(data) => Ok(data.clone()),
            None => residual_train::train::open(&record.recipe, true, progress),
        };
        let mut run = Self {
            summary: residual::models::summary(&record.recipe.model).ok(),
            metadata: None,
            classes: Vec::new(),
            predictions: record.predictions()?.unwrap_or_default(),
            split: if record.state == RunState::Finished { Split::Test } else { Split::Validation },
            mistakes: Vec::new(),
            uncertain: Vec::new(),
            explained: Vec::new(),
            variations: Vec::new(),
            filters: None,
            missing_images: opened.as_ref().err().map(ToString::to_string),
            record,
        };
        if let Ok(data) = &opened {
            run.classes.clone_from(&data.classes);
        }
        if run.classes.is_empty() {
            run.classes.clone_from(&run.predictions.classes);
        }
        run.add_weights_and_images(opened.as_ref().ok(), thumbnails, progress)?;
        run.predictions = std::mem::take(&mut run.predictions).for_classes(&run.classes)?;
        Ok(run)
    }

    /// Adds the parts that need the weights, and then those that need the images.
    fn add_weights_and_images(
        &mut self,
        data: Option<&Dataset>,
        thumbnails: usize,
        progress: &mut dyn data::Progress,
    ) -> Result<()> {
        let Some(path) = self.record.weights() else { return Ok(()) };
        let (model, metadata) = weights::load(&path)?;
        self.filters = images::first_filters(model.tensors());
        self.classes.clone_from(&metadata.classes);
        self.summary = Some(model.spec.summary());
        let preprocessing = metadata.preprocessing.clone();
        self.metadata = Some(metadata);
        if !self.predictions.rows.is_empty() {
            self.predictions = std::mem::take(&mut self.predictions).for_classes(&self.classes)?;
        }
        let Some(data) = data else { return Ok(()) };
        let shown = &data.split(self.split)?;
        let session = InferenceSession::new(&model, shown.len(), self.record.recipe.train.winograd);
        if self.predictions.rows.is_empty() && !shown.is_empty() {
            self.predictions =
                Predictions::of(&session, shown, &preprocessing.normalizer()?, &self.classes, false, progress)?;
        }
        if self.predictions.rows.len() == shown.len() {
            self.choose(shown, thumbnails)?;
            self.explain(&session, shown, &preprocessing.normalizer()?, thumbnails.min(EXPLAINED))?;
        }
        let rows = thumbnails.div_ceil(4).min(data.train.len());
        // One of each class, the first that comes.
        let mut firsts: Vec<u32> = Vec::new();
        for class in 0..self.classes.len().min(rows) {
            firsts.extend((0..data.train.len()).find(|&i| data.train.label(i) == class).map(|i| i as u32));
        }
        self.variations = images::variations(&data.train, &preprocessing, &self.record.recipe, &firsts, DRAWS)?;
        Ok(())
    }

    /// Chooses the errors and the uncertain predictions.
    fn choose(&mut self, shown: &Images, thumbnails: usize) -> Result<()> {
        let rows = &self.predictions.rows;
        let mut wrong: Vec<usize> = (0..rows.len()).filter(|&i| !rows[i].is_right()).collect();
        wrong.sort_by(|&a, &b| rows[b].confidence.total_cmp(&rows[a].confidence).then(a.cmp(&b)));
        let mut doubtful: Vec<usize> = (0..rows.len()).collect();
        let margin = |i: usize| rows[i].confidence - rows[i].second_confidence;
        doubtful.sort_by(|&a, &b| margin(a).total_cmp(&margin(b)).then(a.cmp(&b)));
        let example = |i: &usize| {
            Ok(Example { image: Bitmap::thumbnail(shown, *i)?, name: shown.name(*i), prediction: rows[*i].clone() })
        };
        let mistakes: Result<Vec<Example>> = wrong.iter().take(thumbnails).map(example).collect();
        let uncertain: Result<Vec<Example>> = doubtful.iter().take(thumbnails).map(example).collect();
        (self.mistakes, self.uncertain) = (mistakes?, uncertain?);
        Ok(())
    }

    /// Computes Grad-CAM overlays for the first image of each class, at most `most`.
    fn explain(
        &mut self,
        session: &InferenceSession,
        shown: &Images,
        normalizer: &Normalizer,
        most: usize,
    ) -> Result<()> {
        let first = |class: usize| (0..shown.len()).find(|&i| shown.label(i) == class).map(|i| i as u32);
        let chosen: Vec<u32> = (0..self.classes.len()).filter_map(first).take(most).collect();
        let predicted: Vec<usize> = chosen.iter().map(|&i| self.predictions.rows[i as usize].prediction).collect();
        let dims = [chosen.len(), shown.height(), shown.width(), shown.channels()];
        let subset = shown.subset(&chosen);
        let Some(batch) = data::batches(&subset, normalizer, most.max(1)).next() else { return Ok(()) };
        let heats = explain::grad_cam(session, &batch?.pixels, dims, &predicted)?;
        for (&i, heat) in chosen.iter().zip(&heats) {
            let i = i as usize;
            let (height, width, channels) = (shown.height(), shown.width(), shown.channels());
            let image = Image { height, width, channels, pixels: shown.pixels(i)?.into_owned() };
            let overlay = Bitmap::from(explain::overlay(&image, heat)).small();
            let example = Example {
                image: Bitmap::from(image).small(),
                name: shown.name(i),
                prediction: self.predictions.rows[i].clone(),
            };
            self.explained.push(Explained { example, overlay });
        }
        Ok(())
    }

    /// Returns the name of a class.
    pub fn class(&self, class: usize) -> String {
        self.classes.get(class).cloned().unwrap_or_else(|| class.to_string())
    }

    /// Returns the title of the page: the network and its training data.
    pub fn title(&self, lang: Lang) -> String {
        let data = self.record.result.as_ref().map(|result| result.data.clone());
        let data = data.or_else(|| self.metadata.as_ref()?.trained_on.clone());
        let source = || {
            let source = &self.record.recipe.data.source;
            source.rsplit(['/', '\\']).next().unwrap_or(source).to_owned()
        };
        format!("{} · {}", self.record.recipe.model.name, lang::data(&data.unwrap_or_else(source), lang))
    }
}
