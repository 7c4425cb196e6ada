//! How long training steps take on this machine: `bench train` measures it, `reproduce` estimates
//! by it.
//!
//! A step is that of training: a new augmented batch, forward, all gradients, SGD with momentum and
//! weight decay.

use super::machine::page_faults;
use super::trainer::Trainer;
use crate::data::{Augment, Flip, Images, Loader, LoaderOptions, Normalize, Normalizer, RepeatedAugmentation};
use crate::error::Result;
use crate::models::{Model, Spec};
use crate::recipe::Recipe;
use burn::tensor::Device;
use std::sync::Arc;
use std::time::Instant;

/// Times each of `iters` training steps of `batch` images, after one warm-up. `done` is called
/// after each step.
///
/// # Errors
/// The network does not take images.
pub fn training_steps(spec: &Spec, batch: usize, iters: usize, mut done: impl FnMut(u64)) -> Result<StepTimes> {
    let mut recipe = Recipe::default_for("cifar10", &spec.name)?;
    recipe.train.batch = batch;
    let device = Device::flex().autodiff();
    let mut loader = noise(spec, batch)?;
    let model = Model::initialised(spec.clone(), 0);
    let mut trainer = Trainer::new(&model, &recipe, &device);
    // A rate of zero: noise cannot make the loss diverge, and the arithmetic is the same.
    times(iters, |step| {
        trainer.step(&mut [loader.next()?], step, 0.0);
        done(step);
        Ok(())
    })
}

/// Times each of `iters` calls of `step`, after one warm-up.
///
/// # Errors
/// `step` returns an error.
pub fn times(iters: usize, mut step: impl FnMut(u64) -> Result<()>) -> Result<StepTimes> {
    let iters = iters as u64;
    step(0)?;
    let faults = page_faults();
    let mut times = Vec::new();
    for number in 1..=iters {
        let began = Instant::now();
        step(number)?;
        times.push(1e3 * began.elapsed().as_secs_f64());
    }
    let faults = faults.zip(page_faults()).map(|(before, after)| (after - before) / iters.max(1));
    Ok(StepTimes { times, faults })
}

/// The cost of a number of steps.
#[derive(Debug, Clone, PartialEq)]
pub struct StepTimes {
    /// Milliseconds of each step.
    pub times: Vec<f64>,
    /// Page faults per step; `None` if the system does not count them.
    pub faults: Option<u64>,
}

/// Loads batches of noise, augmented as training images are.
///
/// # Errors
/// The network does not take images.
pub fn noise(spec: &Spec, batch: usize) -> Result<Loader> {
    let [h, w, c] = spec.input;
    let images = 2 * batch;
    // Knuth's multiplicative hash: the top byte of each product looks like noise.
    let noise = |i: usize| ((i as u32).wrapping_mul(2_654_435_761) >> 24) as u8;
    let labels = (0..images).map(|i| (i % spec.classes) as u32).collect();
    let images = Images::from_memory(h, w, c, (0..images * h * w * c).map(noise).collect(), labels)?;
    let normalize = Normalize::Channel { mean: vec![0.5; c], std: vec![0.25; c] };
    let normalizer = Normalizer::new(&normalize, h, w, c)?;
    let augment = Augment { pad_crop: h / 8, flip: Flip::Random, ..Augment::default() };
    let options =
        LoaderOptions { batch, seed: 0, drop_last: true, first_step: 0, repeats: RepeatedAugmentation::default() };
    Loader::new(Arc::new(images), Arc::new(normalizer), augment, options)
}

/// Returns the median of `times`, which must not be empty; of an even number the mean of the middle
/// two.
pub fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    let middle = times.len() / 2;
    if times.len().is_multiple_of(2) { (times[middle - 1] + times[middle]) / 2.0 } else { times[middle] }
}
