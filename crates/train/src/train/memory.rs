//! An estimate of the memory of a training step or a forward pass.

use super::machine::{Machine, available_memory};
use crate::error::{Error, Result};
use residual::graph::{Op, Summary};

/// Batches that the loader holds beside those of the step: three that wait and one that it fills.
const AHEAD: usize = 4;

/// Estimates the bytes of a training step of `accumulate` batches of `batch` images, to within a
/// third.
///
/// Kept for the backward pass: the output of each convolution, normalisation and pooling (a fused
/// ReLU shares its layer's). Beside them one layer's gradients; weights, gradients and velocities;
/// and a checkpoint that is being written. All batches are in memory before the first goes through
/// the network: 380 MB if 1,024 images of 176x176 make a step.
pub fn training_step(summary: &Summary, batch: usize, accumulate: usize) -> u64 {
    let kept = |op: &Op| !matches!(op, Op::Input | Op::Relu | Op::Add | Op::Flatten | Op::Dropout { .. });
    let activations: u64 = summary.layers.iter().filter(|l| kept(&l.kind)).map(|l| size(l.output)).sum();
    let largest = largest(summary);
    let images = (accumulate + AHEAD) as u64 * size(summary.input);
    let an_image = activations + 3 * largest + images;
    // A checkpoint holds weights and velocities once as values and once as the file's bytes.
    let parameters = (3 + 2 * 2) * summary.params;
    (batch as u64).saturating_mul(an_image).saturating_add(parameters).saturating_mul(4)
}

/// Estimates the least bytes of a forward pass of `batch` images: weights, images, and two of the
/// largest feature map.
pub fn forward_pass(summary: &Summary, batch: usize) -> u64 {
    let an_image = size(summary.input) + 2 * largest(summary);
    (batch as u64).saturating_mul(an_image).saturating_add(summary.params).saturating_mul(4)
}

/// Returns the number of values of a feature map `[h, w, c]`.
fn size(map: [usize; 3]) -> u64 {
    map.iter().product::<usize>() as u64
}

/// Returns the number of values of the largest feature map of one image.
fn largest(summary: &Summary) -> u64 {
    summary.layers.iter().map(|layer| size(layer.output)).max().unwrap_or(0)
}

/// Checks that the machine has the `needed` bytes for a batch of `batch` images. A machine whose
/// memory is unknown is assumed to have enough.
///
/// # Errors
/// The machine has less memory.
pub fn check(summary: &Summary, batch: usize, needed: u64) -> Result<()> {
    let Some(mb) = Machine::here().memory_mb.filter(|mb| needed >> 20 > *mb) else { return Ok(()) };
    let message = format!(
        "a batch of {batch} images through {} needs about {:.0} GiB, and this machine has {:.1}",
        summary.name,
        gib(needed),
        gib(mb << 20)
    );
    Err(Error::usage(message).with_hint("set --batch lower"))
}

fn gib(bytes: u64) -> f64 {
    bytes as f64 / (1u64 << 30) as f64
}

/// Returns a warning and a hint if a training step needs more memory than is available now.
pub fn warning(summary: &Summary, batch: usize, accumulate: usize) -> Option<(String, String)> {
    let (needed, available) = (training_step(summary, batch, accumulate), available_memory()?);
    (needed > available).then(|| {
        let message = format!(
            "a step of {batch} images through {} needs about {:.1} GiB; only {:.1} GiB available",
            summary.name,
            gib(needed),
            gib(available)
        );
        (message, "set train.batch lower and train.accumulate higher: the steps stay the same".to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::{ModelOptions, summary};

    #[test]
    fn vgg_at_224_needs_gigabytes_and_resnet_20_at_32_does_not() {
        let step = |name: &str| {
            let options = ModelOptions { name: name.into(), ..ModelOptions::default() };
            training_step(&summary(&options).expect("a known network"), 128, 1) >> 20
        };
        assert!((8_000..30_000).contains(&step("vgg-d")), "{}", step("vgg-d"));
        assert!((100..1_000).contains(&step("resnet-20")), "{}", step("resnet-20"));
    }

    #[test]
    fn a_batch_that_exceeds_the_memory_is_refused() {
        let summary =
            summary(&ModelOptions { name: "resnet-20".into(), ..ModelOptions::default() }).expect("a network");
        let refused = |batch| check(&summary, batch, forward_pass(&summary, batch)).is_err();
        assert_eq!([16, usize::MAX].map(refused), [false, Machine::here().memory_mb.is_some()]);
        // ResNet-20's largest feature maps are 32x32x16.
        assert_eq!(forward_pass(&summary, 8), 4 * (8 * (32 * 32 * (3 + 2 * 16)) + summary.params));
    }

    #[test]
    fn accumulated_batches_wait_as_images() {
        let options = ModelOptions { name: "resnet-50".into(), ..ModelOptions::default() };
        let summary = summary(&options).expect("a known network");
        let more = training_step(&summary, 64, 16) - training_step(&summary, 64, 1);
        assert_eq!(more, 15 * 64 * 224 * 224 * 3 * 4);
    }
}
