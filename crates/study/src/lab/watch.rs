//! Looks into a network while it trains: at its start, and whenever a checkpoint is written.
//!
//! What was seen goes to `lab.jsonl` in the run folder, a line for each look. Training and test error on the way are those
//! of some images of either split, evenly spaced: nothing is chosen by them.

use super::inside::{Measured, gradient_norms, responses};
use burn::tensor::Device;
use residual::error::{Error, Result};
use residual_train::data::{self, Batch, Images, Normalizer};
use residual_train::eval::{Classifier, evaluate};
use residual_train::models::Model;
use residual_train::recipe::Recipe;
use residual_train::train::{Event, Prepared, Sink, prepare};
use residual_train::weights;
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Images of the batch whose responses and gradients are measured.
const BATCH: usize = 128;

/// Images of each split that are classified at a look.
const IMAGES: usize = 2000;

/// One look.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Look {
    /// Steps done.
    pub step: u64,
    /// Error on some training images, not varied, percent.
    pub train_error: f64,
    /// Error on some test images, percent.
    pub test_error: Option<f64>,
    /// Deviation of each convolution's response.
    pub responses: Vec<Measured>,
    /// Norm of the gradient of each convolution's weights.
    pub gradients: Vec<Measured>,
}

impl Look {
    /// Gradient of the first convolution over that of the last.
    pub fn gradient_ratio(&self) -> Option<f64> {
        let (first, last) = (self.gradients.first()?, self.gradients.last()?);
        (last.value > 0.0).then(|| first.value / last.value)
    }

    /// Mean deviation of the responses.
    pub fn mean_response(&self) -> Option<f64> {
        let n = self.responses.len();
        (n > 0).then(|| self.responses.iter().map(|one| one.value).sum::<f64>() / n as f64)
    }
}

/// A listener of one run that looks inside.
pub(super) struct Watch<'a> {
    recipe: Recipe,
    file: PathBuf,
    weights: PathBuf,
    probe: Batch,
    train: Images,
    test: Images,
    classes: Vec<String>,
    normalizer: Normalizer,
    dims: [usize; 4],
    params: u64,
    steps: u64,
    /// Of the network at its start; taken when the run begins.
    start: Option<Model>,
    failure: Option<Error>,
    sink: &'a mut dyn Sink,
}

impl<'a> Watch<'a> {
    /// Watches the run of `recipe` in `folder`, `looks` times beside its start; passes events on to `sink`.
    pub fn new(
        recipe: &Recipe,
        folder: &Path,
        looks: u64,
        sink: &'a mut dyn Sink,
        progress: &mut dyn data::Progress,
    ) -> Result<Self> {
        let device = Device::flex().autodiff();
        let Prepared { recipe: _, data, preprocessing, model } = prepare(recipe, false, &device, progress)?;
        let mut recipe = recipe.clone();
        let steps = recipe.total_steps(data.train.len());
        recipe.train.checkpoint_every = steps.div_ceil(looks.max(1)).max(1);
        let normalizer = preprocessing.normalizer()?;
        let probe = data.train.spread(BATCH);
        let dims = [probe.len(), probe.height(), probe.width(), probe.channels()];
        let probe = data::batches(&probe, &normalizer, BATCH).next();
        let probe = probe.unwrap_or_else(|| Err(Error::data("there are no training images")))?;
        Ok(Self {
            recipe,
            file: folder.join("lab.jsonl"),
            weights: folder.join("last.safetensors"),
            probe,
            train: data.train.spread(IMAGES),
            test: data.test.spread(IMAGES),
            classes: data.classes,
            normalizer,
            dims,
            params: model.summary().params,
            steps,
            start: Some(model),
            failure: None,
            sink,
        })
    }

    /// The recipe with the checkpoints that looks need.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// Everything that was seen, by step, and the network's parameters.
    ///
    /// # Errors
    /// The first look that failed.
    pub fn finish(self) -> Result<(Vec<Look>, u64)> {
        if let Some(error) = self.failure {
            return Err(error);
        }
        Ok((read(&self.file)?, self.params))
    }

    /// Whether a kill between the checkpoint of `step` and its look left it out.
    fn was_missed(&self, step: u64) -> bool {
        self.is_due(step) && !read(&self.file).is_ok_and(|looks| looks.iter().any(|look| look.step == step))
    }

    fn is_due(&self, step: u64) -> bool {
        step.is_multiple_of(self.recipe.train.checkpoint_every) || step == self.steps
    }

    fn look(&mut self, step: u64) -> Result<()> {
        let device = Device::flex().autodiff();
        let model = match self.start.take() {
            Some(model) if step == 0 => model,
            _ => weights::load(&self.weights, &device)?.0,
        };
        let classifier = Classifier::new(&model, IMAGES, self.recipe.train.precise);
        let error = |images: &Images| {
            evaluate(&classifier, images, &self.normalizer, &self.classes, &mut ()).map(|result| result.top1_error)
        };
        let look = Look {
            step,
            train_error: error(&self.train)?,
            test_error: if self.test.is_empty() { None } else { Some(error(&self.test)?) },
            responses: responses(&model, &self.probe.pixels, self.dims)?,
            // Last: it moves the running statistics of the model, which is not used again.
            gradients: gradient_norms(&model, &self.probe.pixels, self.dims, &self.probe.labels)?,
        };
        let mut line = serde_json::to_vec(&look).expect("numbers");
        line.push(b'\n');
        let opened = std::fs::File::options().create(true).append(true).open(&self.file);
        opened.and_then(|mut file| file.write_all(&line)).map_err(|error| Error::io("write", &self.file, error))
    }
}

impl Sink for Watch<'_> {
    fn event(&mut self, event: &Event) {
        let step = match event {
            Event::Start { step: 0, .. } => Some(0),
            Event::Start { step, .. } if self.was_missed(*step) => Some(*step),
            // Checkpoints are written at the end of each epoch as well.
            Event::Checkpoint { step, .. } if self.is_due(*step) => Some(*step),
            _ => None,
        };
        self.sink.event(event);
        if let Some(step) = step
            && let Err(error) = self.look(step)
        {
            self.failure.get_or_insert(error);
        }
    }
}

/// The looks in `path`, by step. A run that was killed behind its last checkpoint repeats some: the newer ones count. A
/// line that a kill cut short does not parse, and is repeated as well.
pub fn read(path: &Path) -> Result<Vec<Look>> {
    let text = std::fs::read_to_string(path).map_err(|error| Error::io("read", path, error))?;
    let looks = text.lines().filter_map(|line| serde_json::from_str::<Look>(line).ok());
    let by_step: std::collections::BTreeMap<u64, Look> = looks.map(|look| (look.step, look)).collect();
    Ok(by_step.into_values().collect())
}
