//! One's own images: a folder per class, JPEG, PNG, WebP or BMP, any sizes.
//!
//! `tree` walks the folder, `index` remembers a large one, `splits` says which image is for what and of which class,
//! `labels` reads files of labels and names, `matlab` the development kit's. Images are decoded once and kept at the
//! net's size where all of them fit in the budget; otherwise they stay on disk, and a file is then checked for its head
//! and its end, not decoded, before the first run. Only where bad images are to be left out is each decoded then: one
//! that is damaged in its middle would end the run.

mod index;
mod labels;
mod matlab;
mod splits;
#[cfg(test)]
mod tests;
mod tree;

pub(crate) use splits::KAGGLE;
pub use tree::images_below;

use super::cifar::hex;
use super::images::{Block, Names, Provenance};
use super::options::DataOptions;
use super::progress::Progress;
use super::source::{Found, Parts, Thoroughness};
use crate::error::{Error, Result};
use index::{Checked, Index};
use md5::{Digest, Md5};
use rayon::prelude::*;
use residual::image::ResizeSpec;
use residual::image::{Colours, Image, is_image_name};
use splits::{Listing, Splits};
use std::fs;
use std::path::{Path, PathBuf};

/// Files read at once: enough to keep the threads busy, few enough to hold in memory.
const CHUNK: usize = 128;
/// Side of the net's input where neither the user nor the images say.
const SIDE: usize = 224;
/// How many bad images an error names.
const NAMED: usize = 5;

/// Images that are decoded when asked for.
#[derive(Debug)]
pub(crate) struct FileStore {
    paths: Vec<PathBuf>,
    fit: ResizeSpec,
}

impl FileStore {
    pub fn fit(&self) -> ResizeSpec {
        self.fit
    }

    pub fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    pub fn image(&self, i: usize) -> Result<Image> {
        Image::open(&self.paths[i])
    }

    pub fn pixels(&self, i: usize) -> Result<Vec<u8>> {
        Ok(self.image(i)?.fitted(&self.fit))
    }
}

/// Whether the folder has folders or images in it.
pub(crate) fn is_folder(path: &Path) -> bool {
    let is_ours = |path: PathBuf| path.is_dir() || is_image_name(&path);
    fs::read_dir(path).is_ok_and(|mut entries| entries.any(|e| e.is_ok_and(|e| is_ours(e.path()))))
}

/// Reads a folder of images; they are kept in memory where that takes at most `budget` bytes.
pub(crate) fn read(
    path: &Path,
    options: &DataOptions,
    thoroughness: Thoroughness,
    budget: usize,
    progress: &mut dyn Progress,
) -> Result<Parts> {
    let mut index = match thoroughness {
        Thoroughness::Ends => Index::open(path)?,
        Thoroughness::Everything => Index::anew(path)?,
    };
    let mut splits = splits::list(path, &index.tree, options.validation == Some(0))?;
    let total =
        splits.train.paths.len() + splits.validation.as_ref().map_or(0, |v| v.paths.len()) + splits.test.paths.len();
    let fit = fit(&splits, options);
    let keep = total.saturating_mul(fit.height * fit.width * fit.channels) <= budget;
    let decode = keep || thoroughness == Thoroughness::Everything || options.skip_bad;
    let mut reader = Reader {
        root: path,
        fit,
        keep,
        decode,
        skip_bad: options.skip_bad,
        whole: Vec::new(),
        bad: Vec::new(),
        read: 0,
        profiled: 0,
    };
    // Images that stay on disk and were whole when they were last read are not read again.
    let known = index.checked.take().filter(|checked| !keep && (checked.decoded || !decode));
    let known = known.and_then(|checked| reader.recall(checked));
    progress
        .start(if keep { "reading images" } else { "checking images" }, if known.is_some() { 0 } else { total } as u64);
    let mut read = |listing| match &known {
        Some(known) => Ok(reader.recalled(listing, known)),
        None => reader.read(listing, progress),
    };
    let train = read(splits.train)?;
    let validation = splits.validation.map(&mut read).transpose()?;
    let test = read(splits.test)?;
    let md5 = known.as_ref().map_or_else(|| reader.fingerprint(), |known| known.md5.clone());
    if !keep && known.is_none() {
        index.remember(reader.checked(md5.clone()));
    }
    reader.report(total, &mut splits.warnings)?;
    if !train.labels().is_empty() {
        splits.warnings.extend(imbalance(&splits.classes, train.labels()));
    }
    let name = fs::canonicalize(path).ok().and_then(|p| Some(p.file_name()?.to_string_lossy().into_owned()));
    let provenance = Provenance { images: reader.read, md5, canonical: None };
    let name = name.unwrap_or_else(|| "images".into());
    let (classes, has_test_split, warnings) = (splits.classes, splits.has_test_split, splits.warnings);
    Ok(Parts { name, classes, train, validation, test, has_test_split, provenance, warnings })
}

