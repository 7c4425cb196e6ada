//! Reading of a folder's images: all of their pixels, or a check of each file.

use super::super::block::{Block, Names};
use super::super::file_store::FileStore;
use super::super::progress::Progress;
use super::super::raw::RawSplit;
use super::index::Checked;
use super::splits::Listing;
use crate::error::{Error, Result};
use md5::{Digest, Md5};
use rayon::prelude::*;
use residual::image::{Colours, Image, ResizeSpec};
use residual::numbers::hex;
use std::fs;
use std::path::{Path, PathBuf};

/// Files that are read at once: enough to keep the threads busy, few enough to hold in memory.
const CHUNK: usize = 128;
/// Bad images that an error names.
const MAX_NAMED: usize = 5;

/// Reads the files of all splits, one split after the other.
pub(super) struct Reader<'a> {
    root: &'a Path,
    spec: ResizeSpec,
    /// Whether to keep pixels in memory.
    keep: bool,
    /// Whether to decode images, rather than check their headers and ends.
    decode: bool,
    skip_bad: bool,
    /// Whole images and their MD5.
    whole: Vec<(PathBuf, [u8; 16])>,
    bad: Vec<(PathBuf, Error)>,
    read: usize,
    /// Images whose colour profile is ignored.
    profiled: usize,
}

impl<'a> Reader<'a> {
    pub fn new(root: &'a Path, spec: ResizeSpec, keep: bool, decode: bool, skip_bad: bool) -> Self {
        let (whole, bad) = (Vec::new(), Vec::new());
        Self { root, spec, keep, decode, skip_bad, whole, bad, read: 0, profiled: 0 }
    }

    /// Returns the number of images read so far.
    pub fn images(&self) -> usize {
        self.read
    }

    /// Returns an image's path relative to the folder.
    fn within<'p>(&self, path: &'p Path) -> &'p Path {
        path.strip_prefix(self.root).unwrap_or(path)
    }

    /// Returns the MD5 of the names and contents of all whole images, independent of their splits.
    pub fn fingerprint(&mut self) -> String {
        self.whole.sort_unstable();
        let mut all = Md5::new();
        for (path, contents) in &self.whole {
            all.update(path.as_os_str().as_encoded_bytes());
            all.update(contents);
        }
        hex(&all.finalize())
    }

    /// Reads the images of one split.
    pub fn read(&mut self, listing: Listing, progress: &mut dyn Progress) -> Result<RawSplit> {
        let stride = self.spec.height * self.spec.width * self.spec.channels;
        let (mut paths, mut labels) =
            (Vec::with_capacity(listing.paths.len()), Vec::with_capacity(listing.paths.len()));
        let mut pixels = Vec::with_capacity(if self.keep { listing.paths.len() * stride } else { 0 });
        for (chunk, chunk_labels) in listing.paths.chunks(CHUNK).zip(listing.labels.chunks(CHUNK)) {
            let (spec, decode) = (self.spec, self.decode);
            let read: Vec<Result<ReadImage>> = chunk.par_iter().map(|path| read_one(path, spec, decode)).collect();
            for ((path, &label), read) in chunk.iter().zip(chunk_labels).zip(read) {
                match read {
                    Ok(image) => {
                        self.whole.push((self.within(path).to_owned(), image.md5));
                        self.read += 1;
                        self.profiled += usize::from(image.colours == Colours::Profiled);
                        if self.keep {
                            pixels.extend_from_slice(&image.pixels);
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
            return Ok(RawSplit::Files(FileStore::new(paths, self.spec), labels));
        }
        let ResizeSpec { height, width, channels, .. } = self.spec;
        Ok(RawSplit::Block(Block { height, width, channels, pixels, labels, names: Names::Files(paths) }))
    }

    /// Returns the result of the check for the index.
    pub fn checked(&self, md5: String) -> Checked {
        let bad = self.bad.iter().map(|(path, _)| self.within(path).to_owned()).collect();
        Checked { decoded: self.decode, md5, profiled: self.profiled, bad }
    }

    /// Reads bad images of a cached check again; returns `None` if one is whole now.
    pub fn recheck(&mut self, checked: Checked) -> Option<Checked> {
        let recheck = |path: &PathBuf| {
            let path = self.root.join(path);
            read_one(&path, self.spec, checked.decoded).err().map(|error| (path, error))
        };
        let bad: Vec<(PathBuf, Error)> = checked.bad.iter().map_while(recheck).collect();
        if bad.len() < checked.bad.len() {
            return None;
        }
        (self.bad, self.profiled) = (bad, checked.profiled);
        Some(checked)
    }

    /// Returns the images of one split without reading them, according to a cached check.
    pub fn cached(&mut self, listing: Listing, checked: &Checked) -> RawSplit {
        let whole = |(path, _): &(PathBuf, u32)| !checked.bad.iter().any(|bad| bad == self.within(path));
        let (paths, labels): (Vec<_>, Vec<_>) = listing.paths.into_iter().zip(listing.labels).filter(whole).unzip();
        self.read += paths.len();
        RawSplit::Files(FileStore::new(paths, self.spec), labels)
    }

    /// Warns of ignored colour profiles and of bad images that were left out.
    ///
    /// # Errors
    /// Fails if there are bad images and they are not to be left out.
    pub fn report(&self, total: usize, warnings: &mut Vec<String>) -> Result<()> {
        if self.profiled > 0 {
            warnings.push(format!("colour profiles of {} of {total} images are ignored", self.profiled));
        }
        let Some((_, first)) = self.bad.first() else { return Ok(()) };
        let names: Vec<String> = self.bad.iter().take(MAX_NAMED).map(|(_, error)| error.to_string()).collect();
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
            .with_hint("repair or remove them; --skip-bad makes train, eval and predict leave them out"))
    }
}

/// What is read of one file.
struct ReadImage {
    md5: [u8; 16],
    /// Resized pixels; empty if the file was only checked.
    pixels: Vec<u8>,
    colours: Colours,
}

/// Reads one file and decodes it, or checks its header and end.
fn read_one(path: &Path, spec: ResizeSpec, decode: bool) -> Result<ReadImage> {
    let bytes = fs::read(path).map_err(|e| Error::io("read", path, e))?;
    let name = path.display().to_string();
    let (pixels, colours) = match decode {
        true => Image::decode_with_colours(&bytes, &name).map(|(image, colours)| (image.fitted(&spec), colours))?,
        false => (Vec::new(), Image::inspect(&bytes, &name)?),
    };
    Ok(ReadImage { md5: Md5::digest(&bytes).into(), pixels, colours })
}
