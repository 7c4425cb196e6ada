//! The network that a run starts from: fresh weights, whitened filters, or another network's
//! weights.

use super::prepare::Prepared;
use super::whiten::whitened;
use crate::data::{self, Preprocessing};
use crate::error::{Error, Kind, Result};
use crate::models::options::StrideIn;
use crate::models::{Architecture, Model, find, vgg};
use crate::network::is_within;
use crate::recipe::ResolvedRecipe;
use crate::weights;
use residual::graph::Op;
use std::path::Path;

/// Builds the network of `prepared` with the weights that the recipe starts from.
///
/// # Errors
/// The batch is too small, `model.freeze` or `model.from` does not fit the network, or the file of
/// `model.from` cannot be read.
pub fn initial_model(prepared: &Prepared, progress: &mut dyn data::Progress) -> Result<Model> {
    let Prepared { recipe, data, preprocessing } = prepared;
    let model = fresh_model(recipe)?;
    let model = match model.spec.architecture {
        Architecture::Speedrun => whitened(model, &data.train, &preprocessing.normalizer()?)?,
        _ => model,
    };
    let model = match &recipe.from {
        Some(path) => {
            let (model, theirs) = from_file(model, path, progress)?;
            if let Some(note) = other_statistics(&theirs, preprocessing) {
                progress.note(&format!("{}: {note}", path.display()));
            }
            model
        }
        None => model,
    };
    Ok(model)
}

/// Builds the network of `recipe` with fresh weights, for a run whose weights come from a
/// checkpoint: the file that they once started from may be gone.
///
/// # Errors
/// The batch is too small, or `model.freeze` does not fit the network.
pub fn fresh_model(recipe: &ResolvedRecipe) -> Result<Model> {
    let model = Model::initialised(recipe.network.clone(), recipe.train.seed);
    check_batch(recipe, &model)?;
    check_frozen(&model, &recipe.freeze)?;
    Ok(model)
}

/// Checks that every batch norm sees more than one value per channel in training: the variance of
/// one value is zero.
fn check_batch(recipe: &ResolvedRecipe, model: &Model) -> Result<()> {
    let mut nodes = model.graph().nodes().iter();
    match nodes.find(|node| node.op == Op::BatchNorm && node.shape[..2] == [1, 1]) {
        Some(layer) if recipe.train.batch == 1 => {
            let message = format!("train.batch = 1 gives batch norm {} one value per channel", layer.name);
            Err(Error::new(Kind::Recipe, message)
                .with_hint("set train.batch to at least 2; train.accumulate does not help"))
        }
        _ => Ok(()),
    }
}

/// Checks that each prefix names a parameter, and that parameters are left to train.
fn check_frozen(model: &Model, prefixes: &[String]) -> Result<()> {
    let names: Vec<String> = model.graph().tensors().into_iter().map(|(name, _)| name).collect();
    let is_frozen = |name: &String| prefixes.iter().any(|prefix| is_within(name, prefix));
    if let Some(unknown) = prefixes.iter().find(|prefix| !names.iter().any(|name| is_within(name, prefix))) {
        let message = format!("model.freeze: {} has nothing called {unknown}", model.spec.name);
        let hint = format!("its parts are {}; `residual inspect` lists the layers in them", parts(&names));
        return Err(Error::new(Kind::Recipe, message).with_hint(hint));
    }
    if !prefixes.is_empty() && names.iter().all(is_frozen) {
        let message = format!("model.freeze leaves nothing of {} to train", model.spec.name);
        return Err(Error::new(Kind::Recipe, message).with_hint("leave the last layer out of it"));
    }
    Ok(())
}

/// Returns the first parts of `names`, each once, in their order.
fn parts(names: &[String]) -> String {
    let mut parts: Vec<&str> = names.iter().filter_map(|name| name.split('.').next()).collect();
    parts.dedup();
    parts.join(", ")
}