/// The size to bring images to: what was asked for; else the images' own where all are squares of one size up to
/// 224; else 224.
fn fit(splits: &Splits, options: &DataOptions) -> ResizeSpec {
    let side = options.input.unwrap_or_else(|| {
        let mut own = None;
        for path in splits.train.paths.iter().chain(&splits.test.paths) {
            match image::image_dimensions(path) {
                Ok((w, h)) if w == h && w as usize <= SIDE && own.is_none_or(|side| side == w) => own = Some(w),
                _ => return SIDE,
            }
        }
        own.map_or(SIDE, |side| side as usize)
    });
    let DataOptions { scale, resize, filter, .. } = *options;
    ResizeSpec { height: side, width: side, channels: options.channels.unwrap_or(3), scale, resize, filter }
}

/// Reads the files of all splits, one after the other.
struct Reader<'a> {
    root: &'a Path,
    fit: ResizeSpec,
    keep: bool,
    decode: bool,
    skip_bad: bool,
    /// Whole images and their MD5.
    whole: Vec<(PathBuf, [u8; 16])>,
    bad: Vec<(PathBuf, Error)>,
    read: usize,
    /// Images whose colour profile is ignored.
    profiled: usize,
}

impl Reader<'_> {
    /// An image's place seen from the folder.
    fn within<'p>(&self, path: &'p Path) -> &'p Path {
        path.strip_prefix(self.root).unwrap_or(path)
    }

    /// MD5 of all whole images, their names and contents, whatever each of them is for.
    fn fingerprint(&mut self) -> String {
        self.whole.sort_unstable();
        let mut all = Md5::new();
        for (path, contents) in &self.whole {
            all.update(path.as_os_str().as_encoded_bytes());
            all.update(contents);
        }
        hex(&all.finalize())
    }

    fn read(&mut self, listing: Listing, progress: &mut dyn Progress) -> Result<Found> {
        let stride = self.fit.height * self.fit.width * self.fit.channels;
        let (mut paths, mut labels) =
            (Vec::with_capacity(listing.paths.len()), Vec::with_capacity(listing.paths.len()));
        let mut pixels = Vec::with_capacity(if self.keep { listing.paths.len() * stride } else { 0 });
        for (chunk, chunk_labels) in listing.paths.chunks(CHUNK).zip(listing.labels.chunks(CHUNK)) {
            let (fit, decode) = (self.fit, self.decode);
            let read: Vec<Result<Seen>> = chunk.par_iter().map(|path| read_one(path, fit, decode)).collect();
            for ((path, &label), read) in chunk.iter().zip(chunk_labels).zip(read) {
                match read {
                    Ok(seen) => {
                        self.whole.push((self.within(path).to_owned(), seen.md5));
                        self.read += 1;
                        self.profiled += usize::from(seen.colours == Colours::Profiled);
                        if self.keep {
                            pixels.extend_from_slice(&seen.fitted);
                        }
                        paths.push(path.clone());
                        labels.push(label);
                    }
                    Err(error) => self.bad.push((path.clone(), error)),
                }
            }
            progress.advance(chunk.len() as u64);
        }
        if !self.keep {
            return Ok(Found::Files(FileStore { paths, fit: self.fit }, labels));
        }
        let ResizeSpec { height, width, channels, .. } = self.fit;
        Ok(Found::Block(Block { height, width, channels, pixels, labels, names: Names::Files(paths) }))
    }

    /// What reading came to, to be remembered.
    fn checked(&self, md5: String) -> Checked {
        let bad = self.bad.iter().map(|(path, _)| self.within(path).to_owned()).collect();
        Checked { decoded: self.decode, md5, profiled: self.profiled, bad }
    }

    /// Whether what is remembered still holds: images that were bad are looked at once more.
    fn recall(&mut self, checked: Checked) -> Option<Checked> {
        let look = |path: &PathBuf| {
            let path = self.root.join(path);
            read_one(&path, self.fit, checked.decoded).err().map(|error| (path, error))
        };
        let bad: Vec<(PathBuf, Error)> = checked.bad.iter().map_while(look).collect();
        if bad.len() < checked.bad.len() {
            return None;
        }
        (self.bad, self.profiled) = (bad, checked.profiled);
        Some(checked)
    }

    /// A split as it was found when its files were last read.
    fn recalled(&mut self, listing: Listing, known: &Checked) -> Found {
        let whole = |(path, _): &(PathBuf, u32)| !known.bad.iter().any(|bad| bad == self.within(path));
        let (paths, labels): (Vec<_>, Vec<_>) = listing.paths.into_iter().zip(listing.labels).filter(whole).unzip();
        self.read += paths.len();
        Found::Files(FileStore { paths, fit: self.fit }, labels)
    }

    /// Stops for images that do not decode, or counts them.
    fn report(&self, total: usize, warnings: &mut Vec<String>) -> Result<()> {
        if self.profiled > 0 {
            warnings.push(format!("colour profiles of {} of {total} images are ignored", self.profiled));
        }
        let Some((_, first)) = self.bad.first() else { return Ok(()) };
        let names: Vec<String> = self.bad.iter().take(NAMED).map(|(_, error)| error.to_string()).collect();
        if self.skip_bad && self.read > 0 {
            let text = format!("left out {} of {total} images: {}", self.bad.len(), names.join("; "));
            warnings.push(text);
            return Ok(());
        }
        let message = match self.bad.len() {
            1 => first.to_string(),
            n => format!("{n} of {total} images do not decode: {}", names.join("; ")),
        };
        Err(Error::data(message)
            .with_hint("mend or remove them; train, eval and predict go on without them with --skip-bad"))
    }
}

