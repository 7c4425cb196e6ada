//! The images of one split, and the data set that holds three splits.
//!
//! Pixels are `u8`, `[h, w, c]`, one image after the other: a quarter of the memory of floats, and what files hold. A
//! subset shares the storage of the whole, so splits cost an index per image. Images that would not fit in memory
//! stay on disk and are decoded when asked for.

use super::folder::FileStore;
use super::options::Split;
use crate::error::{Error, Result};
use rayon::prelude::*;
use residual::image::Image;
use residual::image::ResizeSpec;
use residual::image::{Filter, Resize};
use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;

/// Images of one split, each with its label: in memory, or decoded on demand. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Images {
    store: Arc<Store>,
    /// Positions in the store; `None` means all of it, in order.
    chosen: Option<Arc<[u32]>>,
    /// What the store's labels are called here; `None` leaves them as they are.
    labels: Option<Arc<[u32]>>,
}

/// Where images live.
#[derive(Debug)]
struct Store {
    height: usize,
    width: usize,
    channels: usize,
    labels: Vec<u32>,
    names: Names,
    pixels: Pixels,
    /// How images are brought to another size, should that be asked for.
    filter: Filter,
}

#[derive(Debug)]
enum Pixels {
    /// `[n, h, w, c]`.
    Memory(Vec<u8>),
    /// Decoded and brought to size when asked for.
    Files(FileStore),
    /// Another store's images, brought to another size when asked for.
    Fitted(Block, ResizeSpec),
    /// Images of several stores, one after the other.
    Joined(Vec<Images>),
}

/// How images are called in messages and reports.
#[derive(Debug)]
pub(crate) enum Names {
    /// Runs of numbered records: the file's name, and how many it holds.
    Records(Vec<(String, usize)>),
    /// A file each.
    Files(Vec<PathBuf>),
}

impl Names {
    fn get(&self, i: usize) -> String {
        match self {
            Self::Files(paths) => paths[i].display().to_string(),
            Self::Records(runs) => {
                let mut rest = i;
                for (file, n) in runs {
                    if rest < *n {
                        return format!("{file} #{rest}");
                    }
                    rest -= n;
                }
                format!("#{i}")
            }
        }
    }
}

/// Images as a file held them, before any resizing: `pixels` is `[n, height, width, channels]`.
#[derive(Debug)]
pub(crate) struct Block {
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    pub pixels: Vec<u8>,
    pub labels: Vec<u32>,
    pub names: Names,
}

impl Block {
    /// Bytes of one image.
    pub fn stride(&self) -> usize {
        self.height * self.width * self.channels
    }

    /// Image `i`, `[h, w, c]`.
    pub fn image(&self, i: usize) -> &[u8] {
        &self.pixels[i * self.stride()..(i + 1) * self.stride()]
    }

    /// Every image brought to another size.
    pub fn resized(self, fit: &ResizeSpec) -> Self {
        let ResizeSpec { height, width, channels, .. } = *fit;
        let stride = height * width * channels;
        let mut pixels = vec![0; self.labels.len() * stride];
        pixels.par_chunks_exact_mut(stride).zip(self.pixels.par_chunks_exact(self.stride())).for_each(
            |(out, image)| {
                out.copy_from_slice(&fit.apply(image, self.height, self.width, self.channels));
            },
        );
        Self { height, width, channels, pixels, labels: self.labels, names: self.names }
    }
}

impl Images {
    /// Images that are in memory: `pixels` is `[n, height, width, channels]`, one label each.
    ///
    /// # Errors
    /// Where the lengths do not agree.
    pub fn from_memory(
        height: usize,
        width: usize,
        channels: usize,
        pixels: Vec<u8>,
        labels: Vec<u32>,
    ) -> Result<Self> {
        if pixels.len() != labels.len() * height * width * channels {
            let (bytes, n) = (pixels.len(), labels.len());
            return Err(Error::data(format!(
                "{bytes} bytes are not {n} images of {height}x{width} pixels in {channels} channels"
            )));
        }
        let names = Names::Records(vec![("image".into(), labels.len())]);
        Ok(Self::from_block(Block { height, width, channels, pixels, labels, names }, Filter::default()))
    }

    pub(crate) fn from_block(block: Block, filter: Filter) -> Self {
        let Block { height, width, channels, pixels, labels, names } = block;
        let pixels = Pixels::Memory(pixels);
        Self {
            store: Arc::new(Store { height, width, channels, labels, names, pixels, filter }),
            chosen: None,
            labels: None,
        }
    }

    /// `block` seen at another size; the resizing happens whenever an image is asked for.
    pub(crate) fn fitted(mut block: Block, fit: ResizeSpec) -> Self {
        let labels = std::mem::take(&mut block.labels);
        let names = std::mem::replace(&mut block.names, Names::Records(Vec::new()));
        let (height, width, channels) = (fit.height, fit.width, fit.channels);
        let (pixels, filter) = (Pixels::Fitted(block, fit), fit.filter);
        Self {
            store: Arc::new(Store { height, width, channels, labels, names, pixels, filter }),
            chosen: None,
            labels: None,
        }
    }

