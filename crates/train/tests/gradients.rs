//! Finite differences: the gradients of whole small networks of each family, weight by weight.

use burn::tensor::{Device, Tensor, TensorData};
use rand::Rng;
use residual::models::options::{Init, Shortcut};
use residual::models::{Model, ModelOptions, Spec};
use residual::tensor::HostTensor;
use residual_train::network::{ForwardContext, TrainableNetwork};
use residual_train::ops::{self, Nhwc};
use residual_train::random::{Purpose, stream};
use residual_train::train::targets::smoothed;
use std::collections::BTreeMap;

const BATCH: usize = 4;

/// Directions in which a tensor's gradient may be found right.
const DIRECTIONS: usize = 4;

fn images([h, w, c]: [usize; 3], device: &Device) -> Nhwc {
    let mut draws = stream(3, Purpose::Init, 0, 0);
    let values: Vec<f32> = (0..BATCH * h * w * c).map(|_| draws.random_range(-1.0..1.0)).collect();
    Nhwc(Tensor::from_data(TensorData::new(values, [BATCH, h, w, c]), device))
}

fn loss(network: &mut TrainableNetwork, device: &Device) -> Tensor<1> {
    let (input, classes) = (network.graph().input_shape(), network.graph().classes());
    let targets = TensorData::new(smoothed(&[0, 1, 2, 1], classes, 0.1), [BATCH, classes]);
    let mut context = ForwardContext::train(5, 0, false);
    let logits = network.forward(images(input, device), &mut context);
    ops::cross_entropy(logits, Tensor::from_data(targets, device)).mean()
}

/// The change of the loss along a random direction of one tensor, by differences and by its gradient. Directions, not
/// single weights: the change is then far above float32's rounding of the loss.
fn check(options: ModelOptions) {
    let device = Device::flex().autodiff();
    let spec = Spec::resolve(&options).expect("a small network");
    let model = Model::initialised(spec, 11);
    let mut network = TrainableNetwork::new(&model, &device);
    let gradients = loss(&mut network, &device).backward();
    let gradients = network.parameters().gradients(gradients);
    let values = model.tensors();
    let (mut checked, mut wrong) = (0, Vec::new());
    for (index, (name, gradient)) in gradients.into_iter().enumerate() {
        let gradient = gradient.into_data().try_to_vec::<f32>().expect("f32");
        let norm = gradient.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
        if norm < 1e-4 {
            continue;
        }
        let mut draws = stream(17, Purpose::Init, 1, index as u64);
        let at = |direction: &[f64], step: f64| {
            let data = &values[&name];
            let moved = data.values().iter().zip(direction);
            let moved: Vec<f32> = moved.map(|(v, d)| (f64::from(*v) + step * d) as f32).collect();
            let moved = BTreeMap::from([(name.clone(), HostTensor::new(data.shape(), moved))]);
            let mut network = network.clone();
            network.parameters_mut().set(&moved);
            f64::from(loss(&mut network, &device).into_scalar::<f32>())
        };
        // A ReLU or a maximum that changes sides within the step bends the line: then another direction tells. A wrong
        // gradient is wrong in all of them.
        let mut agrees = || {
            // Half along the gradient, half anywhere: the slope does not vanish, and is not the gradient's norm alone.
            let random: Vec<f64> = gradient.iter().map(|_| draws.random_range(-1.0..1.0)).collect();
            let length = random.iter().map(|r| r * r).sum::<f64>().sqrt();
            let direction: Vec<f64> =
                gradient.iter().zip(&random).map(|(g, r)| f64::from(*g) / norm + 0.5 * r / length).collect();
            let slope: f64 = gradient.iter().zip(&direction).map(|(g, d)| f64::from(*g) * d).sum();
            // A step that changes the loss by about 3e-4: over a thousand times its rounding, and still nearly straight.
            let step = (3e-4 / slope.abs()).min(3e-3);
            let difference = (at(&direction, step) - at(&direction, -step)) / (2.0 * step);
            (difference - slope).abs() < 0.03 * slope.abs() + 2e-4
        };
        checked += 1;
        if !(0..DIRECTIONS).any(|_| agrees()) {
            wrong.push(name.clone());
        }
    }
    assert!(checked > 5, "{}: only {checked} tensors have a gradient", options.name);
    assert!(wrong.is_empty(), "{}: of {checked} tensors these have another slope: {wrong:?}", options.name);
}

fn small(name: &str, input: usize) -> ModelOptions {
    ModelOptions { name: name.into(), input: Some(input), classes: Some(3), ..ModelOptions::default() }
}

#[test]
fn a_residual_network_with_option_a() {
    check(small("resnet-cifar-8", 12));
}

#[test]
fn a_residual_network_with_projections_everywhere() {
    check(ModelOptions { shortcut: Some(Shortcut::C), ..small("resnet-cifar-14", 9) });
}

#[test]
fn a_plain_network() {
    check(small("plain-cifar-8", 12));
}

#[test]
fn a_bottleneck_network() {
    check(small("resnet-50", 16));
}

#[test]
fn a_vgg_with_local_response_normalisation_and_dropout() {
    check(ModelOptions { init: Init::Glorot, ..small("vgg-a-lrn", 32) });
}

#[test]
fn a_vgg_with_one_by_one_convolutions_and_batch_norm() {
    check(small("vgg-c-bn", 32));
}
