//! What happens inside a network: how strongly each layer responds, and how much gradient reaches it.
//!
//! A forward pass is not written here a second time: `Recorder` takes down the one that each network writes for the
//! inference plan (`models/lower.rs`) and carries it out, step by step, on tensors `[n, h, w, c]`, with a look at every one.

use burn::tensor::{Device, Tensor, TensorData};
use residual::error::{Error, Result};
use residual_train::layers::{BatchNorm, Conv2d, Linear, LocalResponseNorm, MaxPool, Pass, conv_norm};
use residual_train::models::{Lower, Model};
use residual_train::ops::{self, Nhwc};
use residual_train::train::optimizer::gradients;
use residual_train::train::targets::smoothed;
use serde::{Deserialize, Serialize};

/// A layer and one number of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProbeValue {
    /// Its name in checkpoints.
    pub layer: String,
    /// The number.
    pub value: f64,
}

/// The standard deviation of each convolution's response to normalised `pixels`, `[n, h, w, c]`: behind the batch norm
/// where there is one, before the addition and the ReLU (ResNet Figure 7). Projections on ways around are left out.
///
/// # Errors
/// Pixels that do not fit the network.
pub fn responses(model: &Model, pixels: &[f32], dims: [usize; 4]) -> Result<Vec<ProbeValue>> {
    check(model, pixels, dims)?;
    let x = Nhwc(Tensor::from_data(TensorData::new(pixels.to_vec(), dims), &Device::flex()));
    let mut recorder = Recorder { values: vec![x], deviations: Vec::new(), pass: Pass::test() };
    model.valid().plan(&mut recorder);
    let names = layers(model);
    Ok(names.into_iter().zip(recorder.deviations).map(|(layer, value)| ProbeValue { layer, value }).collect())
}

/// The L2 norm of the loss's gradient with respect to the weights of each convolution, for one batch. `model` is on the
/// autodiff device; its running statistics move, so it is to be thrown away.
///
/// # Errors
/// Pixels that do not fit the network, or labels that it does not know.
pub fn gradient_norms(model: &Model, pixels: &[f32], dims: [usize; 4], labels: &[u32]) -> Result<Vec<ProbeValue>> {
    check(model, pixels, dims)?;
    let classes = model.spec.classes;
    if labels.len() != dims[0] || labels.iter().any(|&label| label as usize >= classes) {
        return Err(Error::data(format!("{} labels do not belong to {} images", labels.len(), dims[0])));
    }
    let device = Device::flex().autodiff();
    let x = Nhwc(Tensor::from_data(TensorData::new(pixels.to_vec(), dims), &device));
    let targets = TensorData::new(smoothed(labels, classes, 0.0), [labels.len(), classes]);
    let logits = model.forward(x, &Pass::train(0, 0, false));
    let loss = ops::cross_entropy(logits, Tensor::from_data(targets, &device)).mean();
    let mut by_name = gradients(&model.net, loss.backward());
    let norm = |layer: String| {
        let gradient = by_name.remove(&format!("{layer}.weight"))?;
        Some(ProbeValue { layer, value: ops::sum_of_squares(gradient).sqrt() })
    };
    Ok(layers(model).into_iter().filter_map(norm).collect())
}

fn check(model: &Model, pixels: &[f32], dims @ [_, h, w, c]: [usize; 4]) -> Result<()> {
    if pixels.len() != dims.iter().product::<usize>() || model.spec.input != [h, w, c] {
        return Err(Error::data(format!("{dims:?} are no images for {}", model.spec.name)));
    }
    Ok(())
}

/// The names of the convolutions in the order of the forward pass, without projections.
fn layers(model: &Model) -> Vec<String> {
    let work = model.work().into_iter();
    let is_layer = |name: &String| !name.contains("downsample");
    work.filter(|(_, work)| matches!(work, residual_train::models::Work::Conv(_)))
        .map(|(name, _)| name)
        .filter(is_layer)
        .collect()
}

/// Carries a forward pass out as it is taken down.
struct Recorder {
    /// Every activation.
    values: Vec<Nhwc>,
    /// Of each convolution that is no projection.
    deviations: Vec<f64>,
    pass: Pass,
}

impl Recorder {
    fn push(&mut self, value: Nhwc) -> usize {
        self.values.push(value);
        self.values.len() - 1
    }

    fn value(&self, at: usize) -> Nhwc {
        self.values[at].clone()
    }

    fn response(&self, from: usize, conv: &Conv2d, bn: Option<&BatchNorm>) -> Nhwc {
        match bn {
            Some(bn) => conv_norm(conv, bn, self.value(from), &self.pass),
            None => conv.forward(self.value(from), false, &self.pass),
        }
    }
}

impl Lower for Recorder {
    type Value = usize;

    fn input(&self) -> usize {
        0
    }

