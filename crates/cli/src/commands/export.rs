//! `residual export`: writes a trained network for other programs.

use crate::ui::Ui;
use residual::export::onnx::{self, OnnxOptions};
use residual::export::verify;
use residual::weights::import::Preset;
use residual::{Error, Result};
use residual::{export, weights};
use serde::Serialize;
use std::path::PathBuf;

/// Export a network as ONNX or safetensors
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  residual export RUN/best.safetensors --format onnx --out net.onnx
  residual export RUN/best.safetensors --format onnx --with-preprocessing --out camera.onnx
  residual export RUN/best.safetensors --format safetensors --out torchvision.safetensors
  residual export RUN/best.safetensors --format safetensors --preset cifar-akamaster --out akamaster.safetensors")]
pub struct ExportArgs {
    /// A weights file, such as a run folder's best.safetensors
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// File format
    #[arg(long, value_name = "FORMAT")]
    format: FormatArg,

    /// Keep batch norms instead of folding them into the convolutions (onnx)
    #[arg(long)]
    keep_bn: bool,

    /// Include preprocessing and softmax: bytes [n, h, w, c] in, probabilities out (onnx)
    #[arg(long)]
    with_preprocessing: bool,

    /// Names of the weights: torchvision or cifar-akamaster (safetensors)
    #[arg(long, value_name = "PRESET", default_value = "torchvision", value_parser = preset)]
    preset: Preset,

    /// Run the written file in an independent engine and compare its outputs
    #[arg(long)]
    verify: bool,

    /// The file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Value of `--format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum FormatArg {
    /// Opset 17, NCHW
    Onnx,
    /// Named weights, for PyTorch
    Safetensors,
}

fn preset(text: &str) -> std::result::Result<Preset, String> {
    let known = [Preset::Torchvision, Preset::CifarAkamaster];
    known
        .into_iter()
        .find(|preset| preset.name() == text)
        .ok_or_else(|| "must be torchvision or cifar-akamaster".to_owned())
}

/// Object of `--json`.
#[derive(Debug, Serialize)]
struct ExportReport {
    path: PathBuf,
    keys: usize,
    /// Largest difference between the outputs of the file and of the network, relative to the
    /// largest output; `null` without `--verify`.
    max_difference: Option<f64>,
}

impl ExportArgs {
    /// Writes the file, verifies it if asked to, and prints its path.
    pub fn run(&self, ui: &mut Ui) -> Result<()> {
        super::refuse_overwrite(&self.file, &self.out, "--out")?;
        if self.format == FormatArg::Safetensors && (self.keep_bn || self.with_preprocessing) {
            return Err(Error::usage("--keep-bn and --with-preprocessing need --format onnx")
                .with_hint("a safetensors file holds only weights, batch norms included"));
        }
        if self.format == FormatArg::Onnx && self.preset != Preset::Torchvision {
            return Err(Error::usage("--preset needs --format safetensors")
                .with_hint("an ONNX file holds the graph, so the names of weights do not matter"));
        }
        let (model, metadata) = weights::load(&self.file)?;
        let options = OnnxOptions { keep_bn: self.keep_bn, with_preprocessing: self.with_preprocessing };
        let keys = match self.format {
            FormatArg::Onnx => onnx::write(&self.out, &model, &metadata, options)?,
            FormatArg::Safetensors => export::safetensors(&self.out, &model, &metadata, self.preset)?,
        };
        let verify = || match self.format {
            FormatArg::Onnx => verify::onnx(&self.out, &model, &metadata, options),
            FormatArg::Safetensors => verify::safetensors(&self.out, &model, &metadata, self.preset),
        };
        if self.format == FormatArg::Safetensors
            && self.preset == Preset::Torchvision
            && let Some(unlike) = export::unlike_torchvision(&model.spec)
        {
            ui.warning(unlike, Some("change the strides of torchvision's layer2 to layer4, or export ONNX"));
        }
        let max_difference = self.verify.then(verify).transpose()?;
        let path = super::absolute(&self.out)?;
        if ui.json() {
            return ui.value(&ExportReport { path, keys, max_difference });
        }
        let verified = max_difference.map_or(String::new(), |difference| {
            let engine = if cfg!(feature = "tract") && self.format == FormatArg::Onnx { " with tract too" } else { "" };
            format!(", verified{engine}: outputs differ by at most {difference:.1e} relative")
        });
        ui.line(&format!("{}: {keys} tensors{verified}\n{}", model.spec.name, path.display()))
    }
}
