//! MNIST's layout (LeCun, Cortes, Burges): four files of a big-endian header and bytes, `[n, 28,
//! 28]` and `[n]`.
//!
//! The header is 0, 0, the type (8: bytes), the number of dimensions, and each dimension in 32
//! bits. Files may be compressed by gzip.

use super::block::{Block, Names, label_out_of_range};
use super::container::Container;
use super::fingerprint::{Fingerprints, by_statistics};
use super::progress::Progress;
use super::provenance::Provenance;
use super::raw::RawDataset;
use crate::error::{Error, Result};

/// Fashion-MNIST's classes, in label order (Xiao, Rasul, Vollgraf 2017).
const FASHION: [&str; 10] =
    ["t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle-boot"];

/// Finds a file by any of the names in use.
fn find(files: &Container, part: &str, kind: &str) -> Option<String> {
    [".", "-"]
        .iter()
        .flat_map(|dot| ["", ".gz"].map(|gz| format!("{part}{dot}{kind}-ubyte{gz}")))
        .find(|name| files.has(name))
}

/// Finds the file of images of a split.
fn images(files: &Container, part: &str) -> Option<String> {
    find(files, &format!("{part}-images"), "idx3")
}

/// Returns whether the files are in MNIST's layout.
pub(crate) fn is_idx(files: &Container) -> bool {
    images(files, "train").is_some() || images(files, "t10k").is_some()
}

/// Reads MNIST's layout. `asked` is the data set that the user named; it decides the class names if
/// the pixels are neither MNIST's nor Fashion-MNIST's.
pub(crate) fn read(files: &Container, asked: Option<&str>, progress: &mut dyn Progress) -> Result<RawDataset> {
    progress.start(&format!("reading {}", files.path().display()), 2);
    let mut fingerprints = Fingerprints::default();
    let train = read_split(files, "train", &mut fingerprints)?;
    progress.advance(1);
    let test = read_split(files, "t10k", &mut fingerprints)?;
    progress.advance(1);
    if (train.height, train.width) != (test.height, test.width) {
        return Err(Error::data(format!(
            "images of {} differ in size: training images are {}x{}, test images {}x{}",
            files.path().display(),
            train.height,
            train.width,
            test.height,
            test.width
        )));
    }
    let recognised = by_statistics(&train, &test);
    let name = recognised.or(asked).unwrap_or("idx").to_string();
    let observed = train.labels.iter().chain(&test.labels).max().map_or(0, |&label| label as usize + 1);
    let classes = match name.as_str() {
        "fashion-mnist" => FASHION.map(String::from).to_vec(),
        "mnist" => (0..10).map(|digit| digit.to_string()).collect(),
        _ => (0..observed).map(|class| class.to_string()).collect::<Vec<String>>(),
    };
    check_labels(files, &train, &test, classes.len())?;
    let canonical = match (recognised, asked) {
        (Some(_), _) => Some(true),
        (None, Some(_)) => Some(false),
        (None, None) => fingerprints.all_published().then_some(true),
    };
    let images = train.labels.len() + test.labels.len();
    let provenance = Provenance { images, md5: fingerprints.md5(), canonical };
    Ok(RawDataset::in_memory(&name, classes, train, test, provenance))
}

/// Reads the images and labels of one split.
fn read_split(files: &Container, part: &str, fingerprints: &mut Fingerprints) -> Result<Block> {
    let missing = |what: &str| Error::data(format!("{} is missing", files.display(&format!("{part}-{what}-ubyte"))));
    let image_file = images(files, part).ok_or_else(|| missing("images-idx3"))?;
    let label_file = find(files, &format!("{part}-labels"), "idx1").ok_or_else(|| missing("labels-idx1"))?;
    let (image_bytes, label_bytes) = (files.read_unpacked(&image_file)?, files.read_unpacked(&label_file)?);
    fingerprints.add(&format!("{part}-images-idx3-ubyte"), &image_bytes);
    fingerprints.add(&format!("{part}-labels-idx1-ubyte"), &label_bytes);
    let ([n, height, width], pixels) = body::<3>(&image_bytes, &files.display(&image_file))?;
    let ([labels_n], labels) = body::<1>(&label_bytes, &files.display(&label_file))?;
    if n != labels_n {
        let (images, labels) = (files.display(&image_file), files.display(&label_file));
        return Err(Error::data(format!("{images} has {n} images and {labels} {labels_n} labels")));
    }
    let names = Names::Records(vec![(image_file, n)]);
    let labels = labels.iter().map(|&label| u32::from(label)).collect();
    Ok(Block { height, width, channels: 1, pixels: pixels.to_vec(), labels, names })
}

/// Returns the dimensions and the bytes after the header.
fn body<'a, const D: usize>(bytes: &'a [u8], file: &str) -> Result<([usize; D], &'a [u8])> {
    let head = 4 + 4 * D;
    if bytes.len() < head || bytes[..4] != [0, 0, 8, D as u8] {
        return Err(Error::data(format!("{file} is not an idx file of bytes in {D} dimensions")));
    }
    let mut shape = [0; D];
    for (size, word) in shape.iter_mut().zip(bytes[4..head].chunks_exact(4)) {
        *size = word.iter().fold(0, |value, &b| value << 8 | usize::from(b));
    }
    let body = &bytes[head..];
    let record = shape[1..].iter().try_fold(1usize, |product, &n| product.checked_mul(n)).unwrap_or(usize::MAX);
    if shape.contains(&0) {
        return Err(Error::data(format!("{file} is empty: its shape is {shape:?}")));
    }
    match shape[0].checked_mul(record) {
        Some(size) if size == body.len() => Ok((shape, body)),
        Some(size) if size < body.len() => {
            Err(Error::data(format!("{file} has {} bytes more than its {} records need", body.len() - size, shape[0])))
        }
        _ => Err(Error::data(format!("{file} is truncated in record {} of {}", body.len() / record, shape[0]))
            .with_hint("copy or fetch the file again")),
    }
}

/// Checks that every label is below the number of classes.
fn check_labels(files: &Container, train: &Block, test: &Block, classes: usize) -> Result<()> {
    for (part, block) in [("train", train), ("t10k", test)] {
        if let Some(i) = block.labels.iter().position(|&label| label as usize >= classes) {
            let file = find(files, &format!("{part}-labels"), "idx1").unwrap_or_default();
            let (label, file) = (block.labels[i], files.display(&file));
            return Err(label_out_of_range(i64::from(label), i, &file, classes));
        }
    }
    Ok(())
}
