//! Experiments: the rows of the papers' tables as data, and the recipes that reproduce them.

use crate::lab::chain::Design;
use residual::error::{Error, Result};
use residual::models::options::{ModelOptions, Shortcut};
use residual_train::eval::TestProtocol;
use residual_train::recipe::Recipe;
use serde::{Deserialize, Serialize};
use std::sync::OnceLock;

/// A row of a paper's table, or several rows that make one argument.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Experiment {
    /// The id: `resnet/t6/n=3`.
    pub id: String,
    /// The table of the paper and the content of the row.
    pub title: String,
    /// The data set of the full scale; `None` if nothing is trained.
    #[serde(default)]
    pub data: Option<String>,
    /// The shipped recipe with the paper's training.
    #[serde(default)]
    recipe: Option<String>,
    /// Changes to that recipe.
    #[serde(default)]
    set: Vec<String>,
    /// Changes to the quick recipe.
    #[serde(default)]
    pub(super) quick: Vec<String>,
    /// The paper's test protocol and scales.
    #[serde(default)]
    pub test: TestSetting,
    /// The metric, if nothing is trained.
    #[serde(default)]
    pub count: Option<Metric>,
    /// The unit of all values: `%` of error, or the unit of a count.
    #[serde(default = "percent")]
    pub unit: String,
    /// The accepted distance from the paper's value, unless a part has its own.
    tolerance: f64,
    /// The id of the plain baseline: the experiment of the same depth without shortcuts.
    #[serde(default)]
    pub baseline: Option<String>,
    /// Pairs of parts; the paper says that the first has the higher error.
    #[serde(default)]
    pub claims: Vec<[String; 2]>,
    /// The networks that are trained or counted; the experiment is named after the last.
    pub parts: Vec<Part>,
    /// Stacks of equal filters that the quick scale trains in addition to the counts. The paper has
    /// no values for them; only their order is compared.
    #[serde(default)]
    pub filter_stacks: Vec<FilterStack>,
}

/// A network of three stages of equal filters with ReLUs ([`crate::lab::chain`]).
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilterStack {
    /// The name.
    pub name: String,
    kernel: usize,
    repeats: usize,
}

impl FilterStack {
    /// Returns the design of the network.
    pub fn design(&self) -> Design {
        Design { kernel: self.kernel, repeats: self.repeats, relu: true }
    }
}

/// A network with the paper's value for it.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Part {
    pub(super) name: Option<String>,
    /// The name of the network.
    pub network: Option<String>,
    /// Networks whose probabilities are averaged with its own (VGG Table 6), each tested by the
    /// same protocol.
    pub with: Vec<String>,
    /// The kind of its shortcuts, if not the network's default.
    pub shortcut: Option<Shortcut>,
    /// The test protocol, if the parts differ.
    pub(super) protocol: Option<String>,
    /// The metric, if the parts differ.
    pub count: Option<Metric>,
    /// Kernel sizes of a stack of filters.
    pub filters: Vec<usize>,
    /// Kernel sizes of the stack that `filters` is compared with.
    pub compared_with: Vec<usize>,
    /// The metric of the stack.
    pub metric: Option<FilterMetric>,
    /// The paper's value.
    pub paper: Option<f64>,
    /// The paper's top-5 error.
    pub top5: Option<f64>,
    /// A value from another publication, if the paper prints none.
    pub reference: Option<f64>,
    /// The source of `reference`.
    pub source: Option<String>,
    /// The lower bound, if the paper states only that.
    pub at_least: Option<f64>,
    /// The accepted distance from the paper's value, if the parts differ.
    pub(super) tolerance: Option<f64>,
}

/// The test protocol of an experiment.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TestSetting {
    /// Protocols joined by `+`, whose probabilities are averaged.
    pub(super) protocol: Option<String>,
    /// Lengths of the shorter side of the image.
    pub scales: Vec<usize>,
}

/// A metric that needs no training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Metric {
    /// Parameters, in millions.
    Params,
    /// Multiply-adds, in billions.
    Macs,
    /// Multiply-adds of the convolutions, in billions.
    ConvMacs,
    /// A [`FilterMetric`] of a stack of filters.
    Filters,
}

/// A metric of a stack of filters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FilterMetric {
    /// Weights, in units of C² for C input and output channels.
    Weights,
    /// Side of the receptive field, in pixels.
    ReceptiveField,
    /// Additional weights over the other stack, in percent.
    ExtraWeights,
}

/// The size of an experiment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scale {
    /// The paper's training.
    #[default]
    Full,
    /// A comparison of the same networks that takes minutes.
    Quick,
}

