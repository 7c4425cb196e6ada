//! The recipes that ship with the library, and the one that a data source takes when none is named.

use super::sections::{Flip, Recipe};
use crate::data::{KAGGLE_FOLDERS, is_image_name, is_mnist_layout};
use crate::error::{Error, Kind, Result, nearest};
use crate::models::options::ModelOptions;
use crate::models::{Spec, find};
use std::path::{Path, PathBuf};

/// A recipe that ships with the library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shipped {
    /// The file's name without `.toml`.
    pub name: &'static str,
    /// Its text.
    pub text: &'static str,
}

macro_rules! embed {
    ($($name:literal),* $(,)?) => {
        &[$(Shipped { name: $name, text: include_str!(concat!("../../../../recipes/", $name, ".toml")) }),*]
    };
}

const SHIPPED: &[Shipped] = embed![
    "shapes-resnet20",
    "cifar10-resnet20-quick",
    "cifar10-speedrun",
    "cifar10-resnet20-paper",
    "cifar10-resnet110-paper",
    "cifar10-resnet18",
    "cifar10-vgg19bn",
    "imagenet-resnet50-paper",
    "imagenet-resnet50-strong",
    "imagenet-vgg16-paper",
];

/// Returns all shipped recipes, the default of `residual train` first.
pub fn shipped() -> &'static [Shipped] {
    SHIPPED
}

/// Returns the shipped recipe called `name`, with or without `.toml`.
pub(super) fn named(name: &str) -> Option<&'static Shipped> {
    let name = name.strip_suffix(".toml").unwrap_or(name);
    SHIPPED.iter().find(|recipe| recipe.name == name)
}

/// Returns the error of a name that is neither a file nor a shipped recipe.
pub(super) fn missing(what: &str) -> Error {
    let name = what.rsplit(['/', '\\']).next().unwrap_or(what);
    let name = name.strip_suffix(".toml").unwrap_or(name);
    let error = Error::new(Kind::Usage, format!("no recipe at {what}"));
    match nearest(name, SHIPPED.iter().map(|recipe| recipe.name)) {
        Some(near) => error.with_hint(format!("did you mean the built-in recipe {near}?")),
        None => error.with_hint(format!(
            "built-in recipes: {}",
            SHIPPED.iter().map(|recipe| recipe.name).collect::<Vec<_>>().join(", ")
        )),
    }
}

/// Returns the input size in pixels that `network` was published with.
pub(super) fn native_input(network: &str) -> usize {
    find(network).map_or(224, |entry| entry.input)
}

/// Images of a folder whose size is read.
const SAMPLE: usize = 16;

/// The most of those from one class.
const OF_EACH: usize = 2;

/// Square images up to this size keep their size.
const SMALL: u32 = 64;

/// Returns some images in class folders: `CLASS/*` or `SPLIT/CLASS/*`, below Kaggle's folders too.
fn some_images(path: &Path) -> Vec<PathBuf> {
    // In order, so that the same folder gives the same recipe on every machine.
    let inside = |path: &PathBuf| {
        let entries = std::fs::read_dir(path).into_iter().flatten();
        let mut paths: Vec<PathBuf> = entries.filter_map(std::result::Result::ok).map(|entry| entry.path()).collect();
        paths.sort();
        paths
    };
    let kaggle = KAGGLE_FOLDERS.into_iter().map(|below| path.join(below)).find(|path| path.is_dir());
    let tops = inside(&kaggle.unwrap_or_else(|| path.to_owned()));
    let some = |folder: &PathBuf| inside(folder).into_iter().filter(|path| is_image_name(path)).take(OF_EACH);
    let within = |folders: &[PathBuf]| -> Vec<PathBuf> { folders.iter().flat_map(some).take(SAMPLE).collect() };
    let classes = within(&tops);
    if !classes.is_empty() {
        return classes;
    }
    let folders: Vec<PathBuf> = tops.iter().flat_map(inside).collect();
    within(&folders)
}

/// Returns the side of `images` if all of them are squares of one small size.
fn small_side(images: &[PathBuf]) -> Option<usize> {
    let mut sides = images.iter().map(|path| image::image_dimensions(path).ok());
    let (side, height) = sides.next()??;
    (side == height && side <= SMALL && sides.all(|size| size == Some((side, side)))).then_some(side as usize)
}

impl Recipe {
    /// Returns the recipe of `residual train NETWORK --data SOURCE` when none is named.
    ///
    /// # Errors
    /// A shipped recipe does not parse, which the tests rule out.
    pub fn default_for(source: &str, network: &str) -> Result<Self> {
        default_for(source, network)
    }
}

/// Returns the default recipe of a data source, with `network`.
fn default_for(source: &str, network: &str) -> Result<Recipe> {
    let base = if source == "shapes" { "shapes-resnet20" } else { "cifar10-resnet20-quick" };
    let text = named(base).ok_or_else(|| Error::new(Kind::Recipe, format!("no built-in recipe {base}")))?.text;
    let mut recipe = Recipe::parse(text, base, &[])?;
    recipe.model = ModelOptions { name: network.into(), ..ModelOptions::default() };
    recipe.data.source = source.into();
    // The recipe repeats a published run on all images; a run of one's own gets a validation split.
    recipe.data.validation = None;
    if source != "shapes" && source != "cifar10" {
        recipe.data.mean = None;
        recipe.data.std = None;
    }
    if source == "mnist" || is_mnist_layout(Path::new(source)) {
        // A mirrored digit is another digit or none.
        recipe.augment.flip = Flip::None;
    }
    let network = network.to_lowercase();
    let images = some_images(Path::new(source));
    if !images.is_empty() {
        let input = native_input(&network);
        // CIFAR as PNG, Tiny ImageNet: at 224 px they would cost twelve to fifty times as much.
        let takes = |side: usize| Spec::resolve(&ModelOptions { input: Some(side), ..recipe.model.clone() }).is_ok();
        let input = small_side(&images).filter(|&side| side < input && takes(side)).unwrap_or(input);
        recipe.model.input = Some(input);
        // Four pixels of 32, in proportion.
        recipe.augment.pad_crop = input / 8;
        if input > 64 {
            // 128 images of 224 px do not fit into most machines; a quarter of the batch takes a
            // quarter of the rate.
            recipe.train.batch /= 4;
            recipe.optimizer.lr /= 4.0;
        }
    }
    if network.starts_with("vgg") && !network.ends_with("bn") {
        // Without batch norm a VGG does not survive a rate of 0.2; VGG §3.1 starts at 0.01.
        recipe.optimizer.lr = 0.01;
        recipe.optimizer.nesterov = false;
    }
    Ok(recipe)
}
