//! From a recipe to images and a network: what training, tests and benchmarks begin with.

use crate::data::{self, Augment, DataOptions, Dataset, Images, Loader, LoaderOptions, Preprocessing, Repeats};
use crate::error::{Error, Kind, Result};
use crate::models::options::StrideIn;
use crate::models::{Architecture, Layer, Model, Spec, find, parameters, speedrun, vgg};
use crate::recipe::{self, DataFacts, Recipe, TrainOptions};
use crate::weights;
use burn::tensor::Device;
use std::path::Path;
use std::sync::Arc;

/// A recipe with nothing left open, and what it names.
#[derive(Debug)]
pub struct Prepared {
    /// The recipe, resolved.
    pub recipe: Recipe,
    /// The images.
    pub data: Dataset,
    /// The way from an image to the network's input.
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
    let Prepared { recipe, data, preprocessing, model } = to_restore(recipe, skip_bad, device, progress)?;
    let model = match model.spec.architecture {
        Architecture::Speedrun => speedrun::whitened(model, &data.train, &preprocessing.normalizer()?, device)?,
        _ => model,
    };
    let model = match &recipe.model.from {
        Some(path) => {
            let (model, theirs) = from_file(model, path, device, progress)?;
            if let Some(note) = other_statistics(&theirs, &preprocessing) {
                progress.note(&format!("{}: {note}", path.display()));
            }
            model
        }
        None => model,
    };
    let model = model.frozen(&recipe.model.freeze);
    Ok(Prepared { recipe, data, preprocessing, model })
}

/// As [`prepare`], for a run that goes on: its weights are in its state, and the file that they once started from may be
/// gone.
///
/// # Errors
/// As [`prepare`].
pub(super) fn to_restore(
    recipe: &Recipe,
    skip_bad: bool,
    device: &Device,
    progress: &mut dyn data::Progress,
) -> Result<Prepared> {
    let (recipe, data, preprocessing) = images(recipe, skip_bad, progress)?;
    let spec = Spec::resolve(&recipe.model)?;
    let model = Model::new(spec, device).initialised(recipe.train.seed, device);
    check_batch(&recipe, &model)?;
    check_frozen(&model, &recipe.model.freeze)?;
    let model = model.frozen(&recipe.model.freeze);
    Ok(Prepared { recipe, data, preprocessing, model })
}

/// The images of `recipe`, the recipe with nothing left open, and the way from an image to the network's input.
///
/// # Errors
/// Data that cannot be opened or trained on, a recipe that contradicts it.
pub fn images(
    recipe: &Recipe,
    skip_bad: bool,
    progress: &mut dyn data::Progress,
) -> Result<(Recipe, Dataset, Preprocessing)> {
    recipe.check()?;
    if recipe.model.input.is_some() {
        // Before images are brought to a size that no network takes, and no memory holds.
        Spec::resolve(&recipe.model)?;
    }
    let data = open(recipe, skip_bad, progress)?;
    if data.train.is_empty() {
        let message = format!("{} can be tested on, not trained on: it has no train folder", data.name);
        return Err(Error::data(message).with_hint("put the training images into train, a folder for each class"));
    }
    if data.train.height() != data.train.width() {
        let (h, w) = (data.train.height(), data.train.width());
        return Err(Error::data(format!("{} has images of {h}x{w}, and networks here take squares", data.name))
            .with_hint("--set model.input=N brings them to NxN"));
    }
    let recipe = recipe.resolve(&facts(recipe, &data, progress)?)?;
    let preprocessing = preprocessing(&recipe, &data, progress)?;
    Ok((recipe, data, preprocessing))
}

/// The images that `recipe` names.
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

/// Training batches of `images` as `recipe` varies them, from portion number `first_step` on.
///
/// # Errors
/// Images or an augmentation of which no batches can be made.
pub fn loader(images: Arc<Images>, preprocessing: &Preprocessing, recipe: &Recipe, first_step: u64) -> Result<Loader> {
    let normalizer = match recipe.augment.size {
        Some(side) => preprocessing.at(side)?.normalizer()?,
        None => preprocessing.normalizer()?,
    };
    let TrainOptions { batch, accumulate, seed, .. } = recipe.train;
    let repeats = Repeats { times: recipe.augment.repeats.unwrap_or(1), portions: accumulate };
    let options = LoaderOptions { batch, seed, drop_last: true, first_step, repeats };
    Loader::new(images, Arc::new(normalizer), Augment::from(&recipe.augment), options)
}

/// The constants that are customary for `data`, where it is what it is called: a folder of images may have any name.
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