impl Experiment {
    /// Returns whether the paper's row needs no training.
    pub fn is_count(&self) -> bool {
        self.recipe.is_none()
    }

    /// Returns whether nothing is trained at `scale`.
    pub fn only_counts(&self, scale: Scale) -> bool {
        self.is_count() && (scale == Scale::Full || self.filter_stacks.is_empty())
    }

    /// Returns whether the network of `part` was introduced by the paper of the experiment.
    pub(super) fn is_by_authors_of(&self, part: &Part) -> bool {
        let is_vgg = part.network.as_ref().is_some_and(|network| network.starts_with("vgg"));
        self.id.starts_with("vgg/") == is_vgg
    }

    /// Returns the part that the experiment is named after.
    pub fn main(&self) -> &Part {
        self.parts.last().expect("a test sees that every experiment has a part")
    }

    /// Returns the recipe of `part` at `scale`, on `data` if the user names any.
    ///
    /// # Errors
    /// Fails if the experiment trains nothing, or if the recipe is invalid.
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

    /// Returns the recipe of the stacks of filters, on `data` if the user names any.
    ///
    /// # Errors
    /// Fails if the recipe is invalid; a test rules this out.
    pub fn filter_stack_recipe(&self, data: Option<&str>) -> Result<Recipe> {
        let quick = shortened("cifar10");
        let set: Vec<String> = quick.set.iter().chain(&self.quick).cloned().collect();
        let mut recipe = Recipe::load(&quick.recipe, &set)?;
        on(&mut recipe, &quick.data, data);
        recipe.check()?;
        Ok(recipe)
    }

    /// Returns the test protocols of `part`, whose probabilities are averaged.
    ///
    /// # Errors
    /// Fails if a protocol is unknown; a test rules this out.
    pub fn views(&self, part: &Part) -> Result<Vec<TestProtocol>> {
        self.protocol(part).split('+').map(str::parse).collect()
    }

    /// Returns the accepted distance of the value of `part` from the paper's.
    pub fn tolerance(&self, part: &Part) -> f64 {
        part.tolerance.unwrap_or(self.tolerance)
    }

    /// Returns the name of the test protocol of `part`.
    pub fn protocol<'a>(&'a self, part: &'a Part) -> &'a str {
        part.protocol.as_deref().or(self.test.protocol.as_deref()).unwrap_or("center")
    }
}

impl Part {
    /// Returns its networks, each as a part of its own.
    pub fn members(&self) -> Vec<Self> {
        let of = |network: &String| Self { network: Some(network.clone()), with: Vec::new(), ..self.clone() };
        self.network.iter().chain(&self.with).map(of).collect()
    }

    /// Returns its name in the experiment.
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

    /// Returns whether `name` in a claim means this part, by its name or its network.
    pub(super) fn is_called(&self, name: &str) -> bool {
        let network = self.network.as_deref().filter(|_| self.with.is_empty());
        self.name.as_deref().or(network) == Some(name)
    }
}

/// Returns whether a test on `images` images of the data set `label`, with `classes` classes, is
/// comparable to the paper's test on `data`. ImageNet comes as a folder of any name: 1000 classes
/// and 50,000 validation images identify it.
pub fn is_papers_data(data: Option<&str>, label: &str, classes: usize, images: usize) -> bool {
    match data {
        Some("cifar10") => label == "CIFAR-10",
        Some("imagenet") => (classes, images) == (1000, 50_000),
        _ => true,
    }
}

/// Returns the unit of errors.
pub(super) fn percent() -> String {
    "%".into()
}

/// The shortened recipe of one data set.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Shortened {
    data: String,
    recipe: String,
    set: Vec<String>,
}

/// The file `quick.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Quick {
    cifar10: Shortened,
    imagenet: Shortened,
}

/// Returns the shortened recipe for experiments on `data`.
fn shortened(data: &str) -> &'static Shortened {
    static QUICK: OnceLock<Quick> = OnceLock::new();
    let quick = QUICK.get_or_init(|| toml::from_str(include_str!("quick.toml")).expect("a test reads it"));
    if data == "imagenet" { &quick.imagenet } else { &quick.cifar10 }
}

/// Sets the data of a shortened `recipe`, whose own data is `source`.
fn on(recipe: &mut Recipe, source: &str, data: Option<&str>) {
    recipe.data.source = data.unwrap_or(source).to_owned();
    if data.is_some_and(|data| data != source) {
        // The statistics of the recipe's own images are not those of others.
        (recipe.data.mean, recipe.data.std) = (None, None);
    }
}
