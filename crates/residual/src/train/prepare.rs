//! From a recipe to pictures and a network: what training, tests and benchmarks begin with.

use crate::data::{self, Augment, DataOptions, Dataset, Loader, LoaderOptions, Pictures, Preprocessing};
use crate::error::{Error, Result};
use crate::models::{Architecture, Model, Spec, find, vgg};
use crate::recipe::{self, DataFacts, Recipe};
use crate::weights;
use burn::tensor::Device;
use std::sync::Arc;

/// A recipe with nothing left open, and what it names.
#[derive(Debug)]
pub struct Prepared {
    /// The recipe, resolved.
    pub recipe: Recipe,
    /// The pictures.
    pub data: Dataset,
    /// The way from a picture to the network's input.
    pub preprocessing: Preprocessing,
    /// The network, at its start.
    pub model: Model,
}

/// Opens the data of `recipe`, resolves what depends on it, and builds the network on `device`.
///
/// # Errors
/// Data that cannot be opened, a recipe that contradicts it, a network that cannot take it.
pub fn prepare(
    recipe: &Recipe,
    skip_bad: bool,
    device: &Device,
    progress: &mut dyn data::Progress,
) -> Result<Prepared> {
    recipe.check()?;
    let data = open(recipe, skip_bad, progress)?;
    if data.train.is_empty() {
        let message = format!("{} can be tested on, not trained on: it has no train folder", data.name);
        return Err(Error::data(message).with_hint("put the training pictures into train, a folder for each class"));
    }
    let recipe = recipe.resolve(&facts(recipe, &data)?)?;
    let spec = Spec::resolve(&recipe.model)?;
    let preprocessing = preprocessing(&recipe, &data)?;
    let model = start(&recipe, Model::new(spec, device), device)?;
    Ok(Prepared { recipe, data, preprocessing, model })
}

/// The pictures that `recipe` names.
///
/// # Errors
/// Data that cannot be opened.
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

/// Training batches of `pictures` as `recipe` varies them, from portion number `first_step` on.
///
/// # Errors
/// Pictures or an augmentation of which no batches can be made.
pub fn loader(
    pictures: Arc<Pictures>,
    preprocessing: &Preprocessing,
    recipe: &Recipe,
    first_step: u64,
) -> Result<Loader> {
    let normalizer = match recipe.augment.size {
        Some(side) => preprocessing.at(side)?.normalizer()?,
        None => preprocessing.normalizer()?,
    };
    let options = LoaderOptions { batch: recipe.train.batch, seed: recipe.train.seed, drop_last: true, first_step };
    Loader::new(pictures, Arc::new(normalizer), Augment::from(&recipe.augment), options)
}

/// What the recipe must know of the data to be resolved.
fn facts(recipe: &Recipe, data: &Dataset) -> Result<DataFacts> {
    let wanted = recipe.data.mean.is_none() || recipe.data.std.is_none();
    let measured = match data::Normalize::known(&data.name) {
        Some(known) => known,
        None if wanted && recipe.data.normalize == recipe::Normalize::Channel => {
            data::Normalize::channel_of(&data.train)?
        }
        None => data::Normalize::Channel { mean: Vec::new(), std: Vec::new() },
    };
    let (data::Normalize::Channel { mean, std } | data::Normalize::Pixel { mean, std }) = measured;
    // The shortest decimal of the float, so that the recipe stays readable: 0.4914, not 0.49140000343322754.
    let decimal = |values: Vec<f32>| values.iter().filter_map(|value| value.to_string().parse().ok()).collect();
    Ok(DataFacts {
        input: Some(data.train.height()),
        channels: data.train.channels(),
        classes: data.classes.len(),
        validation: data.validation.len(),
        mean: decimal(mean),
        std: decimal(std),
    })
}

fn preprocessing(recipe: &Recipe, data: &Dataset) -> Result<Preprocessing> {
    let single = |values: &Option<Vec<f64>>| values.iter().flatten().map(|&value| value as f32).collect();
    let normalize = match recipe.data.normalize {
        recipe::Normalize::Channel => {
            data::Normalize::Channel { mean: single(&recipe.data.mean), std: single(&recipe.data.std) }
        }
        recipe::Normalize::Pixel => data::Normalize::pixel_of(&data.train)?,
    };
    Ok(Preprocessing {
        height: data.train.height(),
        width: data.train.width(),
        channels: data.train.channels(),
        scale: recipe.data.scale,
        resize: recipe.data.resize,
        filter: recipe.data.filter,
        normalize,
    })
}

/// The network with its initial weights: drawn, or taken from a file as far as they fit.
fn start(recipe: &Recipe, model: Model, device: &Device) -> Result<Model> {
    let model = model.initialised(recipe.train.seed, device);
    let model = match &recipe.model.from {
        Some(path) => from_file(model, path, device)?,
        None => model,
    };
    Ok(model.frozen(&recipe.model.freeze))
}

/// Another net's weights where names and shapes agree; a head of other classes keeps its own start. A deeper VGG takes
/// the layers that VGG §3.1 names from a net A.
fn from_file(model: Model, path: &std::path::Path, device: &Device) -> Result<Model> {
    let (source, metadata) = weights::load(path, device)?;
    let mut tensors = weights::values(&source);
    if let (Architecture::Vgg { steps: to, norm: to_norm }, Architecture::Vgg { steps: from, norm: from_norm }) =
        (model.spec.architecture, find(&metadata.model.name)?.architecture)
        && to != from
    {
        let places = vgg::staged_start((from, from_norm), (to, to_norm));
        let rename = |(key, data): (String, _)| vgg::renamed(&places, &key).map(|key| (key, data));
        tensors = tensors.into_iter().filter_map(rename).collect();
    }
    let Model { spec, net } = model;
    let (net, kept) = weights::fill_matching(net, &tensors, device);
    let taken = tensors.len().saturating_sub(kept.len());
    if taken == 0 {
        let message = format!("{} has no weights that fit {}", path.display(), spec.name);
        return Err(Error::weights(message));
    }
    Ok(Model { spec, net })
}
