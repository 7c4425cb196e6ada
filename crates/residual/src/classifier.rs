//! A trained network as an application uses it: images in, classes and probabilities out.

use crate::error::{Error, Result};
use crate::explain::{self, HeatMap};
use crate::image::{Image, Normalizer};
use crate::models::Model;
use crate::plan::{InferenceSession, softmax};
use crate::weights::{self, Metadata};
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::path::Path;
use std::sync::Arc;

/// A trained network with its preprocessing and class names. `Send + Sync`: any number of threads may share one.
///
/// ```no_run
/// use residual::{Classifier, Image};
///
/// let classifier = Classifier::load("resnet-20.safetensors")?;
/// for guess in classifier.classify(&Image::open("cat.png")?)?.top(3) {
///     println!("{:5.1} %  {}", 100.0 * guess.probability, guess.class);
/// }
/// # Ok::<(), residual::Error>(())
/// ```
#[derive(Debug)]
pub struct Classifier {
    session: InferenceSession,
    normalizer: Normalizer,
    metadata: Metadata,
    classes: Arc<[String]>,
    /// Threads of its own, where the builder asked for a number of them.
    threads: Option<ThreadPool>,
}

const fn assert_send_sync<T: Send + Sync>() {}
const _: () = assert_send_sync::<Classifier>();

/// The number format that a network computes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Precision {
    /// 32-bit floating point.
    #[default]
    F32,
    /// The fastest format of this processor that keeps the accuracy; today always [`Precision::F32`].
    Auto,
}

/// Options of a [`Classifier`]; begin with [`Classifier::builder`].
#[derive(Debug, Clone, Default)]
pub struct ClassifierBuilder {
    precision: Precision,
    threads: Option<usize>,
    batch: Option<usize>,
}

impl ClassifierBuilder {
    /// Sets the number format of the computation; f32 where it is not set.
    pub fn precision(self, precision: Precision) -> Self {
        Self { precision, ..self }
    }

    /// Sets the number of threads that one call computes with; all threads of rayon's pool where it is not set.
    pub fn threads(self, threads: usize) -> Self {
        Self { threads: Some(threads), ..self }
    }

    /// Sets how many images usually come together, which decides how weights are packed; 1 where it is not set.
    pub fn batch(self, batch: usize) -> Self {
        Self { batch: Some(batch), ..self }
    }

    /// Loads a weights file of Residual: the `best.safetensors` of a run, or the result of an import.
    ///
    /// # Errors
    /// Fails if the file cannot be read, is damaged or of another program, or if the threads cannot be started.
    pub fn load(self, path: impl AsRef<Path>) -> Result<Classifier> {
        let (model, metadata) = weights::load(path.as_ref())?;
        self.build(&model, metadata)
    }

    /// Loads the bytes of a weights file, from an object store or `include_bytes!`.
    ///
    /// # Errors
    /// Fails as [`load`](Self::load) does.
    pub fn from_bytes(self, bytes: &[u8]) -> Result<Classifier> {
        let (model, metadata) = weights::from_bytes(bytes.to_vec(), "the weights")?;
        self.build(&model, metadata)
    }

    /// Builds the classifier of a network in memory.
    ///
    /// # Errors
    /// Fails if `metadata` belongs to another network, or if the threads cannot be started.
    pub fn build(self, model: &Model, metadata: Metadata) -> Result<Classifier> {
        let Self { precision: Precision::F32 | Precision::Auto, threads, batch } = self;
        if metadata.classes.len() != model.classes() {
            let (names, classes) = (metadata.classes.len(), model.classes());
            return Err(Error::weights(format!("the metadata names {names} classes, the network has {classes}")));
        }
        let pool = |threads: usize| {
            let pool = ThreadPoolBuilder::new().num_threads(threads).build();
            pool.map_err(|error| Error::usage(format!("{threads} threads cannot be started: {error}")))
        };
        Ok(Classifier {
            session: InferenceSession::new(model, batch.unwrap_or(1), true),
            normalizer: metadata.preprocessing.normalizer()?,
            classes: metadata.classes.clone().into(),
            metadata,
            threads: threads.map(pool).transpose()?,
        })
    }
}

impl Classifier {
    /// Starts building a classifier with options.
    pub fn builder() -> ClassifierBuilder {
        ClassifierBuilder::default()
    }

