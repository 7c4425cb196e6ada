//! The inference plan against the forward pass that it stands for, and the memory that it uses.

#[path = "support/forward.rs"]
mod forward_pass;

use forward_pass::forward;
use rayon::prelude::*;
use residual::models::options::{Head, Shortcut};
use residual::models::{Model, ModelOptions, Spec};
use residual::plan::{InferenceSession, Plan};
use residual::tensor::HostTensor;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Values between 0 and 1 that look like noise.
fn noise(n: usize, salt: usize) -> Vec<f32> {
    let hash = |i: usize| ((i + 7919 * salt) as u32).wrapping_mul(2_654_435_761) >> 8;
    (0..n).map(|i| hash(i) as f32 / (1 << 24) as f32).collect()
}

/// A network whose normalisations have seen something: means, variances, scales and shifts that matter.
fn network(name: &str, input: usize, options: ModelOptions) -> Model {
    let options = ModelOptions { name: name.into(), input: Some(input), classes: Some(10), ..options };
    let model = Model::initialised(Spec::resolve(&options).expect("a network"), 7);
    let mut tensors = model.tensors().clone();
    for (salt, (key, data)) in tensors.iter_mut().enumerate() {
        let shape = data.shape().to_vec();
        if shape.len() == 1 {
            let (low, span) = if key.ends_with("running_var") { (0.5, 1.0) } else { (-0.2, 0.4) };
            let low = if key.ends_with("weight") { 0.8 } else { low };
            let values = noise(shape[0], salt).iter().map(|v| low + span * v).collect::<Vec<f32>>();
            *data = HostTensor::new(shape, values);
        }
    }
    Model::new(model.spec, tensors).expect("the network's own tensors")
}

/// Folding changes each product's rounding: 1e-4 of the largest logit is what imported weights are held to as well.
fn assert_same(name: &str, ours: &[f32], theirs: &[f32]) {
    assert_eq!(ours.len(), theirs.len());
    let largest = theirs.iter().fold(0f32, |a, b| a.max(b.abs()));
    assert!(largest > 1e-3, "{name}: logits of nothing");
    for (a, b) in ours.iter().zip(theirs) {
        assert!((a - b).abs() <= 1e-4 * largest, "{name}: {a} and {b}, with logits up to {largest}");
    }
}

fn plan_agrees(name: &str, input: usize, options: ModelOptions) {
    let model = network(name, input, options);
    let mut plan = Plan::new(&model, 3, true);
    // The size it was made for, one image, more images than that.
    for n in [3, 1, 5] {
        let pixels = noise(n * input * input * 3, 100);
        let logits = plan.logits(&pixels, [n, input, input]).expect("images of the network's size").to_vec();
        assert_same(name, &logits, &forward(&model, &pixels, [n, input, input, 3]));
    }
}

#[test]
fn any_number_of_images_is_taken_and_what_is_none_is_refused() {
    let model = network("resnet-20", 32, ModelOptions::default());
    let session = InferenceSession::new(&model, 4, true);
    let most = residual::plan::batch_of(32, 32).max(4);
    let n = 2 * most + 1;
    let pixels = noise(n * 32 * 32 * 3, 100);
    let together = session.logits(&pixels, [n, 32, 32]).expect("images of its size");
    let apart: Vec<f32> = pixels
        .chunks(most * 32 * 32 * 3)
        .flat_map(|part| session.logits(part, [part.len() / (32 * 32 * 3), 32, 32]).expect("images"))
        .collect();
    assert_eq!(together, apart);
    for wrong in [session.logits(&[], [0, 32, 32]), session.logits(&pixels[1..], [n, 32, 32])] {
        assert!(wrong.expect_err("no images").to_string().contains("images of 32x32x3"));
    }
    let vgg = network("vgg-a", 32, ModelOptions::default());
    let error =
        InferenceSession::new(&vgg, 1, true).dense_logits(&noise(16 * 16 * 3, 1), [1, 16, 16]).expect_err("small");
    assert!(error.to_string().contains("smaller than the 32x32"), "{error}");
    let error = residual::explain::grad_cam(&session, &pixels, [n, 32, 31, 3], &vec![0; n]).expect_err("wrong size");
    assert!(error.to_string().contains("images of 32x31x3"), "{error}");
}

