//! `residual export`: a trained network as a file for other programs.

use crate::ui::Ui;
use burn::tensor::Device;
use residual::export::onnx::{self, OnnxOptions};
use residual::{Error, Kind, Result, export, weights};
use serde::Serialize;
use std::path::PathBuf;

/// Write a network as ONNX or safetensors
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  residual export RUN/best.safetensors --format onnx --out net.onnx
  residual export RUN/best.safetensors --format onnx --with-preprocessing --out camera.onnx
  residual export RUN/best.safetensors --format safetensors --out torchvision.safetensors")]
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

    /// Where the result goes
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// A format of `--format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// Opset 17, NCHW
    Onnx,
    /// Under torchvision's names
    Safetensors,
}

/// `--json`.
#[derive(Debug, Serialize)]
struct Report {
    path: PathBuf,
    keys: usize,
    /// Nothing has run the file yet.
    max_difference: Option<f64>,
}

impl Export {
    /// Reads, writes, and names the file.
    pub fn run(&self, ui: &mut Ui) -> Result<()> {
        if self.format == Format::Safetensors && (self.keep_bn || self.with_preprocessing) {
            return Err(Error::usage("--keep-bn and --with-preprocessing belong to --format onnx")
                .with_hint("safetensors hold weights alone, normalisations among them"));
        }
        let (model, metadata) = weights::load(&self.file, &Device::flex())?;
        let options = OnnxOptions { keep_bn: self.keep_bn, with_preprocessing: self.with_preprocessing };
        let keys = match self.format {
            Format::Onnx => onnx::write(&self.out, &model, &metadata, options)?,
            Format::Safetensors => export::safetensors(&self.out, &model, &metadata)?,
        };
        let path = std::path::absolute(&self.out)
            .map_err(|error| Error::new(Kind::Io, format!("cannot name {}: {error}", self.out.display())))?;
        if ui.json() {
            return ui.value(&Report { path, keys, max_difference: None });
        }
        ui.line(&format!("{}: {keys} tensors\n{}", model.spec.name, path.display()))
    }
}