/// A file's MD5, and its pixels at the net's size where it is to be decoded.
struct Seen {
    md5: [u8; 16],
    fitted: Vec<u8>,
    colours: Colours,
}

fn read_one(path: &Path, fit: ResizeSpec, decode: bool) -> Result<Seen> {
    let bytes = fs::read(path).map_err(|e| Error::io("read", path, e))?;
    let name = path.display().to_string();
    let (fitted, colours) = match decode {
        true => Image::decode_with_colours(&bytes, &name).map(|(image, colours)| (image.fitted(&fit), colours))?,
        false => (Vec::new(), Image::inspect(&bytes, &name)?),
    };
    Ok(Seen { md5: Md5::digest(&bytes).into(), fitted, colours })
}

/// Classes that a warning names: of thousands, the first few tell.
const CLASSES_NAMED: usize = 5;

/// A class with one image, or twenty times fewer than another.
fn imbalance(classes: &[String], labels: &[u32]) -> Vec<String> {
    let mut counts = vec![0usize; classes.len()];
    labels.iter().for_each(|&label| counts[label as usize] += 1);
    let most = (0..counts.len()).max_by_key(|&i| counts[i]).unwrap_or(0);
    let warn = |(class, &n): (&String, &usize)| match n {
        0 => Some(format!("class \"{class}\" has no training image: it cannot be learnt")),
        1 => Some(format!("class \"{class}\" has one training image")),
        n if counts[most] > 20 * n => Some(format!(
            "class \"{class}\" has {n} training images and \"{}\" has {}, more than twenty times as many: nets neglect \
             rare classes",
            classes[most], counts[most]
        )),
        _ => None,
    };
    let mut warnings: Vec<String> = classes.iter().zip(&counts).filter_map(warn).collect();
    if warnings.len() > CLASSES_NAMED {
        let more = warnings.len() - CLASSES_NAMED;
        warnings.truncate(CLASSES_NAMED);
        warnings.push(format!("{more} more classes have as few training images"));
    }
    warnings
}
