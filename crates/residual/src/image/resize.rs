//! Resizing: an image of any size and shape becomes one of a network's input size.

use super::decode::Image;
use super::options::{Filter, Resize};
use super::resample::{Axis, resample};
use std::borrow::Cow;

/// A rectangle of an image, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    /// First row.
    pub top: usize,
    /// First column.
    pub left: usize,
    /// Number of rows.
    pub height: usize,
    /// Number of columns.
    pub width: usize,
}

/// How images of any size are resized to the input of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResizeSpec {
    /// Rows of the result.
    pub height: usize,
    /// Columns of the result.
    pub width: usize,
    /// Channels of the result: 1 (grey) or 3 (red, green, blue).
    pub channels: usize,
    /// With [`Resize::Crop`]: the shorter side before the centre is cropped; `None` scales the
    /// image until it just covers the result.
    pub scale: Option<usize>,
    /// How the image's proportions are brought to the result's.
    pub resize: Resize,
    /// Resampling filter.
    pub filter: Filter,
}

impl ResizeSpec {
    /// Resizes `pixels`, `[h, w, c]`, to `[height, width, channels]`.
    pub fn apply(&self, pixels: &[u8], h: usize, w: usize, c: usize) -> Vec<u8> {
        let pixels = convert(pixels, c, self.channels);
        let c = self.channels;
        match self.resize {
            Resize::Squash => {
                let (rows, columns) = (Axis::whole(h, self.height), Axis::whole(w, self.width));
                resample(&pixels, w, c, &rows, &columns, self.filter)
            }
            Resize::Crop => {
                let (rows, columns) = self.crop(h, w);
                resample(&pixels, w, c, &rows, &columns, self.filter)
            }
            Resize::Letterbox => self.letterbox(&pixels, h, w),
        }
    }

    /// Scales to `self.scale`, or until the target is just covered, and crops the centre. With a
    /// square target this is torchvision's `Resize(scale)` (the longer side rounded down) and
    /// `CenterCrop(size)` (halves rounded to even).
    fn crop(&self, h: usize, w: usize) -> (Axis, Axis) {
        let scale = self.scale.unwrap_or(0);
        let (mut tall, mut wide) = (self.height.max(scale), self.width.max(scale));
        // Compare tall / h with wide / w without a division.
        if tall * w >= wide * h {
            wide = (tall * w / h).max(wide);
        } else {
            tall = (wide * h / w).max(tall);
        }
        (Axis::middle(h, tall, self.height), Axis::middle(w, wide, self.width))
    }

    /// Scales an image to `size` (rows, columns) and crops a window of the target's size whose
    /// upper left pixel is `corner` (row, column).
    pub fn window(&self, image: &Image, size: (usize, usize), corner: (usize, usize)) -> Vec<u8> {
        let pixels = convert(&image.pixels, image.channels, self.channels);
        let rows = Axis { from: image.height, to: size.0, window: corner.0..corner.0 + self.height };
        let columns = Axis { from: image.width, to: size.1, window: corner.1..corner.1 + self.width };
        resample(&pixels, image.width, self.channels, &rows, &columns, self.filter)
    }

    /// Crops `part` of an image and scales both its sides to the target's size. Pixels outside the
    /// part do not contribute.
    pub fn stretch(&self, image: &Image, part: Region) -> Vec<u8> {
        let c = image.channels;
        let mut inside = Vec::with_capacity(part.height * part.width * c);
        for row in image.pixels.chunks_exact(image.width * c).skip(part.top).take(part.height) {
            inside.extend_from_slice(&row[part.left * c..(part.left + part.width) * c]);
        }
        let pixels = convert(&inside, c, self.channels);
        let (rows, columns) = (Axis::whole(part.height, self.height), Axis::whole(part.width, self.width));
        resample(&pixels, part.width, self.channels, &rows, &columns, self.filter)
    }

