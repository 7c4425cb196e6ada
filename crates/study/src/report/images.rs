//! Images inside a page: PNGs as `data:` addresses, small enough for a page of many.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};
use residual::error::{Error, Result};
use residual::tensor::Tensors;
use residual_train::data::{Image, Images, Normalizer, Preprocessing};
use residual_train::recipe::Recipe;
use residual_train::train::batches::{self, BatchOptions};
use std::sync::Arc;

/// Longest side of a thumbnail in pixels; larger images are downsampled.
const LONGEST: usize = 72;

/// Pixels between the tiles of a contact sheet.
const GAP: usize = 1;

/// An image of bytes, `[h, w, c]` with 1, 3 or 4 channels.
#[derive(Debug, Clone, PartialEq)]
pub struct Bitmap {
    /// Height in pixels.
    pub height: usize,
    /// Width in pixels.
    pub width: usize,
    /// Number of channels: 1 (grey), 3 (red, green, blue) or 4 (with opacity).
    pub channels: usize,
    /// The values, `[height, width, channels]`.
    pub pixels: Vec<u8>,
}

impl Bitmap {
    /// Returns the thumbnail of image `i` of `images`.
    ///
    /// # Errors
    /// Fails if the image cannot be read.
    pub fn thumbnail(images: &Images, i: usize) -> Result<Self> {
        let (height, width, channels) = (images.height(), images.width(), images.channels());
        Ok(Self { height, width, channels, pixels: images.pixels(i)?.into_owned() }.small())
    }

    /// Downsamples the image to the size of a thumbnail, by the means of its pixels.
    pub fn small(self) -> Self {
        let longest = self.height.max(self.width);
        if longest <= LONGEST {
            return self;
        }
        let (h, w, c) = (self.height, self.width, self.channels);
        let (height, width) = ((h * LONGEST / longest).max(1), (w * LONGEST / longest).max(1));
        // The mean of the pixels that fall into each: enough for a thumbnail.
        let mut pixels = Vec::with_capacity(height * width * c);
        for y in 0..height {
            let rows = y * h / height..((y + 1) * h / height).max(y * h / height + 1);
            for x in 0..width {
                let columns = x * w / width..((x + 1) * w / width).max(x * w / width + 1);
                for channel in 0..c {
                    let values = rows.clone().flat_map(|r| columns.clone().map(move |q| (r * w + q) * c + channel));
                    let sum: usize = values.map(|at| usize::from(self.pixels[at])).sum();
                    pixels.push((sum / (rows.len() * columns.len())) as u8);
                }
            }
        }
        Self { height, width, channels: c, pixels }
    }

    /// Returns the image as a `data:` address.
    ///
    /// # Errors
    /// Fails if the image has no pixels.
    pub fn address(&self) -> Result<String> {
        let colour = match self.channels {
            1 => ExtendedColorType::L8,
            3 => ExtendedColorType::Rgb8,
            _ => ExtendedColorType::Rgba8,
        };
        let mut bytes = Vec::new();
        PngEncoder::new_with_quality(&mut bytes, CompressionType::Best, FilterType::Adaptive)
            .write_image(&self.pixels, self.width as u32, self.height as u32, colour)
            .map_err(|error| Error::data(format!("cannot write an image of the page: {error}")))?;
        Ok(format!("data:image/png;base64,{}", STANDARD.encode(bytes)))
    }

    /// Arranges tiles of one size in rows of `columns`, on a transparent ground; `None` without
    /// tiles.
    pub fn sheet(tiles: &[Self], columns: usize) -> Option<Self> {
        let first = tiles.first()?;
        let columns = columns.clamp(1, tiles.len());
        let rows = tiles.len().div_ceil(columns);
        let (h, w) = (first.height + GAP, first.width + GAP);
        let (height, width) = (rows * h - GAP, columns * w - GAP);
        let mut pixels = vec![0; height * width * 4];
        for (i, tile) in tiles.iter().enumerate() {
            let (top, left) = (i / columns * h, i % columns * w);
            for y in 0..tile.height {
                for x in 0..tile.width {
                    let from = &tile.pixels[(y * tile.width + x) * tile.channels..][..tile.channels];
                    let to = &mut pixels[((top + y) * width + left + x) * 4..][..4];
                    match *from {
                        [grey] => to.copy_from_slice(&[grey, grey, grey, 255]),
                        [r, g, b] => to.copy_from_slice(&[r, g, b, 255]),
                        _ => to.copy_from_slice(from),
                    }
                }
            }
        }
        Some(Self { height, width, channels: 4, pixels })
    }
}

impl From<Image> for Bitmap {
    fn from(image: Image) -> Self {
        let Image { height, width, channels, pixels } = image;
        Self { height, width, channels, pixels }
    }
}

/// The inverse of normalisation, from `[h, w, c]` to bytes. Normalisation is affine for each value;
/// a black and a white image determine it.
#[derive(Debug)]
pub struct Inverse {
    black: Vec<f32>,
    white: Vec<f32>,
    shape: [usize; 3],
}

