//! `residual inspect`: prints the layers of a network, or draws the augmentations of a recipe as a
//! contact sheet.

use crate::ui::Ui;
use crate::ui::numbers::{short, thousands};
use crate::ui::table::{Align, Table};
use residual::graph::{LayerSummary, Summary};
use residual::models::{self, ModelOptions};
use residual::weights;
use residual::{Error, Result};
use residual_study::report;
use residual_train::data::{self, Augment, Image, Normalize, Preprocessing};
use residual_train::recipe::Recipe;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Show a network's layers, parameters and receptive fields
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  residual inspect vgg19_bn --input 32 --against 224
  residual inspect --augment imagenet-resnet50-strong cat.jpg --out sheet.html   a recipe's augmentations")]
pub struct InspectArgs {
    /// A network (`residual models` lists them), or a weights file; with --augment, an image
    #[arg(value_name = "NAME|FILE")]
    what: String,

    /// Draw the augmentations of this recipe on the image
    #[arg(long, value_name = "RECIPE", requires = "out", conflicts_with_all = ["against", "classes"])]
    augment: Option<String>,

    /// The contact sheet to write: an HTML page
    #[arg(long, value_name = "FILE", requires = "augment")]
    out: Option<PathBuf>,

    /// Input size in pixels [default: the network's own]
    #[arg(long, value_name = "SIZE")]
    input: Option<usize>,

    /// Input channels [default: 3]
    #[arg(long, value_name = "N")]
    channels: Option<usize>,

    /// Number of classes [default: the network's own]
    #[arg(long, value_name = "N")]
    classes: Option<usize>,

    /// Mark the layers that differ, or are missing, at this input size
    #[arg(long, value_name = "SIZE")]
    against: Option<usize>,
}

/// Object of `--json`: the summary, and the comparison of `--against`.
#[derive(Debug, Serialize)]
struct InspectReport<'a> {
    name: &'a str,
    family: &'a str,
    params: u64,
    macs: u64,
    receptive_field: usize,
    input: [usize; 3],
    classes: usize,
    layers: Vec<MarkedLayer<'a>>,
    against: Option<SizeComparison<'a>>,
}

/// LayerSummary, and whether it differs at the size of `--against`; `null` without `--against`.
#[derive(Debug, Serialize)]
struct MarkedLayer<'a> {
    #[serde(flatten)]
    layer: &'a LayerSummary,
    differs: Option<bool>,
}

/// The network at the size of `--against`.
#[derive(Debug, Serialize)]
struct SizeComparison<'a> {
    input: [usize; 3],
    params: u64,
    macs: u64,
    /// Layers that exist only at that size, or differ there.
    layers: Vec<&'a LayerSummary>,
}

/// Object of `--json` with `--augment`.
#[derive(Debug, Serialize)]
struct SheetReport {
    path: PathBuf,
}

impl InspectArgs {
    /// Prints the table, or draws the contact sheet.
    pub fn run(&self, ui: &mut Ui) -> Result<()> {
        if let (Some(recipe), Some(out)) = (&self.augment, &self.out) {
            return self.contact_sheet(recipe, out, ui);
        }
        let options = self.options()?;
        let summary = models::summary(&options)?;
        let other = self.against.map(|size| self.at(&options, size)).transpose()?;
        if ui.json() {
            return ui.value(&report(&summary, other.as_ref()));
        }
        ui.line(&headline(&summary))?;
        ui.line("")?;
        ui.line(&table(&summary, other.as_ref()))?;
        match &other {
            Some(other) => ui.line(&comparison(&summary, other)),
            None => Ok(()),
        }
    }

    fn contact_sheet(&self, recipe: &str, out: &Path, ui: &mut Ui) -> Result<()> {
        if out.extension().is_none_or(|extension| extension != "html") {
            let message = format!("--out must name an .html file, got {}", out.display());
            return Err(Error::usage(message).with_hint("the contact sheet is a page: name it sheet.html"));
        }
        let recipe = Recipe::load(recipe, &[])?;
        let image = Image::open(Path::new(&self.what))?;
        let side = self.side(&recipe)?;
        let preprocessing = Preprocessing {
            height: side,
            width: side,
            channels: self.channels.unwrap_or(3),
            scale: recipe.data.scale,
            resize: recipe.data.resize,
            filter: recipe.data.filter,
            normalize: match self.channels {
                Some(1) => Normalize::Channel { mean: vec![0.5], std: vec![0.25] },
                _ => Normalize::known("imagenet").expect("ImageNet's constants are built in"),
            },
        };
        let (augment, training) = (Augment::from(&recipe.augment), recipe.augment.size.unwrap_or(side));
        let seed = recipe.train.seed;
        let sheet = report::contact_sheet(&augment, &image, &preprocessing, training, seed, report::Lang::En)?;
        let path = report::save(&sheet.render(), out)?;
        if ui.json() { ui.value(&SheetReport { path }) } else { ui.line(&path.display().to_string()) }
    }