    /// Loads a weights file of Residual: the `best.safetensors` of a run, or the result of an import.
    ///
    /// # Errors
    /// Fails if the file cannot be read, is damaged or of another program.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        Self::builder().load(path)
    }

    /// Loads the bytes of a weights file, from an object store or `include_bytes!`.
    ///
    /// # Errors
    /// Fails as [`load`](Self::load) does.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        Self::builder().from_bytes(bytes)
    }

    /// Classifies an image of any size.
    ///
    /// # Errors
    /// Fails if the network computes no finite numbers for it.
    pub fn classify(&self, image: &Image) -> Result<Prediction> {
        let mut predictions = self.classify_batch(std::slice::from_ref(image))?;
        predictions.pop().ok_or_else(|| Error::data("no image was given"))
    }

    /// Classifies images of any sizes, which go through the network together.
    ///
    /// # Errors
    /// Fails if the network computes no finite numbers for one of them.
    pub fn classify_batch(&self, images: &[Image]) -> Result<Vec<Prediction>> {
        if images.is_empty() {
            return Ok(Vec::new());
        }
        let logits = self.logits(&self.pixels(images), images.len())?;
        if logits.iter().any(|logit| !logit.is_finite()) {
            return Err(Error::weights("the network's output is not finite").with_hint("its weights have diverged"));
        }
        let n = self.classes.len();
        let row = |probabilities: &[f32]| Prediction {
            probabilities: probabilities.to_vec(),
            classes: Arc::clone(&self.classes),
        };
        Ok(softmax(&logits, n).chunks_exact(n).map(row).collect())
    }

    /// Computes the logits `[n, classes]` of `n` normalised images `[n, height, width, channels]` of the network's own
    /// size; see [`input`](Self::input).
    ///
    /// # Errors
    /// Fails if `pixels` does not hold `n` images of that size.
    pub fn logits(&self, pixels: &[f32], n: usize) -> Result<Vec<f32>> {
        let [h, w, _] = self.input();
        self.install(|| self.session.logits(pixels, [n, h, w]))
    }

    /// As [`logits`](Self::logits), into `out`, which must hold `n * classes` values. Allocates nothing after the first
    /// call with as many images.
    ///
    /// # Errors
    /// Fails as [`logits`](Self::logits) does, or if `out` has another length.
    pub fn logits_into(&self, pixels: &[f32], n: usize, out: &mut [f32]) -> Result<()> {
        let [h, w, _] = self.input();
        self.install(|| self.session.logits_into(pixels, [n, h, w], out))
    }

    /// Computes where `image` speaks for `class`, by Grad-CAM (Selvaraju et al. 2017).
    ///
    /// # Errors
    /// Fails if there is no such class.
    pub fn grad_cam(&self, image: &Image, class: usize) -> Result<HeatMap> {
        let [h, w, c] = self.input();
        let pixels = self.pixels(std::slice::from_ref(image));
        let mut maps = self.install(|| explain::grad_cam(&self.session, &pixels, [1, h, w, c], &[class]))?;
        maps.pop().ok_or_else(|| Error::data("no image was given"))
    }

    /// Returns height, width and channels of the network's input.
    pub fn input(&self) -> [usize; 3] {
        self.session.input()
    }

    /// Returns the class names, in the order of the logits.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// Returns what travels with the weights: network, preprocessing, class names, recipe.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Returns the network ready for inference, below preprocessing and class names.
    pub fn session(&self) -> &InferenceSession {
        &self.session
    }

    /// Brings images to the network's size and normalises them: `[n, height, width, channels]`.
    pub fn pixels(&self, images: &[Image]) -> Vec<f32> {
        let stride = self.normalizer.stride();
        let mut pixels = vec![0.0; images.len() * stride];
        for (image, pixels) in images.iter().zip(pixels.chunks_exact_mut(stride)) {
            self.normalizer.apply(&self.metadata.preprocessing.fit(image), pixels);
        }
        pixels
    }

    fn install<T: Send>(&self, f: impl FnOnce() -> T + Send) -> T {
        match &self.threads {
            Some(pool) => pool.install(f),
            None => f(),
        }
    }
}

/// The class probabilities of one image.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    probabilities: Vec<f32>,
    classes: Arc<[String]>,
}

/// A class and its probability.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Guess<'a> {
    /// The class's name.
    pub class: &'a str,
    /// Its place among the classes.
    pub index: usize,
    /// Its probability, 0 to 1.
    pub probability: f32,
}

impl Prediction {
    /// Returns the `n` most probable classes, the most probable first.
    pub fn top(&self, n: usize) -> Vec<Guess<'_>> {
        let mut order: Vec<usize> = (0..self.probabilities.len()).collect();
        // Of equals the first comes first.
        order.sort_by(|&a, &b| self.probabilities[b].total_cmp(&self.probabilities[a]));
        let guess = |index: usize| Guess { class: &self.classes[index], index, probability: self.probabilities[index] };
        order.into_iter().take(n).map(guess).collect()
    }

    /// Returns the probability of each class, in the order of the classes.
    pub fn probabilities(&self) -> &[f32] {
        &self.probabilities
    }
}
