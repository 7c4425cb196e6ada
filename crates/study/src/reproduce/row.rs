//! The row of a paper that a run reproduces. A run stores the id of its row; a run without one is
//! recognised by its recipe.

use super::experiment::{Experiment, Part, Scale};
use super::tables::experiments;
use residual_train::recipe::Recipe;

/// A row of a paper's table as one run reproduces it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PaperRow {
    /// The experiment.
    pub experiment: &'static Experiment,
    /// The network's part of it.
    pub part: &'static Part,
    /// The size of the run.
    pub scale: Scale,
}

impl PaperRow {
    /// Returns the row of a run that trains by `recipe`: that of the experiment `id` if the run
    /// stores one, else the row whose recipe it is.
    pub fn of(id: Option<&str>, recipe: &Recipe) -> Option<Self> {
        let Some(id) = id else { return Self::by_recipe(recipe) };
        let experiment = experiments().iter().find(|experiment| experiment.id == id)?;
        let network = |part: &&Part| part.with.is_empty() && part.network.as_ref() == Some(&recipe.model.name);
        let fits = |part: &Part| part.shortcut.is_none() || shortcut(recipe) == part.shortcut;
        let mut parts: Vec<&Part> = experiment.parts.iter().filter(network).filter(|part| fits(part)).collect();
        // Parts that differ only in the protocol share a run, which is tested by the center.
        parts.sort_by_key(|part| experiment.protocol(part) != "center");
        let part = *parts.first()?;
        let scale = if is_own(experiment, part, recipe) { Scale::Full } else { Scale::Quick };
        Some(Self { experiment, part, scale })
    }

    fn by_recipe(recipe: &Recipe) -> Option<Self> {
        let rows = experiments().iter().filter(|experiment| !experiment.is_count());
        rows.flat_map(|experiment| experiment.parts.iter().map(move |part| (experiment, part)))
            // Both papers have a row of VGG-16 and test it differently: its own paper's counts.
            .filter(|(experiment, part)| part.with.is_empty() && experiment.is_by_authors_of(part))
            .find(|(experiment, part)| is_own(experiment, part, recipe))
            .map(|(experiment, part)| Self { experiment, part, scale: Scale::Full })
    }
}

/// Returns whether `recipe` is the paper's for `part`.
fn is_own(experiment: &Experiment, part: &Part, recipe: &Recipe) -> bool {
    let own = experiment.recipe(part, Scale::Full, Some(&recipe.data.source), recipe.train.seed);
    own.is_ok_and(|own| is_same(&own, recipe))
}

fn shortcut(recipe: &Recipe) -> Option<residual::models::options::Shortcut> {
    residual::models::Spec::resolve(&recipe.model).ok().and_then(|spec| spec.shortcut)
}

/// Returns whether `run`, which may be resolved, trains as `row` does, apart from the place and the
/// statistics of the images. A deep VGG may start from another's layers, as the paper's did.
fn is_same(row: &Recipe, run: &Recipe) -> bool {
    let images = |recipe: &Recipe| {
        let data = &recipe.data;
        (data.train_size, data.validation, data.normalize, data.scale, data.test)
    };
    let start = |recipe: &Recipe| {
        let model = recipe.model.clone();
        (model.from.filter(|_| !model.name.starts_with("vgg")), model.freeze, model.zero_last_gamma)
    };
    row.model.name == run.model.name
        && shortcut(row) == shortcut(run)
        && row.model.init == run.model.init
        && row.model.stride_in == run.model.stride_in
        && row.model.dropout == run.model.dropout
        && start(row) == start(run)
        && row.train == run.train
        && row.optimizer == run.optimizer
        && row.schedule.filled() == run.schedule.filled()
        && row.augment == run.augment
        && row.loss == run.loss
        && images(row) == images(run)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reproduce::find;

    #[test]
    fn a_run_by_the_papers_recipe_is_recognised_and_one_that_differs_is_not() {
        let paper = |set: &[&str]| {
            let set: Vec<String> = set.iter().map(|set| (*set).to_owned()).collect();
            Recipe::load("cifar10-resnet20-paper", &set).expect("a recipe")
        };
        let id = |recipe: &Recipe| PaperRow::of(None, recipe).map(|row| row.experiment.id.as_str());
        assert_eq!(id(&paper(&["data.source=elsewhere", "train.seed=4"])), Some("resnet/t6/n=3"));
        assert_eq!(id(&paper(&["model.name=resnet-56"])), Some("resnet/t6/n=9"));
        assert_eq!(id(&paper(&["model.shortcut=B"])), None);
        assert_eq!(id(&paper(&["train.steps=640"])), None);
        assert_eq!(id(&paper(&["data.test=flip"])), None, "the paper tests the center crop");
    }

    #[test]
    fn a_stored_id_names_the_row_and_the_recipe_says_whether_it_is_shortened() {
        let experiment = find("resnet/t6/plain/n=3").expect("one")[0];
        for scale in [Scale::Full, Scale::Quick] {
            let recipe = experiment.recipe(experiment.main(), scale, Some("shapes"), 2).expect("a recipe");
            let row = PaperRow::of(Some("resnet/t6/plain/n=3"), &recipe);
            assert_eq!(row, Some(PaperRow { experiment, part: experiment.main(), scale }));
        }
        let other = Recipe::load("cifar10-resnet20-paper", &[]).expect("a recipe");
        assert_eq!(PaperRow::of(Some("resnet/t6/plain/n=3"), &other), None, "another network");
        assert_eq!(PaperRow::of(Some("tiny"), &other), None, "an experiment that is not in the tables");
    }
}