    /// Files that are decoded when asked for.
    pub(crate) fn from_files(files: FileStore, labels: Vec<u32>) -> Self {
        let fit = files.fit();
        let (height, width, channels) = (fit.height, fit.width, fit.channels);
        let names = Names::Files(files.paths().to_vec());
        let (pixels, filter) = (Pixels::Files(files), fit.filter);
        Self {
            store: Arc::new(Store { height, width, channels, labels, names, pixels, filter }),
            chosen: None,
            labels: None,
        }
    }

    /// Joins images of one size into one sequence, in the order given; the pixels are shared, not copied.
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

    /// How many images there are.
    pub fn len(&self) -> usize {
        self.chosen.as_ref().map_or(self.store.labels.len(), |chosen| chosen.len())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Pixels from top to bottom.
    pub fn height(&self) -> usize {
        self.store.height
    }

    /// Pixels from left to right.
    pub fn width(&self) -> usize {
        self.store.width
    }

    /// Values per pixel: 1 (grey) or 3 (red, green, blue).
    pub fn channels(&self) -> usize {
        self.store.channels
    }

    /// Bytes of one image: height · width · channels.
    pub fn stride(&self) -> usize {
        self.store.height * self.store.width * self.store.channels
    }

    /// Where image `i` of this split is in the storage that splits share.
    fn at(&self, i: usize) -> usize {
        self.chosen.as_ref().map_or(i, |chosen| chosen[i] as usize)
    }

    /// The class of image `i`.
    ///
    /// # Panics
    /// Where `i` is not below [`len`](Self::len), as indexing a slice does; so do `name` and `pixels`.
    pub fn label(&self, i: usize) -> usize {
        let label = self.store.labels[self.at(i)];
        self.labels.as_ref().map_or(label, |labels| labels[label as usize]) as usize
    }

    /// Image `i` in words: its file, or its record such as `test_batch.bin #17` (counted from 0).
    pub fn name(&self, i: usize) -> String {
        let at = self.at(i);
        match &self.store.pixels {
            Pixels::Joined(parts) => in_part(parts, at, Self::name),
            _ => self.store.names.get(at),
        }
    }

    /// Returns the file of image `i`; `None` if the file holds many images.
    pub fn file(&self, i: usize) -> Option<&std::path::Path> {
        let at = self.at(i);
        match (&self.store.pixels, &self.store.names) {
            (Pixels::Joined(parts), _) => in_part(parts, at, Self::file),
            (_, Names::Files(paths)) => paths.get(at).map(PathBuf::as_path),
            (_, Names::Records(_)) => None,
        }
    }

    /// Image `i`: `[h, w, c]`.
    ///
    /// # Errors
    /// Where an image that is decoded on demand cannot be read (any more).
    pub fn pixels(&self, i: usize) -> Result<Cow<'_, [u8]>> {
        let at = self.at(i);
        match &self.store.pixels {
            Pixels::Memory(pixels) => Ok(Cow::Borrowed(&pixels[at * self.stride()..(at + 1) * self.stride()])),
            Pixels::Files(files) => files.pixels(at).map(Cow::Owned),
            Pixels::Joined(parts) => in_part(parts, at, Self::pixels),
            Pixels::Fitted(block, fit) => {
                Ok(Cow::Owned(fit.apply(block.image(at), block.height, block.width, block.channels)))
            }
        }
    }

    /// Image `i` as it was before it was brought to the net's size, for protocols that test at several scales.
    ///
    /// # Errors
    /// As [`pixels`](Self::pixels).
    pub fn original(&self, i: usize) -> Result<Image> {
        let at = self.at(i);
        let (height, width, channels, pixels) = match (&self.store.pixels, &self.store.names) {
            (Pixels::Files(files), _) => return files.image(at),
            (Pixels::Joined(parts), _) => return in_part(parts, at, Self::original),
            // Kept at the net's size, but the file is still there.
            (Pixels::Memory(_), Names::Files(paths)) => return Image::open(&paths[at]),
            (Pixels::Memory(_), _) => (self.height(), self.width(), self.channels(), self.pixels(i)?.into_owned()),
            (Pixels::Fitted(block, _), _) => (block.height, block.width, block.channels, block.image(at).to_vec()),
        };
        Ok(Image { height, width, channels, pixels })
    }

    /// The way from any image to the size of these.
    pub(crate) fn fit(&self) -> ResizeSpec {
        let Store { height, width, channels, filter, .. } = *self.store;
        ResizeSpec { height, width, channels, scale: None, resize: Resize::default(), filter }
    }

    /// Whether `pixels` merely borrows; the alternative is work that several threads should share.
    pub fn in_memory(&self) -> bool {
        match &self.store.pixels {
            Pixels::Memory(_) => true,
            Pixels::Joined(parts) => parts.iter().all(Self::in_memory),
            Pixels::Files(_) | Pixels::Fitted(..) => false,
        }
    }

