//! CIFAR-10's and CIFAR-100's binary layout (Krizhevsky 2009, <https://www.cs.toronto.edu/~kriz/cifar.html>).
//!
//! A record is the label (CIFAR-100: coarse, then fine) and 3072 bytes, `[3, 32, 32]`: all red, all green, all blue. In
//! memory it becomes `[32, 32, 3]`. Files hold nothing but records, so a file's length is the only check on its end.

use super::canonical::{by_statistics, claims_cifar, is_published_file};
use super::container::Container;
use super::images::{Block, Names, Provenance};
use super::progress::Progress;
use super::source::Parts;
use crate::error::{Error, Result};
use md5::{Digest, Md5};
use rayon::prelude::*;
pub(crate) use residual::classes::cifar::{CLASSES_10, CLASSES_100};

/// Pixels of a side.
pub(crate) const SIDE: usize = 32;
/// Bytes of an image.
pub(crate) const PIXELS: usize = 3 * SIDE * SIDE;
/// Records of each of the official files of CIFAR-10.
const OFFICIAL: usize = 10_000;

/// One of the two binary layouts.
#[derive(Debug, Clone, Copy)]
struct Layout {
    /// Bytes before the pixels; the last of them is the label that counts.
    label_bytes: usize,
    /// The file of class names.
    names: &'static str,
}

const CIFAR_10: Layout = Layout { label_bytes: 1, names: "batches.meta.txt" };
const CIFAR_100: Layout = Layout { label_bytes: 2, names: "fine_label_names.txt" };

/// Whether the files are in CIFAR-10's binary layout.
pub(crate) fn is_binary_10(files: &Container) -> bool {
    (1..=5).any(|i| files.has(&format!("data_batch_{i}.bin"))) || files.has("test_batch.bin")
}

/// Whether the files are in CIFAR-100's binary layout.
pub(crate) fn is_binary_100(files: &Container) -> bool {
    files.has("train.bin") || files.has("test.bin")
}

/// Reads CIFAR-10's layout: `data_batch_1.bin` and on, `test_batch.bin`, and class names where there are any.
pub(crate) fn read_binary_10(files: &Container, progress: &mut dyn Progress) -> Result<Parts> {
    let last = (1..=99).rev().find(|i| files.has(&format!("data_batch_{i}.bin"))).unwrap_or(1);
    let train: Vec<String> = (1..=last).map(|i| format!("data_batch_{i}.bin")).collect();
    let classes = read_names(files, CIFAR_10.names)?.unwrap_or_else(|| CLASSES_10.map(String::from).to_vec());
    // Other classes in the same layout, such as `shapes` written out, go by their folder's name.
    let own = files.path().file_stem().map(|name| name.to_string_lossy().into_owned());
    let name = if classes == CLASSES_10 { "cifar10".into() } else { own.unwrap_or_else(|| "images".into()) };
    let parts = read_binary(files, CIFAR_10, &train, "test_batch.bin", classes, &name, progress)?;
    check_lengths(files, &train, &parts)?;
    Ok(parts)
}

/// Reads CIFAR-100's layout: `train.bin`, `test.bin`; labels are the fine ones.
pub(crate) fn read_binary_100(files: &Container, progress: &mut dyn Progress) -> Result<Parts> {
    let train = ["train.bin".to_string()];
    let classes = read_names(files, CIFAR_100.names)?
        .unwrap_or_else(|| CLASSES_100.split_whitespace().map(String::from).collect());
    read_binary(files, CIFAR_100, &train, "test.bin", classes, "cifar100", progress)
}

fn read_binary(
    files: &Container,
    layout: Layout,
    train: &[String],
    test: &str,
    classes: Vec<String>,
    name: &str,
    progress: &mut dyn Progress,
) -> Result<Parts> {
    progress.start(&format!("reading {}", files.path().display()), train.len() as u64 + 1);
    let mut prints = Fingerprints::default();
    let mut blocks = Vec::with_capacity(2);
    for group in [train, &[test.to_string()]] {
        let (mut pixels, mut labels, mut runs) = (Vec::new(), Vec::new(), Vec::new());
        for file in group {
            let bytes = files.read(file)?;
            let (_, records) = rayon::join(
                || prints.add(file, &bytes),
                || decode_records(&bytes, layout, classes.len(), &files.display(file), &mut pixels, &mut labels),
            );
            runs.push((file.clone(), records?));
            progress.advance(1);
        }
        blocks.push(Block { height: SIDE, width: SIDE, channels: 3, pixels, labels, names: Names::Records(runs) });
    }
    let (test, train) = (blocks.pop().expect("two groups"), blocks.pop().expect("two groups"));
    let provenance = prints.provenance(name, &classes, &train, &test);
    Ok(Parts::in_memory(name, classes, train, test, provenance))
}

