//! Tests of pretrained weights by the protocol of a row.

use super::experiment::{Experiment, Part, Scale};
use residual::error::{Error, Result};
use residual::models::{ModelOptions, Spec};
use residual_train::data::{self, Dataset, Split};
use residual_train::eval::{Ensemble, Evaluation, Weights};

/// Returns the parts of `experiment` whose networks are among `weights`, each with the weights of
/// its networks.
///
/// # Errors
/// Fails if some weights belong to no part, or if the experiment tests no network.
pub fn parts<'a>(experiment: &'a Experiment, weights: &'a [Weights]) -> Result<Vec<(&'a Part, Vec<&'a Weights>)>> {
    if experiment.is_count() {
        return Err(Error::usage(format!("{} needs no weights: its values are counted", experiment.id))
            .with_hint(format!("`residual reproduce {}` verifies them", experiment.id)));
    }
    let parts: Vec<_> = experiment.parts.iter().filter_map(|part| Some((part, of_networks(part, weights)?))).collect();
    let is_used = |one: &Weights| parts.iter().any(|(_, used)| used.iter().any(|used| std::ptr::eq(*used, one)));
    if let Some(Weights { model, path, .. }) = weights.iter().find(|one| !is_used(one)) {
        let wanted: Vec<String> = experiment.parts.iter().map(Part::name).collect();
        let shortcuts = model.spec.shortcut.map_or_else(String::new, |kind| format!(" with shortcuts {kind:?}"));
        let message = format!("{} holds {}{shortcuts}", path.display(), model.spec.name);
        return Err(Error::weights(message).with_hint(format!("{} is about {}", experiment.id, wanted.join(", "))));
    }
    if parts.is_empty() {
        return Err(Error::usage("there are no weights to test"));
    }
    Ok(parts)
}

/// Returns the weights of each network of `part`; `None` if one is missing.
fn of_networks<'a>(part: &Part, weights: &'a [Weights]) -> Option<Vec<&'a Weights>> {
    let members = part.members();
    let found = members.iter().map(|member| weights.iter().find(|one| is_of(one, member)));
    found.collect::<Option<Vec<_>>>().filter(|found| !found.is_empty())
}

/// Returns whether `weights` are of the network of `member`, with its kind of shortcut.
fn is_of(weights: &Weights, member: &Part) -> bool {
    let spec = &weights.model.spec;
    let usual = Spec::resolve(&ModelOptions { name: spec.name.clone(), ..ModelOptions::default() });
    let usual = usual.ok().and_then(|spec| spec.shortcut);
    member.network.as_ref() == Some(&spec.name) && member.shortcut.or(usual) == spec.shortcut
}

/// Returns whether the networks of `weights` are the paper's: the name does not say where
/// bottlenecks have their stride (torchvision's differ from the paper's), nor which stem and head
/// they have.
///
/// # Errors
/// Fails if a network cannot be built.
pub fn are_papers_network(experiment: &Experiment, part: &Part, weights: &[&Weights]) -> Result<bool> {
    for (member, weights) in part.members().iter().zip(weights) {
        let found = &weights.model.spec;
        let [size, _, channels] = found.input;
        let (input, channels, classes) = (Some(size), Some(channels), Some(found.classes));
        let paper = experiment.recipe(member, Scale::Full, None, 0)?.model;
        let paper = Spec::resolve(&ModelOptions { input, channels, classes, ..paper })?;
        if paper.imagenet != found.imagenet || (found.has_bottlenecks() && paper.stride_in != found.stride_in) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Opens the test images of `weights`: `data`, or those of the experiment.
///
/// # Errors
/// Fails if the images are not available.
pub fn images(
    experiment: &Experiment,
    weights: &Weights,
    data: Option<&str>,
    progress: &mut dyn data::Progress,
) -> Result<Dataset> {
    let source = match data {
        Some(source) => source,
        None => available(experiment)?,
    };
    let data = data::open(&weights.data_options(Some(source), Split::Test, false)?, progress)?;
    weights.label(&data)
}

/// Returns the name of the experiment's data set.
///
/// # Errors
/// Fails for ImageNet, which cannot be downloaded.
pub fn available(experiment: &Experiment) -> Result<&str> {
    match experiment.data.as_deref() {
        Some("imagenet") => {
            let message = format!(
                "{} needs ImageNet (1.28 million training and 50,000 validation images), which cannot be downloaded",
                experiment.id
            );
            Err(Error::data(message).with_hint(
                "--data DIR, a folder with train/CLASS/* and val/CLASS/*; --weights FILE with it tests weights that you \
                 have; --scale quick compares the same networks on CIFAR-10",
            ))
        }
        source => Ok(source.unwrap_or("cifar10")),
    }
}

/// Tests `weights`, one for each network of `part`, on `data` by the protocol of `part`: at the
/// scales of the row if `scaled`, else at the input size of the weights.
///
/// # Errors
/// Fails if a network does not support the protocol.
pub fn test(
    experiment: &Experiment,
    part: &Part,
    weights: &[&Weights],
    data: &Dataset,
    scaled: bool,
    progress: &mut dyn data::Progress,
) -> Result<Evaluation> {
    let scales = if scaled { experiment.test.scales.as_slice() } else { &[] };
    Weights::same_classes(weights.iter().copied())?;
    let views = experiment.views(part)?;
    let members = weights.iter().flat_map(|weights| views.iter().map(|&views| weights.member(views, scales)));
    Ensemble::new(members.collect::<Result<_>>()?)?.evaluate(&data.test, &data.classes, false, progress)
}
