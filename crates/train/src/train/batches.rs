//! Training batches: the images of a split in the order of the epochs, augmented.

use crate::data::{Augment, Images, Loader, LoaderOptions, Preprocessing, RepeatedAugmentation};
use crate::error::Result;
use crate::recipe::AugmentOptions;
use std::sync::Arc;

/// How training images are put into batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchOptions {
    /// Images per forward pass.
    pub batch: usize,
    /// Forward passes per optimiser step.
    pub accumulate: usize,
    /// Seed of order and augmentation.
    pub seed: u64,
    /// Forward passes that were done before; a resumed run goes on after them.
    pub first: u64,
}

/// Loads training batches of `images` in the background, augmented as `augment` says.
///
/// # Errors
/// The normalisation does not fit the images, or `augment` cannot be applied to them.
pub fn loader(
    images: Arc<Images>,
    preprocessing: &Preprocessing,
    augment: &AugmentOptions,
    options: BatchOptions,
) -> Result<Loader> {
    let normalizer = match augment.size {
        Some(side) => preprocessing.at(side)?.normalizer()?,
        None => preprocessing.normalizer()?,
    };
    let BatchOptions { batch, accumulate, seed, first } = options;
    let repeats = RepeatedAugmentation { times: augment.repeats.unwrap_or(1), micro_batches: accumulate };
    let options = LoaderOptions { batch, seed, drop_last: true, first_step: first, repeats };
    Loader::new(images, Arc::new(normalizer), Augment::from(augment), options)
}