    /// The images at `indices` (of this split, in that order); the storage is shared.
    pub fn subset(&self, indices: &[u32]) -> Self {
        let chosen = indices.iter().map(|&i| self.at(i as usize) as u32).collect();
        Self { chosen: Some(chosen), ..self.clone() }
    }

    /// `n` of them, or all where there are fewer, evenly spaced: folders are stored class by class, and the first `n` would be of few
    /// classes.
    pub fn spread(&self, n: usize) -> Self {
        let (len, n) = (self.len() as u64, n.min(self.len()) as u64);
        self.subset(&(0..n).map(|i| (i * len / n) as u32).collect::<Vec<_>>())
    }

    /// The same images, each label `l` of the files' own being called `labels[l]`.
    pub(crate) fn relabelled(&self, labels: &Arc<[u32]>) -> Self {
        Self { labels: Some(Arc::clone(labels)), ..self.clone() }
    }

    /// Images per class.
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

/// Calls `get` with the part that holds image `i` of all `parts`, and the image's index in it.
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

/// Three splits of one source of images.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// What it is called: `cifar10`, `shapes`, or the name of its folder.
    pub name: String,
    /// Where it was read from; `None` for generated images.
    pub path: Option<PathBuf>,
    /// Class names in label order.
    pub classes: Vec<String>,
    /// What the weights are fitted to.
    pub train: Images,
    /// What chooses among weights; may be empty.
    pub validation: Images,
    /// What is tested once.
    pub test: Images,
    /// Whether the source names its test images; without that, `test` is a part that was held out by file names.
    pub has_test_split: bool,
    /// Which bytes these were.
    pub provenance: Provenance,
    /// What the user should know: one sentence each.
    pub warnings: Vec<String>,
}

impl Dataset {
    /// What results on these images should be called: `CIFAR-10`, or `CIFAR-10 (not canonical pixels)`.
    pub fn label(&self) -> String {
        self.provenance.label(&self.name)
    }

    /// The same images under the class numbers of a network that tells `classes` apart (see
    /// [`places`](super::places)).
    ///
    /// # Errors
    /// A class that the network does not know.
    pub fn for_classes(&self, classes: &[String]) -> Result<Self> {
        let labels: Arc<[u32]> = super::places(&self.classes, classes)?.into();
        let again = |images: &Images| images.relabelled(&labels);
        Ok(Self {
            classes: classes.to_vec(),
            train: again(&self.train),
            validation: again(&self.validation),
            test: again(&self.test),
            ..self.clone()
        })
    }

    /// Returns the images of one split, or of all three in the order training, validation, test. The pixels are shared.
    ///
    /// # Errors
    /// Fails if the splits hold images of different sizes, which those of [`open`](super::open) never do.
    pub fn split(&self, split: Split) -> Result<Images> {
        Ok(match split {
            Split::Train => self.train.clone(),
            Split::Validation => self.validation.clone(),
            Split::Test => self.test.clone(),
            Split::All => {
                return Images::joined([&self.train, &self.validation, &self.test].map(Images::clone).to_vec());
            }
        })
    }
}

/// Which images these were, so that a result can say what it was measured on.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Provenance {
    /// Images of all splits.
    pub images: usize,
    /// MD5 of the image files, uncompressed, one after the other in the data set's own order.
    pub md5: String,
    /// Whether these are the published pixels; `None` where nothing published can tell.
    pub canonical: Option<bool>,
}

impl Provenance {
    /// What results on these images of the data set `name` should be called.
    pub fn label(&self, name: &str) -> String {
        let title = match name {
            "cifar10" => "CIFAR-10",
            "cifar100" => "CIFAR-100",
            "mnist" => "MNIST",
            "fashion-mnist" => "Fashion-MNIST",
            other => return other.to_string(),
        };
        match self.canonical {
            Some(true) => title.to_string(),
            Some(false) => format!("{title} (not canonical pixels)"),
            // Another number of images, for one.
            None => format!("{title} (pixels not verified)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn six() -> Images {
        Images::from_memory(1, 2, 1, (0..12).collect(), (0..6).collect()).expect("lengths agree")
    }

    #[test]
    fn some_images_are_spread_over_all_classes() {
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
    fn lengths_that_do_not_agree_are_refused() {
        let error = Images::from_memory(1, 2, 1, vec![0; 11], vec![0; 6]).expect_err("a byte is missing");
        assert_eq!(error.to_string(), "11 bytes are not 6 images of 1x2 pixels in 1 channels");
    }

    #[test]
    fn results_on_altered_pixels_say_so() {
        let mut provenance = Provenance { images: 60_000, md5: String::new(), canonical: Some(false) };
        assert_eq!(provenance.label("cifar10"), "CIFAR-10 (not canonical pixels)");
        provenance.canonical = Some(true);
        assert_eq!(provenance.label("cifar10"), "CIFAR-10");
        provenance.canonical = None;
        assert_eq!(provenance.label("cifar10"), "CIFAR-10 (pixels not verified)");
        assert_eq!(provenance.label("birds"), "birds");
    }
}