    fn map(&self, value: usize) -> (usize, usize) {
        let [_, h, w, _] = self.values[value].dims();
        (h, w)
    }

    fn conv(&mut self, from: usize, conv: &Conv2d, bn: Option<&BatchNorm>, relu: bool) -> usize {
        let y = self.response(from, conv, bn);
        if !relu {
            // A way around: the only convolution without a ReLU behind it.
            return self.push(y);
        }
        self.deviations.push(deviation(&y));
        self.push(ops::relu(y))
    }

    fn conv_onto(&mut self, from: usize, conv: &Conv2d, bn: &BatchNorm, around: usize) -> usize {
        let y = self.response(from, conv, Some(bn));
        self.deviations.push(deviation(&y));
        let sum = Nhwc(y.0 + self.value(around).0);
        self.push(ops::relu(sum))
    }

    fn max_pool(&mut self, from: usize, pool: &MaxPool) -> usize {
        self.push(pool.forward(self.value(from)))
    }

    fn lrn(&mut self, from: usize, lrn: &LocalResponseNorm) -> usize {
        self.push(lrn.forward(self.value(from)))
    }

    fn subsample_pad(&mut self, from: usize, stride: usize, channels: usize) -> usize {
        self.push(ops::subsample_pad(self.value(from), stride, channels))
    }

    fn adaptive_average(&mut self, from: usize, size: usize) -> usize {
        self.push(ops::adaptive_average(self.value(from), [size; 2]))
    }

    fn flatten(&mut self, from: usize) -> usize {
        let [n, h, w, c] = self.values[from].dims();
        self.push(Nhwc(self.value(from).into_nchw().reshape([n, 1, 1, c * h * w])))
    }

    fn linear(&mut self, from: usize, linear: &Linear, relu: bool) -> usize {
        let [n, h, w, c] = self.values[from].dims();
        let y = linear.forward(self.value(from).0.reshape([n, h * w * c]), relu);
        let k = y.dims()[1];
        self.push(Nhwc(y.reshape([n, 1, 1, k])))
    }
}

/// The standard deviation of all values.
fn deviation(x: &Nhwc) -> f64 {
    let values = ops::Shared::new(x.0.clone());
    let n = values.len().max(1) as f64;
    let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
    (values.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / n).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use residual_train::models::{ModelOptions, Spec, options::Shortcut};

    fn network(name: &str, shortcut: Option<Shortcut>) -> Model {
        let options =
            ModelOptions { name: name.into(), input: Some(32), classes: Some(10), shortcut, ..ModelOptions::default() };
        let device = Device::flex().autodiff();
        Model::new(Spec::resolve(&options).expect("a network"), &device).initialised(3, &device)
    }

    fn noise(n: usize) -> Vec<f32> {
        (0..n).map(|i| ((i as u32).wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 23) as f32 - 1.0).collect()
    }

    #[test]
    fn what_is_carried_out_with_a_look_gives_the_logits_of_the_forward_pass() {
        let dims = [2, 32, 32, 3];
        for (name, shortcut) in [
            ("resnet-cifar-8", Some(Shortcut::C)),
            ("plain-cifar-8", None),
            ("resnet-50", None),
            ("vgg-a-lrn", None),
            ("vgg-c-bn", None),
        ] {
            let model = network(name, shortcut).valid();
            let pixels = noise(dims.iter().product());
            let x = Nhwc(Tensor::from_data(TensorData::new(pixels.clone(), dims), &Device::flex()));
            let mut recorder = Recorder { values: vec![x.clone()], deviations: Vec::new(), pass: Pass::test() };
            let logits = model.plan(&mut recorder);
            let seen = ops::values(recorder.values[logits].0.clone());
            let forward = ops::values(model.forward(x, &Pass::test()));
            let largest = forward.iter().fold(0f32, |a, b| a.max(b.abs()));
            assert!(seen.iter().zip(&forward).all(|(a, b)| (a - b).abs() <= 1e-4 * largest), "{name}");
            assert_eq!(recorder.deviations.len(), layers(&model).len(), "{name}: a name for each response");
        }
    }

    #[test]
    fn gradients_reach_every_convolution_and_unknown_labels_are_refused() {
        let model = network("resnet-cifar-8", None);
        let dims = [4, 32, 32, 3];
        let (pixels, labels) = (noise(dims.iter().product()), [0, 1, 2, 3]);
        let norms = gradient_norms(&model, &pixels, dims, &labels).expect("they fit");
        assert_eq!(norms.len(), 7);
        assert!(norms.iter().all(|norm| norm.value > 0.0 && norm.value.is_finite()), "{norms:?}");
        assert_eq!((norms[0].layer.as_str(), norms[6].layer.as_str()), ("conv1", "layer3.0.conv2"));
        assert!(gradient_norms(&model, &pixels, dims, &[0, 1, 2, 10]).is_err(), "no eleventh class");
    }
}
