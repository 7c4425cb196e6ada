//! The exponential moving average of a network's weights and running statistics.

use super::optimizer::{from_host, to_host};
use crate::network::{FlatTensors, Parameters};
use crate::ops;
use burn::tensor::Device;
use residual::tensor::{HostTensor, Tensors};

/// The moving average of a network's tensors.
#[derive(Debug)]
pub struct Average {
    decay: f64,
    shadow: FlatTensors,
}

impl Average {
    /// An average that keeps `decay` of itself per step.
    pub fn new(decay: f64) -> Self {
        Self { decay, shadow: FlatTensors::new() }
    }

    /// Takes in the network after step `step` (1-based). Early steps count more, as in TensorFlow's
    /// `ExponentialMovingAverage(num_updates)`: an average that remembers the initial weights helps nobody.
    pub fn update(&mut self, parameters: &Parameters, step: u64) {
        let decay = self.decay.min((1.0 + step as f64) / (10.0 + step as f64)) as f32;
        parameters.for_each(|name, tensor| {
            let shadow = match self.shadow.remove(name) {
                Some(shadow) => ops::ema(shadow, tensor, decay),
                None => tensor,
            };
            self.shadow.insert(name.to_owned(), shadow);
        });
    }

    /// Returns `tensors` with the average's values, as far as it has seen any.
    pub fn applied(&self, tensors: Tensors) -> Tensors {
        let average = |(name, own): (String, HostTensor)| {
            let shadow = self.shadow.get(&name).map(|shadow| ops::values(shadow.clone()));
            let tensor = shadow.map_or(own.clone(), |values| HostTensor::new(own.shape(), values));
            (name, tensor)
        };
        tensors.into_iter().map(average).collect()
    }

    /// Returns the average's values, for a checkpoint.
    pub fn state(&self) -> Tensors {
        to_host(&self.shadow)
    }

    /// Goes on from the values of a checkpoint.
    pub fn restore(&mut self, state: &Tensors, device: &Device) {
        self.shadow = from_host(state, device);
    }
}
