//! Weights that somebody has already, tested by a row's protocol.

use super::experiment::{Experiment, Part, Scale};
use residual::error::{Error, Result};
use residual_train::data::{self, Dataset, Split};
use residual_train::eval::{Ensemble, Evaluation, Weights};
use residual_train::models::{ModelOptions, Spec};

/// The parts of `experiment` that `weights` belong to, each with those of its networks.
///
/// # Errors
/// Weights that belong to none, or an experiment that tests none.
pub fn parts<'a>(experiment: &'a Experiment, weights: &'a [Weights]) -> Result<Vec<(&'a Part, Vec<&'a Weights>)>> {
    if experiment.is_count() {
        return Err(Error::usage(format!("{} counts, and tests no weights", experiment.id))
            .with_hint(format!("`residual reproduce {}` verifies it without", experiment.id)));
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

/// Those of each of `part`'s networks; nothing where one has none.
fn of_networks<'a>(part: &Part, weights: &'a [Weights]) -> Option<Vec<&'a Weights>> {
    let members = part.members();
    let found = members.iter().map(|member| weights.iter().find(|one| is_of(one, member)));
    found.collect::<Option<Vec<_>>>().filter(|found| !found.is_empty())
}

/// Whether `weights` are those of `member`'s network, with its kind of shortcut.
fn is_of(weights: &Weights, member: &Part) -> bool {
    let spec = &weights.model.spec;
    let usual = Spec::resolve(&ModelOptions { name: spec.name.clone(), ..ModelOptions::default() });
    let usual = usual.ok().and_then(|spec| spec.shortcut);
    member.network.as_ref() == Some(&spec.name) && member.shortcut.or(usual) == spec.shortcut
}

/// Whether `weights` are, for each network of `part`, the paper's own: a name says nothing of where
/// bottlenecks stride (torchvision's do not as the paper's do), nor of the stem or head.
///
/// # Errors
/// A network that cannot be built.
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

/// The images on which `weights` are tested: `data`, or those of the experiment.
///
/// # Errors
/// Images that cannot be had.
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

/// The experiment's own data, where it can be fetched.
///
/// # Errors
/// It cannot: ImageNet.
pub fn available(experiment: &Experiment) -> Result<&str> {
    match experiment.data.as_deref() {
        Some("imagenet") => {
            let message = format!(
                "{} needs ImageNet (1.28 million training and 50,000 validation images), which cannot be fetched",
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

/// Tests `weights`, one for each network of `part`, on `data` as it wants. `scaled`: at the row's
/// scales, else at those of the weights' own input.
///
/// # Errors
/// A network that cannot look so.
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
