//! Predicts how long an experiment takes on this machine, from twenty timed steps of a small
//! network of each kind and from multiply-adds.
//!
//! The kernels reach different rates on the small feature maps of CIFAR's networks, on ImageNet's
//! and on VGG's, so each kind is measured; within a kind, time is proportional to multiply-adds.
//! The measurement is kept in the cache folder and repeated if processor, threads, instruction set
//! or version differ.

use super::experiment::{Experiment, Part, Scale};
use residual::error::Result;
use residual::models::options::Head;
use residual::models::{self, ModelOptions, Spec};
use residual_train::data::{self, cache_dir};
use residual_train::train::machine::Machine;
use residual_train::train::pace::{median, training_steps};
use serde::{Deserialize, Serialize};

/// Number of timed steps.
const STEPS: usize = 20;

/// The network that represents a kind of networks.
struct Kind {
    name: &'static str,
    input: usize,
    batch: usize,
}

/// Representatives of CIFAR's networks, ImageNet's residual networks, and VGG (without its fully
/// connected layers, whose update costs the same for each batch and would dominate in a batch of
/// two).
const KINDS: [Kind; 3] = [
    Kind { name: "resnet-20", input: 32, batch: 32 },
    Kind { name: "resnet-18", input: 224, batch: 4 },
    Kind { name: "vgg-a", input: 224, batch: 2 },
];

/// The speed of this machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pace {
    /// The machine that was measured.
    machine: Machine,
    /// Multiply-adds of forward passes per second of training, by kind.
    macs_per_second: [f64; 3],
}

impl Pace {
    /// Returns the speed of this machine, from the cache or measured now.
    ///
    /// # Errors
    /// Fails if a network cannot be built; tests rule this out.
    pub fn here(progress: &mut dyn data::Progress) -> Result<Self> {
        let machine = Machine { memory_mb: None, ..Machine::here() };
        let path = cache_dir().ok().map(|folder| folder.join("pace.json"));
        let kept = path.as_ref().and_then(|path| std::fs::read_to_string(path).ok());
        if let Some(pace) = kept.and_then(|text| serde_json::from_str::<Self>(&text).ok())
            && pace.machine == machine
        {
            return Ok(pace);
        }
        let pace = Self { machine, macs_per_second: measure(progress)? };
        if let Some(path) = path
            && let Some(folder) = path.parent()
            && std::fs::create_dir_all(folder).is_ok()
        {
            // Without a cache it is measured again next time.
            let _ = residual::atomic::write(&path, &serde_json::to_vec_pretty(&pace).expect("plain data"));
        }
        Ok(pace)
    }

    /// Returns the seconds of training of `experiment` at `scale` with one seed, without tests; 0
    /// if nothing is trained.
    ///
    /// # Errors
    /// Fails if a network cannot be built; tests rule this out.
    pub fn seconds(&self, experiment: &Experiment, scale: Scale) -> Result<f64> {
        let (mut seconds, mut seen) = (0.0, Vec::new());
        if !experiment.only_counts(scale) && experiment.is_count() {
            let recipe = experiment.filter_stack_recipe(None)?;
            let images = recipe.total_steps(1) * recipe.train.batch as u64;
            let macs: u64 = experiment.filter_stacks.iter().map(|stack| stack.design().macs(32, 3)).sum();
            return Ok(images as f64 * macs as f64 / self.macs_per_second[0]);
        }
        for part in experiment.parts.iter().filter(|_| !experiment.is_count()).flat_map(Part::members) {
            // Parts that differ in the protocol alone share their weights.
            let network = (part.network.clone(), part.shortcut);
            if seen.contains(&network) {
                continue;
            }
            seen.push(network);
            let recipe = experiment.recipe(&part, scale, None, 0)?;
            let input = (scale == Scale::Quick).then_some(32);
            let summary = models::summary(&ModelOptions { input, ..recipe.model.clone() })?;
            let kind = match (summary.family.as_str(), summary.input[0]) {
                ("vgg", _) => 2,
                _ if is_thin(&summary.name) => 0,
                _ => 1,
            };
            let images = recipe.total_steps(1) * (recipe.train.batch * recipe.train.accumulate) as u64;
            seconds += images as f64 * summary.macs as f64 / self.macs_per_second[kind];
        }
        Ok(seconds)
    }
}

/// Returns whether `network` is one of CIFAR's, with 16 to 64 channels.
fn is_thin(network: &str) -> bool {
    models::find(network).is_ok_and(|entry| entry.input == 32)
}

fn measure(progress: &mut dyn data::Progress) -> Result<[f64; 3]> {
    progress.start("measuring this machine, once", (KINDS.len() * (STEPS + 1)) as u64);
    let mut rates = [0.0; 3];
    for (rate, kind) in rates.iter_mut().zip(&KINDS) {
        let options = ModelOptions {
            name: kind.name.into(),
            input: Some(kind.input),
            classes: Some(10),
            head: if kind.name.starts_with("vgg") { Head::Cifar } else { Head::Auto },
            ..ModelOptions::default()
        };
        let macs = models::summary(&options)?.macs;
        let ms = median(training_steps(&Spec::resolve(&options)?, kind.batch, STEPS, |_| progress.advance(1))?.times);
        *rate = (macs * kind.batch as u64) as f64 / (ms / 1e3).max(1e-9);
    }
    Ok(rates)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reproduce::find;

    #[test]
    fn time_grows_with_steps_images_and_multiply_adds() {
        let pace = Pace { machine: Machine::here(), macs_per_second: [1e9, 1e10, 1e11] };
        let seconds = |id: &str| pace.seconds(find(id).expect("an id")[0], Scale::Full).expect("a network");
        // 64,000 steps of 128 images of 40.55 million multiply-adds each.
        assert!((seconds("resnet/t6/n=3") / (64_000.0 * 128.0 * 0.04055) - 1.0).abs() < 1e-3);
        assert_eq!((seconds("vgg/params"), seconds("vgg/small-filters")), (0.0, 0.0));
        // 1,000 steps of 32 through two stacks.
        let stacks = pace.seconds(find("vgg/small-filters").expect("an id")[0], Scale::Quick).expect("a recipe");
        assert!((stacks / (32_000.0 * (16.957 + 15.254) / 1e3) - 1.0).abs() < 1e-3, "{stacks}");
        // The three protocols of each net share its weights: D and E, 370,000 steps of 256.
        assert!((seconds("vgg/t5") / (370_000.0 * 256.0 * 35.102 / 100.0) - 1.0).abs() < 1e-3);
    }
}
