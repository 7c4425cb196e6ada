//! `residual export`: a trained network as a file for other programs.

use crate::ui::Ui;
use burn::tensor::Device;
use residual::{Error, Kind, Result};
use residual_train::export::onnx::{self, OnnxOptions};
use residual_train::export::verify;
use residual_train::weights::import::Preset;
use residual_train::{export, weights};
use serde::Serialize;
use std::path::PathBuf;

/// Write a network as ONNX or safetensors
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  residual export RUN/best.safetensors --format onnx --out net.onnx
  residual export RUN/best.safetensors --format onnx --with-preprocessing --out camera.onnx
  residual export RUN/best.safetensors --format safetensors --out torchvision.safetensors
  residual export RUN/best.safetensors --format safetensors --preset cifar-akamaster --out akamaster.safetensors")]
pub struct Export {
    /// A weights file, such as a run folder's best.safetensors
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// What to write
    #[arg(long, value_name = "FORMAT")]
    format: Format,

    /// Keep batch normalisations rather than fold them into convolutions (onnx)
    #[arg(long)]
    keep_bn: bool,

    /// Take bytes [n, h, w, c] and give probabilities (onnx)
    #[arg(long)]
    with_preprocessing: bool,

    /// Whose names: torchvision or cifar-akamaster (safetensors)
    #[arg(long, value_name = "PRESET", default_value = "torchvision", value_parser = preset)]
    preset: Preset,

    /// Run the written file in an independent reader (in tract too if built with it) and compare with the network here
    #[arg(long)]
    verify: bool,

    /// Where the result goes
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// A format of `--format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// Opset 17, NCHW
    Onnx,
    /// Weights by name, for PyTorch
    Safetensors,
}

fn preset(text: &str) -> std::result::Result<Preset, String> {
    let known = [Preset::Torchvision, Preset::CifarAkamaster];
    known.into_iter().find(|preset| preset.name() == text).ok_or_else(|| "torchvision or cifar-akamaster".to_owned())
}

/// `--json`.
#[derive(Debug, Serialize)]
struct Report {
    path: PathBuf,
    keys: usize,
    /// Of the file's outputs to the network's, as a share of the largest output; `null` without `--verify`.
    max_difference: Option<f64>,
}

impl Export {
    /// Reads, writes, and names the file.
    pub fn run(&self, ui: &mut Ui) -> Result<()> {
        super::not_onto(&self.file, &self.out)?;
        if self.format == Format::Safetensors && (self.keep_bn || self.with_preprocessing) {
            return Err(Error::usage("--keep-bn and --with-preprocessing belong to --format onnx")
                .with_hint("safetensors hold weights alone, normalisations among them"));
        }
        if self.format == Format::Onnx && self.preset != Preset::Torchvision {
            return Err(Error::usage("--preset belongs to --format safetensors")
                .with_hint("ONNX needs no names of weights: the graph is in the file"));
        }
        let (model, metadata) = weights::load(&self.file, &Device::flex())?;
        let options = OnnxOptions { keep_bn: self.keep_bn, with_preprocessing: self.with_preprocessing };
        let keys = match self.format {
            Format::Onnx => onnx::write(&self.out, &model, &metadata, options)?,
            Format::Safetensors => export::safetensors(&self.out, &model, &metadata, self.preset)?,
        };
        let verify = || match self.format {
            Format::Onnx => verify::onnx(&self.out, &model, &metadata, options),
            Format::Safetensors => verify::safetensors(&self.out, &model, &metadata, self.preset),
        };
        if self.format == Format::Safetensors
            && self.preset == Preset::Torchvision
            && let Some(unlike) = export::unlike_torchvision(&model.spec)
        {
            ui.warning(unlike, Some("change the strides of torchvision's layer2 to layer4, or export ONNX"));
        }
        let max_difference = self.verify.then(verify).transpose()?;
        let path = std::path::absolute(&self.out)
            .map_err(|error| Error::new(Kind::Io, format!("cannot name {}: {error}", self.out.display())))?;
        if ui.json() {
            return ui.value(&Report { path, keys, max_difference });
        }
        let verified = max_difference.map_or(String::new(), |difference| {
            let by = if cfg!(feature = "tract") && self.format == Format::Onnx { " by tract too" } else { "" };
            format!(", verified{by}: outputs differ by {difference:.1e} of the largest")
        });
        ui.line(&format!("{}: {keys} tensors{verified}\n{}", model.spec.name, path.display()))
    }
}
