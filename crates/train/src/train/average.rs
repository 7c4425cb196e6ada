//! The exponential moving average of a network's weights and running statistics.

use super::optimizer::Flat;
use crate::models::parameters::{self, Replace, Visit};
use crate::ops;
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use std::collections::BTreeMap;

/// A shadow of a network that follows it slowly.
#[derive(Debug)]
pub struct Average {
    decay: f64,
    shadow: Flat,
}

impl Average {
    /// Follows with `decay` per step.
    pub fn new(decay: f64) -> Self {
        Self { decay, shadow: Flat::new() }
    }

    /// Takes in the network after step `step` (1-based). Early steps count more, as in TensorFlow's
    /// `ExponentialMovingAverage(num_updates)`: an average that remembers the random start helps nobody.
    pub fn follow<M: Module>(&mut self, module: &M, step: u64) {
        struct Follow<'a>(&'a mut Flat, f32);
        impl Visit for Follow<'_> {
            fn tensor<const D: usize>(&mut self, name: &str, param: &Param<Tensor<D>>) {
                let tensor = param.val();
                let tensor = if tensor.device().is_autodiff() { tensor.inner() } else { tensor };
                let len: usize = tensor.dims().iter().product();
                let tensor: Tensor<1> = tensor.reshape([len]);
                let shadow = match self.0.remove(name) {
                    Some(shadow) => ops::ema(shadow, tensor, self.1),
                    None => tensor,
                };
                self.0.insert(name.to_owned(), shadow);
            }
        }
        let decay = self.decay.min((1.0 + step as f64) / (10.0 + step as f64));
        parameters::visit(module, &mut Follow(&mut self.shadow, decay as f32));
    }

    /// `module` with the average's values; its own where the average has seen none yet.
    pub fn applied<M: Module>(&self, module: M) -> M {
        struct Apply<'a>(&'a Flat);
        impl Replace for Apply<'_> {
            fn tensor<const D: usize>(&mut self, name: &str, tensor: Tensor<D>) -> Tensor<D> {
                self.0.get(name).map_or(tensor.clone(), |shadow| shadow.clone().reshape(tensor.dims()))
            }
        }
        parameters::replace(module, &mut Apply(&self.shadow))
    }

    /// The shadow, for a checkpoint.
    pub fn state(&self) -> BTreeMap<String, TensorData> {
        self.shadow.iter().map(|(name, shadow)| (name.clone(), shadow.clone().into_data())).collect()
    }

    /// Goes on from the shadow of a checkpoint.
    pub fn restore(&mut self, state: BTreeMap<String, TensorData>, device: &Device) {
        let device = device.clone().inner();
        self.shadow = state.into_iter().map(|(name, data)| (name, Tensor::from_data(data, &device))).collect();
    }
}