    /// Scales the longer side to the target's and fills the rest with black.
    fn letterbox(&self, pixels: &[u8], h: usize, w: usize) -> Vec<u8> {
        let (mut tall, mut wide) = (self.height, self.width);
        let rounded = |n: usize, d: usize| ((2 * n + d) / (2 * d)).max(1);
        if self.height * w <= self.width * h {
            wide = rounded(self.height * w, h).min(self.width);
        } else {
            tall = rounded(self.width * h, w).min(self.height);
        }
        let c = self.channels;
        let inner = resample(pixels, w, c, &Axis::whole(h, tall), &Axis::whole(w, wide), self.filter);
        let mut out = vec![0; self.height * self.width * c];
        let (top, left) = ((self.height - tall) / 2, (self.width - wide) / 2);
        for (row, inner) in inner.chunks_exact(wide * c).enumerate() {
            let start = ((top + row) * self.width + left) * c;
            out[start..start + wide * c].copy_from_slice(inner);
        }
        out
    }
}

impl Image {
    /// Scales the shorter side to `side` pixels and keeps proportions: torchvision's
    /// `Resize(side)`, the longer side rounded down. The result has `channels`, 1 or 3.
    pub fn scaled(&self, side: usize, channels: usize, filter: Filter) -> Self {
        let pixels = convert(&self.pixels, self.channels, channels);
        let [height, width] = self.size_at(side);
        let (rows, columns) = (Axis::whole(self.height, height), Axis::whole(self.width, width));
        let pixels = resample(&pixels, self.width, channels, &rows, &columns, filter);
        Self { height, width, channels, pixels }
    }

    /// Resizes the image as `spec` says; the result is `[height, width, channels]` of `spec`.
    pub fn fitted(&self, spec: &ResizeSpec) -> Vec<u8> {
        spec.apply(&self.pixels, self.height, self.width, self.channels)
    }

    /// Returns height and width of the image once its shorter side is `side` pixels.
    pub fn size_at(&self, side: usize) -> [usize; 2] {
        let (h, w) = (self.height, self.width);
        let long = |long: usize| (side.saturating_mul(long) / h.min(w)).max(side);
        if h <= w { [side, long(w)] } else { [long(h), side] }
    }
}

/// Converts grey to colour by repetition, and colour to grey by ITU-R 601-2's luma in 16-bit fixed
/// point, as Pillow's `convert` does.
fn convert(pixels: &[u8], from: usize, to: usize) -> Cow<'_, [u8]> {
    match (from, to) {
        (1, 3) => Cow::Owned(pixels.iter().flat_map(|&v| [v, v, v]).collect()),
        (3, 1) => {
            let grey = |p: &[u8]| {
                let [r, g, b] = [p[0], p[1], p[2]].map(u32::from);
                ((r * 19595 + g * 38470 + b * 7471 + 0x8000) >> 16) as u8
            };
            Cow::Owned(pixels.chunks_exact(3).map(grey).collect())
        }
        _ => Cow::Borrowed(pixels),
    }
}

