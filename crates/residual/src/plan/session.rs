//! A network that any number of threads may ask for logits at the same time.

use super::{Plan, check_pixels, check_sides};
use crate::error::{Error, Result};
use crate::graph::{Graph, Network};
use crate::models::Model;
use crate::tensor::Tensors;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// The most images per forward pass: enough to keep every core busy, little enough to stay small beside training.
const BATCH: usize = 128;

/// Pixels per forward pass, 16 images of 224x224: the first maps of a VGG take 50 MB for each of those.
const PIXELS: usize = 16 * 224 * 224;

/// Returns how many images of `h`x`w` go through a network together.
pub fn batch_of(h: usize, w: usize) -> usize {
    (PIXELS / (h * w)).clamp(1, BATCH)
}

/// A network ready for inference: running statistics, no dropout, no gradients. `Send + Sync`.
#[derive(Debug)]
pub struct InferenceSession {
    name: String,
    graph: Graph,
    tensors: Tensors,
    plan: PlanPool,
    /// The fully convolutional network, made when it is first asked for.
    dense: OnceLock<PlanPool>,
    /// Images that go through the network together.
    batch: usize,
    winograd: bool,
    smallest_input: usize,
}

/// A plan, and copies with buffers of their own for calls at the same time. No lock is held while a call computes: a
/// thread of a pool that waits for the others' share of a kernel may begin the next call meanwhile, and would wait for
/// itself.
#[derive(Debug)]
struct PlanPool {
    plan: Plan,
    idle: Mutex<Vec<Plan>>,
}

impl PlanPool {
    fn new(plan: Plan) -> Self {
        Self { plan, idle: Mutex::default() }
    }

    /// Writes the logits of `pixels`, `together` images at a time, to `out`.
    fn logits(&self, pixels: &[f32], [n, h, w]: [usize; 3], together: usize, out: &mut [f32]) -> Result<()> {
        let mut plan = self.idle().pop().unwrap_or_else(|| self.plan.share());
        let (image, classes) = (pixels.len() / n, out.len() / n);
        for (pixels, out) in pixels.chunks(together * image).zip(out.chunks_mut(together * classes)) {
            out.copy_from_slice(plan.logits(pixels, [pixels.len() / image, h, w])?);
        }
        let mut idle = self.idle();
        // Buffers are kept for at most as many calls at once as there are cores.
        if idle.len() < rayon::current_num_threads() {
            idle.push(plan);
        }
        Ok(())
    }

    /// The list is whole even after a panic elsewhere: nothing panics while it is changed.
    fn idle(&self) -> MutexGuard<'_, Vec<Plan>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl InferenceSession {
    /// Prepares `model` for `n` images, in batches where they are many. `winograd` allows Winograd's algorithm, as
    /// `train.winograd` does in training.
    pub fn new<N: Network>(model: &Model<N>, n: usize, winograd: bool) -> Self {
        let [h, w, _] = model.graph().input_shape();
        let batch = batch_of(h, w).min(n).max(1);
        Self {
            name: model.spec.name().to_owned(),
            graph: model.graph().clone(),
            tensors: model.tensors().clone(),
            plan: PlanPool::new(Plan::new(model, batch, winograd)),
            dense: OnceLock::new(),
            batch,
            winograd,
            smallest_input: model.spec.smallest_input(),
        }
    }

    /// Returns the network's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns height, width and channels of the network's own input size.
    pub fn input(&self) -> [usize; 3] {
        self.graph.input_shape()
    }

    /// Returns the number of classes.
    pub fn classes(&self) -> usize {
        self.graph.classes()
    }

    /// Returns how many images of the network's size are best given together.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// Returns the operations of the network.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Returns the weights and running statistics.
    pub fn tensors(&self) -> &Tensors {
        &self.tensors
    }

    /// Returns the smallest height and width of an image that the network classifies sensibly.
    pub fn smallest_input(&self) -> usize {
        self.smallest_input
    }

