//! Ten training steps against PyTorch's: `golden/losses.py` printed the constants here (torch 2.15, CPU, float32).
//!
//! Weights, images and labels are closed formulas of their index on both sides.

#[path = "support/forward.rs"]
mod forward_pass;

use burn::tensor::Device;
use forward_pass::forward;
use residual::models::{Model, ModelOptions, Spec};
use residual::tensor::{HostTensor, Tensors};
use residual_train::data::Batch;
use residual_train::network::is_running_statistic;
use residual_train::recipe::Recipe;
use residual_train::train::trainer::Trainer;

/// `n` values in [-1, 1), the same as `formula` in losses.py.
fn formula(n: usize, salt: u64) -> Vec<f32> {
    let value = |i: u64| {
        let x = (i.wrapping_mul(2_654_435_761) + salt * 40_503 + 12_345) % (1 << 32);
        let x = ((x ^ (x >> 15)) * 2_246_822_519) % (1 << 32);
        let x = (x ^ (x >> 13)) % (1 << 32);
        (x as f64 / 2_147_483_648.0 - 1.0) as f32
    };
    (0..n as u64).map(value).collect()
}

/// The weights of `fill` in losses.py, in the order of torch's parameters, which is that of ours without the buffers.
fn filled(spec: Spec) -> Model {
    let mut values = Tensors::new();
    let shapes = spec.graph().tensors();
    for (name, shape) in &shapes {
        let constant = if name.ends_with("running_var") || name.ends_with("weight") { 1.0 } else { 0.0 };
        values.insert(name.clone(), HostTensor::full(shape.clone(), constant));
    }
    let trained = shapes.iter().filter(|(name, _)| !is_running_statistic(name));
    for (salt, (name, shape)) in trained.enumerate() {
        if shape.len() == 1 {
            continue;
        }
        let len = shape.iter().product::<usize>();
        let fan = if shape.len() == 4 { shape[0] * shape[2] * shape[3] } else { 2 * shape[1] };
        let gain = (6.0 / fan as f64).sqrt();
        let drawn = formula(len, salt as u64).into_iter().map(|v| (f64::from(v) * gain) as f32).collect::<Vec<_>>();
        values.insert(name.clone(), HostTensor::new(shape.clone(), drawn));
    }
    Model::new(spec, values).expect("made for this network")
}

fn batch(step: u64) -> Batch {
    let labels = (0..8).map(|i| (i * 7 + step as u32 * 3) % 10).collect();
    Batch { pixels: formula(8 * 32 * 32 * 3, 1000 + step), size: [32, 32, 3], labels, ..Batch::default() }
}

/// A rounding difference of float32, 1e-7, grows about threefold a step in these nets (seen in their losses): after ten
/// steps 3¹⁰ · 1e-7 = 6e-3 of a logit. Losses are means over images and come before the last steps.
const LOGIT_TOLERANCE: f64 = 1e-2;

/// `tolerance` is that of the losses, relative.
fn train_ten_steps(name: &str, lr: f64, losses: [f64; 10], logits: [f64; 10], precise: bool, tolerance: f64) {
    let device = Device::flex().autodiff();
    let options = ModelOptions { name: name.into(), input: Some(32), classes: Some(10), ..ModelOptions::default() };
    let spec = Spec::resolve(&options).expect("a small network");
    let mut recipe = Recipe::default();
    recipe.optimizer.nesterov = true;
    recipe.optimizer.weight_decay = 5e-4;
    recipe.train.winograd = !precise;
    let mut trainer = Trainer::new(&filled(spec), &recipe, &device);
    for (step, expected) in losses.into_iter().enumerate() {
        let outcome = trainer.step(&mut [batch(step as u64)], step as u64, lr);
        let off = (outcome.loss - expected).abs() / expected;
        assert!(off < tolerance, "step {step}: {} instead of {expected}", outcome.loss);
    }
    let found = forward(&trainer.tested(), &batch(0).pixels, [8, 32, 32, 3]);
    let scale = logits.iter().fold(0.0, |m: f64, l| m.max(l.abs()));
    for (found, expected) in found.iter().zip(logits) {
        let off = (f64::from(*found) - expected).abs() / scale;
        assert!(off < LOGIT_TOLERANCE, "logit {found} instead of {expected}");
    }
}

const RESNET_LOSSES: [f64; 10] =
    [2.493485, 2.359179, 2.397079, 2.302513, 2.338637, 2.45251, 2.397264, 2.370977, 2.398887, 2.359274];
const RESNET_LOGITS: [f64; 10] =
    [0.25828, -0.02263, 0.06386, -0.47871, -0.18981, 0.33158, 0.03513, -0.35386, -0.4288, -0.16774];
const VGG_LOSSES: [f64; 10] =
    [2.285173, 2.295328, 2.295507, 2.293236, 2.31415, 2.313378, 2.322922, 2.343638, 2.342463, 2.322439];
const VGG_LOGITS: [f64; 10] =
    [0.20334, -0.02034, -0.0236, 0.01982, 0.09482, -0.03758, -0.04748, 0.0772, 0.07772, 0.01149];

#[test]
fn a_tiny_resnet_loses_what_it_loses_in_pytorch() {
    train_ten_steps("resnet-cifar-8", 0.02, RESNET_LOSSES, RESNET_LOGITS, true, 1e-4);
}

#[test]
fn a_tiny_resnet_loses_the_same_with_winograd() {
    // Its transforms round about ten times as coarsely as the direct sum (constants of F(4x4, 3x3) up to 8).
    train_ten_steps("resnet-cifar-8", 0.02, RESNET_LOSSES, RESNET_LOGITS, false, 1e-3);
}

#[test]
fn a_tiny_vgg_loses_what_it_loses_in_pytorch() {
    train_ten_steps("vgg-a", 0.002, VGG_LOSSES, VGG_LOGITS, true, 1e-4);
}
