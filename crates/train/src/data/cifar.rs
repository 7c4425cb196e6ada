//! CIFAR-10's and CIFAR-100's binary layout (Krizhevsky 2009,
//! <https://www.cs.toronto.edu/~kriz/cifar.html>).
//!
//! A record is the label (CIFAR-100: coarse, then fine) and 3072 bytes, `[3, 32, 32]`: all red, all
//! green, all blue. In memory it becomes `[32, 32, 3]`. Files consist of records alone, so that a
//! file's length is the only check on its end.

use super::block::{Block, Names, label_out_of_range};
use super::container::Container;
use super::fingerprint::Fingerprints;
use super::progress::Progress;
use super::raw::RawDataset;
use crate::error::{Error, Result};
use rayon::prelude::*;
use residual::classes::cifar::{CLASSES_10, CLASSES_100};

/// Pixels along each side.
pub(crate) const SIDE: usize = 32;
/// Bytes of an image.
pub(crate) const PIXELS: usize = 3 * SIDE * SIDE;
/// Records in each of the official files of CIFAR-10.
const OFFICIAL_RECORDS: usize = 10_000;

/// One of the two binary layouts.
#[derive(Debug, Clone, Copy)]
struct Layout {
    /// Bytes before the pixels; the last of them is the label.
    label_bytes: usize,
    /// File of class names.
    names: &'static str,
}

const CIFAR_10: Layout = Layout { label_bytes: 1, names: "batches.meta.txt" };
const CIFAR_100: Layout = Layout { label_bytes: 2, names: "fine_label_names.txt" };

/// Returns whether the files are in CIFAR-10's binary layout.
pub(crate) fn is_binary_10(files: &Container) -> bool {
    (1..=5).any(|i| files.has(&format!("data_batch_{i}.bin"))) || files.has("test_batch.bin")
}

/// Returns whether the files are in CIFAR-100's binary layout.
pub(crate) fn is_binary_100(files: &Container) -> bool {
    files.has("train.bin") || files.has("test.bin")
}

/// Reads CIFAR-10's layout: `data_batch_1.bin` and so on, `test_batch.bin`, and class names if
/// there are any.
pub(crate) fn read_binary_10(files: &Container, progress: &mut dyn Progress) -> Result<RawDataset> {
    let last = (1..=99).rev().find(|i| files.has(&format!("data_batch_{i}.bin"))).unwrap_or(1);
    let train: Vec<String> = (1..=last).map(|i| format!("data_batch_{i}.bin")).collect();
    let classes = read_names(files, CIFAR_10.names)?.unwrap_or_else(|| CLASSES_10.map(String::from).to_vec());
    // Other classes in the same layout, such as `shapes`, are named after their folder.
    let own = files.path().file_stem().map(|name| name.to_string_lossy().into_owned());
    let name = if classes == CLASSES_10 { "cifar10".into() } else { own.unwrap_or_else(|| "images".into()) };
    let raw = read_binary(files, CIFAR_10, &train, "test_batch.bin", classes, &name, progress)?;
    check_lengths(files, &train, &raw)?;
    Ok(raw)
}

/// Reads CIFAR-100's layout, `train.bin` and `test.bin`, with the fine labels.
pub(crate) fn read_binary_100(files: &Container, progress: &mut dyn Progress) -> Result<RawDataset> {
    let train = ["train.bin".to_string()];
    let classes = read_names(files, CIFAR_100.names)?
        .unwrap_or_else(|| CLASSES_100.split_whitespace().map(String::from).collect());
    read_binary(files, CIFAR_100, &train, "test.bin", classes, "cifar100", progress)
}

/// Reads the files of both splits.
fn read_binary(
    files: &Container,
    layout: Layout,
    train: &[String],
    test: &str,
    classes: Vec<String>,
    name: &str,
    progress: &mut dyn Progress,
) -> Result<RawDataset> {
    progress.start(&format!("reading {}", files.path().display()), train.len() as u64 + 1);
    let mut fingerprints = Fingerprints::default();
    let mut blocks = Vec::with_capacity(2);
    for group in [train, &[test.to_string()]] {
        let (mut pixels, mut labels, mut runs) = (Vec::new(), Vec::new(), Vec::new());
        for file in group {
            let bytes = files.read(file)?;
            let (_, records) = rayon::join(
                || fingerprints.add(file, &bytes),
                || decode_records(&bytes, layout, classes.len(), &files.display(file), &mut pixels, &mut labels),
            );
            runs.push((file.clone(), records?));
            progress.advance(1);
        }
        blocks.push(Block { height: SIDE, width: SIDE, channels: 3, pixels, labels, names: Names::Records(runs) });
    }
    let (test, train) = (blocks.pop().expect("two groups"), blocks.pop().expect("two groups"));
    let provenance = fingerprints.provenance(name, &classes, &train, &test);
    Ok(RawDataset::in_memory(name, classes, train, test, provenance))
}

