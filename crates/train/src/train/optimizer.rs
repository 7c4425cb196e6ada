//! Stochastic gradient descent with momentum, over a network's parameters by name.
//!
//! State is kept by name, not by an identity that a reload would change: a resumed run goes on with the same velocity.

use crate::network::{FlatTensors, Parameters};
use crate::ops::{self, Sgd};
use crate::recipe::OptimizerOptions;
use burn::tensor::{Device, Tensor, TensorData};
use residual::tensor::{HostTensor, Tensors};

/// Adds `more` to `sum`, name by name.
pub fn accumulate(sum: Option<FlatTensors>, more: FlatTensors) -> FlatTensors {
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
pub fn scaled(gradients: FlatTensors, factor: f32) -> FlatTensors {
    if factor == 1.0 {
        return gradients;
    }
    gradients.into_iter().map(|(name, gradient)| (name, ops::scale(gradient, factor))).collect()
}

/// The L2 norm of all gradients together.
pub fn norm(gradients: &FlatTensors) -> f64 {
    gradients.values().map(|gradient| ops::sum_of_squares(gradient.clone())).sum::<f64>().sqrt()
}

/// SGD's rule and its memory.
#[derive(Debug)]
pub struct Optimizer {
    options: OptimizerOptions,
    velocity: FlatTensors,
}

impl Optimizer {
    /// At rest.
    pub fn new(options: &OptimizerOptions) -> Self {
        Self { options: options.clone(), velocity: FlatTensors::new() }
    }

    /// Takes one step against `gradients` at rate `lr`, clipped first if the recipe says so.
    pub fn step(&mut self, parameters: &mut Parameters, gradients: FlatTensors, lr: f64) {
        let mut gradients = self.clipped(gradients);
        parameters.update(|name, dimensions, w| match gradients.remove(name) {
            Some(gradient) => self.updated(name, dimensions, w, gradient, lr),
            None => w,
        });
    }

    fn clipped(&self, gradients: FlatTensors) -> FlatTensors {
        let largest = self.options.clip_norm;
        if largest == 0.0 {
            return gradients;
        }
        let norm = norm(&gradients);
        if norm <= largest { gradients } else { scaled(gradients, (largest / norm) as f32) }
    }

    fn updated(&mut self, name: &str, dimensions: usize, w: Tensor<1>, gradient: Tensor<1>, lr: f64) -> Tensor<1> {
        let options = &self.options;
        // Scales, shifts and biases are the parameters of one dimension.
        let decayed = dimensions > 1 || options.decay_norm_and_bias;
        let factor = if name.rsplit('.').next() == Some("bias") { options.bias_lr } else { 1.0 };
        let rule = Sgd {
            lr: (lr * factor) as f32,
            momentum: options.momentum as f32,
            weight_decay: if decayed { options.weight_decay as f32 } else { 0.0 },
            nesterov: options.nesterov,
        };
        let v = self.velocity.remove(name).unwrap_or_else(|| Tensor::zeros(w.dims(), &w.device()));
        let (w, v) = ops::sgd_step(w, gradient, v, &rule);
        self.velocity.insert(name.to_owned(), v);
        w
    }

    /// Returns the velocities, for a checkpoint.
    pub fn state(&self) -> Tensors {
        to_host(&self.velocity)
    }

    /// Goes on from the velocities of a checkpoint.
    pub fn restore(&mut self, state: &Tensors, device: &Device) {
        self.velocity = from_host(state, device);
    }
}

/// Copies flat tensors to host memory.
pub(super) fn to_host(tensors: &FlatTensors) -> Tensors {
    let host = |(name, tensor): (&String, &Tensor<1>)| {
        let values = ops::values(tensor.clone());
        (name.clone(), HostTensor::new([values.len()], values))
    };
    tensors.iter().map(host).collect()
}

/// Brings flat tensors to the plain device under `device`.
pub(super) fn from_host(tensors: &Tensors, device: &Device) -> FlatTensors {
    let device = device.clone().inner();
    let tensor = |(name, tensor): (&String, &HostTensor)| {
        let data = TensorData::new(tensor.values().to_vec(), [tensor.values().len()]);
        (name.clone(), Tensor::from_data(data, &device))
    };
    tensors.iter().map(tensor).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::TrainableNetwork;
    use residual::graph::{GraphBuilder, Network, Value};
    use residual::models::{InitOptions, Model};

    #[derive(Debug)]
    struct OneLinear;

    impl Network for OneLinear {
        fn input(&self) -> [usize; 3] {
            [1, 1, 2]
        }

        fn forward(&self, g: &mut GraphBuilder, x: Value) -> Value {
            g.linear("fc", x, 3)
        }
    }

    #[test]
    fn biases_move_at_a_rate_of_their_own() {
        let device = Device::flex();
        let model = Model::with_initial_weights(OneLinear, &InitOptions::default(), 1).expect("it fits");
        let mut network = TrainableNetwork::new(&model, &device);
        let ones = model.tensors().iter().map(|(name, t)| (name.clone(), Tensor::ones([t.values().len()], &device)));
        let rule = OptimizerOptions { bias_lr: 8.0, weight_decay: 0.0, ..OptimizerOptions::default() };
        Optimizer::new(&rule).step(network.parameters_mut(), ones.collect(), 0.25);
        let (before, after) = (model.tensors(), network.tensors());
        for (name, way) in [("fc.weight", 0.25), ("fc.bias", 2.0)] {
            let moved = before[name].values().iter().zip(after[name].values()).map(|(a, b)| a - b);
            assert!(moved.into_iter().all(|moved| (moved - way).abs() < 1e-6), "{name}");
        }
    }
}
