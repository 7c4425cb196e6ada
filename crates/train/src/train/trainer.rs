//! One optimiser step after the other: forward, loss, backward, update.

use super::average::Average;
use super::optimizer::{self, Flat, Optimizer};
use super::targets;
use crate::data::Batch;
use crate::eval::{argmax, input};
use crate::layers::Pass;
use crate::models::{Model, parameters};
use crate::ops;
use crate::recipe::Recipe;
use crate::weights::container::Tensors;
use burn::tensor::{Device, Tensor, TensorData};
use residual_kernels::Isa;

/// A network under training and what its optimiser remembers.
#[derive(Debug)]
pub struct Trainer {
    /// The network, on the autodiff device. Absent only while a step rebuilds it: a second holder of the weights would
    /// keep them from being updated in place.
    model: Option<Model>,
    /// Velocities.
    pub optimizer: Optimizer,
    /// The moving average of the weights, if the recipe wants one.
    pub average: Option<Average>,
    recipe: Recipe,
    device: Device,
}

/// What one step saw.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepMetrics {
    /// Mean loss of its images.
    pub loss: f64,
    /// How many of them were classified wrong.
    pub wrong: u64,
    /// How many there were.
    pub images: u64,
}

impl Trainer {
    /// `model` (on the autodiff device) under `recipe`.
    pub fn new(model: Model, recipe: &Recipe, device: &Device) -> Self {
        Self {
            model: Some(model),
            optimizer: Optimizer::new(&recipe.optimizer),
            average: (recipe.train.ema > 0.0).then(|| Average::new(recipe.train.ema)),
            recipe: recipe.clone(),
            device: device.clone(),
        }
    }

    /// The network as it is trained.
    pub fn model(&self) -> &Model {
        self.model.as_ref().expect("present between steps")
    }

    /// Replaces the network's tensors by those in `tensors` that have their names.
    pub fn set_values(&mut self, tensors: &Tensors) {
        let Model { spec, net } = self.model.take().expect("present between steps");
        self.model = Some(Model { net: parameters::with_values(net, tensors, &self.device), spec });
    }

    /// Optimiser step number `step` (0-based) at rate `lr`. The gradients of `batches` are averaged.
    pub fn step(&mut self, batches: &mut [Batch], step: u64, lr: f64) -> StepMetrics {
        // One hand-over to the pool for the whole step, not one for each of its some hundred kernels. The instruction set
        // is the calling thread's choice.
        let isa = Isa::active();
        rayon::scope(|_| isa.with(|| self.optimise(batches, step, lr)))
    }

    /// After a loss that is not finite the weights are as they were, running statistics are not: nobody goes on from there.
    fn optimise(&mut self, batches: &mut [Batch], step: u64, lr: f64) -> StepMetrics {
        let portions = batches.len();
        let mut outcome = StepMetrics { loss: 0.0, wrong: 0, images: 0 };
        let mut sum: Option<Flat> = None;
        for (portion, batch) in batches.iter_mut().enumerate() {
            let pass = step * portions as u64 + portion as u64;
            let (part, gradients) = self.gradients(batch, pass);
            outcome.loss += part.loss / portions as f64;
            outcome.wrong += part.wrong;
            outcome.images += part.images;
            sum = Some(optimizer::accumulate(sum, gradients));
        }
        let gradients = optimizer::scaled(sum.unwrap_or_default(), 1.0 / portions as f32);
        if outcome.loss.is_finite() {
            self.update(gradients, step, lr);
        }
        outcome
    }

    fn update(&mut self, gradients: Flat, step: u64, lr: f64) {
        let Model { spec, net } = self.model.take().expect("present between steps");
        let net = self.optimizer.step(net, gradients, lr);
        if let Some(average) = &mut self.average {
            average.follow(&net, step + 1);
        }
        self.model = Some(Model { spec, net });
    }

    /// Forward and backward over one batch. `pass` numbers it, for dropout and mixing.
    fn gradients(&self, batch: &mut Batch, pass: u64) -> (StepMetrics, Flat) {
        let (classes, seed) = (self.model().spec.classes, self.recipe.train.seed);
        let targets = targets::mixed(batch, classes, &self.recipe.loss, seed, pass);
        let targets = TensorData::new(targets, [batch.len(), classes]);
        let x = input(batch, batch.size, &self.device);
        let logits = self.model().forward(x, &Pass::train(seed, pass, !self.recipe.train.winograd));
        let wrong = wrong(&logits, &batch.labels);
        let losses = ops::cross_entropy(logits, Tensor::from_data(targets, &self.device));
        let loss = losses.mean();
        let value = loss.clone().into_scalar::<f32>();
        let gradients = optimizer::gradients(&self.model().net, loss.backward());
        (StepMetrics { loss: f64::from(value), wrong, images: batch.len() as u64 }, gradients)
    }

    /// Whether all weights and statistics are finite. A loss is told before the update that its gradients may ruin.
    pub fn is_finite(&self) -> bool {
        let values = parameters::values(&self.model().net);
        values.values().all(|data| data.as_slice::<f32>().expect("weights are f32").iter().all(|v| v.is_finite()))
    }

    /// The network as it is tested: the moving average where there is one.
    pub fn tested(&self) -> Model {
        let model = self.model().valid();
        match &self.average {
            Some(average) => Model { net: average.applied(model.net), spec: model.spec },
            None => model,
        }
    }
}

/// How many rows of `logits` have their maximum elsewhere than at their label.
fn wrong(logits: &Tensor<2>, labels: &[u32]) -> u64 {
    let classes = logits.dims()[1];
    let logits = logits.clone().into_data();
    let logits = logits.as_slice::<f32>().expect("logits are f32");
    let rows = logits.chunks_exact(classes).zip(labels);
    rows.filter(|(row, label)| argmax(row) != **label as usize).count() as u64
}
