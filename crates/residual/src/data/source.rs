//! From the name of a source to three splits.
//!
//! Every reader returns the same [`Parts`]; what follows is the same for all: bring pictures to the net's size and
//! channels, take the first N of a fixed shuffle, and of those a tenth for validation. The shuffle depends on nothing
//! but the number of pictures, so that two runs with different seeds are validated on the same pictures.

use super::cifar;
use super::container::Container;
use super::options::DataOptions;
use super::pictures::{Block, Dataset, Pictures, Provenance};
use super::progress::Progress;
use super::sample::shuffled;
use super::shapes;
use crate::error::{Error, Result, nearest};
use crate::random::{Purpose, stream};
use std::path::{Path, PathBuf};

/// The seed of the one shuffle that splits training pictures.
const SPLIT_SEED: u64 = 0x5eed_5eed_5eed_5eed;

/// What a reader found.
#[derive(Debug)]
pub(crate) struct Parts {
    pub name: String,
    pub classes: Vec<String>,
    pub train: Block,
    pub validation: Option<Block>,
    pub test: Block,
    pub provenance: Provenance,
    pub warnings: Vec<String>,
}

/// Names that `--data` takes besides folders and archives.
pub const SOURCES: [&str; 5] = ["shapes", "cifar10", "cifar100", "mnist", "fashion-mnist"];

/// Opens a source of pictures: generated, a published data set, a folder or an archive.
///
/// # Errors
/// Where there is no such source, a file is missing, short, truncated or corrupt, a label is out of range, or fewer
/// pictures are there than were asked for. The message names the file, and the record where it is one record's fault.
pub fn open(options: &DataOptions, progress: &mut dyn Progress) -> Result<Dataset> {
    let source = options.source.as_str();
    if source == "shapes" {
        return finish(shapes::generate(progress), None, options);
    }
    let path = PathBuf::from(source);
    if !path.exists() {
        return Err(unknown(source));
    }
    let parts = read(&path, progress)?;
    finish(parts, Some(path), options)
}

fn unknown(source: &str) -> Error {
    let error = Error::data(format!("no data set and no folder is called \"{source}\""));
    match nearest(source, SOURCES) {
        Some(name) => error.with_hint(format!("did you mean \"{name}\"?")),
        None => error.with_hint(format!("take one of {}, or a folder that exists", SOURCES.join(", "))),
    }
}

/// Reads a folder or an archive in whichever layout it is.
fn read(path: &Path, progress: &mut dyn Progress) -> Result<Parts> {
    let files = match path.is_dir() {
        true => Container::Folder(path.to_path_buf()),
        false => Container::unpack(path)?,
    };
    if let Some(parts) = read_layout(&files, progress) {
        return parts;
    }
    for inner in ["cifar-10-batches-bin", "cifar-100-binary"] {
        let inner = Container::Folder(path.join(inner));
        if let Some(parts) = read_layout(&inner, progress) {
            return parts;
        }
    }
    Err(Error::data(format!("{} holds no pictures in a layout that we know", path.display()))
        .with_hint("CIFAR's binary layout has data_batch_1.bin and test_batch.bin"))
}

fn read_layout(files: &Container, progress: &mut dyn Progress) -> Option<Result<Parts>> {
    if cifar::is_binary_10(files) {
        Some(cifar::read_binary_10(files, progress))
    } else if cifar::is_binary_100(files) {
        Some(cifar::read_binary_100(files, progress))
    } else {
        None
    }
}

/// Makes three splits of what was read.
fn finish(parts: Parts, path: Option<PathBuf>, options: &DataOptions) -> Result<Dataset> {
    let Parts { name, classes, train, validation, test, provenance, warnings } = parts;
    let all = Pictures::from_block(train);
    let (train, held_out) = split(&all, options, validation.is_some())?;
    let validation = validation.map_or(held_out, Pictures::from_block);
    let path = path.map(|p| std::path::absolute(&p).unwrap_or(p));
    Ok(Dataset { name, path, classes, train, validation, test: Pictures::from_block(test), provenance, warnings })
}

/// Training and validation pictures from the first `train_size` of the fixed shuffle. Validation comes first in it, so
/// that runs on 1,000 and on 10,000 pictures with `validation = 500` are validated on the same 500.
fn split(all: &Pictures, options: &DataOptions, has_own: bool) -> Result<(Pictures, Pictures)> {
    let n = all.len();
    let kept = match options.train_size {
        0 => n,
        size if size <= n => size,
        size => {
            return Err(Error::data(format!("train_size is {size}, and there are {n} training pictures")));
        }
    };
    let held_out = if has_own { 0 } else { options.validation.unwrap_or(kept / 10) };
    if held_out >= kept {
        let message = format!("{held_out} validation pictures leave none of the {kept} to train on");
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