#[test]
fn plans_of_every_family_give_the_logits_of_the_forward_pass() {
    let c = ModelOptions { shortcut: Some(Shortcut::C), ..ModelOptions::default() };
    plan_agrees("resnet-20", 32, ModelOptions::default());
    plan_agrees("resnet-20", 32, c);
    plan_agrees("plain-20", 32, ModelOptions::default());
    plan_agrees("resnet-18", 65, ModelOptions::default());
    plan_agrees("resnet-50", 32, ModelOptions::default());
    plan_agrees("vgg-a-lrn", 32, ModelOptions::default());
    plan_agrees("vgg-c", 32, ModelOptions::default());
    plan_agrees("vgg-a-bn", 48, ModelOptions::default());
    plan_agrees("speedrun", 32, ModelOptions::default());
    // Maps of 75, 37, 18 and 9: the pooling drops rows and columns.
    for input in [64, 75] {
        plan_agrees("vgg-a", input, ModelOptions { head: Head::Imagenet, ..ModelOptions::default() });
    }
}

#[test]
fn a_residual_network_s_plan_takes_images_of_another_shape() {
    let model = network("resnet-20", 32, ModelOptions::default());
    let mut plan = Plan::new(&model, 2, false);
    let pixels = noise(2 * 40 * 52 * 3, 3);
    let logits = plan.logits(&pixels, [2, 40, 52]).expect("a larger map averages as well").to_vec();
    assert_same("resnet-20", &logits, &forward(&model, &pixels, [2, 40, 52, 3]));
}

#[test]
fn pixels_that_are_not_the_images_promised_are_refused() {
    let mut plan = Plan::new(&network("resnet-20", 32, ModelOptions::default()), 1, true);
    assert!(plan.logits(&[0.0; 5], [1, 32, 32]).is_err());
    assert!(plan.logits(&[], [0, 32, 32]).is_err());
    assert!(plan.logits(&[0.0; 12], [1, 2, 2]).is_err(), "no pixel is left of it");
    let mut plan = Plan::new(&network("vgg-a", 32, ModelOptions::default()), 1, true);
    assert!(plan.logits(&noise(64 * 64 * 3, 1), [1, 64, 64]).is_err(), "its head is for one pixel");
}

/// A thread of the pool that waits for its kernel's other pieces takes the next image of the loop meanwhile: with a lock around each call it
/// would wait for itself.
#[test]
fn a_session_may_be_called_from_within_a_parallel_loop() {
    let session = InferenceSession::new(&network("resnet-20", 32, ModelOptions::default()), 1, true);
    let images: Vec<Vec<f32>> = (0..64).map(|i| noise(32 * 32 * 3, i)).collect();
    let logits = |pixels: &Vec<f32>| session.logits(pixels, [1, 32, 32]).expect("an image");
    let one_by_one: Vec<_> = images.iter().map(logits).collect();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(4).build().expect("threads can be started");
    let together: Vec<_> = pool.install(|| images.par_iter().map(logits).collect());
    assert_eq!(one_by_one, together);
}

#[test]
fn a_second_call_allocates_no_memory_for_activations() {
    let mut plan = Plan::new(&network("resnet-20", 32, ModelOptions::default()), 8, true);
    let pixels = noise(8 * 32 * 32 * 3, 1);
    for _ in 0..3 {
        plan.logits(&pixels, [8, 32, 32]).expect("images");
    }
    // Other tests of this file run beside this one in threads of this process: the least of several counts is this one's.
    let count = |_| {
        let region = Region::new(ALLOCATOR);
        plan.logits(&pixels, [8, 32, 32]).expect("images");
        region.change().bytes_allocated
    };
    let bytes = (0..200).map(count).min().expect("counts");
    // The queues of the thread pool grow by themselves now and then; an activation of this batch takes 512 KiB.
    assert!(bytes <= 4096, "a call allocated {bytes} bytes");
}
