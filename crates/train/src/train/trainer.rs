//! One optimiser step after the other: forward, loss, backward, update.

use super::average::Average;
use super::optimizer::{self, Optimizer};
use super::targets;
use crate::data::Batch;
use crate::eval::argmax;
use crate::network::{FlatTensors, ForwardContext, TrainableNetwork};
use crate::ops::{self, Nhwc};
use crate::recipe::Recipe;
use burn::tensor::{Device, Tensor, TensorData};
use residual::graph::Network;
use residual::models::{Model, Spec};
use residual::tensor::Tensors;
use residual_kernels::Isa;

/// A network under training and the state of its optimiser. Takes any network that describes itself as a graph.
#[derive(Debug)]
pub struct Trainer<N = Spec> {
    spec: N,
    network: TrainableNetwork,
    /// Velocities.
    pub optimizer: Optimizer,
    /// The moving average of the weights, if the recipe wants one.
    pub average: Option<Average>,
    recipe: Recipe,
    device: Device,
}

/// What one step measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepMetrics {
    /// Mean loss of its images.
    pub loss: f64,
    /// How many of them were classified wrong.
    pub wrong: u64,
    /// How many there were.
    pub images: u64,
}

impl<N: Network + Clone> Trainer<N> {
    /// Prepares `model` for training by `recipe` on `device`, which must be an autodiff device. Layers within the
    /// recipe's `model.freeze` keep their weights.
    pub fn new(model: &Model<N>, recipe: &Recipe, device: &Device) -> Self {
        Self {
            spec: model.spec.clone(),
            network: TrainableNetwork::new(model, device).frozen(&recipe.model.freeze),
            optimizer: Optimizer::new(&recipe.optimizer),
            average: (recipe.train.ema > 0.0).then(|| Average::new(recipe.train.ema)),
            recipe: recipe.clone(),
            device: device.clone(),
        }
    }

    /// Returns the network's description.
    pub fn spec(&self) -> &N {
        &self.spec
    }

    /// Returns the network with its parameters on the device.
    pub fn network(&self) -> &TrainableNetwork {
        &self.network
    }

    /// Replaces the network's tensors by those in `tensors` that have their names.
    pub fn set_values(&mut self, tensors: &Tensors) {
        self.network.parameters_mut().set(tensors);
    }

    /// Takes optimiser step number `step` (0-based) at rate `lr`. The gradients of `batches` are averaged.
    pub fn step(&mut self, batches: &mut [Batch], step: u64, lr: f64) -> StepMetrics {
        // One hand-over to the pool for the whole step, not one for each of its some hundred kernels. The instruction set
        // is the calling thread's choice.
        let isa = Isa::active();
        rayon::scope(|_| isa.with(|| self.optimise(batches, step, lr)))
    }

    /// After a loss that is not finite the weights are as they were, running statistics are not: no run goes on from
    /// there.
    fn optimise(&mut self, batches: &mut [Batch], step: u64, lr: f64) -> StepMetrics {
        let micro_batches = batches.len();
        let mut outcome = StepMetrics { loss: 0.0, wrong: 0, images: 0 };
        let mut sum: Option<FlatTensors> = None;
        for (i, batch) in batches.iter_mut().enumerate() {
            let pass = step * micro_batches as u64 + i as u64;
            let (part, gradients) = self.gradients(batch, pass);
            outcome.loss += part.loss / micro_batches as f64;
            outcome.wrong += part.wrong;
            outcome.images += part.images;
            sum = Some(optimizer::accumulate(sum, gradients));
        }
        let gradients = optimizer::scaled(sum.unwrap_or_default(), 1.0 / micro_batches as f32);
        if outcome.loss.is_finite() {
            self.optimizer.step(self.network.parameters_mut(), gradients, lr);
            if let Some(average) = &mut self.average {
                average.update(self.network.parameters(), step + 1);
            }
        }
        outcome
    }

    /// Forward and backward over one batch. `pass` numbers it, for dropout and mixing.
    fn gradients(&mut self, batch: &mut Batch, pass: u64) -> (StepMetrics, FlatTensors) {
        let (classes, seed) = (self.network.graph().classes(), self.recipe.train.seed);
        let targets = targets::mixed(batch, classes, &self.recipe.loss, seed, pass);
        let targets = TensorData::new(targets, [batch.len(), classes]);
        let x = input(batch, &self.device);
        let mut context = ForwardContext::train(seed, pass, self.recipe.train.winograd);
        let logits = self.network.forward(x, &mut context);
        let wrong = wrong(&logits, &batch.labels);
        let losses = ops::cross_entropy(logits, Tensor::from_data(targets, &self.device));
        let loss = losses.mean();
        let value = loss.clone().into_scalar::<f32>();
        let gradients = self.network.parameters().gradients(loss.backward());
        (StepMetrics { loss: f64::from(value), wrong, images: batch.len() as u64 }, gradients)
    }

    /// Returns whether all weights and statistics are finite. A loss is known before the update that its gradients may
    /// ruin.
    pub fn is_finite(&self) -> bool {
        self.network.tensors().values().all(|tensor| tensor.values().iter().all(|v| v.is_finite()))
    }

    /// Returns the weights and running statistics that are trained.
    pub fn tensors(&self) -> Tensors {
        self.network.tensors()
    }

    /// Returns the network as it is tested: with the moving average where there is one.
    pub fn tested(&self) -> Model<N> {
        let tensors = self.network.tensors();
        let tensors = match &self.average {
            Some(average) => average.applied(tensors),
            None => tensors,
        };
        Model::new(self.spec.clone(), tensors).expect("the tensors are those of this network")
    }
}

/// A batch's pixels on `device`; they move out of the batch, without a copy.
fn input(batch: &mut Batch, device: &Device) -> Nhwc {
    let ([h, w, c], pixels) = (batch.size, std::mem::take(&mut batch.pixels));
    Nhwc(Tensor::from_data(TensorData::new(pixels, [batch.labels.len(), h, w, c]), device))
}

/// How many rows of `logits` have their maximum elsewhere than at their label.
fn wrong(logits: &Tensor<2>, labels: &[u32]) -> u64 {
    let classes = logits.dims()[1];
    let logits = logits.clone().into_data();
    let logits = logits.as_slice::<f32>().expect("logits are f32");
    let rows = logits.chunks_exact(classes).zip(labels);
    rows.filter(|(row, label)| argmax(row) != **label as usize).count() as u64
}
