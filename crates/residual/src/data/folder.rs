//! One's own pictures: a folder per class, JPEG or PNG, any sizes.
//!
//! `DIR/{train,val,test}/CLASS/*`, or a flat `DIR/CLASS/*` that is split 80/10/10 by a hash of the file name: a picture
//! stays in its split whatever else is added or removed. Classes are numbered by sorted name. Pictures are decoded once
//! and kept at the net's size where all of them fit in the budget; otherwise they stay on disk, and a file is then
//! checked for its head and its end, not decoded, before the run.

use super::cifar::hex;
use super::options::DataOptions;
use super::picture::Picture;
use super::pictures::{Block, Names, Provenance};
use super::progress::Progress;
use super::resample::Fit;
use super::source::{Found, Parts, Thoroughness};
use crate::error::{Error, Result};
use md5::{Digest, Md5};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Files read at once: enough to keep the threads busy, few enough to hold in memory.
const CHUNK: usize = 128;
/// Side of the net's input where neither the user nor the pictures say.
const SIDE: usize = 224;
/// How many bad pictures an error names.
const NAMED: usize = 5;

/// Pictures that are decoded when asked for.
#[derive(Debug)]
pub(crate) struct FileStore {
    paths: Vec<PathBuf>,
    fit: Fit,
}

impl FileStore {
    pub fn fit(&self) -> Fit {
        self.fit
    }

    pub fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    pub fn picture(&self, i: usize) -> Result<Picture> {
        Picture::open(&self.paths[i])
    }

    pub fn pixels(&self, i: usize) -> Result<Vec<u8>> {
        Ok(self.picture(i)?.fitted(&self.fit))
    }
}

/// Files of one split with their labels.
#[derive(Debug, Default)]
struct Listing {
    paths: Vec<PathBuf>,
    labels: Vec<u32>,
}

/// The three splits of a folder, and what to tell about them.
struct Splits {
    classes: Vec<String>,
    train: Listing,
    validation: Option<Listing>,
    test: Listing,
    warnings: Vec<String>,
}

/// Whether the folder has class folders with pictures, or `train` with some.
pub(crate) fn is_folder(path: &Path) -> bool {
    fs::read_dir(path).is_ok_and(|mut entries| entries.any(|e| e.is_ok_and(|e| e.path().is_dir())))
}

/// Reads a folder of pictures; they are kept in memory where that takes at most `budget` bytes.
pub(crate) fn read(
    path: &Path,
    options: &DataOptions,
    thoroughness: Thoroughness,
    budget: usize,
    progress: &mut dyn Progress,
) -> Result<Parts> {
    let mut splits = list(path, options.validation == Some(0))?;
    let total =
        splits.train.paths.len() + splits.validation.as_ref().map_or(0, |v| v.paths.len()) + splits.test.paths.len();
    let fit = fit(&splits, options);
    let keep = total.saturating_mul(fit.height * fit.width * fit.channels) <= budget;
    let decode = keep || thoroughness == Thoroughness::Everything;
    let mut reader =
        Reader { fit, keep, decode, skip_bad: options.skip_bad, md5: Md5::new(), bad: Vec::new(), read: 0 };
    progress.start(if keep { "reading pictures" } else { "checking pictures" }, total as u64);
    let train = reader.read(splits.train, progress)?;
    let validation = splits.validation.map(|listing| reader.read(listing, progress)).transpose()?;
    let test = reader.read(splits.test, progress)?;
    reader.report(total, progress, &mut splits.warnings)?;
    splits.warnings.extend(imbalance(&splits.classes, train.labels()));
    let name = fs::canonicalize(path).ok().and_then(|p| Some(p.file_name()?.to_string_lossy().into_owned()));
    let provenance = Provenance { images: reader.read, md5: hex(&reader.md5.finalize()), canonical: None };
    let (classes, warnings) = (splits.classes, splits.warnings);
    Ok(Parts {
        name: name.unwrap_or_else(|| "pictures".into()),
        classes,
        train,
        validation,
        test,
        provenance,
        warnings,
    })
}

