//! `residual import`: weights of PyTorch and others, as a file that every command takes.

use super::{not_onto, parsed};
use crate::ui::Ui;
use burn::tensor::Device;
use residual::{Error, Kind, Result};
use residual_train::data::{Filter, Normalize, Preprocessing, Resize};
use residual_train::models::options::StrideIn;
use residual_train::weights::{self, Given, import};
use serde::Serialize;
use std::path::PathBuf;

/// Bring in weights from PyTorch
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  residual import resnet50.pth --as resnet-50 --out resnet50.safetensors
  residual import resnet20-12fca82f.th --as resnet-20 --out resnet20.safetensors
  residual import resnet50-v2.pth --as resnet-50 --scale 232 --out v2.safetensors        as its recipe tested
  residual import a1.safetensors --as resnet-50 --preset timm --input 288 --scale 288 --out a1-288.safetensors
  residual import caffe-resnet50.pth --as resnet-50 --stride-in 1x1 --bgr --mean 0.485,0.458,0.408 \\
      --std 0.00392,0.00392,0.00392 --out v1.safetensors        as the paper's authors stride, in Caffe's colours
  residual import mine.pt --as resnet-18 --names classes.txt --out mine.safetensors")]
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

    /// Names of the classes, one on each line [default: ImageNet's or CIFAR-10's where they fit, else numbers]
    #[arg(long, value_name = "FILE")]
    names: Option<PathBuf>,

    /// Height and width of the images it takes [default: 224, or 32 with a CIFAR stem]
    #[arg(long, value_name = "SIZE")]
    input: Option<usize>,

    /// Where bottlenecks stride, which no weight tells: 3x3 (torchvision), 1x1 (the paper) [default: 3x3]
    #[arg(long, value_name = "CONV", value_parser = stride_in)]
    stride_in: Option<StrideIn>,

    /// Its first layer takes blue, green, red, as Caffe's do; `--mean` and `--std` are those of red, green, blue all the same
    #[arg(long)]
    bgr: bool,

    /// Bring the shorter side of images to this before the centre is cut out [default: 8/7 of the input from 65 px on]
    #[arg(long, value_name = "SIZE")]
    scale: Option<usize>,

    /// How images become squares: crop, squash, letterbox [default: crop]
    #[arg(long, value_name = "MODE", value_parser = parsed::<Resize>)]
    resize: Option<Resize>,

    /// What resamples them: bilinear, bicubic [default: the preset's; timm's is bicubic]
    #[arg(long, value_name = "FILTER", value_parser = parsed::<Filter>)]
    filter: Option<Filter>,

    /// Mean of each channel, on a scale of 0 to 1 [default: the preset's]
    #[arg(long, value_name = "R,G,B", value_delimiter = ',', allow_hyphen_values = true)]
    mean: Option<Vec<f32>>,

    /// Deviation of each channel, on a scale of 0 to 1 [default: the preset's]
    #[arg(long, value_name = "R,G,B", value_delimiter = ',', allow_hyphen_values = true)]
    std: Option<Vec<f32>>,

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

fn stride_in(text: &str) -> std::result::Result<StrideIn, String> {
    match text {
        "3x3" => Ok(StrideIn::Conv3x3),
        "1x1" => Ok(StrideIn::Conv1x1),
        _ => Err("3x3 or 1x1".into()),
    }
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
    /// What the user knows of images and classes.
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

    /// Reads, writes, and says what was found.
    pub fn run(&self, ui: &mut Ui) -> Result<()> {
        not_onto(&self.file, &self.out)?;
        let options = import::ImportOptions {
            name: self.name.clone(),
            preset: self.preset.0,
            classes: self.classes,
            input: self.input,
            stride_in: self.stride_in,
            bgr: self.bgr,
            given: self.given()?,
        };
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
            "{}, {} classes ({}): {} tensors under the names of {}{place}\nimages: {}, {}\n{}",
            spec.name,
            spec.classes,
            some(&imported.metadata.classes),
            imported.keys,
            imported.preset.name(),
            prepared(&imported.metadata.preprocessing),
            normalised(&imported.metadata.preprocessing),
            path.display()
        ))
    }
}

/// The first few names.
fn some(names: &[String]) -> String {
    match names {
        [a, b, c, _, ..] => format!("{a}, {b}, {c}, …"),
        few => few.join(", "),
    }
}

/// What is taken off its values, and what they are divided by.
fn normalised(images: &Preprocessing) -> String {
    let list = |values: &[f32]| values.iter().map(f32::to_string).collect::<Vec<_>>().join(", ");
    match &images.normalize {
        Normalize::Channel { mean, std } => format!("mean {}, deviation {}", list(mean), list(std)),
        Normalize::Pixel { std, .. } => format!("less a mean image, deviation {}", list(std)),
    }
}

/// How an image comes to the network.
fn prepared(images: &Preprocessing) -> String {
    let Preprocessing { height, width, scale, resize, filter, .. } = images;
    match (resize, scale) {
        (Resize::Crop, Some(scale)) => {
            format!("shorter side to {scale} ({filter}), {height}x{width} from the centre")
        }
        (resize, _) => format!("{resize} to {height}x{width} ({filter})"),
    }
}