/// Digests of a data set's files.
#[derive(Default)]
pub(crate) struct Fingerprints {
    md5: Md5,
    /// Whether every file so far is the published one of its name.
    published: Option<bool>,
}

impl Fingerprints {
    pub fn add(&mut self, file: &str, bytes: &[u8]) {
        // MD5 is by far the slower one.
        let (_, published) = rayon::join(|| self.md5.update(bytes), || is_published_file(file, bytes) == Some(true));
        self.published = Some(self.published.unwrap_or(true) && published);
    }

    pub fn md5(self) -> String {
        hex(&self.md5.finalize())
    }

    pub fn all_published(&self) -> bool {
        self.published == Some(true)
    }

    /// Whether these are CIFAR's pixels: by the files' digests, else by statistics, and only where they claim to be.
    pub fn provenance(self, name: &str, classes: &[String], train: &Block, test: &Block) -> Provenance {
        let canonical = match claims_cifar(name, classes, train, test) {
            true => Some(self.all_published() || by_statistics(train, test) == Some(name)),
            false => None,
        };
        Provenance { images: train.labels.len() + test.labels.len(), md5: self.md5(), canonical }
    }
}

/// Appends the records of one file, `[3, 32, 32]` → `[32, 32, 3]`, and returns how many there were.
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
            let message = format!("label {label} of record {i} in {file} is out of range: there are {classes} classes");
            return Err(Error::data(message).with_hint("the file may be corrupt, or its records of another length"));
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

/// `[3, 32, 32]` → `[32, 32, 3]`.
pub(crate) fn interleave(planes: &[u8], out: &mut [u8]) {
    let (red, rest) = planes.split_at(SIDE * SIDE);
    let (green, blue) = rest.split_at(SIDE * SIDE);
    for (((out, r), g), b) in out.chunks_exact_mut(3).zip(red).zip(green).zip(blue) {
        out.copy_from_slice(&[*r, *g, *b]);
    }
}

/// `[32, 32, 3]` → `[3, 32, 32]`.
pub(crate) fn planes(image: &[u8], out: &mut Vec<u8>) {
    for channel in 0..3 {
        out.extend(image.iter().skip(channel).step_by(3));
    }
}

/// A file that lost whole records still looks whole by itself, so files are compared: training files of this layout
/// are equally long, and five of them hold CIFAR-10.
fn check_lengths(files: &Container, train: &[String], parts: &Parts) -> Result<()> {
    let Some(Names::Records(runs)) = parts.train.block().map(|block| &block.names) else { return Ok(()) };
    let full = runs.iter().map(|(_, records)| *records).max().unwrap_or(0);
    for (file, records) in runs {
        if *records < full {
            let file = files.display(file);
            let message = format!("{file} is short: {records} records, where the other training files have {full}");
            return Err(Error::data(message).with_hint("copy or fetch the file again"));
        }
    }
    if full == OFFICIAL && parts.classes == CLASSES_10 {
        if train.len() < 5 {
            let missing = files.display(&format!("data_batch_{}.bin", train.len() + 1));
            return Err(Error::data(format!("{missing} is missing: CIFAR-10 has five training files")));
        }
        let tests = parts.test.labels().len();
        if tests < OFFICIAL {
            let file = files.display("test_batch.bin");
            return Err(Error::data(format!("{file} is short: {tests} records, where CIFAR-10 has {OFFICIAL}"))
                .with_hint("copy or fetch the file again"));
        }
    }
    Ok(())
}

/// Class names, a line each; `None` without the file.
fn read_names(files: &Container, file: &str) -> Result<Option<Vec<String>>> {
    if !files.has(file) {
        return Ok(None);
    }
    let text = String::from_utf8(files.read(file)?).map_err(|_| {
        Error::data(format!("{} is not text: it should hold a class name per line", files.display(file)))
    })?;
    let names: Vec<String> = text.lines().map(str::trim).filter(|l| !l.is_empty()).map(String::from).collect();
    match names.len() {
        1..=256 => Ok(Some(names)),
        0 => Err(Error::data(format!("{} names no class", files.display(file)))),
        n => Err(Error::data(format!("{} names {n} classes, and a label byte tells 256 apart", files.display(file)))),
    }
}

/// Bytes as text, two digits each.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
