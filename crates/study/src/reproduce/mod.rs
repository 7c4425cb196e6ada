//! The papers' tables, and the way from each row to a number of one's own beside the paper's.
//!
//! The experiments are data: `resnet.toml` and `vgg.toml` stand beside the papers and can be read with them; `quick.toml`
//! says how they are shortened. [`counts`] verifies what needs no training, [`run`] trains and tests by the paper's
//! protocol, [`stacks`] trains filters beside their counts, [`given`] tests weights that somebody already has, [`verdict`]
//! compares, [`outcome`] holds the rows side by side, [`estimate`] says how long it takes.
//!
//! Errors are in percent, `std` is the standard deviation over seeds (n−1), counts are in the experiment's unit.

pub mod counts;
pub mod estimate;
pub mod given;
pub mod mark;
pub mod outcome;
pub mod run;
pub mod stacks;
pub mod verdict;

use crate::lab::chain::Design;
use residual::error::{Error, Result, nearest};
use residual_train::eval::Views;
use residual_train::models::options::{ModelOptions, Shortcut};
use residual_train::recipe::Recipe;
use serde::{Deserialize, Serialize};
use std::sync::OnceLock;

/// One row of a paper, or several that make one argument.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Experiment {
    /// What it is called: `resnet/t6/n=3`.
    pub id: String,
    /// Where it stands in the paper, and what it is.
    pub title: String,
    /// The data that the full scale needs; `None` where nothing is trained.
    #[serde(default)]
    pub data: Option<String>,
    /// The shipped recipe by which the paper trained.
    #[serde(default)]
    recipe: Option<String>,
    /// Changes to that recipe.
    #[serde(default)]
    set: Vec<String>,
    /// Changes to the quick recipe.
    #[serde(default)]
    quick: Vec<String>,
    /// How the paper looked at test images.
    #[serde(default)]
    pub look: Looking,
    /// What is counted, where nothing is trained.
    #[serde(default)]
    pub count: Option<Count>,
    /// Of all values: `%` of error, or the unit of a count.
    #[serde(default = "percent")]
    pub unit: String,
    /// How far a value may be from the paper's, where its part says nothing else.
    tolerance: f64,
    /// The experiment of the same depth without shortcuts.
    #[serde(default)]
    pub twin: Option<String>,
    /// Pairs of parts: the first errs more than the second.
    #[serde(default)]
    pub claims: Vec<[String; 2]>,
    /// What is trained or counted; the last is what the experiment is named after.
    pub parts: Vec<Part>,
    /// Networks that no paper has, trained beside the counts at the quick scale: their order is claimed, no value is.
    #[serde(default)]
    pub stacks: Vec<Stack>,
}

/// A stack of equal filters at each of three sizes of map, with ReLUs ([`crate::lab::chain`]).
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stack {
    /// What it is called.
    pub name: String,
    kernel: usize,
    repeats: usize,
}

impl Stack {
    /// The network.
    pub fn design(&self) -> Design {
        Design { kernel: self.kernel, repeats: self.repeats, relu: true }
    }
}

/// A network with the paper's value for it.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Part {
    name: Option<String>,
    /// The network.
    pub network: Option<String>,
    /// Networks whose probabilities are averaged with its own (VGG Table 6), each looking in the same ways.
    pub with: Vec<String>,
    /// Its shortcuts, where they are not the network's default.
    pub shortcut: Option<Shortcut>,
    /// How its test images are looked at, where the parts differ.
    protocol: Option<String>,
    /// What is counted, where the parts differ.
    pub count: Option<Count>,
    /// Sides of filters stacked on each other.
    pub filters: Vec<usize>,
    /// A stack to compare them with.
    pub over: Vec<usize>,
    /// What is asked of them.
    pub of: Option<Of>,
    /// The paper's value.
    pub paper: Option<f64>,
    /// The paper's top-5 error.
    pub top5: Option<f64>,
    /// Somebody else's value, where the paper prints none.
    pub reference: Option<f64>,
    /// Whose.
    pub source: Option<String>,
    /// The least that the paper says it is.
    pub at_least: Option<f64>,
    /// How far it may be from the paper's, where that is not as far as for the others.
    tolerance: Option<f64>,
}

/// A way to look at test images.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Looking {
    /// Protocols joined by `+`, whose probabilities are averaged.
    protocol: Option<String>,
    /// Shorter sides.
    pub scales: Vec<usize>,
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Count {
    /// Parameters, in millions.
    Params,
    /// Multiply-adds, in thousand millions.
    Macs,
    /// Those of convolutions alone.
    ConvMacs,
    /// Of stacked filters, see [`Of`].
    Filters,
}

/// What is asked of stacked filters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Of {
    /// Weights, in C² for C channels in and out.
    Weights,
    /// The receptive field's side, in pixels.
    Field,
    /// How many more weights than the stack beside it, in percent.
    More,
}

/// How much of an experiment is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scale {
    /// The paper's training.
    #[default]
    Full,
    /// A comparison of the same networks that is over in minutes.
    Quick,
}

/// A paper's file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Paper {
    experiment: Vec<Experiment>,
}