impl Inverse {
    /// Creates the inverse of `normalizer`.
    pub fn new(normalizer: &Normalizer) -> Self {
        let shape = [normalizer.height(), normalizer.width(), normalizer.channels()];
        let of = |byte: u8| {
            let len = shape.iter().product();
            let mut out = vec![0.0; len];
            normalizer.apply(&vec![byte; len], &mut out);
            out
        };
        Self { black: of(0), white: of(255), shape }
    }

    /// Returns the image before normalisation.
    pub fn image(&self, normalised: &[f32]) -> Bitmap {
        let lines = self.black.iter().zip(&self.white);
        let byte = |(value, (black, white)): (&f32, (&f32, &f32))| ((value - black) / (white - black) * 255.0) as u8;
        let [height, width, channels] = self.shape;
        Bitmap { height, width, channels, pixels: normalised.iter().zip(lines).map(byte).collect() }
    }
}

/// Returns a row for each of the training images `chosen`: the image itself, then `draws` augmented
/// versions.
///
/// # Errors
/// Fails if an image cannot be read or an augmentation is invalid.
pub fn variations(
    images: &Images,
    preprocessing: &Preprocessing,
    recipe: &Recipe,
    chosen: &[u32],
    draws: usize,
) -> Result<Vec<Vec<Bitmap>>> {
    let options = BatchOptions { batch: draws, accumulate: recipe.train.accumulate, seed: recipe.train.seed, first: 0 };
    let side = recipe.augment.size.unwrap_or(preprocessing.height);
    let inverse = Inverse::new(&preprocessing.at(side)?.normalizer()?);
    let rows = chosen.iter().map(|&i| {
        // The same image under several numbers: each number has draws of its own.
        let same = Arc::new(images.subset(&vec![i; draws]));
        let batch = batches::loader(same, preprocessing, &recipe.augment, options)?.next()?;
        let varied = batch.pixels.chunks_exact(batch.size.iter().product()).map(|image| inverse.image(image).small());
        Ok(std::iter::once(Bitmap::thumbnail(images, i as usize)?).chain(varied.collect::<Vec<_>>()).collect())
    });
    rows.collect()
}

/// Returns the filters of the first convolution, `[k, c, kh, kw]`, as one tile each, and the height
/// of a filter. Zero is grey. `None` unless the input has 1 or 3 channels.
pub fn first_filters(tensors: &Tensors) -> Option<(Vec<Bitmap>, usize)> {
    let weights = ["conv1.weight", "features.0.weight"].iter().find_map(|name| tensors.get(*name))?;
    let [k, c, kh, kw] = <[usize; 4]>::try_from(weights.shape().to_vec()).ok()?;
    if c != 1 && c != 3 {
        return None;
    }
    let values = weights.values();
    let filters = values.chunks_exact(c * kh * kw).take(k).map(|filter| {
        let largest = filter.iter().fold(f32::MIN_POSITIVE, |m, v| m.max(v.abs()));
        let pixels = (0..kh * kw)
            .flat_map(|at| (0..c).map(move |channel| (127.5 + 127.5 * filter[channel * kh * kw + at] / largest) as u8));
        Bitmap { height: kh, width: kw, channels: c, pixels: pixels.collect() }
    });
    Some((filters.collect(), kh))
}

#[cfg(test)]
mod tests {
    use super::*;
    use residual_train::data::Normalize;

    #[test]
    fn a_large_image_becomes_its_means() {
        let pixels = (0..144 * 288).flat_map(|i| if (i % 288) < 144 { [0, 10, 20] } else { [200, 210, 220] }).collect();
        let small = Bitmap { height: 144, width: 288, channels: 3, pixels }.small();
        assert_eq!((small.height, small.width), (36, 72));
        assert_eq!((&small.pixels[..3], &small.pixels[71 * 3..72 * 3]), (&[0, 10, 20][..], &[200, 210, 220][..]));
    }

    #[test]
    fn what_was_normalised_comes_back_to_within_a_grey_level() {
        let normalizer = Normalizer::new(&Normalize::known("cifar10").expect("known"), 2, 2, 3).expect("sizes agree");
        let image: Vec<u8> = (0..12).map(|i| i * 23).collect();
        let mut normalised = vec![0.0; 12];
        normalizer.apply(&image, &mut normalised);
        let back = Inverse::new(&normalizer).image(&normalised);
        assert!(back.pixels.iter().zip(&image).all(|(a, b)| a.abs_diff(*b) <= 1), "{:?}", back.pixels);
    }

    #[test]
    fn a_sheet_has_its_tiles_in_rows_and_reads_as_png() {
        let tile = |grey| Bitmap { height: 2, width: 3, channels: 1, pixels: vec![grey; 6] };
        let sheet = Bitmap::sheet(&[tile(1), tile(2), tile(3)], 2).expect("three tiles");
        assert_eq!((sheet.height, sheet.width), (5, 7));
        assert_eq!(&sheet.pixels[(3 * 7) * 4..][..4], [3, 3, 3, 255]);
        let address = sheet.address().expect("an image");
        let png = STANDARD.decode(address.trim_start_matches("data:image/png;base64,")).expect("base64");
        assert_eq!(image::load_from_memory(&png).expect("PNG").width(), 7);
    }
}