/// The size to bring pictures to: what was asked for; else the pictures' own where all are squares of one size up to
/// 224; else 224.
fn fit(splits: &Splits, options: &DataOptions) -> Fit {
    let side = options.input.unwrap_or_else(|| {
        let mut own = None;
        for path in &splits.train.paths {
            match image::image_dimensions(path) {
                Ok((w, h)) if w == h && w as usize <= SIDE && own.is_none_or(|side| side == w) => own = Some(w),
                _ => return SIDE,
            }
        }
        own.map_or(SIDE, |side| side as usize)
    });
    let DataOptions { scale, resize, filter, .. } = *options;
    Fit { height: side, width: side, channels: options.channels.unwrap_or(3), scale, resize, filter }
}

/// Reads the files of all splits, one after the other.
struct Reader {
    fit: Fit,
    keep: bool,
    decode: bool,
    skip_bad: bool,
    md5: Md5,
    bad: Vec<Error>,
    read: usize,
}

impl Reader {
    fn read(&mut self, listing: Listing, progress: &mut dyn Progress) -> Result<Found> {
        let stride = self.fit.height * self.fit.width * self.fit.channels;
        let (mut paths, mut labels) =
            (Vec::with_capacity(listing.paths.len()), Vec::with_capacity(listing.paths.len()));
        let mut pixels = Vec::with_capacity(if self.keep { listing.paths.len() * stride } else { 0 });
        for (chunk, chunk_labels) in listing.paths.chunks(CHUNK).zip(listing.labels.chunks(CHUNK)) {
            let (fit, decode) = (self.fit, self.decode);
            let read: Vec<Result<(Vec<u8>, Vec<u8>)>> =
                chunk.par_iter().map(|path| read_one(path, fit, decode)).collect();
            for ((path, &label), read) in chunk.iter().zip(chunk_labels).zip(read) {
                match read {
                    Ok((bytes, fitted)) => {
                        self.md5.update(&bytes);
                        self.read += 1;
                        if self.keep {
                            pixels.extend_from_slice(&fitted);
                        }
                        paths.push(path.clone());
                        labels.push(label);
                    }
                    Err(error) => self.bad.push(error),
                }
            }
            progress.advance(chunk.len() as u64);
        }
        if !self.keep {
            return Ok(Found::Files(FileStore { paths, fit: self.fit }, labels));
        }
        let Fit { height, width, channels, .. } = self.fit;
        Ok(Found::Block(Block { height, width, channels, pixels, labels, names: Names::Files(paths) }))
    }

    /// Stops for pictures that do not decode, or counts them.
    fn report(&self, total: usize, progress: &mut dyn Progress, warnings: &mut Vec<String>) -> Result<()> {
        let Some(first) = self.bad.first() else { return Ok(()) };
        let names: Vec<String> = self.bad.iter().take(NAMED).map(ToString::to_string).collect();
        if self.skip_bad && self.read > 0 {
            let text = format!("left out {} of {total} pictures: {}", self.bad.len(), names.join("; "));
            progress.note(&text);
            warnings.push(text);
            return Ok(());
        }
        let message = match self.bad.len() {
            1 => first.to_string(),
            n => format!("{n} of {total} pictures do not decode: {}", names.join("; ")),
        };
        Err(Error::data(message).with_hint("mend or remove them, or go on without them: --skip-bad"))
    }
}

/// A file's bytes, and its pixels at the net's size where it is to be decoded.
fn read_one(path: &Path, fit: Fit, decode: bool) -> Result<(Vec<u8>, Vec<u8>)> {
    let bytes = fs::read(path).map_err(|e| Error::io("read", path, e))?;
    let name = path.display().to_string();
    let fitted = match decode {
        true => Picture::decode(&bytes, &name)?.fitted(&fit),
        false => Picture::inspect(&bytes, &name).map(|_| Vec::new())?,
    };
    Ok((bytes, fitted))
}