    /// Returns the input size in testing, as far as it is known without opening the data.
    fn side(&self, recipe: &Recipe) -> Result<usize> {
        let given = self.input.or(recipe.model.input);
        match given.or(data::native_size(&recipe.data.source)) {
            Some(side) => Ok(side),
            None => Ok(models::find(&recipe.model.name)?.input),
        }
    }

    /// Returns the options of the network, from its name or from the weights file.
    fn options(&self) -> Result<ModelOptions> {
        let path = Path::new(&self.what);
        let is_file = path.is_file() || path.extension().is_some_and(|extension| extension == "safetensors");
        let mut options = if is_file {
            weights::metadata(path)?.model
        } else {
            ModelOptions { name: self.what.clone(), ..Default::default() }
        };
        options.input = self.input.or(options.input);
        options.channels = self.channels.or(options.channels);
        options.classes = self.classes.or(options.classes);
        Ok(options)
    }

    /// Summarises the same network built for another input size, with the stem and head of that
    /// size.
    fn at(&self, options: &ModelOptions, size: usize) -> Result<Summary> {
        let auto = ModelOptions::default();
        let other = ModelOptions { input: Some(size), stem: auto.stem, head: auto.head, ..options.clone() };
        models::summary(&other)
    }
}

fn report<'a>(summary: &'a Summary, other: Option<&'a Summary>) -> InspectReport<'a> {
    let marked = |layer| MarkedLayer { layer, differs: other.map(|other| differs(layer, other)) };
    InspectReport {
        name: &summary.name,
        family: &summary.family,
        params: summary.params,
        macs: summary.macs,
        receptive_field: summary.receptive_field,
        input: summary.input,
        classes: summary.classes,
        layers: summary.layers.iter().map(marked).collect(),
        against: other.map(|other| SizeComparison {
            input: other.input,
            params: other.params,
            macs: other.macs,
            layers: other.layers.iter().filter(|layer| differs(layer, summary)).collect(),
        }),
    }
}

/// Returns whether `other` has no layer of this name, kind and number of parameters. Output sizes
/// grow with the input and are not compared.
fn differs(layer: &LayerSummary, other: &Summary) -> bool {
    let same = |l: &LayerSummary| {
        l.name == layer.name && l.kind.to_string() == layer.kind.to_string() && l.params == layer.params
    };
    !other.layers.iter().any(same)
}

fn headline(summary: &Summary) -> String {
    let [h, w, c] = summary.input;
    format!(
        "{}: {} parameters, {} multiply-adds, input {h}x{w}x{c}, {} classes, receptive field {} px",
        summary.name,
        thousands(summary.params),
        short(summary.macs),
        summary.classes,
        summary.receptive_field
    )
}

fn table(summary: &Summary, other: Option<&Summary>) -> String {
    let mut columns = vec![
        ("layer", Align::Left),
        ("kind", Align::Left),
        ("output", Align::Left),
        ("params", Align::Right),
        ("multiply-adds", Align::Right),
        ("receptive field", Align::Right),
    ];
    if other.is_some() {
        columns.push(("", Align::Left));
    }
    let mut table = Table::new(&columns);
    for layer in &summary.layers {
        let mut row = cells(layer);
        row.push(if other.is_some_and(|other| differs(layer, other)) { "*" } else { "" }.into());
        table.row(row);
    }
    table.render()
}

fn cells(layer: &LayerSummary) -> Vec<String> {
    let [h, w, c] = layer.output;
    let number = |value: u64, text: fn(u64) -> String| if value == 0 { "-".to_string() } else { text(value) };
    vec![
        layer.name.clone(),
        layer.kind.to_string(),
        format!("{h}x{w}x{c}"),
        number(layer.params, thousands),
        number(layer.macs, short),
        layer.receptive_field.map_or_else(|| "all".into(), |field| field.to_string()),
    ]
}

fn comparison(summary: &Summary, other: &Summary) -> String {
    let size = other.input[0];
    let mut text = format!(
        "\n* different at {size} px, where the network has {} parameters and {} multiply-adds",
        thousands(other.params),
        short(other.macs)
    );
    let missing: Vec<&LayerSummary> = other.layers.iter().filter(|layer| differs(layer, summary)).collect();
    if missing.is_empty() {
        return text;
    }
    text += &format!("\n\nonly at {size} px:\n");
    let mut table = Table::new(&[
        ("layer", Align::Left),
        ("kind", Align::Left),
        ("output", Align::Left),
        ("params", Align::Right),
        ("multiply-adds", Align::Right),
    ]);
    for layer in missing {
        table.row(cells(layer).into_iter().take(5).collect());
    }
    text + &table.render()
}