/// Converts pixels of `channels` (1 or 3) to grey by ITU-R 601-2's luma.
pub fn luma(pixels: &[u8], channels: usize) -> Cow<'_, [u8]> {
    convert(pixels, channels, 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values from 37, 91, 53 and 5 times column, row, channel and their product, modulo 256.
    fn image(h: usize, w: usize, c: usize) -> Vec<u8> {
        let at = |i: usize| {
            let (y, x, k) = (i / (w * c), i / c % w, i % c);
            ((x * 37 + y * 91 + k * 53 + x * y * 5) % 256) as u8
        };
        (0..h * w * c).map(at).collect()
    }

    type Case = (Resize, Filter, [usize; 3], [usize; 2], &'static [u8]);

    /// From Pillow 13.0 on the same images: `resize((w, h), BILINEAR)` for squash; torchvision's
    /// sizes and offsets around it for crop.
    const PILLOW: [Case; 6] = [
        (
            Resize::Squash,
            Filter::Bilinear,
            [13, 17, 3],
            [4, 3],
            &[
                117, 125, 132, 132, 123, 128, 133, 124, 122, 126, 134, 126, 138, 136, 129, 131, 129, 131, 124, 128,
                129, 128, 133, 129, 120, 132, 127, 134, 126, 129, 130, 135, 124, 140, 126, 130,
            ],
        ),
        (
            Resize::Squash,
            Filter::Bicubic,
            [13, 17, 3],
            [3, 4],
            &[
                113, 128, 132, 131, 122, 129, 137, 130, 127, 132, 124, 123, 118, 135, 126, 142, 136, 126, 123, 133,
                137, 125, 131, 128, 133, 122, 135, 130, 133, 122, 127, 130, 128, 137, 130, 125,
            ],
        ),
        (
            Resize::Squash,
            Filter::Bicubic,
            [5, 3, 1],
            [7, 8],
            &[
                0, 0, 8, 23, 39, 55, 67, 72, 43, 46, 57, 75, 95, 121, 139, 146, 120, 126, 142, 163, 167, 155, 143, 139,
                177, 184, 211, 235, 200, 105, 28, 0, 48, 55, 74, 97, 104, 95, 85, 83, 41, 48, 64, 88, 115, 146, 170,
                179, 107, 115, 133, 159, 183, 208, 226, 234,
            ],
        ),
        (
            Resize::Crop,
            Filter::Bilinear,
            [13, 22, 3],
            [4, 4],
            &[
                122, 123, 127, 136, 120, 129, 132, 131, 124, 129, 118, 124, 141, 135, 132, 139, 135, 129, 126, 127,
                133, 137, 129, 131, 133, 125, 120, 125, 137, 134, 117, 131, 133, 137, 130, 123, 131, 133, 126, 129,
                138, 122, 136, 120, 135, 133, 137, 116,
            ],
        ),
        (
            Resize::Crop,
            Filter::Bicubic,
            [22, 13, 1],
            [6, 6],
            &[
                103, 128, 153, 153, 141, 108, 117, 113, 128, 145, 104, 119, 141, 136, 126, 138, 132, 120, 119, 139,
                114, 135, 111, 127, 134, 118, 94, 149, 113, 121, 118, 117, 164, 167, 138, 117,
            ],
        ),
        (Resize::Squash, Filter::Bilinear, [40, 3, 1], [3, 3], &[121, 116, 116, 129, 117, 139, 123, 118, 135]),
    ];

    #[test]
    fn every_byte_equals_pillows() {
        for (resize, filter, [h, w, channels], [height, width], expected) in PILLOW {
            let spec = ResizeSpec { height, width, channels, scale: None, resize, filter };
            let found = spec.apply(&image(h, w, channels), h, w, channels);
            assert_eq!(found, expected, "{resize} {filter} {h}x{w} to {height}x{width}");
        }
    }

    #[test]
    fn grey_is_pillows_luma_and_colour_repeats_grey() {
        // `convert("L")` of the 3x2 image.
        assert_eq!(convert(&image(3, 2, 3), 3, 1).as_ref(), [43, 80, 134, 176, 196, 93]);
        assert_eq!(convert(&[7, 9], 1, 3).as_ref(), [7, 7, 7, 9, 9, 9]);
    }

    #[test]
    fn every_mode_keeps_an_image_of_the_right_size() {
        for resize in [Resize::Crop, Resize::Squash, Resize::Letterbox] {
            for filter in [Filter::Bilinear, Filter::Bicubic] {
                let spec = ResizeSpec { height: 7, width: 7, channels: 3, scale: None, resize, filter };
                assert_eq!(spec.apply(&image(7, 7, 3), 7, 7, 3), image(7, 7, 3));
            }
        }
    }

    #[test]
    fn a_letterbox_shows_the_whole_image_between_black_bars() {
        let spec = ResizeSpec {
            height: 6,
            width: 6,
            channels: 1,
            scale: None,
            resize: Resize::Letterbox,
            filter: Filter::Bilinear,
        };
        let wide = spec.apply(&[200; 4 * 12], 4, 12, 1);
        let rows: Vec<u8> =
            wide.chunks_exact(6).map(|row| if row.iter().all(|v| *v == row[0]) { row[0] } else { 1 }).collect();
        assert_eq!(rows, [0, 0, 200, 200, 0, 0]);
        let tall = spec.apply(&[200; 12 * 4], 12, 4, 1);
        assert_eq!(tall[..6], [0, 0, 200, 200, 0, 0]);
    }

    #[test]
    fn images_of_one_pixel_are_resized_to_any_size() {
        for resize in [Resize::Crop, Resize::Squash, Resize::Letterbox] {
            for (h, w) in [(1, 1), (1, 500), (500, 1)] {
                let spec =
                    ResizeSpec { height: 9, width: 5, channels: 3, scale: None, resize, filter: Filter::Bicubic };
                let out = spec.apply(&vec![99; h * w], h, w, 1);
                assert_eq!(out.len(), 9 * 5 * 3);
                assert!(out.iter().all(|v| *v == 99 || (*v == 0 && resize == Resize::Letterbox)), "{resize} {h}x{w}");
            }
        }
    }
}
