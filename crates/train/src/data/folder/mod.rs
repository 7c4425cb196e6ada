//! A user's own images: a folder per class, JPEG, PNG, WebP or BMP, of any sizes.
//!
//! `tree` walks the folder, `index` caches the walk of a large one, `splits` assigns images to
//! splits and classes, `labels` reads files of labels and class names, `reader` reads the images.
//! They are decoded once and kept at the network's input size if all of them fit in the budget.
//! Otherwise they stay on disk, and each file's header and end are checked before the first run;
//! only if bad images are to be left out is each one decoded then, since one that is damaged in its
//! middle would stop the run.

mod imbalance;
mod index;
mod labels;
mod reader;
mod splits;
#[cfg(test)]
mod tests;
mod tree;

pub(crate) use splits::KAGGLE_FOLDERS;
pub use tree::images_below;

use super::options::DataOptions;
use super::progress::Progress;
use super::provenance::Provenance;
use super::raw::{RawDataset, ValidateLevel};
use crate::error::Result;
use imbalance::imbalance;
use index::Index;
use reader::Reader;
use residual::image::{ResizeSpec, is_image_name};
use splits::Splits;
use std::fs;
use std::path::Path;

/// Side of the network's input if neither the user nor the images give one.
const DEFAULT_SIDE: usize = 224;

/// Returns whether a folder has folders or images in it.
pub(crate) fn is_folder(path: &Path) -> bool {
    let is_input = |path: &Path| path.is_dir() || is_image_name(path);
    fs::read_dir(path).is_ok_and(|mut entries| entries.any(|e| e.is_ok_and(|e| is_input(&e.path()))))
}

/// Reads a folder of images, keeping them in memory if that takes at most `budget` bytes.
pub(crate) fn read(
    path: &Path,
    options: &DataOptions,
    level: ValidateLevel,
    budget: usize,
    progress: &mut dyn Progress,
) -> Result<RawDataset> {
    let mut index = match level {
        ValidateLevel::Headers => Index::open(path)?,
        ValidateLevel::Full => Index::uncached(path)?,
    };
    let mut splits = splits::list(path, &index.tree, options.validation == Some(0))?;
    let total =
        splits.train.paths.len() + splits.validation.as_ref().map_or(0, |v| v.paths.len()) + splits.test.paths.len();
    let spec = resize_spec(&splits, options);
    let keep = total.saturating_mul(spec.height * spec.width * spec.channels) <= budget;
    let decode = keep || level == ValidateLevel::Full || options.skip_bad;
    let mut reader = Reader::new(path, spec, keep, decode, options.skip_bad);
    // Images that stay on disk and were whole when they were last read are not read again.
    let cached = index.checked.take().filter(|checked| !keep && (checked.decoded || !decode));
    let cached = cached.and_then(|checked| reader.recheck(checked));
    let unread = if cached.is_some() { 0 } else { total };
    progress.start(if keep { "reading images" } else { "checking images" }, unread as u64);
    let mut read = |listing| match &cached {
        Some(checked) => Ok(reader.cached(listing, checked)),
        None => reader.read(listing, progress),
    };
    let train = read(splits.train)?;
    let validation = splits.validation.map(&mut read).transpose()?;
    let test = read(splits.test)?;
    let md5 = cached.as_ref().map_or_else(|| reader.fingerprint(), |checked| checked.md5.clone());
    if !keep && cached.is_none() {
        index.store(reader.checked(md5.clone()));
    }
    reader.report(total, &mut splits.warnings)?;
    if !train.labels().is_empty() {
        splits.warnings.extend(imbalance(&splits.classes, train.labels()));
    }
    let name = fs::canonicalize(path).ok().and_then(|p| Some(p.file_name()?.to_string_lossy().into_owned()));
    let provenance = Provenance { images: reader.images(), md5, canonical: None };
    let name = name.unwrap_or_else(|| "images".into());
    let (classes, has_test_split, warnings) = (splits.classes, splits.has_test_split, splits.warnings);
    Ok(RawDataset { name, classes, train, validation, test, has_test_split, provenance, warnings })
}

/// Returns how images are resized: to the requested size; else to their own if all are squares of
/// one size up to 224; else to 224.
fn resize_spec(splits: &Splits, options: &DataOptions) -> ResizeSpec {
    let side = options.input.unwrap_or_else(|| {
        let mut own = None;
        for path in splits.train.paths.iter().chain(&splits.test.paths) {
            match image::image_dimensions(path) {
                Ok((w, h)) if w == h && w as usize <= DEFAULT_SIDE && own.is_none_or(|side| side == w) => own = Some(w),
                _ => return DEFAULT_SIDE,
            }
        }
        own.map_or(DEFAULT_SIDE, |side| side as usize)
    });
    let DataOptions { scale, resize, filter, .. } = *options;
    ResizeSpec { height: side, width: side, channels: options.channels.unwrap_or(3), scale, resize, filter }
}