/// A class with one picture, or twenty times fewer than another.
fn imbalance(classes: &[String], labels: &[u32]) -> Vec<String> {
    let mut counts = vec![0usize; classes.len()];
    labels.iter().for_each(|&label| counts[label as usize] += 1);
    let most = (0..counts.len()).max_by_key(|&i| counts[i]).unwrap_or(0);
    let warn = |(class, &n): (&String, &usize)| match n {
        0 => Some(format!("class \"{class}\" has no training picture: it cannot be learnt")),
        1 => Some(format!("class \"{class}\" has one training picture")),
        n if counts[most] > 20 * n => Some(format!(
            "class \"{class}\" has {n} training pictures and \"{}\" has {}, more than twenty times as many: nets neglect \
             rare classes",
            classes[most], counts[most]
        )),
        _ => None,
    };
    classes.iter().zip(&counts).filter_map(warn).collect()
}

/// Finds the files of each split. `train_on_all` leaves a flat folder without validation pictures.
fn list(root: &Path, train_on_all: bool) -> Result<Splits> {
    let named = |names: &[&str]| names.iter().map(|n| root.join(n)).find(|p| p.is_dir());
    let Some(train) = named(&["train"]) else { return flat(root, train_on_all) };
    let (validation, test) = (named(&["val", "valid", "validation"]), named(&["test"]));
    let mut warnings = Vec::new();
    let classes = class_folders(&train)?;
    let files = |folder: &Path, warnings: &mut Vec<String>| listing(folder, &classes, warnings);
    let (validation, test) = match (validation, test) {
        (validation, Some(test)) => (validation, test),
        (Some(val), None) => {
            warnings
                .push(format!("{} has no test folder: val is tested, and a tenth of train validates", root.display()));
            (None, val)
        }
        (None, None) => {
            warnings.push(format!("{} has neither val nor test: train is split 80/10/10", root.display()));
            let flat = flat(&train, train_on_all)?;
            return Ok(Splits { warnings: warnings.into_iter().chain(flat.warnings).collect(), ..flat });
        }
    };
    let train = files(&train, &mut warnings)?;
    let validation = validation.map(|v| files(&v, &mut warnings)).transpose()?;
    let test = files(&test, &mut warnings)?;
    every_class(root, &classes, &train)?;
    if test.paths.is_empty() {
        return Err(Error::data(format!("the test folder of {} holds no pictures", root.display())));
    }
    Ok(Splits { classes, train, validation, test, warnings })
}

fn flat(root: &Path, train_on_all: bool) -> Result<Splits> {
    let classes = class_folders(root)?;
    let mut warnings = Vec::new();
    let all = listing(root, &classes, &mut warnings)?;
    every_class(root, &classes, &all)?;
    let mut splits: [Listing; 3] = Default::default();
    let mut place: Vec<usize> = all.paths.iter().map(|p| bucket(p)).collect();
    if train_on_all {
        place.iter_mut().filter(|p| **p == 1).for_each(|p| *p = 0);
    }
    // So few pictures that a split got none: each class of three or more gives it one.
    for split in if train_on_all { 2..3 } else { 1..3 } {
        if !place.contains(&split) {
            give_one_of_each(&all.labels, classes.len(), split, &mut place);
        }
    }
    for ((path, label), place) in all.paths.into_iter().zip(all.labels).zip(place) {
        splits[place].paths.push(path);
        splits[place].labels.push(label);
    }
    let [train, validation, test] = splits;
    if train.paths.is_empty() || test.paths.is_empty() {
        return Err(Error::data(format!(
            "{} has too few pictures to train on some and test on others",
            root.display()
        ))
        .with_hint("three pictures of a class are the least"));
    }
    Ok(Splits { classes, train, validation: Some(validation), test, warnings })
}

fn give_one_of_each(labels: &[u32], classes: usize, split: usize, place: &mut [usize]) {
    for class in 0..classes as u32 {
        let mine: Vec<usize> = (0..labels.len()).filter(|&i| labels[i] == class && place[i] == 0).collect();
        if let [.., last] = mine.as_slice()
            && mine.len() >= 2
        {
            place[*last] = split;
        }
    }
}