/// How experiments on one data set are shortened.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Shortened {
    data: String,
    recipe: String,
    set: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Quick {
    cifar10: Shortened,
    imagenet: Shortened,
}

fn percent() -> String {
    "%".into()
}

/// All experiments, paper by paper, in the order of the tables.
pub fn experiments() -> &'static [Experiment] {
    static ALL: OnceLock<Vec<Experiment>> = OnceLock::new();
    ALL.get_or_init(|| {
        let files = [include_str!("resnet.toml"), include_str!("vgg.toml")];
        let parse = |text| toml::from_str::<Paper>(text).expect("a test reads the tables").experiment;
        files.into_iter().flat_map(parse).collect()
    })
}

fn shortened(data: &str) -> &'static Shortened {
    static QUICK: OnceLock<Quick> = OnceLock::new();
    let quick = QUICK.get_or_init(|| toml::from_str(include_str!("quick.toml")).expect("a test reads it"));
    if data == "imagenet" { &quick.imagenet } else { &quick.cifar10 }
}

/// The experiments that `id` names: one, or all below it (`resnet/t3`).
///
/// # Errors
/// None is called so; the nearest is named.
pub fn find(id: &str) -> Result<Vec<&'static Experiment>> {
    let id = id.trim_end_matches('/');
    if let Some(exact) = experiments().iter().find(|experiment| experiment.id == id) {
        return Ok(vec![exact]);
    }
    let below = format!("{id}/");
    let found: Vec<_> = experiments().iter().filter(|experiment| experiment.id.starts_with(&below)).collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let error = Error::usage(format!("there is no experiment called {id}"));
    let near = nearest(id, experiments().iter().map(|experiment| experiment.id.as_str()));
    Err(match near {
        Some(near) => error.with_hint(format!("did you mean {near}? `residual reproduce` lists all of them")),
        None => error.with_hint("`residual reproduce` lists all of them"),
    })
}

/// Lets a shortened `recipe` of `source` train on `data` where that is named.
fn on(recipe: &mut Recipe, source: &str, data: Option<&str>) {
    recipe.data.source = data.unwrap_or(source).to_owned();
    if data.is_some_and(|data| data != source) {
        // The statistics of the recipe's own images are not those of others.
        (recipe.data.mean, recipe.data.std) = (None, None);
    }
}

/// Whether results on so many test `images` of this `label`, in `classes`, can be held beside a paper's on `data`. ImageNet comes as a
/// folder of any name, and is known by its thousand classes and 50,000 validation images.
pub fn is_papers_own(data: Option<&str>, label: &str, classes: usize, images: usize) -> bool {
    match data {
        Some("cifar10") => label == "CIFAR-10",
        Some("imagenet") => (classes, images) == (1000, 50_000),
        _ => true,
    }
}

impl Experiment {
    /// Whether the paper's row needs no training.
    pub fn is_count(&self) -> bool {
        self.recipe.is_none()
    }

    /// Whether there is nothing to train at `scale`.
    pub fn only_counts(&self, scale: Scale) -> bool {
        self.is_count() && (scale == Scale::Full || self.stacks.is_empty())
    }

    /// Whether `part`'s network is of the paper that the experiment is in.
    fn is_by_authors_of(&self, part: &Part) -> bool {
        let is_vgg = part.network.as_ref().is_some_and(|network| network.starts_with("vgg"));
        self.id.starts_with("vgg/") == is_vgg
    }

    /// The part that it is named after.
    pub fn main(&self) -> &Part {
        self.parts.last().expect("a test sees that every experiment has a part")
    }

    /// How `part` is trained at `scale`, on `data` where the user names any.
    ///
    /// # Errors
    /// An experiment that trains nothing.
    pub fn recipe(&self, part: &Part, scale: Scale, data: Option<&str>, seed: u64) -> Result<Recipe> {
        let (Some(base), Some(own)) = (&self.recipe, &self.data) else {
            return Err(Error::usage(format!("{} trains nothing", self.id)));
        };
        let (base, source, set) = match scale {
            Scale::Full => (base, own, self.set.clone()),
            Scale::Quick => {
                let quick = shortened(own);
                (&quick.recipe, &quick.data, quick.set.iter().chain(&self.quick).cloned().collect())
            }
        };
        let mut recipe = Recipe::load(base, &set)?;
        if scale == Scale::Quick {
            on(&mut recipe, source, data);
        }
        let (network, options) = (part.network.clone().unwrap_or_default(), recipe.model.clone());
        recipe.model = match scale {
            Scale::Full => ModelOptions { name: network, shortcut: part.shortcut, ..options },
            Scale::Quick => ModelOptions { name: network, shortcut: part.shortcut, ..ModelOptions::default() },
        };
        recipe.data.source = data.unwrap_or(source).to_owned();
        recipe.train.seed = seed;
        recipe.check()?;
        Ok(recipe)
    }

