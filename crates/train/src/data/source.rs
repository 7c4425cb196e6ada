//! Opening of data sets: from the name of a source to three splits.
//!
//! Every reader returns a [`RawDataset`], and the rest is the same for all: images are resized, the
//! first N of a fixed shuffle are kept, and a tenth of those is held out for validation. The
//! shuffle depends only on the number of images, so that runs with different seeds validate on the
//! same ones.

use super::catalogue::SOURCES;
use super::cifar;
use super::cifar_python;
use super::container::Container;
use super::dataset::Dataset;
use super::fetch;
use super::folder;
use super::idx;
use super::images::Images;
use super::options::DataOptions;
use super::progress::Progress;
use super::raw::{RawDataset, RawSplit, ValidateLevel};
use super::sample::shuffled;
use super::shapes;
use crate::error::{Error, Result, nearest};
use crate::random::{Purpose, stream};
use residual::image::ResizeSpec;
use std::path::{Path, PathBuf};

/// Seed of the shuffle that splits training images.
const SPLIT_SEED: u64 = 0x5eed_5eed_5eed_5eed;
/// Bytes of pixels that are kept in memory, 2 GiB: 14,000 images of 224x224. Larger data sets are
/// decoded or resized on demand.
pub(crate) const MEMORY_BUDGET: usize = 2 << 30;

/// Opens a data set: generated, published (downloaded on first use), a folder or an archive.
///
/// # Errors
/// Fails if there is no such source, a file is missing, short, truncated or corrupt, a label is out
/// of range, an image does not decode, or there are fewer images than requested. The message names
/// the file, and the record if one record is at fault.
///
/// ```
/// use residual_train::data::{self, DataOptions};
///
/// let options = DataOptions { train_size: 1000, ..DataOptions::new("shapes") };
/// let data = data::open(&options, &mut ())?;
/// assert_eq!((data.train.len(), data.validation.len(), data.test.len()), (900, 100, 2000));
/// assert_eq!((data.train.height(), data.train.width(), data.train.channels()), (32, 32, 3));
/// assert_eq!(data.classes[..3], ["disc", "ring", "square"]);
/// # Ok::<(), residual_train::Error>(())
/// ```
pub fn open(options: &DataOptions, progress: &mut dyn Progress) -> Result<Dataset> {
    let source = options.source.as_str();
    if let Some(0) = options.input {
        return Err(Error::usage("data.input must be at least 1, got 0"));
    }
    if !matches!(options.channels, None | Some(1 | 3)) {
        return Err(Error::usage("data.channels must be 1 (grey) or 3 (colour)"));
    }
    if source == "shapes" {
        return finish(shapes::read(progress), None, options);
    }
    let path = match Path::new(source) {
        path if path.exists() => path.to_path_buf(),
        _ if SOURCES.contains(&source) => fetch::cached(source, options.offline, progress)?,
        _ => return Err(unknown(source)),
    };
    let raw = read(&path, options, ValidateLevel::Headers, progress)?;
    finish(raw, Some(path), options)
}

/// Returns the error for a source that is neither a name nor a path.
fn unknown(source: &str) -> Error {
    let error = Error::data(format!("there is no data set and no folder \"{source}\""));
    if source == "imagenet" {
        return error
            .with_hint("ImageNet cannot be downloaded freely: name your folder of it, with train/ID/* and val/ID/*");
    }
    match nearest(source, SOURCES) {
        Some(name) => error.with_hint(format!("did you mean \"{name}\"?")),
        None => error.with_hint(format!("use one of {}, or a folder that exists", SOURCES.join(", "))),
    }
}

/// Subfolders that may hold the files of a data set, as archives and torchvision unpack them.
const SUBFOLDERS: [&str; 7] =
    ["", "cifar-10-batches-bin", "cifar-100-binary", "cifar-10-batches-py", "cifar-100-python", "MNIST/raw", "raw"];

/// Returns whether `path` is a folder in MNIST's layout.
pub(crate) fn is_mnist_layout(path: &Path) -> bool {
    SUBFOLDERS.iter().any(|inner| idx::is_idx(&Container::Folder(path.join(inner))))
}

/// Reads a folder or an archive in any of the known layouts.
pub(crate) fn read(
    path: &Path,
    options: &DataOptions,
    level: ValidateLevel,
    progress: &mut dyn Progress,
) -> Result<RawDataset> {
    let asked = SOURCES.into_iter().find(|name| *name == options.source);
    if !path.is_dir() {
        return read_layout(&Container::unpack(path)?, asked, progress).unwrap_or_else(|| {
            Err(Error::data(format!("{} has none of the files of CIFAR or MNIST", path.display()))
                .with_hint("unpack an archive of images and name the folder"))
        });
    }
    for inner in SUBFOLDERS {
        if let Some(raw) = read_layout(&Container::Folder(path.join(inner)), asked, progress) {
            return raw;
        }
    }
    match folder::is_folder(path) {
        true => folder::read(path, options, level, budget(options), progress),
        false => Err(Error::data(format!("{} has no images in a known layout", path.display())).with_hint(
            "a folder per class (DIR/CLASS/*.jpg), or CIFAR's data_batch_1.bin or data_batch_1, or MNIST's \
             train-images-idx3-ubyte",
        )),
    }
}