/// Loads another network's weights where names and shapes agree; a head of other classes keeps its
/// fresh weights. A deeper VGG takes the layers that VGG §3.1 names from a net A. `progress` is
/// told which layers keep fresh weights.
fn from_file(model: Model, path: &Path, progress: &mut dyn data::Progress) -> Result<(Model, Preprocessing)> {
    let (source, metadata) = weights::load(path)?;
    let have_bottlenecks = source.spec.has_bottlenecks() && model.spec.has_bottlenecks();
    if have_bottlenecks && source.spec.stride_in != model.spec.stride_in {
        // The same tensors of the same names, and another function.
        let stride = if source.spec.stride_in == StrideIn::Conv1x1 { "1x1" } else { "3x3" };
        let message =
            format!("the bottlenecks of {} stride in the {stride} convolution, this network's do not", path.display());
        return Err(Error::new(Kind::Recipe, message).with_hint(format!("--set model.stride_in={stride}")));
    }
    let mut tensors = source.tensors().clone();
    if let (Architecture::Vgg { layers: to, norm: to_norm }, Architecture::Vgg { layers: from, norm: from_norm }) =
        (model.spec.architecture, find(&metadata.model.name)?.architecture)
        && (to, to_norm) != (from, from_norm)
    {
        let places = vgg::staged_start((from, from_norm), (to, to_norm));
        let rename = |(key, data): (String, _)| vgg::renamed(&places, &key).map(|key| (key, data));
        tensors = tensors.into_iter().filter_map(rename).collect();
    }
    let names: Vec<String> = model.graph().tensors().into_iter().map(|(name, _)| name).collect();
    let (tensors, kept) = weights::merge_matching(model.tensors().clone(), &tensors);
    let (file, from, to) = (path.display(), &source.spec, model.spec.clone());
    let started = Model::new(model.spec, tensors)?;
    if kept.len() == names.len() {
        return Err(Error::weights(format!(
            "{file} has no weights that fit {}: they are those of {}",
            to.name, from.name
        )));
    }
    let head = names.last().and_then(|name| name.rsplit_once('.')).map_or("", |(layer, _)| layer);
    if kept.is_empty() {
        return Ok((started, metadata.preprocessing));
    }
    let note = if kept.iter().all(|name| is_within(name, head)) {
        let (there, here) = (from.classes, to.classes);
        format!("{file} has {there} classes, the data {here}: the last layer, {head}, starts with fresh weights")
    } else {
        let fit = names.len() - kept.len();
        format!(
            "{file}: {fit} of {} tensors fit; these start with fresh weights, at least in part: {}",
            names.len(),
            parts(&kept)
        )
    };
    progress.note(&note);
    Ok((started, metadata.preprocessing))
}

/// The largest difference of channel statistics from those of the weights that is not worth a note.
/// Most photographs lie within it; a standard deviation of 0.5 instead of 0.23 does not.
const STATISTICS_TOLERANCE: f32 = 0.1;

/// Describes how the normalisation differs from that of the weights; `None` if it is close to it.
fn other_statistics(theirs: &Preprocessing, ours: &Preprocessing) -> Option<String> {
    let (data::Normalize::Channel { mean, std }, data::Normalize::Channel { mean: here_mean, std: here_std }) =
        (&theirs.normalize, &ours.normalize)
    else {
        return None;
    };
    let differs =
        |a: &[f32], b: &[f32]| a.len() == b.len() && a.iter().zip(b).any(|(a, b)| (a - b).abs() > STATISTICS_TOLERANCE);
    let list = |values: &[f32]| values.iter().map(f32::to_string).collect::<Vec<_>>().join(",");
    let (mean_text, std_text) = (list(mean), list(std));
    (differs(mean, here_mean) || differs(std, here_std)).then(|| {
        format!(
            "normalisation differs from the checkpoint's (mean {mean_text} std {std_text}, here mean {} std {}); \
             --set data.mean=[{mean_text}] --set data.std=[{std_text}] uses the checkpoint's",
            list(here_mean),
            list(here_std)
        )
    })
}
