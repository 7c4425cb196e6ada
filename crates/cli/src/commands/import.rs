//! `residual import`: converts weights of PyTorch and others to a file that every command reads.

use super::{parse_name, refuse_overwrite};
use crate::ui::Ui;
use residual::Result;
use residual::models::options::StrideIn;
use residual::weights::{self, Given, import};
use residual_train::data::{Filter, Normalize, Preprocessing, Resize};
use serde::Serialize;
use std::path::PathBuf;

/// Import weights from PyTorch
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  residual import resnet50.pth --as resnet-50 --out resnet50.safetensors
  residual import resnet20-12fca82f.th --as resnet-20 --out resnet20.safetensors
  residual import resnet50-v2.pth --as resnet-50 --scale 232 --out v2.safetensors        as its recipe tests
  residual import a1.safetensors --as resnet-50 --preset timm --input 288 --scale 288 --out a1-288.safetensors
  residual import caffe-resnet50.pth --as resnet-50 --stride-in 1x1 --bgr --mean 0.485,0.458,0.408 \\
      --std 0.00392,0.00392,0.00392 --out v1.safetensors        the paper's strides, Caffe's channel order
  residual import mine.pt --as resnet-18 --names classes.txt --out mine.safetensors")]
pub struct ImportArgs {
    /// A file written by torch.save (.pth, .pt, .th), or safetensors
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// The network that the weights belong to (`residual models` lists them)
    #[arg(long = "as", value_name = "NAME")]
    name: String,

    /// Naming and preprocessing: auto, torchvision, timm, kuangliu, cifar-akamaster
    #[arg(long, value_name = "PRESET", default_value = "auto", value_parser = preset)]
    preset: PresetArg,

    /// Number of classes [default: from the last layer]
    #[arg(long, value_name = "N")]
    classes: Option<usize>,

    /// File of class names, one per line [default: ImageNet's or CIFAR-10's where they fit, else
    /// numbers]
    #[arg(long, value_name = "FILE")]
    names: Option<PathBuf>,

    /// Input height and width [default: 224, or 32 with a CIFAR stem]
    #[arg(long, value_name = "SIZE")]
    input: Option<usize>,

    /// Convolution that strides in bottlenecks: 3x3 (torchvision), 1x1 (the paper) [default: 3x3]
    #[arg(long, value_name = "CONV", value_parser = stride_in)]
    stride_in: Option<StrideIn>,

    /// The first layer takes blue, green, red, as Caffe's does; --mean and --std stay in the order
    /// R,G,B
    #[arg(long)]
    bgr: bool,

    /// Shorter side of images before the centre crop [default: 8/7 of the input above 64 px]
    #[arg(long, value_name = "SIZE")]
    scale: Option<usize>,

    /// Resize mode: crop, squash, letterbox [default: crop]
    #[arg(long, value_name = "MODE", value_parser = parse_name::<Resize>)]
    resize: Option<Resize>,

    /// Resampling filter: bilinear, bicubic [default: the preset's; timm's is bicubic]
    #[arg(long, value_name = "FILTER", value_parser = parse_name::<Filter>)]
    filter: Option<Filter>,

    /// Mean of each channel, 0 to 1 [default: the preset's]
    #[arg(long, value_name = "R,G,B", value_delimiter = ',', allow_hyphen_values = true)]
    mean: Option<Vec<f32>>,

    /// Standard deviation of each channel, 0 to 1 [default: the preset's]
    #[arg(long, value_name = "R,G,B", value_delimiter = ',', allow_hyphen_values = true)]
    std: Option<Vec<f32>>,

    /// The file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Value of `--preset`; `None` is auto.
#[derive(Debug, Clone, Copy)]
struct PresetArg(Option<import::Preset>);

fn preset(text: &str) -> std::result::Result<PresetArg, String> {
    if text == "auto" { Ok(PresetArg(None)) } else { text.parse().map(|preset| PresetArg(Some(preset))) }
}

fn stride_in(text: &str) -> std::result::Result<StrideIn, String> {
    match text {
        "3x3" => Ok(StrideIn::Conv3x3),
        "1x1" => Ok(StrideIn::Conv1x1),
        _ => Err("must be 3x3 or 1x1".into()),
    }
}

/// Object of `--json`.
#[derive(Debug, Serialize)]
struct ImportReport {
    path: PathBuf,
    keys: usize,
    /// Always `null`: the file has no outputs to compare with.
    max_difference: Option<f64>,
}

impl ImportArgs {
    /// Returns the preprocessing and class names that were given.
    fn given(&self) -> Result<Given> {
        Ok(Given {
            scale: self.scale,
            resize: self.resize,
            filter: self.filter,
            mean: self.mean.clone(),
            std: self.std.clone(),
            classes: self.names.as_deref().map(weights::class_names).transpose()?,
        })
    }

    /// Converts the file and prints what it holds.
    pub fn run(&self, ui: &mut Ui) -> Result<()> {
        refuse_overwrite(&self.file, &self.out, "--out")?;
        let options = import::ImportOptions {
            name: self.name.clone(),
            preset: self.preset.0,
            classes: self.classes,
            input: self.input,
            stride_in: self.stride_in,
            bgr: self.bgr,
            given: self.given()?,
        };
        let imported = import::import(&self.file, &options)?;
        weights::save(&self.out, &imported.model, &imported.metadata)?;
        let path = super::absolute(&self.out)?;
        if ui.json() {
            return ui.value(&ImportReport { path, keys: imported.keys, max_difference: None });
        }
        let place = match imported.found_in.as_str() {
            "" => String::new(),
            place => format!(" in {place}"),
        };
        let spec = &imported.model.spec;
        ui.line(&format!(
            "{}, {} classes ({}): {} tensors named as in {}{place}\nimages: {}, {}\n{}",
            spec.name,
            spec.classes,
            some(&imported.metadata.classes),
            imported.keys,
            imported.preset.name(),
            resized(&imported.metadata.preprocessing),
            normalised(&imported.metadata.preprocessing),
            path.display()
        ))
    }
}

/// Joins the first three names.
fn some(names: &[String]) -> String {
    match names {
        [a, b, c, _, ..] => format!("{a}, {b}, {c}, …"),
        few => few.join(", "),
    }
}

/// Describes the normalisation.
fn normalised(images: &Preprocessing) -> String {
    let list = |values: &[f32]| values.iter().map(f32::to_string).collect::<Vec<_>>().join(", ");
    match &images.normalize {
        Normalize::Channel { mean, std } => format!("mean {}, std {}", list(mean), list(std)),
        Normalize::Pixel { std, .. } => format!("mean image subtracted, std {}", list(std)),
    }
}

/// Describes resizing and cropping.
fn resized(images: &Preprocessing) -> String {
    let Preprocessing { height, width, scale, resize, filter, .. } = images;
    match (resize, scale) {
        (Resize::Crop, Some(scale)) => {
            format!("shorter side to {scale} ({filter}), centre crop {height}x{width}")
        }
        (resize, _) => format!("{resize} to {height}x{width} ({filter})"),
    }
}
