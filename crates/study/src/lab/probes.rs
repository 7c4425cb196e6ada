//! Probes of a network during training: at the start, and at the checkpoints that are due.
//!
//! Each probe is a line of `lab.jsonl` in the run folder. Training and test error are measured on
//! evenly spaced images of both splits; these values select nothing.

use super::inside::{ProbeValue, gradient_norms, responses};
use residual::error::{Error, Result};
use residual::models::Model;
use residual::weights;
use residual_train::data::{self, Batch, Images, Normalizer};
use residual_train::eval::{InferenceSession, evaluate};
use residual_train::recipe::Recipe;
use residual_train::train::{Event, Prepared, Sink, prepare, start};
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Images of the batch whose responses and gradients are measured.
const BATCH: usize = 128;

/// Images of each split that a probe classifies.
const IMAGES: usize = 2000;

/// Measurements at one step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// Training steps so far.
    pub step: u64,
    /// Error on some training images, without augmentation, in percent.
    pub train_error: f64,
    /// Error on some test images, in percent.
    pub test_error: Option<f64>,
    /// Standard deviation of each convolution's response.
    pub responses: Vec<ProbeValue>,
    /// Norm of the gradient of each convolution's weights.
    pub gradients: Vec<ProbeValue>,
}

impl Probe {
    /// Returns the gradient norm of the first convolution over that of the last.
    pub fn gradient_ratio(&self) -> Option<f64> {
        let (first, last) = (self.gradients.first()?, self.gradients.last()?);
        (last.value > 0.0).then(|| first.value / last.value)
    }

    /// Returns the mean of the standard deviations of the responses.
    pub fn mean_response(&self) -> Option<f64> {
        let n = self.responses.len();
        (n > 0).then(|| self.responses.iter().map(|one| one.value).sum::<f64>() / n as f64)
    }
}

/// A sink of one run's events that probes the network.
pub(super) struct ProbeSink<'a> {
    recipe: Recipe,
    file: PathBuf,
    weights: PathBuf,
    batch: Batch,
    train: Images,
    test: Images,
    classes: Vec<String>,
    normalizer: Normalizer,
    dims: [usize; 4],
    params: u64,
    steps: u64,
    /// The network at its start; taken when the run begins.
    start: Option<Model>,
    failure: Option<Error>,
    sink: &'a mut dyn Sink,
}

impl<'a> ProbeSink<'a> {
    /// Probes the run of `recipe` in `folder` at its start and `probes` times more, and passes
    /// events on to `sink`.
    pub fn new(
        recipe: &Recipe,
        folder: &Path,
        probes: u64,
        sink: &'a mut dyn Sink,
        progress: &mut dyn data::Progress,
    ) -> Result<Self> {
        let prepared = prepare(recipe, false, progress)?;
        let model = start::initial_model(&prepared, progress)?;
        let mut recipe = recipe.clone();
        let steps = prepared.recipe.train.steps;
        let Prepared { data, preprocessing, .. } = prepared;
        recipe.train.checkpoint_every = steps.div_ceil(probes.max(1)).max(1);
        let normalizer = preprocessing.normalizer()?;
        let images = data.train.spread(BATCH);
        let dims = [images.len(), images.height(), images.width(), images.channels()];
        let batch = data::batches(&images, &normalizer, BATCH).next();
        let batch = batch.unwrap_or_else(|| Err(Error::data("there are no training images")))?;
        Ok(Self {
            recipe,
            file: folder.join("lab.jsonl"),
            weights: folder.join("last.safetensors"),
            batch,
            train: data.train.spread(IMAGES),
            test: data.test.spread(IMAGES),
            classes: data.classes,
            normalizer,
            dims,
            params: model.spec.summary().params,
            steps,
            start: Some(model),
            failure: None,
            sink,
        })
    }

    /// Returns the recipe with the checkpoints that the probes need.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// Returns all probes by step, and the number of parameters.
    ///
    /// # Errors
    /// Returns the error of the first probe that failed.
    pub fn finish(self) -> Result<(Vec<Probe>, u64)> {
        if let Some(error) = self.failure {
            return Err(error);
        }
        Ok((read(&self.file)?, self.params))
    }

    /// Returns whether a kill between the checkpoint of `step` and its probe left the probe out.
    fn was_missed(&self, step: u64) -> bool {
        self.is_due(step) && !read(&self.file).is_ok_and(|probes| probes.iter().any(|probe| probe.step == step))
    }

    fn is_due(&self, step: u64) -> bool {
        step.is_multiple_of(self.recipe.train.checkpoint_every) || step == self.steps
    }

    fn probe(&mut self, step: u64) -> Result<()> {
        let model = match self.start.take() {
            Some(model) if step == 0 => model,
            _ => weights::load(&self.weights)?.0,
        };
        let session = InferenceSession::new(&model, IMAGES, self.recipe.train.winograd);
        let error = |images: &Images| {
            evaluate(&session, images, &self.normalizer, &self.classes, &mut ()).map(|result| result.top1_error)
        };
        let probe = Probe {
            step,
            train_error: error(&self.train)?,
            test_error: if self.test.is_empty() { None } else { Some(error(&self.test)?) },
            responses: responses(&model, &self.batch.pixels, self.dims)?,
            // Last: it moves the running statistics of the model, which is not used again.
            gradients: gradient_norms(&model, &self.batch.pixels, self.dims, &self.batch.labels)?,
        };
        let mut line = serde_json::to_vec(&probe).expect("numbers");
        line.push(b'\n');
        let opened = std::fs::File::options().create(true).append(true).open(&self.file);
        opened.and_then(|mut file| file.write_all(&line)).map_err(|error| Error::io("write", &self.file, error))
    }
}

impl Sink for ProbeSink<'_> {
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
            && let Err(error) = self.probe(step)
        {
            self.failure.get_or_insert(error);
        }
    }
}

/// Reads the probes in `path`, by step. A run that was killed after its last checkpoint repeats
/// some: the newer ones count. A line that a kill cut short does not parse and is repeated as well.
///
/// # Errors
/// Fails if the file cannot be read.
pub fn read(path: &Path) -> Result<Vec<Probe>> {
    let text = std::fs::read_to_string(path).map_err(|error| Error::io("read", path, error))?;
    let probes = text.lines().filter_map(|line| serde_json::from_str::<Probe>(line).ok());
    let by_step: std::collections::BTreeMap<u64, Probe> = probes.map(|probe| (probe.step, probe)).collect();
    Ok(by_step.into_values().collect())
}