    /// Computes the logits `[n, classes]` of normalised images `[n, h, w, c]`.
    ///
    /// # Errors
    /// Fails if `pixels` does not hold `n` images of this size, or if the network does not take the size.
    pub fn logits(&self, pixels: &[f32], dims @ [n, ..]: [usize; 3]) -> Result<Vec<f32>> {
        // Checked before anything of that size is allocated.
        self.check(pixels, dims)?;
        let mut logits = vec![0.0; n * self.classes()];
        self.logits_into(pixels, dims, &mut logits)?;
        Ok(logits)
    }

    /// As [`logits`](Self::logits), into `out`, which must hold `n * classes` values. Allocates nothing after the first
    /// call of its size.
    ///
    /// # Errors
    /// Fails as [`logits`](Self::logits) does, or if `out` has another length.
    pub fn logits_into(&self, pixels: &[f32], [n, h, w]: [usize; 3], out: &mut [f32]) -> Result<()> {
        self.check(pixels, [n, h, w])?;
        if out.len() != n * self.classes() {
            let message =
                format!("{} values do not hold the logits of {n} images in {} classes", out.len(), self.classes());
            return Err(Error::usage(message));
        }
        self.plan.logits(pixels, [n, h, w], self.batch.max(batch_of(h, w)).min(n), out)
    }

    fn check(&self, pixels: &[f32], [n, h, w]: [usize; 3]) -> Result<()> {
        check_pixels(pixels.len(), [n, h, w, self.input()[2]])
    }

    /// Computes the logits of the network applied fully convolutionally to images of any size: the scores of all places,
    /// averaged. A VGG's fully connected layers become 7x7 and 1x1 convolutions (VGG §3.2); a ResNet pools its larger map
    /// globally, which averages the scores as well, since only a linear layer follows.
    ///
    /// # Errors
    /// Fails as [`logits`](Self::logits) does, and for images or networks smaller than dense testing takes.
    pub fn dense_logits(&self, pixels: &[f32], [n, h, w]: [usize; 3]) -> Result<Vec<f32>> {
        if self.graph.takes_any_size() {
            return self.logits(pixels, [n, h, w]);
        }
        let dims = [n, h, w, self.input()[2]];
        check_pixels(pixels.len(), dims)?;
        let graph = self.graph.dense().map_err(|error| error.about(&self.name))?;
        check_sides(dims, self.smallest_dense()?)?;
        let least = self.input()[0];
        let dense = self
            .dense
            .get_or_init(|| PlanPool::new(Plan::of_graph(graph, &self.tensors, 1, self.winograd, least..=usize::MAX)));
        let mut logits = vec![0.0; n * self.classes()];
        dense.logits(pixels, [n, h, w], batch_of(h, w).min(n), &mut logits)?;
        Ok(logits)
    }

    /// Returns the smallest side of an image that the network can be applied to fully convolutionally.
    ///
    /// # Errors
    /// Fails for a network whose pooling stretches a map of another size over its fully connected layers.
    pub fn smallest_dense(&self) -> Result<usize> {
        match self.graph.takes_any_size() {
            true => Ok(self.smallest_input),
            false => self.graph.dense().map(|_| self.input()[0]).map_err(|error| error.about(&self.name)),
        }
    }

    /// Computes the class probabilities `[n, classes]` of `n` normalised images of the network's size.
    ///
    /// # Errors
    /// Fails as [`logits`](Self::logits) does.
    pub fn probabilities(&self, pixels: &[f32], n: usize) -> Result<Vec<f32>> {
        let [h, w, _] = self.input();
        self.logits(pixels, [n, h, w]).map(|logits| softmax(&logits, self.classes()))
    }
}

/// Computes the softmax of each row: `[n, classes]` to `[n, classes]`.
pub fn softmax(logits: &[f32], classes: usize) -> Vec<f32> {
    let mut rows = vec![0.0; logits.len()];
    residual_kernels::loss::softmax(logits, logits.len() / classes, classes, &mut rows);
    rows
}
