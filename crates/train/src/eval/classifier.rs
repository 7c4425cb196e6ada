//! A network as testing and predicting use it: pixels in, class probabilities out.
//!
//! Everything that classifies images outside of training goes through [`Classifier::logits`].

use super::batching::batch_of;
use crate::data::Batch;
use crate::error::{Error, Result};
use crate::infer::{Plan, check_pixels, check_sides};
use crate::layers::Pass;
use crate::models::{Model, Net};
use crate::ops::Nhwc;
use burn::tensor::{Device, Tensor, TensorData};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A network that is done with training: running statistics, no dropout, no gradients.
#[derive(Debug)]
pub struct Classifier {
    model: Model,
    /// The plain forward pass.
    plan: Plan,
    /// The same with the buffers of calls that are done. No lock is held while a call computes: a thread of a pool that waits for the
    /// others' share of a kernel may begin the next call meanwhile, and would wait for itself.
    idle: Mutex<Vec<Plan>>,
    /// Images that go through the network together.
    batch: usize,
    precise: bool,
}

impl Classifier {
    /// `model`, for `n` images, in batches where they are many. `precise` keeps to direct sums, as `train.winograd = false` does in training.
    pub fn new(model: &Model, n: usize, precise: bool) -> Self {
        let model = model.valid();
        let [h, w, _] = model.spec.input;
        let batch = batch_of(h, w).min(n).max(1);
        Self { plan: Plan::new(&model, batch, precise), idle: Mutex::default(), model, batch, precise }
    }

    /// How many images of the network's size are best given together.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// The network.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The plain forward pass: normalised images `[n, h, w, c]` → logits `[n, classes]`. Any threads may call it at the same time; each
    /// call has activations of its own.
    ///
    /// # Errors
    /// Pixels that are not as many images of that size.
    pub fn logits(&self, pixels: &[f32], [n, h, w]: [usize; 3]) -> Result<Vec<f32>> {
        check_pixels(pixels.len(), [n, h, w, self.model.spec.input[2]])?;
        let mut plan = self.idle().pop().unwrap_or_else(|| self.plan.again());
        // All at once, a thousand images of 224x224 would take 13 GB a map.
        let together = self.batch.max(batch_of(h, w)).min(n);
        let mut logits = Vec::with_capacity(n * self.model.spec.classes);
        let image = pixels.len() / n;
        for pixels in pixels.chunks(together * image) {
            logits.extend_from_slice(plan.logits(pixels, [pixels.len() / image, h, w])?);
        }
        let mut idle = self.idle();
        // More calls at once than cores are not what buffers are kept for.
        if idle.len() < rayon::current_num_threads() {
            idle.push(plan);
        }
        Ok(logits)
    }

    /// A list that somebody else's panic left behind is whole: nothing panics while it is changed.
    fn idle(&self) -> MutexGuard<'_, Vec<Plan>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The fully convolutional pass over images of any size: see [`Model::dense`].
    ///
    /// # Errors
    /// As [`logits`](Self::logits).
    pub fn dense_logits(&self, pixels: &[f32], [n, h, w]: [usize; 3]) -> Result<Vec<f32>> {
        match &self.model.net {
            // Its global pooling takes any map.
            Net::ResNet(_) => self.logits(pixels, [n, h, w]),
            Net::Vgg(_) => {
                let shape = [n, h, w, self.model.spec.input[2]];
                check_pixels(pixels.len(), shape)?;
                check_sides(shape, self.model.spec.smallest_dense()?)?;
                let data = TensorData::new(pixels.to_vec(), shape);
                let pass = if self.precise { Pass::test().precisely() } else { Pass::test() };
                let logits = self.model.dense(Nhwc(Tensor::from_data(data, &Device::flex())), &pass);
                let numbers = logits.into_data().try_to_vec::<f32>();
                numbers.map_err(|error| Error::weights(format!("the network gave no numbers: {error:?}")))
            }
        }
    }

    /// Class probabilities of `n` normalised images of the network's size, `[n, classes]`.
    ///
    /// # Errors
    /// As [`logits`](Self::logits).
    pub fn probabilities(&self, pixels: &[f32], n: usize) -> Result<Vec<f32>> {
        let [h, w, _] = self.model.spec.input;
        self.logits(pixels, [n, h, w]).map(|logits| softmax(&logits, self.model.spec.classes))
    }
}

/// Each row's softmax: `[n, classes]` → `[n, classes]`.
pub(crate) fn softmax(logits: &[f32], classes: usize) -> Vec<f32> {
    let mut rows = vec![0.0; logits.len()];
    residual_kernels::loss::softmax(logits, logits.len() / classes, classes, &mut rows);
    rows
}

/// A batch's pixels as the network takes them; they move out of the batch, without a copy.
pub fn input(batch: &mut Batch, [h, w, c]: [usize; 3], device: &Device) -> Nhwc {
    let pixels = std::mem::take(&mut batch.pixels);
    Nhwc(Tensor::from_data(TensorData::new(pixels, [batch.labels.len(), h, w, c]), device))
}
