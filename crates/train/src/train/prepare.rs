//! The way from a typed recipe to images and a resolved recipe: what training, the lab and
//! benchmarks begin with.

use super::batches::{self, BatchOptions};
use crate::data::{self, Augment, DataOptions, Dataset, Loader, Preprocessing};
use crate::error::{Error, Result};
use crate::models::Spec;
use crate::recipe::{self, DataFacts, Normalization, Recipe, ResolvedRecipe};
use std::sync::Arc;

/// A resolved recipe, its images, and their preprocessing.
#[derive(Debug)]
pub struct Prepared {
    /// The resolved recipe.
    pub recipe: ResolvedRecipe,
    /// The images.
    pub data: Dataset,
    /// The preprocessing from an image to the network's input.
    pub preprocessing: Preprocessing,
}

impl Prepared {
    /// Loads training batches in the background, after the `first` ones.
    ///
    /// # Errors
    /// The augmentation cannot be applied to the images.
    pub fn loader(&self, first: u64) -> Result<Loader> {
        let train = &self.recipe.train;
        let options = BatchOptions { batch: train.batch, accumulate: train.accumulate, seed: train.seed, first };
        batches::loader(Arc::new(self.data.train.clone()), &self.preprocessing, &self.recipe.augment, options)
    }
}

/// Opens the images of `recipe`, resolves it, and measures what its preprocessing needs.
///
/// # Errors
/// A value of the recipe is impossible, the images cannot be opened or trained on, or recipe and
/// images contradict each other.
pub fn prepare(recipe: &Recipe, skip_bad: bool, progress: &mut dyn data::Progress) -> Result<Prepared> {
    recipe.check()?;
    if recipe.model.input.is_some() {
        // An input size that the network does not take is refused before images are resized to it.
        Spec::resolve(&recipe.model)?;
    }
    let data = open(recipe, skip_bad, progress)?;
    check_trainable(&data)?;
    let facts = facts(recipe, &data, progress)?;
    let recipe = recipe.clone().resolve(&facts)?;
    let preprocessing = preprocessing(&recipe, &data, progress)?;
    Ok(Prepared { recipe, data, preprocessing })
}

/// Opens the images that `recipe` names.
///
/// # Errors
/// The images cannot be opened.
pub fn open(recipe: &Recipe, skip_bad: bool, progress: &mut dyn data::Progress) -> Result<Dataset> {
    let options = DataOptions {
        source: recipe.data.source.clone(),
        train_size: recipe.data.train_size,
        validation: recipe.data.validation,
        input: recipe.model.input,
        channels: recipe.model.channels,
        scale: recipe.data.scale,
        resize: recipe.data.resize,
        filter: recipe.data.filter,
        originals: Augment::from(&recipe.augment).needs_originals(),
        skip_bad,
        offline: false,
    };
    data::open(&options, progress)
}

/// Checks that there are training images, and that they are square.
fn check_trainable(data: &Dataset) -> Result<()> {
    // Of few images some splits may be empty; testing all of them needs none.
    if !data.has_test_split && (data.train.is_empty() || data.test.is_empty()) {
        let message = format!("{} has too few images to train on some and test on others", data.name);
        return Err(Error::data(message).with_hint("at least one class needs three images"));
    }
    if data.train.is_empty() {
        return Err(Error::data(format!("{} has no train folder, so it can only be tested on", data.name))
            .with_hint("put the training images into train, a folder for each class"));
    }
    let (h, w) = (data.train.height(), data.train.width());
    if h != w {
        return Err(Error::data(format!("{} has images of {h}x{w}, and the networks take square ones", data.name))
            .with_hint("--set model.input=N resizes them to NxN"));
    }
    Ok(())
}

/// Returns the constants that are customary for `data`, if it is the data set of that name: a
/// folder of images may have any name.
fn customary(data: &Dataset) -> Option<data::Normalize> {
    let classes = match data.name.as_str() {
        "cifar100" => 100,
        "imagenet" => 1000,
        _ => 10,
    };
    let known = data::Normalize::known(&data.name)?;
    let data::Normalize::Channel { mean, .. } = &known else { return None };
    (mean.len() == data.train.channels() && data.classes.len() == classes).then_some(known)
}

/// Collects what resolving `recipe` needs to know of the data.
fn facts(recipe: &Recipe, data: &Dataset, progress: &mut dyn data::Progress) -> Result<DataFacts> {
    let wanted = recipe.data.mean.is_none() || recipe.data.std.is_none();
    let measured = match customary(data) {
        Some(known) => known,
        None if wanted && recipe.data.normalize == recipe::Normalize::Channel => {
            data::channel_statistics(&data.train, progress)?
        }
        None => data::Normalize::Channel { mean: Vec::new(), std: Vec::new() },
    };
    let (data::Normalize::Channel { mean, std } | data::Normalize::Pixel { mean, std }) = measured;
    // The shortest decimal of the float, so that the recipe stays readable: 0.4914, not
    // 0.49140000343322754.
    let decimal = |values: Vec<f32>| values.iter().filter_map(|value| value.to_string().parse().ok()).collect();
    Ok(DataFacts {
        input: data.train.height(),
        channels: data.train.channels(),
        classes: data.classes.len(),
        train: data.train.len(),
        validation: data.validation.len(),
        mean: decimal(mean),
        std: decimal(std),
    })
}

/// Returns the preprocessing of a resolved recipe; the mean image, if it wants one, is measured.
fn preprocessing(recipe: &ResolvedRecipe, data: &Dataset, progress: &mut dyn data::Progress) -> Result<Preprocessing> {
    let single = |values: &[f64]| values.iter().map(|&value| value as f32).collect();
    let normalize = match &recipe.data.normalize {
        Normalization::Channel { mean, std } => data::Normalize::Channel { mean: single(mean), std: single(std) },
        Normalization::Pixel => data::pixel_statistics(&data.train, progress)?,
    };
    let [height, width, channels] = recipe.network.input;
    let recipe::ResolvedData { scale, resize, filter, .. } = recipe.data;
    Ok(Preprocessing { height, width, channels, scale, resize, filter, normalize })
}
