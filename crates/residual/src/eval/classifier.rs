//! A network as testing and predicting use it: pixels in, class probabilities out.
//!
//! Everything that classifies pictures outside of training goes through [`Classifier::logits`].

use crate::data::Batch;
use crate::error::{Error, Result};
use crate::infer::Plan;
use crate::layers::Pass;
use crate::models::{Model, Net};
use crate::ops::Nhwc;
use burn::tensor::{Device, Tensor, TensorData};
use std::sync::{Mutex, PoisonError};

/// A network that is done with training: running statistics, no dropout, no gradients.
#[derive(Debug)]
pub struct Classifier {
    model: Model,
    /// The plain forward pass. It writes to buffers of its own, so one call at a time.
    plan: Mutex<Plan>,
}

impl Classifier {
    /// `model`, for batches of about `n` pictures.
    pub fn new(model: &Model, n: usize) -> Self {
        let model = model.valid();
        Self { plan: Mutex::new(Plan::new(&model, n, false)), model }
    }

    /// The network.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The plain forward pass: normalised pictures `[n, h, w, c]` → logits `[n, classes]`.
    ///
    /// # Errors
    /// Pixels that are not as many pictures of that size.
    pub fn logits(&self, pixels: &[f32], [n, h, w]: [usize; 3]) -> Result<Vec<f32>> {
        // A plan that somebody else's panic left behind holds nothing that the next call reads.
        let mut plan = self.plan.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(plan.logits(pixels, [n, h, w])?.to_vec())
    }

    /// The fully convolutional pass over pictures of any size: see [`Model::dense`].
    ///
    /// # Errors
    /// As [`logits`](Self::logits).
    pub fn dense_logits(&self, pixels: &[f32], [n, h, w]: [usize; 3]) -> Result<Vec<f32>> {
        match &self.model.net {
            // Its global pooling takes any map.
            Net::ResNet(_) => self.logits(pixels, [n, h, w]),
            Net::Vgg(_) => {
                let data = TensorData::new(pixels.to_vec(), [n, h, w, self.model.spec.input[2]]);
                let logits = self.model.dense(Nhwc(Tensor::from_data(data, &Device::flex())), &Pass::test());
                let numbers = logits.into_data().try_to_vec::<f32>();
                numbers.map_err(|error| Error::weights(format!("the network gave no numbers: {error:?}")))
            }
        }
    }

    /// Class probabilities of `n` normalised pictures of the network's size, `[n, classes]`.
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