/// Appends the records of one file, each `[3, 32, 32]`, as `[32, 32, 3]` and returns their number.
fn decode_records(
    bytes: &[u8],
    layout: Layout,
    classes: usize,
    file: &str,
    pixels: &mut Vec<u8>,
    labels: &mut Vec<u32>,
) -> Result<usize> {
    let record = layout.label_bytes + PIXELS;
    let records = bytes.len() / record;
    if records == 0 {
        return Err(Error::data(format!("{file} is too short: {} bytes, where a record has {record}", bytes.len())));
    }
    if !bytes.len().is_multiple_of(record) {
        let rest = bytes.len() % record;
        return Err(Error::data(format!("{file} is truncated: record {records} has {rest} of {record} bytes"))
            .with_hint("copy or fetch the file again"));
    }
    for (i, record) in bytes.chunks_exact(record).enumerate() {
        let label = record[layout.label_bytes - 1] as usize;
        if label >= classes {
            return Err(label_out_of_range(label as i64, i, file, classes));
        }
        labels.push(label as u32);
    }
    let before = pixels.len();
    pixels.resize(before + records * PIXELS, 0);
    pixels[before..]
        .par_chunks_exact_mut(PIXELS)
        .zip(bytes.par_chunks_exact(record))
        .for_each(|(out, record)| interleave(&record[layout.label_bytes..], out));
    Ok(records)
}

/// Converts an image from `[3, 32, 32]` to `[32, 32, 3]`.
pub(crate) fn interleave(planes: &[u8], out: &mut [u8]) {
    let (red, rest) = planes.split_at(SIDE * SIDE);
    let (green, blue) = rest.split_at(SIDE * SIDE);
    for (((out, r), g), b) in out.chunks_exact_mut(3).zip(red).zip(green).zip(blue) {
        out.copy_from_slice(&[*r, *g, *b]);
    }
}

/// Appends an image `[32, 32, 3]` as `[3, 32, 32]`.
pub(crate) fn planes(image: &[u8], out: &mut Vec<u8>) {
    for channel in 0..3 {
        out.extend(image.iter().skip(channel).step_by(3));
    }
}

/// Checks that no file has lost whole records, by comparing files: training files of this layout
/// have equal lengths, and CIFAR-10 has five of them.
fn check_lengths(files: &Container, train: &[String], raw: &RawDataset) -> Result<()> {
    let Some(Names::Records(runs)) = raw.train.block().map(|block| &block.names) else { return Ok(()) };
    let full = runs.iter().map(|(_, records)| *records).max().unwrap_or(0);
    for (file, records) in runs {
        if *records < full {
            let file = files.display(file);
            let message = format!("{file} is short: {records} records, where the other training files have {full}");
            return Err(Error::data(message).with_hint("copy or fetch the file again"));
        }
    }
    if full == OFFICIAL_RECORDS && raw.classes == CLASSES_10 {
        if train.len() < 5 {
            let missing = files.display(&format!("data_batch_{}.bin", train.len() + 1));
            return Err(Error::data(format!("{missing} is missing: CIFAR-10 has five training files")));
        }
        let tests = raw.test.labels().len();
        if tests < OFFICIAL_RECORDS {
            let file = files.display("test_batch.bin");
            return Err(Error::data(format!(
                "{file} is short: {tests} records, where CIFAR-10 has {OFFICIAL_RECORDS}"
            ))
            .with_hint("copy or fetch the file again"));
        }
    }
    Ok(())
}

/// Reads class names, one per line; `None` if there is no such file.
fn read_names(files: &Container, file: &str) -> Result<Option<Vec<String>>> {
    if !files.has(file) {
        return Ok(None);
    }
    let text = String::from_utf8(files.read(file)?).map_err(|_| {
        Error::data(format!("{} is not UTF-8 text: it must have a class name per line", files.display(file)))
    })?;
    let names: Vec<String> = text.lines().map(str::trim).filter(|l| !l.is_empty()).map(String::from).collect();
    match names.len() {
        1..=256 => Ok(Some(names)),
        0 => Err(Error::data(format!("{} has no class name", files.display(file)))),
        n => Err(Error::data(format!(
            "{} has {n} class names, but a label is a byte: at most 256 are possible",
            files.display(file)
        ))),
    }
}
