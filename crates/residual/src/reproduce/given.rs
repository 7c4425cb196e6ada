//! Weights that somebody has already, tested by a row's protocol.

use super::{Experiment, Part};
use crate::data::{self, Dataset, Split};
use crate::error::{Error, Result};
use crate::eval::{Ensemble, Evaluation, Weights};
use crate::models::{ModelOptions, Spec};

/// The parts of `experiment` that `weights` belong to.
///
/// # Errors
/// Weights of another network, or an experiment that tests none.
pub fn parts<'a>(experiment: &'a Experiment, weights: &Weights) -> Result<Vec<&'a Part>> {
    if experiment.is_count() {
        return Err(Error::usage(format!("{} counts, and tests no weights", experiment.id))
            .with_hint(format!("`residual reproduce {}` verifies it without", experiment.id)));
    }
    let spec = &weights.model.spec;
    let parts: Vec<&Part> = fitting(experiment, weights).collect();
    if parts.is_empty() {
        let wanted: Vec<String> = experiment.parts.iter().map(Part::name).collect();
        let shortcuts = spec.shortcut.map_or_else(String::new, |shortcut| format!(" with shortcuts {shortcut:?}"));
        let message = format!("{} holds {}{shortcuts}", weights.path.display(), spec.name);
        return Err(Error::weights(message).with_hint(format!("{} is about {}", experiment.id, wanted.join(", "))));
    }
    Ok(parts)
}

/// Whether any part of `experiment` is about the network of `weights`.
pub fn is_about(experiment: &Experiment, weights: &Weights) -> bool {
    fitting(experiment, weights).next().is_some()
}

fn fitting<'a>(experiment: &'a Experiment, weights: &Weights) -> impl Iterator<Item = &'a Part> {
    let (name, shortcut) = (weights.model.spec.name.clone(), weights.model.spec.shortcut);
    let usual = ModelOptions { name: name.clone(), ..ModelOptions::default() };
    let usual = Spec::resolve(&usual).ok().and_then(|spec| spec.shortcut);
    experiment
        .parts
        .iter()
        .filter(move |part| part.network.as_deref() == Some(name.as_str()) && part.shortcut.or(usual) == shortcut)
}

/// The pictures on which `weights` are tested: `data`, or those of the experiment.
///
/// # Errors
/// Pictures that cannot be had.
pub fn pictures(
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
                "{} needs ImageNet (1.28 million training and 50,000 validation pictures), which cannot be fetched",
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

/// Tests `weights` on `data` as `part` wants it. `scaled`: at the row's scales, else at those of the weights' own input.
///
/// # Errors
/// A network that cannot look so.
pub fn test(
    experiment: &Experiment,
    part: &Part,
    weights: &Weights,
    data: &Dataset,
    scaled: bool,
    progress: &mut dyn data::Progress,
) -> Result<Evaluation> {
    let scales = if scaled { experiment.look.scales.as_slice() } else { &[] };
    let members = experiment.views(part)?.into_iter().map(|views| weights.member(views, scales));
    Ensemble::new(members.collect::<Result<_>>()?)?.evaluate(&data.test, &data.classes, false, progress)
}
