//! `residual import`: weights of PyTorch and others, as a file that every command takes.

use crate::ui::Ui;
use burn::tensor::Device;
use residual::weights::{self, import};
use residual::{Error, Kind, Result};
use serde::Serialize;
use std::path::PathBuf;

/// Bring in weights from PyTorch
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  residual import resnet50.pth --as resnet-50 --out resnet50.safetensors
  residual import resnet20-12fca82f.th --as resnet-20 --out resnet20.safetensors")]
pub struct Import {
    /// A file of torch.save (.pth, .pt, .th) or safetensors
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// The network that the weights belong to (`residual models` lists them)
    #[arg(long = "as", value_name = "NAME")]
    name: String,

    /// Whose names and preprocessing: auto, torchvision, timm, kuangliu, cifar-akamaster
    #[arg(long, value_name = "PRESET", default_value = "auto", value_parser = preset)]
    preset: Preset,

    /// Number of classes [default: read off the last layer]
    #[arg(long, value_name = "N")]
    classes: Option<usize>,

    /// Where the result goes
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// `None` is auto.
#[derive(Debug, Clone, Copy)]
struct Preset(Option<import::Preset>);

fn preset(text: &str) -> std::result::Result<Preset, String> {
    if text == "auto" { Ok(Preset(None)) } else { text.parse().map(|preset| Preset(Some(preset))) }
}

/// `--json`.
#[derive(Debug, Serialize)]
struct Report {
    path: PathBuf,
    keys: usize,
    /// A foreign file brings no outputs to compare with.
    max_difference: Option<f64>,
}

impl Import {
    /// Reads, writes, and says what was found.
    pub fn run(&self, ui: &mut Ui) -> Result<()> {
        let options = import::ImportOptions { name: self.name.clone(), preset: self.preset.0, classes: self.classes };
        let imported = import::import(&self.file, &options, &Device::flex())?;
        weights::save(&self.out, &imported.model, &imported.metadata)?;
        let path = std::path::absolute(&self.out)
            .map_err(|error| Error::new(Kind::Io, format!("cannot name {}: {error}", self.out.display())))?;
        if ui.json() {
            return ui.value(&Report { path, keys: imported.keys, max_difference: None });
        }
        let place = match imported.found_in.as_str() {
            "" => String::new(),
            place => format!(" in {place}"),
        };
        let spec = &imported.model.spec;
        ui.line(&format!(
            "{}, {} classes: {} tensors under the names of {}{place}\n{}",
            spec.name,
            spec.classes,
            imported.keys,
            imported.preset.name(),
            path.display()
        ))
    }
}
