//! From the name of a source to three splits.
//!
//! Every reader returns the same [`Parts`]; what follows is the same for all: bring images to the net's size and
//! channels, take the first N of a fixed shuffle, and of those a tenth for validation. The shuffle depends on nothing
//! but the number of images, so that two runs with different seeds are validated on the same images.

use super::cifar;
use super::cifar_python;
use super::container::Container;
use super::fetch;
use super::folder::{self, FileStore};
use super::idx;
use super::images::{Block, Dataset, Images, Provenance};
use super::options::DataOptions;
use super::progress::Progress;
use super::sample::shuffled;
use super::shapes;
use crate::error::{Error, Result, nearest};
use crate::random::{Purpose, stream};
use residual::image::ResizeSpec;
use std::path::{Path, PathBuf};

/// The seed of the one shuffle that splits training images.
const SPLIT_SEED: u64 = 0x5eed_5eed_5eed_5eed;
/// Bytes of pixels that are kept in memory, 2 GiB: 14,000 images of 224x224. More stay as they were, and are decoded
/// or resized when asked for.
pub(crate) const BUDGET: usize = 2 << 30;

/// The images of one split as a reader found them.
#[derive(Debug)]
pub(crate) enum Found {
    /// In memory.
    Block(Block),
    /// On disk, already to be brought to the net's size, with labels.
    Files(FileStore, Vec<u32>),
}

impl Found {
    pub fn labels(&self) -> &[u32] {
        match self {
            Self::Block(block) => &block.labels,
            Self::Files(_, labels) => labels,
        }
    }

    pub fn block(&self) -> Option<&Block> {
        match self {
            Self::Block(block) => Some(block),
            Self::Files(..) => None,
        }
    }
}

/// How closely files are looked at that will not be kept in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Thoroughness {
    /// Their heads and ends, which finds truncated ones and costs no more than reading.
    Ends,
    /// All of them is decoded.
    Everything,
}

/// What a reader found.
#[derive(Debug)]
pub(crate) struct Parts {
    pub name: String,
    pub classes: Vec<String>,
    pub train: Found,
    pub validation: Option<Found>,
    pub test: Found,
    /// Whether the source names its test images, rather than having some held out.
    pub has_test_split: bool,
    pub provenance: Provenance,
    pub warnings: Vec<String>,
}

impl Parts {
    /// Two blocks, which is what published data sets are.
    pub fn in_memory(name: &str, classes: Vec<String>, train: Block, test: Block, provenance: Provenance) -> Self {
        let (train, test) = (Found::Block(train), Found::Block(test));
        let (name, warnings) = (name.into(), Vec::new());
        Self { name, classes, train, validation: None, test, has_test_split: true, provenance, warnings }
    }
}

/// Names that `--data` takes besides folders and archives.
pub const SOURCES: [&str; 5] = ["shapes", "cifar10", "cifar100", "mnist", "fashion-mnist"];

/// Height and width of the images of a published data set; `None` for anything else.
pub fn native_size(source: &str) -> Option<usize> {
    match source {
        "shapes" | "cifar10" | "cifar100" => Some(32),
        "mnist" | "fashion-mnist" => Some(28),
        _ => None,
    }
}

/// Opens a source of images: generated, a published data set (fetched on first use), a folder or an archive.
///
/// # Errors
/// Where there is no such source, a file is missing, short, truncated or corrupt, a label is out of range, an image
/// does not decode, or fewer images are there than were asked for. The message names the file, and the record where
/// it is one record's fault.
pub fn open(options: &DataOptions, progress: &mut dyn Progress) -> Result<Dataset> {
    let source = options.source.as_str();
    if let Some(0) = options.input {
        return Err(Error::usage("images of 0 pixels cannot be classified"));
    }
    if !matches!(options.channels, None | Some(1 | 3)) {
        return Err(Error::usage("images have 1 channel (grey) or 3 (colour)"));
    }
    if source == "shapes" {
        return finish(shapes::read(progress), None, options);
    }
    let path = match Path::new(source) {
        path if path.exists() => path.to_path_buf(),
        _ if SOURCES.contains(&source) => fetch::cached(source, options.offline, progress)?,
        _ => return Err(unknown(source)),
    };
    let parts = read(&path, options, Thoroughness::Ends, progress)?;
    finish(parts, Some(path), options)
}

fn unknown(source: &str) -> Error {
    let error = Error::data(format!("no data set and no folder is called \"{source}\""));
    if source == "imagenet" {
        return error.with_hint("ImageNet is not free to fetch: name your folder of it, with train/ID/* and val/ID/*");
    }
    match nearest(source, SOURCES) {
        Some(name) => error.with_hint(format!("did you mean \"{name}\"?")),
        None => error.with_hint(format!("take one of {}, or a folder that exists", SOURCES.join(", "))),
    }
}

/// Folders in a folder where the files of a data set may lie, as they are unpacked and as torchvision leaves them.
const INNER: [&str; 7] =
    ["", "cifar-10-batches-bin", "cifar-100-binary", "cifar-10-batches-py", "cifar-100-python", "MNIST/raw", "raw"];

/// Whether `path` is a folder in MNIST's layout.
pub(crate) fn is_mnist_layout(path: &Path) -> bool {
    INNER.iter().any(|inner| idx::is_idx(&Container::Folder(path.join(inner))))
}

