//! CIFAR's Python layout: pickled dictionaries with `data`, `[n, 3072]` as `[n, 3, 32, 32]`, and a
//! list of labels.

use super::block::{Block, Names, label_out_of_range};
use super::cifar::{PIXELS, SIDE, interleave};
use super::container::Container;
use super::fingerprint::Fingerprints;
use super::progress::Progress;
use super::raw::RawDataset;
use crate::error::{Error, Result};
use crate::pickle::Pickle;
use rayon::prelude::*;
use residual::classes::cifar::{CLASSES_10, CLASSES_100};

/// Files and keys of one of the two data sets.
struct Layout {
    name: &'static str,
    train: &'static [&'static str],
    test: &'static str,
    labels: &'static str,
    meta: &'static str,
    names: &'static str,
}

const CIFAR_10: Layout = Layout {
    name: "cifar10",
    train: &["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5"],
    test: "test_batch",
    labels: "labels",
    meta: "batches.meta",
    names: "label_names",
};

const CIFAR_100: Layout = Layout {
    name: "cifar100",
    train: &["train"],
    test: "test",
    labels: "fine_labels",
    meta: "meta",
    names: "fine_label_names",
};

/// Returns whether the files are in CIFAR-10's Python layout.
pub(crate) fn is_python_10(files: &Container) -> bool {
    files.has("test_batch") || CIFAR_10.train.iter().any(|file| files.has(file))
}

/// Returns whether the files are in CIFAR-100's Python layout. `train` alone could be something
/// else.
pub(crate) fn is_python_100(files: &Container) -> bool {
    files.has("train") && (files.has("test") || files.has("meta"))
}

/// Reads CIFAR-10's Python layout.
pub(crate) fn read_python_10(files: &Container, progress: &mut dyn Progress) -> Result<RawDataset> {
    read(files, &CIFAR_10, CLASSES_10.map(String::from).to_vec(), progress)
}

/// Reads CIFAR-100's Python layout with the fine labels.
pub(crate) fn read_python_100(files: &Container, progress: &mut dyn Progress) -> Result<RawDataset> {
    read(files, &CIFAR_100, CLASSES_100.split_whitespace().map(String::from).collect(), progress)
}

/// Reads the files of both splits; `known` are the class names where no file has them.
fn read(files: &Container, layout: &Layout, known: Vec<String>, progress: &mut dyn Progress) -> Result<RawDataset> {
    progress.start(&format!("reading {}", files.path().display()), layout.train.len() as u64 + 1);
    let classes = match files.has(layout.meta) {
        true => {
            let meta = Pickle::read(&files.read(layout.meta)?, &files.display(layout.meta))?;
            let names = meta.get(layout.names).and_then(|id| meta.texts(id)).filter(|names| !names.is_empty());
            names.ok_or_else(|| Error::data(format!("{} has no class names", files.display(layout.meta))))?
        }
        false => known,
    };
    let mut fingerprints = Fingerprints::default();
    let mut block = |group: &[&str]| {
        let (mut pixels, mut labels, mut runs) = (Vec::new(), Vec::new(), Vec::new());
        for &file in group {
            let bytes = files.read(file)?;
            fingerprints.add(file, &bytes);
            let records = decode(&bytes, layout, classes.len(), &files.display(file), &mut pixels, &mut labels)?;
            runs.push((file.to_string(), records));
            progress.advance(1);
        }
        Ok(Block { height: SIDE, width: SIDE, channels: 3, pixels, labels, names: Names::Records(runs) })
    };
    let (train, test): (Block, Block) = (block(layout.train)?, block(&[layout.test])?);
    let provenance = fingerprints.provenance(layout.name, &classes, &train, &test);
    Ok(RawDataset::in_memory(layout.name, classes, train, test, provenance))
}

/// Appends the records of one file and returns their number.
fn decode(
    bytes: &[u8],
    layout: &Layout,
    classes: usize,
    file: &str,
    pixels: &mut Vec<u8>,
    labels: &mut Vec<u32>,
) -> Result<usize> {
    let pickle = Pickle::read(bytes, file)?;
    let missing = |what: &str| Error::data(format!("{file} has no {what}"));
    let array = pickle.get("data").and_then(|id| pickle.array(id));
    let array = array.ok_or_else(|| missing("\"data\" that is an array of bytes"))?;
    let [records, PIXELS] = array.shape[..] else {
        return Err(Error::data(format!(
            "\"data\" of {file} must have the shape [n, {PIXELS}], got {:?}",
            array.shape
        )));
    };
    let found = pickle.get(layout.labels).and_then(|id| pickle.integers(id));
    let found = found.ok_or_else(|| missing(&format!("list of \"{}\"", layout.labels)))?;
    if found.len() != records {
        return Err(Error::data(format!("{file} has {records} images and {} labels", found.len())));
    }
    for (i, label) in found.into_iter().enumerate() {
        match u32::try_from(label) {
            Ok(label) if (label as usize) < classes => labels.push(label),
            _ => return Err(label_out_of_range(label, i, file, classes)),
        }
    }
    let before = pixels.len();
    pixels.resize(before + records * PIXELS, 0);
    let out = pixels[before..].par_chunks_exact_mut(PIXELS);
    out.zip(array.data.par_chunks_exact(PIXELS)).for_each(|(out, planes)| interleave(planes, out));
    Ok(records)
}