/// 0, 1 or 2 (training, validation, test; 80/10/10) by the MD5 of the file's name.
fn bucket(path: &Path) -> usize {
    let name = path.file_name().unwrap_or_default();
    let digest = Md5::digest(name.to_string_lossy().as_bytes());
    let first = digest.iter().take(4).fold(0u32, |n, &byte| n << 8 | u32::from(byte));
    match first % 10 {
        0..8 => 0,
        8 => 1,
        _ => 2,
    }
}

/// Sorted names of the folders that are classes.
fn class_folders(root: &Path) -> Result<Vec<String>> {
    let mut classes = Vec::new();
    for entry in entries(root)? {
        let name = entry.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if entry.is_dir() && !name.starts_with('.') {
            classes.push(name);
        }
    }
    match classes.len() {
        0 => Err(Error::data(format!("{} holds no class folders", root.display()))
            .with_hint("put the pictures of each class into a folder of its own, named after it")),
        1 => Err(Error::data(format!("{} holds one class, \"{}\"", root.display(), classes[0]))
            .with_hint("a classifier tells at least two apart: a folder for each")),
        _ => Ok(classes),
    }
}

/// A folder's entries, sorted.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let read = || fs::read_dir(folder)?.map(|e| Ok(e?.path())).collect::<std::io::Result<Vec<PathBuf>>>();
    let mut paths = read().map_err(|e| Error::io("read", folder, e))?;
    paths.sort();
    Ok(paths)
}

/// The pictures of every class of one split. A folder that is not a class of the training pictures is an error.
fn listing(root: &Path, classes: &[String], warnings: &mut Vec<String>) -> Result<Listing> {
    let mut listing = Listing::default();
    let mut others: BTreeMap<String, usize> = BTreeMap::new();
    for folder in entries(root)?.into_iter().filter(|p| p.is_dir()) {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        let Ok(label) = classes.binary_search(&name) else {
            return Err(Error::data(format!("{} is a class that the training pictures do not have", folder.display())));
        };
        gather(&folder, 0, &mut listing.paths, &mut others)?;
        listing.labels.resize(listing.paths.len(), label as u32);
    }
    if !others.is_empty() {
        let kinds: Vec<String> = others.iter().map(|(kind, n)| format!("{n} {kind}")).collect();
        warnings.push(format!("{} holds files that are neither JPEG nor PNG: {}", root.display(), kinds.join(", ")));
    }
    Ok(listing)
}

/// Pictures of a folder and of folders in it; `others` counts files of other kinds. Eight levels: a link to a folder
/// above would never end.
fn gather(
    folder: &Path,
    depth: usize,
    pictures: &mut Vec<PathBuf>,
    others: &mut BTreeMap<String, usize>,
) -> Result<()> {
    for path in entries(folder)? {
        let hidden = path.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.'));
        if hidden {
            continue;
        }
        if path.is_dir() {
            if depth < 8 {
                gather(&path, depth + 1, pictures, others)?;
            }
            continue;
        }
        let kind = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
        match kind.as_str() {
            "jpg" | "jpeg" | "png" => pictures.push(path),
            "" => *others.entry("without an extension".into()).or_default() += 1,
            _ => *others.entry(format!(".{kind}")).or_default() += 1,
        }
    }
    Ok(())
}

fn every_class(root: &Path, classes: &[String], listing: &Listing) -> Result<()> {
    let mut seen = vec![false; classes.len()];
    listing.labels.iter().for_each(|&label| seen[label as usize] = true);
    match classes.iter().zip(seen).find(|(_, seen)| !seen) {
        Some((class, _)) => {
            Err(Error::data(format!("class folder \"{class}\" in {} holds no pictures", root.display()))
                .with_hint("remove the folder, or put JPEG or PNG files into it"))
        }
        None => Ok(()),
    }
}