/// Reads a folder or an archive in whichever layout it is.
pub(crate) fn read(
    path: &Path,
    options: &DataOptions,
    thoroughness: Thoroughness,
    progress: &mut dyn Progress,
) -> Result<Parts> {
    let asked = SOURCES.into_iter().find(|name| *name == options.source);
    if !path.is_dir() {
        return read_layout(&Container::unpack(path)?, asked, progress).unwrap_or_else(|| {
            Err(Error::data(format!("{} holds none of CIFAR's or MNIST's files", path.display()))
                .with_hint("unpack archives of images and give the folder"))
        });
    }
    for inner in INNER {
        if let Some(parts) = read_layout(&Container::Folder(path.join(inner)), asked, progress) {
            return parts;
        }
    }
    match folder::is_folder(path) {
        true => folder::read(path, options, thoroughness, budget(options), progress),
        false => Err(Error::data(format!("{} holds no images in a layout that we know", path.display())).with_hint(
            "a folder per class (DIR/CLASS/*.jpg), or CIFAR's data_batch_1.bin or data_batch_1, or MNIST's \
             train-images-idx3-ubyte",
        )),
    }
}

fn read_layout(files: &Container, asked: Option<&str>, progress: &mut dyn Progress) -> Option<Result<Parts>> {
    if cifar::is_binary_10(files) {
        Some(cifar::read_binary_10(files, progress))
    } else if cifar::is_binary_100(files) {
        Some(cifar::read_binary_100(files, progress))
    } else if cifar_python::is_python_10(files) {
        Some(cifar_python::read_python_10(files, progress))
    } else if cifar_python::is_python_100(files) {
        Some(cifar_python::read_python_100(files, progress))
    } else if idx::is_idx(files) {
        Some(idx::read(files, asked, progress))
    } else {
        None
    }
}

/// Bytes of resized pixels that are kept in memory.
fn budget(options: &DataOptions) -> usize {
    if options.originals { 0 } else { BUDGET }
}

/// Makes three splits of what was read.
fn finish(parts: Parts, path: Option<PathBuf>, options: &DataOptions) -> Result<Dataset> {
    let Parts { name, classes, train, validation, test, has_test_split, provenance, mut warnings } = parts;
    if provenance.canonical == Some(false) {
        let label = provenance.label(&name);
        warnings.push(format!("these are not the published pixels: results are called \"{label}\""));
    }
    let budget = budget(options);
    let all = images(train, options, budget);
    let (train, held_out) = split(&all, options, validation.is_some())?;
    if let (Some(own), Some(wanted)) = (&validation, options.validation)
        && wanted > 0
        && wanted != own.labels().len()
    {
        warnings.push(format!(
            "data.validation = {wanted} is not heeded: the folder has {} validation images of its own, or by their names",
            own.labels().len()
        ));
    }
    let validation = match (validation, options.validation) {
        // A folder's own validation images are left alone where none are wanted.
        (Some(own), Some(0)) => images(own, options, budget).subset(&[]),
        (Some(own), _) => images(own, options, budget),
        (None, _) => held_out,
    };
    let path = path.map(|p| std::path::absolute(&p).unwrap_or(p));
    let test = images(test, options, budget);
    Ok(Dataset { name, path, classes, train, validation, test, has_test_split, provenance, warnings })
}

/// Images at the size that was asked for, in memory where that takes at most `budget` bytes.
pub(crate) fn images(found: Found, options: &DataOptions, budget: usize) -> Images {
    let block = match found {
        Found::Block(block) => block,
        Found::Files(files, labels) => return Images::from_files(files, labels),
    };
    let (height, width) = options.input.map_or((block.height, block.width), |side| (side, side));
    let channels = options.channels.unwrap_or(block.channels);
    let DataOptions { scale, resize, filter, .. } = *options;
    let is_scaled = scale.is_some_and(|side| side != height.min(width));
    if !is_scaled && (height, width, channels) == (block.height, block.width, block.channels) {
        return Images::from_block(block, filter);
    }
    let fit = ResizeSpec { height, width, channels, scale, resize, filter };
    match block.labels.len().saturating_mul(height * width * channels) <= budget {
        true => Images::from_block(block.resized(&fit), options.filter),
        false => Images::fitted(block, fit),
    }
}

/// Training and validation images from the first `train_size` of the fixed shuffle. Validation comes first in it, so
/// that runs on 1,000 and on 10,000 images with `validation = 500` are validated on the same 500.
pub(crate) fn split(all: &Images, options: &DataOptions, has_own: bool) -> Result<(Images, Images)> {
    let n = all.len();
    if n == 0 {
        // A folder to test on.
        return Ok((all.clone(), all.clone()));
    }
    let kept = match options.train_size {
        0 => n,
        size if size <= n => size,
        size => {
            return Err(Error::data(format!("train_size is {size}, and there are {n} training images")));
        }
    };
    let held_out = if has_own { 0 } else { options.validation.unwrap_or(kept / 10) };
    if held_out >= kept {
        let message = format!("{held_out} validation images leave none of the {kept} to train on");
        return Err(Error::data(message).with_hint("validation = 0 trains on all of them"));
    }
    if kept == n && held_out == 0 {
        return Ok((all.clone(), all.subset(&[])));
    }
    let order = shuffled(n, &mut stream(SPLIT_SEED, Purpose::Split, 0, 0));
    let (validation, train) = order[..kept].split_at(held_out);
    // In the order of the storage: neighbours stay neighbours.
    let sorted = |indices: &[u32]| {
        let mut indices = indices.to_vec();
        indices.sort_unstable();
        all.subset(&indices)
    };
    Ok((sorted(train), sorted(validation)))
}
