//! Stochastic gradient descent with momentum, over a network's parameters by name.
//!
//! State is kept by name, not by an identity that a reload would change: a resumed run goes on with the same velocity.

use crate::models::parameters::{self, Replace, Visit, is_buffer};
use crate::ops::{self, Sgd};
use crate::recipe::OptimizerOptions;
use burn::module::{Module, Param};
use burn::tensor::{Device, Gradients, Tensor, TensorData};
use std::collections::BTreeMap;

/// Tensors by name, flattened.
pub type Flat = BTreeMap<String, Tensor<1>>;

/// The gradients of all parameters that want one, by name.
pub fn gradients<M: Module>(module: &M, mut gradients: Gradients) -> Flat {
    struct Collect<'a>(&'a mut Gradients, Flat);
    impl Visit for Collect<'_> {
        fn tensor<const D: usize>(&mut self, name: &str, param: &Param<Tensor<D>>) {
            let tensor = param.val();
            if is_buffer(name) || !tensor.is_require_grad() {
                return;
            }
            let len: usize = tensor.dims().iter().product();
            // A bias in front of a batch norm takes no part in the loss: its gradient is zero, its decay is not.
            let gradient = match tensor.grad_remove(self.0) {
                Some(gradient) => gradient.reshape([len]),
                None => Tensor::zeros([len], &tensor.device().inner()),
            };
            self.1.insert(name.to_owned(), gradient);
        }
    }
    let mut collect = Collect(&mut gradients, Flat::new());
    parameters::visit(module, &mut collect);
    collect.1
}

/// Adds `more` to `sum`, name by name.
pub fn accumulate(sum: Option<Flat>, more: Flat) -> Flat {
    let Some(mut sum) = sum else { return more };
    for (name, gradient) in more {
        let total = match sum.remove(&name) {
            Some(old) => ops::add(old, gradient),
            None => gradient,
        };
        sum.insert(name, total);
    }
    sum
}

/// Multiplies all gradients by `factor`.
pub fn scaled(gradients: Flat, factor: f32) -> Flat {
    if factor == 1.0 {
        return gradients;
    }
    gradients.into_iter().map(|(name, gradient)| (name, ops::scale(gradient, factor))).collect()
}

/// The L2 norm of all gradients together.
pub fn norm(gradients: &Flat) -> f64 {
    gradients.values().map(|gradient| ops::sum_of_squares(gradient.clone())).sum::<f64>().sqrt()
}

/// SGD's rule and its memory.
#[derive(Debug)]
pub struct Optimizer {
    options: OptimizerOptions,
    velocity: Flat,
}

impl Optimizer {
    /// At rest.
    pub fn new(options: &OptimizerOptions) -> Self {
        Self { options: options.clone(), velocity: Flat::new() }
    }

    /// One step of `module` against `gradients` at rate `lr`, clipped first if the recipe says so.
    pub fn step<M: Module>(&mut self, module: M, gradients: Flat, lr: f64) -> M {
        let gradients = self.clipped(gradients);
        let mut step = Step { optimizer: self, gradients, lr };
        parameters::replace(module, &mut step)
    }

    fn clipped(&self, gradients: Flat) -> Flat {
        let largest = self.options.clip_norm;
        if largest == 0.0 {
            return gradients;
        }
        let norm = norm(&gradients);
        if norm <= largest { gradients } else { scaled(gradients, (largest / norm) as f32) }
    }

    /// The velocities, for a checkpoint.
    pub fn state(&self) -> BTreeMap<String, TensorData> {
        self.velocity.iter().map(|(name, v)| (name.clone(), v.clone().into_data())).collect()
    }

    /// Goes on from the velocities of a checkpoint.
    pub fn restore(&mut self, state: BTreeMap<String, TensorData>, device: &Device) {
        let device = device.clone().inner();
        self.velocity = state.into_iter().map(|(name, data)| (name, Tensor::from_data(data, &device))).collect();
    }
}

struct Step<'a> {
    optimizer: &'a mut Optimizer,
    gradients: Flat,
    lr: f64,
}

impl Replace for Step<'_> {
    fn tensor<const D: usize>(&mut self, name: &str, w: Tensor<D>) -> Tensor<D> {
        let Some(gradient) = self.gradients.remove(name) else { return w };
        let options = &self.optimizer.options;
        // Scales, shifts and biases are the parameters of one dimension.
        let decayed = D > 1 || options.decay_norm_and_bias;
        let factor = if name.rsplit('.').next() == Some("bias") { options.bias_lr } else { 1.0 };
        let rule = Sgd {
            lr: (self.lr * factor) as f32,
            momentum: options.momentum as f32,
            weight_decay: if decayed { options.weight_decay as f32 } else { 0.0 },
            nesterov: options.nesterov,
        };
        let dims = w.dims();
        let len: usize = dims.iter().product();
        let device = w.device();
        let v = self.optimizer.velocity.remove(name).unwrap_or_else(|| Tensor::zeros([len], &device));
        let (w, v) = ops::sgd_step(w, gradient.reshape(dims), v.reshape(dims), &rule);
        self.optimizer.velocity.insert(name.to_owned(), v.reshape([len]));
        w
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::Linear;
    use crate::models::initialised;

    #[test]
    fn biases_move_at_a_rate_of_their_own() {
        let device = Device::flex();
        let linear = initialised(Linear::new(2, 3, &device), 1, &device);
        let names = parameters::shapes(&linear);
        let ones =
            names.iter().map(|(name, shape)| (name.clone(), Tensor::ones([shape.iter().product::<usize>()], &device)));
        let rule = OptimizerOptions { bias_lr: 8.0, weight_decay: 0.0, ..OptimizerOptions::default() };
        let before = parameters::values(&linear);
        let after = parameters::values(&Optimizer::new(&rule).step(linear, ones.collect(), 0.25));
        for (name, way) in [("weight", 0.25), ("bias", 2.0)] {
            let moved = before[name].iter::<f32>().zip(after[name].iter::<f32>()).map(|(a, b)| a - b);
            assert!(moved.into_iter().all(|moved| (moved - way).abs() < 1e-6), "{name}");
        }
    }
}
