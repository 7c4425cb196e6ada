//! `residual eval`: what trained weights are worth.

use crate::ui::Ui;
use crate::ui::numbers::{percent, rate, thousands};
use crate::ui::table::{Align, Table};
use burn::tensor::Device;
use residual::data::{self, DataOptions, Dataset, Split};
use residual::eval::{Evaluation, evaluate};
use residual::recipe::Recipe;
use residual::weights::{self, Metadata};
use residual::{Error, Result};
use std::path::PathBuf;

/// A confusion matrix of more classes does not fit a terminal; the worst confusions are listed instead.
const MATRIX_UP_TO: usize = 12;

/// Confusions that are listed then.
const WORST: usize = 10;

/// Test trained weights
#[derive(Debug, clap::Args)]
pub struct Eval {
    /// A weights file, such as a run folder's best.safetensors
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Pictures: a data set's name or a folder [default: what the weights were trained on]
    #[arg(long, value_name = "D")]
    data: Option<String>,

    /// Which part of the data
    #[arg(long, value_name = "test|validation|train", default_value = "test", value_parser = split)]
    split: Split,

    /// How each picture is looked at
    #[arg(long, value_enum, default_value_t = Protocol::Center)]
    protocol: Protocol,

    /// Leave out pictures that do not decode, rather than stop
    #[arg(long)]
    skip_bad: bool,
}

/// Test protocols.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Protocol {
    /// Once, at its centre
    Center,
}

fn split(text: &str) -> std::result::Result<Split, String> {
    text.parse::<Split>().map_err(|error| match error.hint() {
        Some(hint) => format!("{error}; {hint}"),
        None => error.to_string(),
    })
}

impl Eval {
    /// Tests and prints.
    pub fn run(&self, ui: &mut Ui) -> Result<()> {
        let mut bars = ui.bars();
        let (model, metadata) = weights::load(&self.file, &Device::flex())?;
        let data = data::open(&self.data_options(&metadata)?, &mut bars)?;
        same_classes(&metadata.classes, &data)?;
        for warning in &data.warnings {
            ui.warning(warning, None);
        }
        let normalizer = metadata.preprocessing.normalizer()?;
        let pictures = data.split(self.split);
        let result = match self.protocol {
            Protocol::Center => evaluate(&model, pictures, &normalizer, &data.classes, &mut bars)?,
        };
        if ui.json() {
            return ui.value(&result);
        }
        let name = &metadata.model.name;
        ui.line(&format!("{name} on {} ({}), {}", data.label(), self.split, self.file.display()))?;
        ui.line("")?;
        ui.line(&headline(&result))?;
        ui.line("")?;
        ui.line(&per_class(&result))?;
        ui.line("")?;
        ui.line(&confusions(&result))
    }

    /// The data to open: brought to the network's input as in training, and split as in training.
    fn data_options(&self, metadata: &Metadata) -> Result<DataOptions> {
        let recipe = metadata.recipe.as_deref().map(|text| Recipe::parse(text, "recipe", &[])).transpose()?;
        let source = match (&self.data, &recipe) {
            (Some(source), _) => source.clone(),
            (None, Some(recipe)) => recipe.data.source.clone(),
            (None, None) => {
                let message = format!("{} does not say what it was trained on", self.file.display());
                return Err(Error::usage(message).with_hint("name the pictures by --data"));
            }
        };
        let preprocessing = &metadata.preprocessing;
        // Another source may be smaller than the one that the recipe's split was made for.
        let same = recipe.as_ref().filter(|recipe| recipe.data.source == source || self.split == Split::Validation);
        Ok(DataOptions {
            source,
            train_size: same.map_or(0, |recipe| recipe.data.train_size),
            validation: same.and_then(|recipe| recipe.data.validation),
            input: Some(preprocessing.height),
            channels: Some(preprocessing.channels),
            resize: preprocessing.resize,
            filter: preprocessing.filter,
            skip_bad: self.skip_bad,
            offline: false,
        })
    }
}

/// A network answers with a class's number: the data must mean the same by it.
fn same_classes(trained: &[String], data: &Dataset) -> Result<()> {
    if trained.len() != data.classes.len() {
        let message =
            format!("the weights tell {} classes apart, {} has {}", trained.len(), data.name, data.classes.len());
        return Err(Error::data(message).with_hint("test on data with the classes that the weights were trained on"));
    }
    match trained.iter().zip(&data.classes).position(|(a, b)| a != b) {
        None => Ok(()),
        Some(i) => {
            let message =
                format!("class {i} is \"{}\" to the weights and \"{}\" in {}", trained[i], data.classes[i], data.name);
            Err(Error::data(message).with_hint("test on data with the classes that the weights were trained on"))
        }
    }
}

fn headline(result: &Evaluation) -> String {
    let mut table = Table::new(&[
        ("images", Align::Right),
        ("loss", Align::Right),
        ("top-1 error", Align::Right),
        ("top-5 error", Align::Right),
        ("calibration error", Align::Right),
        ("protocol", Align::Left),
        ("images/s", Align::Right),
    ]);
    table.row(vec![
        thousands(result.images as u64),
        format!("{:.4}", result.loss),
        percent(Some(result.top1_error)),
        percent(result.top5_error),
        format!("{:.4}", result.ece),
        result.protocol.clone(),
        rate(result.images_per_second),
    ]);
    table.render()
}

fn per_class(result: &Evaluation) -> String {
    let mut table = Table::new(&[("class", Align::Left), ("images", Align::Right), ("accuracy", Align::Right)]);
    for class in &result.per_class {
        table.row(vec![class.class.clone(), thousands(class.images as u64), percent(class.accuracy)]);
    }
    table.render()
}

/// The whole matrix where it fits, the largest entries off its diagonal where not.
fn confusions(result: &Evaluation) -> String {
    if result.per_class.len() <= MATRIX_UP_TO { matrix(result) } else { worst(result) }
}

fn matrix(result: &Evaluation) -> String {
    let initial = |name: &str| name.chars().take(6).collect::<String>();
    let heads: Vec<String> = result.per_class.iter().map(|class| initial(&class.class)).collect();
    let mut columns = vec![("true \\ told", Align::Left)];
    columns.extend(heads.iter().map(|head| (head.as_str(), Align::Right)));
    let mut table = Table::new(&columns);
    for (class, row) in result.per_class.iter().zip(&result.confusion) {
        let mut cells = vec![class.class.clone()];
        cells.extend(row.iter().map(|n| if *n == 0 { ".".into() } else { n.to_string() }));
        table.row(cells);
    }
    table.render()
}

fn worst(result: &Evaluation) -> String {
    let name = |i: usize| result.per_class[i].class.clone();
    let mut errors: Vec<(u64, usize, usize)> = Vec::new();
    for (truth, row) in result.confusion.iter().enumerate() {
        let wrong = row.iter().enumerate().filter(|(told, n)| *told != truth && **n > 0);
        errors.extend(wrong.map(|(told, n)| (*n, truth, told)));
    }
    errors.sort_by_key(|(n, truth, told)| (std::cmp::Reverse(*n), *truth, *told));
    let mut table = Table::new(&[("true", Align::Left), ("told", Align::Left), ("images", Align::Right)]);
    for (n, truth, told) in errors.into_iter().take(WORST) {
        table.row(vec![name(truth), name(told), n.to_string()]);
    }
    format!("most frequent confusions\n{}", table.render())
}
