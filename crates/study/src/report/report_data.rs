//! A run as the page shows it: its record, what its weights said of the test images, and the images
//! themselves as far as they can be had.

use super::images::{self, Bitmap};
use super::lang::{self, Lang};
use burn::tensor::Device;
use residual::error::Result;
use residual_train::data::{self, Dataset, Image, Images, Normalizer, Split};
use residual_train::eval::Classifier;
use residual_train::eval::predictions::{Prediction, Predictions};
use residual_train::explain;
use residual_train::models::{Model, Summary};
use residual_train::train::Record;
use residual_train::train::record::State;
use residual_train::weights::{self, Metadata};

/// A wrong answer as sure as this makes the label worth a look (Northcutt et al. 2021, "Pervasive
/// Label Errors in Test Sets", find 0.54 % of CIFAR-10's test labels wrong, most of them by
/// confident disagreement).
const SUSPICIOUS: f32 = 0.95;

/// Variations of a training image that are shown beside it.
const DRAWS: usize = 7;

/// An image with what the network said of it.
#[derive(Debug, Clone)]
pub struct Example {
    /// The image.
    pub image: Bitmap,
    /// What it is called.
    pub name: String,
    /// What was said.
    pub prediction: Prediction,
}

/// An image, and where the network looked when it gave its answer.
#[derive(Debug, Clone)]
pub struct Explained {
    /// The image and what was said of it.
    pub seen: Example,
    /// The heat of that answer over the image.
    pub heat: Bitmap,
}

/// Images that are explained.
const EXPLAINED: usize = 12;

/// A run and everything the page shows of it.
#[derive(Debug)]
pub struct ReportData {
    /// The run folder, read.
    pub record: Record,
    /// The network as a table.
    pub summary: Option<Summary>,
    /// What the weights know of themselves.
    pub metadata: Option<Metadata>,
    /// Class names.
    pub classes: Vec<String>,
    /// What the weights said of each image.
    pub predictions: Predictions,
    /// Of which split: the test split of a finished run; an unfinished one does not touch that.
    pub split: Split,
    /// The most confident mistakes.
    pub mistakes: Vec<Example>,
    /// The images with the most even distributions.
    pub uncertain: Vec<Example>,
    /// Where the network looked.
    pub explained: Vec<Explained>,
    /// Training images, each followed by variations of itself.
    pub variations: Vec<Vec<Bitmap>>,
    /// The filters of the first convolution, and their height.
    pub filters: Option<(Vec<Bitmap>, usize)>,
    /// Why there are no images, where there are none.
    pub missing_images: Option<String>,
}

impl ReportData {
    /// Whether the label of `seen` looks wrong: the network, which is mostly right, is sure of
    /// another.
    pub fn doubts_label(&self, seen: &Example) -> bool {
        !seen.prediction.is_right() && seen.prediction.confidence >= SUSPICIOUS && self.predictions.top1_error() < 50.0
    }

    /// Gathers what there is of a run. Images come from `data` where the caller has it open, else
    /// the recipe's source is opened; where that cannot be, the page does without and says why. At
    /// most `thumbnails` of each kind are taken.
    ///
    /// # Errors
    /// A file of the run folder that is damaged.
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
            summary: residual_train::models::summary(&record.recipe.model).ok(),
            metadata: None,
            classes: Vec::new(),
            predictions: record.predictions()?.unwrap_or_default(),
            split: if record.state == State::Finished { Split::Test } else { Split::Validation },
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
        run.look_inside(opened.as_ref().ok(), thumbnails, progress)?;
        Ok(run)
    }

    /// What needs the weights, and then the images.
    fn look_inside(
        &mut self,
        data: Option<&Dataset>,
        thumbnails: usize,
        progress: &mut dyn data::Progress,
    ) -> Result<()> {
        let Some(path) = self.record.weights() else { return Ok(()) };
        let (model, metadata) = weights::load(&path, &Device::flex())?;
        self.filters = images::first_filters(&weights::values(&model));
        self.classes.clone_from(&metadata.classes);
        self.summary = Some(model.summary());
        let preprocessing = metadata.preprocessing.clone();
        self.metadata = Some(metadata);
        let Some(data) = data else { return Ok(()) };
        let shown = &data.split(self.split)?;
        if self.predictions.rows.is_empty() && !shown.is_empty() {
            let classifier = Classifier::new(&model, shown.len(), self.record.recipe.train.precise);
            self.predictions = Predictions::of(&classifier, shown, &preprocessing.normalizer()?, false, progress)?;
        }
        if self.predictions.rows.len() == shown.len() {
            self.choose(shown, thumbnails)?;
            self.explain(&model, shown, &preprocessing.normalizer()?, thumbnails.min(EXPLAINED))?;
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

    /// The mistakes and doubts that are shown.
    fn choose(&mut self, shown: &Images, thumbnails: usize) -> Result<()> {
        let rows = &self.predictions.rows;
        let mut wrong: Vec<usize> = (0..rows.len()).filter(|&i| !rows[i].is_right()).collect();
        wrong.sort_by(|&a, &b| rows[b].confidence.total_cmp(&rows[a].confidence).then(a.cmp(&b)));
        let mut doubtful: Vec<usize> = (0..rows.len()).collect();
        doubtful.sort_by(|&a, &b| rows[b].entropy.total_cmp(&rows[a].entropy).then(a.cmp(&b)));
        let seen = |i: &usize| {
            Ok(Example { image: Bitmap::thumbnail(shown, *i)?, name: shown.name(*i), prediction: rows[*i] })
        };
        let mistakes: Result<Vec<Example>> = wrong.iter().take(thumbnails).map(seen).collect();
        let uncertain: Result<Vec<Example>> = doubtful.iter().take(thumbnails).map(seen).collect();
        (self.mistakes, self.uncertain) = (mistakes?, uncertain?);
        Ok(())
    }

    /// Where the network looked: for the first image of each class, as far as `most` reaches.
    fn explain(&mut self, model: &Model, shown: &Images, normalizer: &Normalizer, most: usize) -> Result<()> {
        let first = |class: usize| (0..shown.len()).find(|&i| shown.label(i) == class).map(|i| i as u32);
        let chosen: Vec<u32> = (0..self.classes.len()).filter_map(first).take(most).collect();
        let told: Vec<usize> = chosen.iter().map(|&i| self.predictions.rows[i as usize].told).collect();
        let dims = [chosen.len(), shown.height(), shown.width(), shown.channels()];
        let subset = shown.subset(&chosen);
        let Some(batch) = data::batches(&subset, normalizer, most.max(1)).next() else { return Ok(()) };
        let heats = explain::grad_cam(model, batch?.pixels, dims, &told)?;
        for (&i, heat) in chosen.iter().zip(&heats) {
            let i = i as usize;
            let (height, width, channels) = (shown.height(), shown.width(), shown.channels());
            let image = Image { height, width, channels, pixels: shown.pixels(i)?.into_owned() };
            let heat = Bitmap::from(explain::overlay(&image, heat)).small();
            let seen = Example {
                image: Bitmap::from(image).small(),
                name: shown.name(i),
                prediction: self.predictions.rows[i],
            };
            self.explained.push(Explained { seen, heat });
        }
        Ok(())
    }

    /// A class's name.
    pub fn class(&self, class: usize) -> String {
        self.classes.get(class).cloned().unwrap_or_else(|| class.to_string())
    }

    /// The network and what it learnt from, in a few words.
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
