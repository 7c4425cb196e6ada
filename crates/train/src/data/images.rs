//! Images with labels: one split of a data set, or any subset of it.
//!
//! Pixels are `u8`, `[h, w, c]`, one image after the other: a quarter of the memory of floats, and
//! what files hold. A subset shares the storage of the whole, so a split costs an index per image.
//! Images that would not fit in memory stay on disk and are decoded on demand.

use super::block::{Block, Names};
use super::file_store::FileStore;
use crate::error::{Error, Result};
use residual::image::{Filter, Image, Resize, ResizeSpec};
use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Images of one size, each with its label, in memory or decoded on demand. Cloning shares the
/// pixels.
///
/// ```
/// use residual_train::data::Images;
///
/// // Three images of 1x2 grey pixels, of classes 0, 1 and 1.
/// let images = Images::from_memory(1, 2, 1, vec![10, 20, 30, 40, 50, 60], vec![0, 1, 1])?;
/// let last = images.subset(&[2]);
/// assert_eq!((last.len(), last.label(0)), (1, 1));
/// assert_eq!(last.pixels(0)?.as_ref(), [50, 60]);
/// assert_eq!(images.histogram(2), [1, 2]);
/// # Ok::<(), residual_train::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Images {
    store: Arc<Store>,
    /// Positions in the store; `None` means all of it, in order.
    chosen: Option<Arc<[u32]>>,
    /// The label here of each label in the store; `None` keeps them.
    labels: Option<Arc<[u32]>>,
}

/// Storage that splits share.
#[derive(Debug)]
struct Store {
    height: usize,
    width: usize,
    channels: usize,
    labels: Vec<u32>,
    names: Names,
    pixels: Pixels,
    /// Filter for images that are resized again.
    filter: Filter,
}

/// Pixels of a store.
#[derive(Debug)]
enum Pixels {
    /// Values of all images, `[n, h, w, c]`.
    Memory(Vec<u8>),
    /// Files, decoded and resized on demand.
    Files(FileStore),
    /// Images in memory at another size, resized on demand.
    Resized(Block, ResizeSpec),
    /// Images of several stores, one after the other.
    Joined(Vec<Images>),
}

impl Images {
    /// Takes images in memory: `pixels` is `[n, height, width, channels]`, `labels` is `[n]`.
    ///
    /// # Errors
    /// Fails if `pixels` is not `labels.len() * height * width * channels` long.
    pub fn from_memory(
        height: usize,
        width: usize,
        channels: usize,
        pixels: Vec<u8>,
        labels: Vec<u32>,
    ) -> Result<Self> {
        if pixels.len() != labels.len() * height * width * channels {
            let (bytes, n, stride) = (pixels.len(), labels.len(), height * width * channels);
            let message = format!("{n} images of {height}x{width}x{channels} have {stride} bytes each, got {bytes}");
            return Err(Error::data(message));
        }
        let names = Names::Records(vec![("image".into(), labels.len())]);
        Ok(Self::from_block(Block { height, width, channels, pixels, labels, names }, Filter::default()))
    }

    /// Takes the images of a block at their size.
    pub(crate) fn from_block(block: Block, filter: Filter) -> Self {
        let Block { height, width, channels, pixels, labels, names } = block;
        let pixels = Pixels::Memory(pixels);
        Self {
            store: Arc::new(Store { height, width, channels, labels, names, pixels, filter }),
            chosen: None,
            labels: None,
        }
    }

    /// Takes the images of a block, to be resized whenever one is read.
    pub(crate) fn resized_on_demand(mut block: Block, spec: ResizeSpec) -> Self {
        let labels = std::mem::take(&mut block.labels);
        let names = std::mem::replace(&mut block.names, Names::Records(Vec::new()));
        let (height, width, channels) = (spec.height, spec.width, spec.channels);
        let (pixels, filter) = (Pixels::Resized(block, spec), spec.filter);
        Self {
            store: Arc::new(Store { height, width, channels, labels, names, pixels, filter }),
            chosen: None,
            labels: None,
        }
    }

    /// Takes files, to be decoded whenever one is read.
    pub(crate) fn from_files(files: FileStore, labels: Vec<u32>) -> Self {
        let spec = files.resize_spec();
        let (height, width, channels) = (spec.height, spec.width, spec.channels);
        let names = Names::Files(files.paths().to_vec());
        let (pixels, filter) = (Pixels::Files(files), spec.filter);
        Self {
            store: Arc::new(Store { height, width, channels, labels, names, pixels, filter }),
            chosen: None,
            labels: None,
        }
    }