    /// How its stacks are trained, on `data` where the user names any.
    ///
    /// # Errors
    /// A recipe that is no good: the tables' tests rule it out.
    pub fn stack_recipe(&self, data: Option<&str>) -> Result<Recipe> {
        let quick = shortened("cifar10");
        let set: Vec<String> = quick.set.iter().chain(&self.quick).cloned().collect();
        let mut recipe = Recipe::load(&quick.recipe, &set)?;
        on(&mut recipe, &quick.data, data);
        recipe.check()?;
        Ok(recipe)
    }

    /// The protocols of `part`, whose probabilities are averaged.
    ///
    /// # Errors
    /// A protocol that there is not: the tables' tests rule it out.
    pub fn views(&self, part: &Part) -> Result<Vec<Views>> {
        self.protocol(part).split('+').map(str::parse).collect()
    }

    /// How far `part`'s value may be from the paper's.
    pub fn tolerance(&self, part: &Part) -> f64 {
        part.tolerance.unwrap_or(self.tolerance)
    }

    /// The name of `part`'s protocol.
    pub fn protocol<'a>(&'a self, part: &'a Part) -> &'a str {
        part.protocol.as_deref().or(self.look.protocol.as_deref()).unwrap_or("center")
    }
}

impl Part {
    /// Its networks, each as a part of its own: what is trained, or asked of weights.
    pub fn members(&self) -> Vec<Self> {
        let of = |network: &String| Self { network: Some(network.clone()), with: Vec::new(), ..self.clone() };
        self.network.iter().chain(&self.with).map(of).collect()
    }

    /// What it is called in its experiment.
    pub fn name(&self) -> String {
        if let Some(name) = &self.name {
            return name.clone();
        }
        let networks: Vec<&str> = self.network.iter().chain(&self.with).map(String::as_str).collect();
        let networks = networks.join(" + ");
        match self.shortcut {
            Some(shortcut) => format!("{networks} ({shortcut:?})"),
            None => networks,
        }
    }

    /// Whether it is called `name` in a claim: by its name, or by its network.
    fn is_called(&self, name: &str) -> bool {
        let network = self.network.as_deref().filter(|_| self.with.is_empty());
        self.name.as_deref().or(network) == Some(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_reads_and_its_recipes_are_sound_at_both_scales() {
        for experiment in experiments() {
            assert!(!experiment.parts.is_empty(), "{}", experiment.id);
            for part in &experiment.parts {
                assert!(experiment.tolerance(part) >= 0.0, "{}", experiment.id);
                let values = [part.paper, part.reference, part.at_least].iter().flatten().count();
                assert_eq!(values, 1, "{}: one value to compare {} with", experiment.id, part.name());
                assert_eq!(part.reference.is_some(), part.source.is_some(), "{}: a source", experiment.id);
            }
            if !experiment.stacks.is_empty() {
                experiment.stack_recipe(Some("shapes")).expect("a recipe");
            }
            if experiment.is_count() {
                assert!(experiment.parts.iter().all(|part| part.count.or(experiment.count).is_some()));
                continue;
            }
            for part in &experiment.parts {
                experiment.views(part).expect("protocols that there are");
                for member in part.members() {
                    for scale in [Scale::Full, Scale::Quick] {
                        let recipe = experiment.recipe(&member, scale, None, 3).expect("a recipe");
                        assert_eq!((recipe.train.seed, Some(&recipe.model.name)), (3, member.network.as_ref()));
                    }
                }
            }
        }
    }

    #[test]
    fn ids_are_unique_and_twins_and_claims_name_what_there_is() {
        let mut ids: Vec<&str> = experiments().iter().map(|experiment| experiment.id.as_str()).collect();
        ids.sort_unstable();
        assert!(ids.windows(2).all(|pair| pair[0] != pair[1]));
        for experiment in experiments() {
            if let Some(twin) = &experiment.twin {
                assert!(ids.contains(&twin.as_str()), "{twin}");
            }
            for name in experiment.claims.iter().flatten() {
                let parts = experiment.parts.iter().filter(|part| part.is_called(name)).count();
                let stacks = experiment.stacks.iter().filter(|stack| stack.name == *name).count();
                assert_eq!(parts + stacks, 1, "{}: {name}", experiment.id);
            }
        }
    }

    #[test]
    fn an_id_names_one_experiment_or_all_below_it_and_a_slip_is_recognised() {
        assert_eq!(find("resnet/t6/n=3").expect("one").len(), 1);
        assert_eq!(find("resnet/t6/").expect("a table").len(), 11);
        assert_eq!(find("vgg/t3/D").expect("a row").len(), 3);
        let hint = find("resnet/t6/n=4").expect_err("none").hint().map(str::to_owned);
        assert!(hint.is_some_and(|hint| hint.starts_with("did you mean resnet/t6/n=")));
    }

    #[test]
    fn the_recipe_of_table_6_is_that_of_the_paper() {
        let experiment = find("resnet/t6/n=18").expect("one")[0];
        let recipe = experiment.recipe(experiment.main(), Scale::Full, None, 0).expect("a recipe");
        assert_eq!((recipe.train.steps, recipe.train.batch, recipe.optimizer.lr), (Some(64_000), 128, 0.1));
        assert_eq!((recipe.schedule.hold_lr, recipe.model.name.as_str()), (Some(0.01), "resnet-110"));
    }
}