/// What the recipe must know of the data to be resolved.
fn facts(recipe: &Recipe, data: &Dataset, progress: &mut dyn data::Progress) -> Result<DataFacts> {
    let wanted = recipe.data.mean.is_none() || recipe.data.std.is_none();
    let measured = match customary(data) {
        Some(known) => known,
        None if wanted && recipe.data.normalize == recipe::Normalize::Channel => {
            data::channel_of(&data.train, progress)?
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

fn preprocessing(recipe: &Recipe, data: &Dataset, progress: &mut dyn data::Progress) -> Result<Preprocessing> {
    let single = |values: &Option<Vec<f64>>| values.iter().flatten().map(|&value| value as f32).collect();
    let normalize = match recipe.data.normalize {
        recipe::Normalize::Channel => {
            data::Normalize::Channel { mean: single(&recipe.data.mean), std: single(&recipe.data.std) }
        }
        recipe::Normalize::Pixel => data::pixel_of(&data.train, progress)?,
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

/// Whether every normalisation sees more than one value of a channel: of one the variance is nothing, and it would learn nothing and test
/// as something else.
fn check_batch(recipe: &Recipe, model: &Model) -> Result<()> {
    let is_single = |layer: &Layer| layer.kind.contains("norm") && layer.output[..2] == [1, 1];
    match model.summary().layers.iter().find(|layer| is_single(layer)) {
        Some(layer) if recipe.train.batch == 1 => {
            let message = format!("train.batch: batch norm {} would see one value of each channel", layer.name);
            Err(Error::new(Kind::Recipe, message)
                .with_hint("two images at once are the least; train.accumulate does not help"))
        }
        _ => Ok(()),
    }
}

/// Whether each prefix names something, and something is left to train.
fn check_frozen(model: &Model, prefixes: &[String]) -> Result<()> {
    let names: Vec<String> = parameters::shapes(&model.net).into_iter().map(|(name, _)| name).collect();
    let is_frozen = |name: &String| prefixes.iter().any(|prefix| parameters::is_within(name, prefix));
    if let Some(unknown) = prefixes.iter().find(|prefix| !names.iter().any(|name| parameters::is_within(name, prefix)))
    {
        let message = format!("model.freeze: {} has nothing called {unknown}", model.spec.name);
        let hint = format!("its parts are {}; layers within them are called as in `residual inspect`", parts(&names));
        return Err(Error::new(Kind::Recipe, message).with_hint(hint));
    }
    if !prefixes.is_empty() && names.iter().all(is_frozen) {
        let message = format!("model.freeze leaves nothing of {} to train", model.spec.name);
        return Err(Error::new(Kind::Recipe, message).with_hint("leave the last layer out of it"));
    }
    Ok(())
}

/// The first parts of `names`, each once, in their order.
fn parts(names: &[String]) -> String {
    let mut parts: Vec<&str> = names.iter().filter_map(|name| name.split('.').next()).collect();
    parts.dedup();
    parts.join(", ")
}

/// Another net's weights where names and shapes agree; a head of other classes keeps its own start. A deeper VGG takes
/// the layers that VGG §3.1 names from a net A. What starts anew is told.
fn from_file(
    model: Model,
    path: &Path,
    device: &Device,
    progress: &mut dyn data::Progress,
) -> Result<(Model, Preprocessing)> {
    let (source, metadata) = weights::load(path, device)?;
    let have_bottlenecks = source.spec.has_bottlenecks() && model.spec.has_bottlenecks();
    if have_bottlenecks && source.spec.stride_in != model.spec.stride_in {
        // The same tensors of the same names, and another function.
        let stride = if source.spec.stride_in == StrideIn::Conv1x1 { "1x1" } else { "3x3" };
        let message = format!("the bottlenecks of {} stride in their {stride}, this network's do not", path.display());
        return Err(Error::new(Kind::Recipe, message).with_hint(format!("--set model.stride_in={stride}")));
    }
    let mut tensors = weights::values(&source);
    if let (Architecture::Vgg { steps: to, norm: to_norm }, Architecture::Vgg { steps: from, norm: from_norm }) =
        (model.spec.architecture, find(&metadata.model.name)?.architecture)
        && (to, to_norm) != (from, from_norm)
    {
        let places = vgg::staged_start((from, from_norm), (to, to_norm));
        let rename = |(key, data): (String, _)| vgg::renamed(&places, &key).map(|key| (key, data));
        tensors = tensors.into_iter().filter_map(rename).collect();
    }
    let Model { spec, net } = model;
    let names: Vec<String> = parameters::shapes(&net).into_iter().map(|(name, _)| name).collect();
    let (net, kept) = weights::fill_matching(net, &tensors, device);
    let (file, from, to) = (path.display(), &source.spec, &spec);
    if kept.len() == names.len() {
        return Err(Error::weights(format!("{file} has no weights that fit {}: they are of {}", to.name, from.name)));
    }
    let head = names.last().and_then(|name| name.rsplit_once('.')).map_or("", |(layer, _)| layer);
    if kept.is_empty() {
        return Ok((Model { spec, net }, metadata.preprocessing));
    }
    let note = if kept.iter().all(|name| parameters::is_within(name, head)) {
        let (there, here) = (from.classes, to.classes);
        format!("{file}: {there} classes there, {here} here: the last layer, {head}, starts anew; all else is taken")
    } else {
        let fit = names.len() - kept.len();
        format!("{file}: {fit} of {} tensors fit; these start anew, in whole or in part: {}", names.len(), parts(&kept))
    };
    progress.note(&note);
    Ok((Model { spec, net }, metadata.preprocessing))
}

/// How far channel statistics may be from those that weights were trained with. Those of most photographs lie within this; a deviation of
/// 0.5 beside one of 0.23 does not.
const UNLIKE: f32 = 0.1;

/// A note where images come to the weights with other statistics than they know.
fn other_statistics(theirs: &Preprocessing, ours: &Preprocessing) -> Option<String> {
    let (data::Normalize::Channel { mean: a, std: s }, data::Normalize::Channel { mean: b, std: t }) =
        (&theirs.normalize, &ours.normalize)
    else {
        return None;
    };
    let far = |a: &[f32], b: &[f32]| a.len() == b.len() && a.iter().zip(b).any(|(a, b)| (a - b).abs() > UNLIKE);
    let list = |values: &[f32]| values.iter().map(f32::to_string).collect::<Vec<_>>().join(",");
    (far(a, b) || far(s, t)).then(|| {
        format!(
            "trained on images less a mean of {} over {}, which are less {} over {} here; --set data.mean=[{}] --set data.std=[{}] takes its own",
            list(a),
            list(s),
            list(b),
            list(t),
            list(a),
            list(s)
        )
    })
}