    /// Joins images of one size into one sequence, in the order given. The pixels are shared, not
    /// copied.
    ///
    /// # Errors
    /// Fails if there is nothing to join, or the sizes differ.
    pub fn joined(parts: Vec<Self>) -> Result<Self> {
        let Some(first) = parts.first() else { return Err(Error::data("there are no images to join")) };
        let Store { height, width, channels, filter, .. } = *first.store;
        let size = |images: &Self| (images.height(), images.width(), images.channels());
        if let Some(other) = parts.iter().map(size).find(|other| *other != (height, width, channels)) {
            let (h, w, c) = other;
            let message = format!("images differ in size: {height}x{width}x{channels} and {h}x{w}x{c}");
            return Err(Error::data(message));
        }
        let labels = parts.iter().flat_map(|part| (0..part.len()).map(|i| part.label(i) as u32)).collect();
        let (names, pixels) = (Names::Records(Vec::new()), Pixels::Joined(parts));
        let store = Arc::new(Store { height, width, channels, labels, names, pixels, filter });
        Ok(Self { store, chosen: None, labels: None })
    }

    /// Returns the number of images.
    pub fn len(&self) -> usize {
        self.chosen.as_ref().map_or(self.store.labels.len(), |chosen| chosen.len())
    }

    /// Returns whether there are no images.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the rows of an image.
    pub fn height(&self) -> usize {
        self.store.height
    }

    /// Returns the columns of an image.
    pub fn width(&self) -> usize {
        self.store.width
    }

    /// Returns the values per pixel: 1 (grey) or 3 (red, green, blue).
    pub fn channels(&self) -> usize {
        self.store.channels
    }

    /// Returns the bytes of one image: height · width · channels.
    pub fn stride(&self) -> usize {
        self.store.height * self.store.width * self.store.channels
    }

    /// Returns the position of image `i` in the store.
    fn at(&self, i: usize) -> usize {
        self.chosen.as_ref().map_or(i, |chosen| chosen[i] as usize)
    }

    /// Returns the class of image `i`.
    ///
    /// # Panics
    /// Panics if `i` is not below [`len`](Self::len), as do `name`, `pixels` and `original`.
    pub fn label(&self, i: usize) -> usize {
        let label = self.store.labels[self.at(i)];
        self.labels.as_ref().map_or(label, |labels| labels[label as usize]) as usize
    }

    /// Returns the path of image `i`, or its record such as `test_batch.bin #17` (counted from 0).
    pub fn name(&self, i: usize) -> String {
        let at = self.at(i);
        match &self.store.pixels {
            Pixels::Joined(parts) => in_part(parts, at, Self::name),
            _ => self.store.names.get(at),
        }
    }

    /// Returns the file of image `i`, `None` if its file holds many images.
    pub fn file(&self, i: usize) -> Option<&Path> {
        let at = self.at(i);
        match (&self.store.pixels, &self.store.names) {
            (Pixels::Joined(parts), _) => in_part(parts, at, Self::file),
            (_, Names::Files(paths)) => paths.get(at).map(PathBuf::as_path),
            (_, Names::Records(_)) => None,
        }
    }