/// Reads files in a layout of CIFAR or MNIST; `None` if they are in neither. `asked` is the data
/// set that the user named.
fn read_layout(files: &Container, asked: Option<&str>, progress: &mut dyn Progress) -> Option<Result<RawDataset>> {
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

/// Returns the bytes of resized pixels to keep in memory.
fn budget(options: &DataOptions) -> usize {
    if options.originals { 0 } else { MEMORY_BUDGET }
}

/// Resizes and splits what a reader found.
fn finish(raw: RawDataset, path: Option<PathBuf>, options: &DataOptions) -> Result<Dataset> {
    let RawDataset { name, classes, train, validation, test, has_test_split, provenance, mut warnings } = raw;
    if provenance.canonical == Some(false) {
        let label = provenance.label(&name);
        warnings.push(format!("these are not the published pixels: results are labelled \"{label}\""));
    }
    let budget = budget(options);
    let all = images(train, options, budget);
    let (train, held_out) = split(&all, options, validation.is_some())?;
    if let (Some(own), Some(wanted)) = (&validation, options.validation)
        && wanted > 0
        && wanted != own.labels().len()
    {
        warnings.push(format!(
            "data.validation = {wanted} is ignored: the folder has its own validation split of {} images",
            own.labels().len()
        ));
    }
    let validation = match (validation, options.validation) {
        // The folder's validation images are not used for anything else.
        (Some(own), Some(0)) => images(own, options, budget).subset(&[]),
        (Some(own), _) => images(own, options, budget),
        (None, _) => held_out,
    };
    let path = path.map(|p| std::path::absolute(&p).unwrap_or(p));
    let test = images(test, options, budget);
    Ok(Dataset { name, path, classes, train, validation, test, has_test_split, provenance, warnings })
}

/// Resizes images as the options say, keeping them in memory if that takes at most `budget` bytes.
pub(crate) fn images(raw: RawSplit, options: &DataOptions, budget: usize) -> Images {
    let block = match raw {
        RawSplit::Block(block) => block,
        RawSplit::Files(files, labels) => return Images::from_files(files, labels),
    };
    let (height, width) = options.input.map_or((block.height, block.width), |side| (side, side));
    let channels = options.channels.unwrap_or(block.channels);
    let DataOptions { scale, resize, filter, .. } = *options;
    let is_scaled = scale.is_some_and(|side| side != height.min(width));
    if !is_scaled && (height, width, channels) == (block.height, block.width, block.channels) {
        return Images::from_block(block, filter);
    }
    let spec = ResizeSpec { height, width, channels, scale, resize, filter };
    match block.labels.len().saturating_mul(height * width * channels) <= budget {
        true => Images::from_block(block.resized(&spec), options.filter),
        false => Images::resized_on_demand(block, spec),
    }
}

/// Splits the first `train_size` images of the fixed shuffle into training and validation images.
///
/// Validation images come first in the shuffle, so that runs on 1,000 and on 10,000 images with
/// `validation = 500` use the same 500. None are held out if the source `has_validation` images.
pub(crate) fn split(all: &Images, options: &DataOptions, has_validation: bool) -> Result<(Images, Images)> {
    let n = all.len();
    if n == 0 {
        // A folder that is only tested on.
        return Ok((all.clone(), all.clone()));
    }
    let kept = match options.train_size {
        0 => n,
        size if size <= n => size,
        size => {
            return Err(Error::data(format!("data.train_size is {size}, but there are only {n} training images")));
        }
    };
    let held_out = if has_validation { 0 } else { options.validation.unwrap_or(kept / 10) };
    if held_out >= kept {
        let message = format!("{held_out} validation images leave none of the {kept} images to train on");
        return Err(Error::data(message).with_hint("data.validation = 0 trains on all of them"));
    }
    if kept == n && held_out == 0 {
        return Ok((all.clone(), all.subset(&[])));
    }
    let order = shuffled(n, &mut stream(SPLIT_SEED, Purpose::Split, 0, 0));
    let (validation, train) = order[..kept].split_at(held_out);
    // In the order of the storage, so that neighbouring images are read together.
    let sorted = |indices: &[u32]| {
        let mut indices = indices.to_vec();
        indices.sort_unstable();
        all.subset(&indices)
    };
    Ok((sorted(train), sorted(validation)))
}
