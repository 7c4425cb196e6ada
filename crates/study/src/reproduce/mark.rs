//! Which row of a paper a run reproduces: a small file in its folder, or, without one, the recipe that is the row's.

use super::{Experiment, Part, Scale, experiments};
use residual::error::{Error, Result};
use residual_train::recipe::Recipe;
use serde::{Deserialize, Serialize};
use std::path::Path;

const FILE: &str = "reproduces.json";

/// A row and its value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mark {
    /// The experiment.
    pub id: String,
    /// Where it stands in the paper.
    pub title: String,
    /// The network's row in it.
    pub part: String,
    /// How much of it the run does.
    pub scale: Scale,
    /// How test images are looked at.
    pub protocol: String,
    /// The paper's top-1 error, percent.
    pub paper: Option<f64>,
    /// The paper's top-5 error, percent.
    pub paper_top5: Option<f64>,
    /// What stands in where the paper prints no number, and whose it is.
    pub reference: Option<(f64, String)>,
    /// The least that the paper says it is.
    pub at_least: Option<f64>,
    /// How far a value may be from the paper's.
    pub tolerance: f64,
    /// The paper's data.
    #[serde(default)]
    pub data: Option<String>,
}

impl Mark {
    /// The mark of `part` of `experiment`.
    pub fn new(experiment: &Experiment, part: &Part, scale: Scale) -> Self {
        Self {
            id: experiment.id.clone(),
            title: experiment.title.clone(),
            part: part.name(),
            scale,
            protocol: experiment.protocol(part).to_owned(),
            paper: part.paper,
            paper_top5: part.top5,
            reference: part.reference.zip(part.source.clone()),
            at_least: part.at_least,
            tolerance: experiment.tolerance(part),
            data: experiment.data.clone(),
        }
    }

    /// Leaves the mark in a run folder.
    ///
    /// # Errors
    /// A folder that cannot be made or written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        std::fs::create_dir_all(folder).map_err(|error| Error::io("make", folder, error))?;
        let text = serde_json::to_vec_pretty(self).expect("plain data");
        residual::atomic::write(&folder.join(FILE), &text)
    }

    /// The mark of the run in `folder`, which trains by `recipe`: the file there, or the row whose recipe it is.
    pub fn of(folder: &Path, recipe: &Recipe) -> Option<Self> {
        let written = std::fs::read_to_string(folder.join(FILE)).ok();
        written.and_then(|text| serde_json::from_str(&text).ok()).or_else(|| Self::by_recipe(recipe))
    }

    fn by_recipe(recipe: &Recipe) -> Option<Self> {
        let rows = experiments().iter().filter(|experiment| !experiment.is_count());
        rows.flat_map(|experiment| experiment.parts.iter().map(move |part| (experiment, part)))
            // Of two papers that have a row of it, the network's own counts: ResNet's looks at VGG-16 in another way.
            .filter(|(experiment, part)| part.with.is_empty() && experiment.is_by_authors_of(part))
            .find(|(experiment, part)| {
                let own = experiment.recipe(part, Scale::Full, Some(&recipe.data.source), recipe.train.seed);
                own.is_ok_and(|own| is_same(&own, recipe))
            })
            .map(|(experiment, part)| Self::new(experiment, part, Scale::Full))
    }
}

/// Whether `run`, which may be resolved, trains as `row` does: everything but the images' place and statistics. A deep VGG may start
/// from another's layers, as the paper's did.
fn is_same(row: &Recipe, run: &Recipe) -> bool {
    let shortcut =
        |recipe: &Recipe| residual_train::models::Spec::resolve(&recipe.model).map(|spec| spec.shortcut).ok();
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
        let folder = tempfile::tempdir().expect("a folder");
        let paper = |set: &[&str]| {
            let set: Vec<String> = set.iter().map(|set| (*set).to_owned()).collect();
            Recipe::load("cifar10-resnet20-paper", &set).expect("a recipe")
        };
        let id = |recipe: &Recipe| Mark::of(folder.path(), recipe).map(|mark| mark.id);
        assert_eq!(id(&paper(&["data.source=elsewhere", "train.seed=4"])).as_deref(), Some("resnet/t6/n=3"));
        assert_eq!(id(&paper(&["model.name=resnet-56"])).as_deref(), Some("resnet/t6/n=9"));
        assert_eq!(id(&paper(&["model.shortcut=B"])), None);
        assert_eq!(id(&paper(&["train.steps=640"])), None);
        assert_eq!(id(&paper(&["data.test=flip"])), None, "the paper looks once at a test image");
    }

    #[test]
    fn a_mark_that_was_left_is_read_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let experiment = find("resnet/t6/plain/n=3").expect("one")[0];
        let mark = Mark::new(experiment, experiment.main(), Scale::Quick);
        mark.write(folder.path()).expect("a fresh folder");
        assert_eq!(Mark::of(folder.path(), &Recipe::default()), Some(mark));
    }
}