    /// Returns the bytes of image `i`, `[h, w, c]`.
    ///
    /// # Errors
    /// Fails if an image that is decoded on demand cannot be read.
    pub fn pixels(&self, i: usize) -> Result<Cow<'_, [u8]>> {
        let at = self.at(i);
        match &self.store.pixels {
            Pixels::Memory(pixels) => Ok(Cow::Borrowed(&pixels[at * self.stride()..(at + 1) * self.stride()])),
            Pixels::Files(files) => files.pixels(at).map(Cow::Owned),
            Pixels::Joined(parts) => in_part(parts, at, Self::pixels),
            Pixels::Resized(block, spec) => {
                Ok(Cow::Owned(spec.apply(block.image(at), block.height, block.width, block.channels)))
            }
        }
    }

    /// Returns image `i` at its own size, for test protocols of several scales.
    ///
    /// # Errors
    /// Fails if the image's file cannot be read.
    pub fn original(&self, i: usize) -> Result<Image> {
        let at = self.at(i);
        let (height, width, channels, pixels) = match (&self.store.pixels, &self.store.names) {
            (Pixels::Files(files), _) => return files.image(at),
            (Pixels::Joined(parts), _) => return in_part(parts, at, Self::original),
            // The pixels are resized ones; the file has the image's own size.
            (Pixels::Memory(_), Names::Files(paths)) => return Image::open(&paths[at]),
            (Pixels::Memory(_), _) => (self.height(), self.width(), self.channels(), self.pixels(i)?.into_owned()),
            (Pixels::Resized(block, _), _) => (block.height, block.width, block.channels, block.image(at).to_vec()),
        };
        Ok(Image { height, width, channels, pixels })
    }

    /// Returns how an image of any size is resized to the size of these.
    pub(crate) fn resize_spec(&self) -> ResizeSpec {
        let Store { height, width, channels, filter, .. } = *self.store;
        ResizeSpec { height, width, channels, scale: None, resize: Resize::default(), filter }
    }

    /// Returns whether `pixels` only borrows. Otherwise it decodes or resizes, which several
    /// threads should share.
    pub fn in_memory(&self) -> bool {
        match &self.store.pixels {
            Pixels::Memory(_) => true,
            Pixels::Joined(parts) => parts.iter().all(Self::in_memory),
            Pixels::Files(_) | Pixels::Resized(..) => false,
        }
    }

    /// Returns the images at `indices`, in that order; the storage is shared.
    pub fn subset(&self, indices: &[u32]) -> Self {
        let chosen = indices.iter().map(|&i| self.at(i as usize) as u32).collect();
        Self { chosen: Some(chosen), ..self.clone() }
    }

    /// Returns `n` evenly spaced images, or all if there are fewer. Folders are stored class by
    /// class, so that the first `n` would be of few classes.
    pub fn spread(&self, n: usize) -> Self {
        let (len, n) = (self.len() as u64, n.min(self.len()) as u64);
        self.subset(&(0..n).map(|i| (i * len / n) as u32).collect::<Vec<_>>())
    }

    /// Returns the same images with label `labels[l]` instead of each label `l` of the store.
    pub(crate) fn relabelled(&self, labels: &Arc<[u32]>) -> Self {
        Self { labels: Some(Arc::clone(labels)), ..self.clone() }
    }

    /// Counts the images of each class.
    pub fn histogram(&self, classes: usize) -> Vec<usize> {
        let mut counts = vec![0; classes];
        for i in 0..self.len() {
            if let Some(count) = counts.get_mut(self.label(i)) {
                *count += 1;
            }
        }
        counts
    }
}

/// Calls `get` with the part that holds image `i` of all `parts` and the image's index in that
/// part.
fn in_part<'a, T>(parts: &'a [Images], mut i: usize, get: impl Fn(&'a Images, usize) -> T) -> T {
    let mut rest = parts.iter();
    loop {
        let part = rest.next().expect("labels are counted from the parts, so every index is in one");
        if i < part.len() {
            return get(part, i);
        }
        i -= part.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn six() -> Images {
        Images::from_memory(1, 2, 1, (0..12).collect(), (0..6).collect()).expect("lengths agree")
    }

    #[test]
    fn spread_takes_images_of_every_class() {
        let labels: Vec<u32> = (0..10).flat_map(|class| [class; 7]).collect();
        let all = Images::from_memory(1, 1, 1, vec![0; 70], labels).expect("lengths agree");
        assert_eq!(all.spread(10).histogram(10), [1; 10]);
        assert_eq!((all.spread(100).len(), all.spread(0).len()), (70, 0));
    }

    #[test]
    fn a_subset_of_a_subset_shares_pixels_and_counts_from_its_own_start() {
        let some = six().subset(&[5, 3, 1]).subset(&[2, 0]);
        assert_eq!((some.len(), some.label(0), some.label(1)), (2, 1, 5));
        assert_eq!(some.pixels(1).expect("in memory").as_ref(), [10, 11]);
        assert!(matches!(some.pixels(1).expect("in memory"), Cow::Borrowed(_)));
        assert_eq!(some.name(1), "image #5");
    }

    #[test]
    fn joined_images_keep_their_pixels_labels_and_names_in_the_order_of_the_parts() {
        let all = six();
        let joined = Images::joined(vec![all.subset(&[4, 2]), all.subset(&[]), all.subset(&[0])]).expect("one size");
        assert_eq!((joined.len(), joined.in_memory()), (3, true));
        assert_eq!([0, 1, 2].map(|i| joined.label(i)), [4, 2, 0]);
        assert_eq!((joined.name(1).as_str(), joined.name(2).as_str()), ("image #2", "image #0"));
        let some = joined.subset(&[2, 1]);
        assert_eq!((some.label(1), some.pixels(1).expect("in memory").as_ref()), (2, &[4, 5][..]));
        assert_eq!(joined.original(0).expect("in memory").pixels, [8, 9]);
        let other = Images::from_memory(2, 1, 1, vec![0; 2], vec![0]).expect("lengths agree");
        assert!(Images::joined(vec![all, other]).is_err());
        assert!(Images::joined(Vec::new()).is_err());
    }

    #[test]
    fn pixels_and_labels_of_different_lengths_fail() {
        let error = Images::from_memory(1, 2, 1, vec![0; 11], vec![0; 6]).expect_err("a byte is missing");
        assert_eq!(error.to_string(), "6 images of 1x2x1 have 2 bytes each, got 11");
    }
}
