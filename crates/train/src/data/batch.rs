//! Batches: normalised images with labels, and their preparation for testing.

use super::images::Images;
use crate::error::{Error, Result};
use rayon::prelude::*;
use residual::image::Normalizer;

/// A batch of normalised images with labels.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Batch {
    /// Normalised values, `[n, h, w, c]`.
    pub pixels: Vec<f32>,
    /// Height, width and channels of an image.
    pub size: [usize; 3],
    /// Class of each image, `[n]`.
    pub labels: Vec<u32>,
    /// Index of each image in its [`Images`], `[n]`.
    pub indices: Vec<u32>,
    /// Epoch of training, counted from 0; 0 in testing.
    pub epoch: u64,
}

impl Batch {
    /// Returns the number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Returns whether there are no images.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }
}

/// Returns batches for testing: every image once, in order, normalised and not augmented. The last
/// batch may be smaller; no images give no batches.
///
/// # Errors
/// The first and only item is an error if the batch size is 0 or the normaliser is for images of
/// another size. An image that cannot be read is an error in place of its batch.
///
/// ```
/// use residual_train::data::{Images, Normalizer, batches, channel_statistics};
///
/// let images = Images::from_memory(2, 2, 1, (0..12).collect(), vec![0, 1, 0])?;
/// let normalizer = Normalizer::new(&channel_statistics(&images, &mut ())?, 2, 2, 1)?;
/// for batch in batches(&images, &normalizer, 2) {
///     let batch = batch?;
///     assert_eq!(batch.pixels.len(), batch.len() * 2 * 2);
/// }
/// # Ok::<(), residual_train::Error>(())
/// ```
pub fn batches<'a>(
    images: &'a Images,
    normalizer: &'a Normalizer,
    batch: usize,
) -> impl Iterator<Item = Result<Batch>> + 'a {
    let mut failure = match images.is_empty() {
        true => None,
        false => check(images, normalizer, batch).err(),
    };
    let end = if failure.is_some() { 0 } else { images.len() as u32 };
    let starts = (0..end).step_by(batch.max(1));
    let prepared = starts.map(move |start| {
        let indices: Vec<u32> = (start..end.min(start + batch as u32)).collect();
        let mut batch = empty_batch(images, indices, [images.height(), images.width(), images.channels()]);
        batch.pixels.par_chunks_exact_mut(images.stride()).zip(&batch.indices).try_for_each(|(out, &i)| {
            normalizer.apply(images.pixels(i as usize)?.as_ref(), out);
            Ok::<(), Error>(())
        })?;
        Ok(batch)
    });
    std::iter::from_fn(move || failure.take()).map(Err).chain(prepared)
}

/// Allocates the batch of `indices` with zeros for pixels.
pub(super) fn empty_batch(images: &Images, indices: Vec<u32>, size: [usize; 3]) -> Batch {
    let labels = indices.iter().map(|&i| images.label(i as usize) as u32).collect();
    Batch { pixels: vec![0.0; indices.len() * size.iter().product::<usize>()], size, labels, indices, epoch: 0 }
}

/// Checks that there are images and the batch is not empty.
pub(super) fn check_batch(images: &Images, batch: usize) -> Result<()> {
    if images.is_empty() {
        return Err(Error::data("there are no images to make batches of"));
    }
    if batch == 0 {
        return Err(
            Error::usage("the batch size must be at least 1, got 0").with_hint("train.batch must be at least 1")
        );
    }
    Ok(())
}

/// Checks that images and normaliser agree in size, and that there are batches to make.
pub(super) fn check(images: &Images, normalizer: &Normalizer, batch: usize) -> Result<()> {
    check_batch(images, batch)?;
    let found = [images.height(), images.width(), images.channels()];
    let expected = [normalizer.height(), normalizer.width(), normalizer.channels()];
    if found != expected {
        let ([h, w, c], [eh, ew, ec]) = (found, expected);
        let message = format!("the normaliser is for images of {eh}x{ew}x{ec}, got images of {h}x{w}x{c}");
        return Err(Error::data(message));
    }
    Ok(())
}
