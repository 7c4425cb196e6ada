//! Antialiased resampling that gives what Pillow's `Image.resize` gives, its rounding to 8 bits included.
//!
//! Which resize made the pixels moves the accuracy of a net by up to a point (pytorch/vision#2950, #6506), and nearly
//! every published weight was trained behind Pillow's. So the arithmetic here is Pillow's (`libImaging/Resample.c`):
//! columns first, then rows; the support of the filter grows with the reduction; weights are fixed-point numbers of 22
//! bits; each pass rounds to bytes. Pixels are `[h, w, c]`.

use super::decode::Image;
use super::options::{Filter, Resize};
use std::borrow::Cow;
use std::ops::Range;

/// Bits behind the point: 32 less 8 of the pixel and 2 for the overshoot of the cubic.
const BITS: u32 = 32 - 8 - 2;

/// A part of an image, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    pub top: usize,
    pub left: usize,
    pub height: usize,
    pub width: usize,
}

/// The way from an image of any size to the net's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResizeSpec {
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    /// With `Resize::Crop`: the shorter side before the centre is cut out; the target's own where absent.
    pub scale: Option<usize>,
    pub resize: Resize,
    pub filter: Filter,
}

impl ResizeSpec {
    /// `pixels`, `[h, w, c]`, brought to `[height, width, channels]`.
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

    /// The scale that was asked for, or that just covers the target, and the centre of what it gives. With a square
    /// target this is torchvision's `Resize(scale)` (the longer side rounded down) and `CenterCrop(size)` (halves rounded
    /// to even).
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

    /// The image brought to `size` (rows, columns), of which a window of the target's size is cut at `corner`.
    pub fn window(&self, image: &Image, size: (usize, usize), corner: (usize, usize)) -> Vec<u8> {
        let pixels = convert(&image.pixels, image.channels, self.channels);
        let rows = Axis { from: image.height, to: size.0, window: corner.0..corner.0 + self.height };
        let columns = Axis { from: image.width, to: size.1, window: corner.1..corner.1 + self.width };
        resample(&pixels, image.width, self.channels, &rows, &columns, self.filter)
    }

    /// A part of the image, brought to the target's size in both directions: what lies beside the part has no say in it.
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

/// The whole image at a shorter side of `side` pixels: torchvision's `Resize(side)`, the longer side rounded down.
pub fn isotropic(image: &Image, side: usize, channels: usize, filter: Filter) -> Image {
    let pixels = convert(&image.pixels, image.channels, channels);
    let [height, width] = image.size_at(side);
    let (rows, columns) = (Axis::whole(image.height, height), Axis::whole(image.width, width));
    Image { height, width, channels, pixels: resample(&pixels, image.width, channels, &rows, &columns, filter) }
}

impl Image {
    /// The whole image at a shorter side of `side` pixels in `channels`, proportions kept.
    pub fn scaled(&self, side: usize, channels: usize, filter: Filter) -> Self {
        isotropic(self, side, channels, filter)
    }

    /// The image brought to the size and channels of `fit`, `[height, width, channels]`.
    pub fn fitted(&self, fit: &ResizeSpec) -> Vec<u8> {
        fit.apply(&self.pixels, self.height, self.width, self.channels)
    }

    /// Height and width of the whole image once its shorter side is `side` pixels.
    pub fn size_at(&self, side: usize) -> [usize; 2] {
        let (h, w) = (self.height, self.width);
        let long = |long: usize| (side.saturating_mul(long) / h.min(w)).max(side);
        if h <= w { [side, long(w)] } else { [long(h), side] }
    }
}

/// Grey to colour by repetition, colour to grey by ITU-R 601-2's luma in 16-bit fixed point, as Pillow's `convert`.
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

/// An image of one channel from one of `channels`.
pub fn luma(pixels: &[u8], channels: usize) -> Cow<'_, [u8]> {
    convert(pixels, channels, 1)
}

/// One dimension: `from` pixels become `to`, of which only `window` is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Axis {
    from: usize,
    to: usize,
    window: Range<usize>,
}

impl Axis {
    fn whole(from: usize, to: usize) -> Self {
        Self { from, to, window: 0..to }
    }

    fn middle(from: usize, to: usize, size: usize) -> Self {
        let start = half_to_even(to - size);
        Self { from, to, window: start..start + size }
    }

    fn changes(&self) -> bool {
        self.from != self.to
    }
}

/// Half of n, an exact half rounded to the even number: Python's `round(n / 2)`.
fn half_to_even(n: usize) -> usize {
    let half = n / 2;
    if n % 2 == 1 && half % 2 == 1 { half + 1 } else { half }
}

/// The pixels that make one pixel, and how much of each.
struct Taps {
    first: usize,
    weights: Vec<i32>,
}

fn taps(axis: &Axis, filter: Filter) -> Vec<Taps> {
    let radius = match filter {
        Filter::Bilinear => 1.0,
        Filter::Bicubic => 2.0,
    };
    let scale = axis.from as f64 / axis.to as f64;
    let stretch = scale.max(1.0);
    let support = radius * stretch;
    axis.window
        .clone()
        .map(|at| {
            let centre = (at as f64 + 0.5) * scale;
            let first = (centre - support + 0.5).max(0.0) as usize;
            let last = ((centre + support + 0.5) as usize).min(axis.from);
            let raw: Vec<f64> = (first..last).map(|x| weight(filter, (x as f64 - centre + 0.5) / stretch)).collect();
            let sum: f64 = raw.iter().sum();
            let fixed = |w: f64| {
                let scaled = w / sum * f64::from(1 << BITS);
                // Rounded away from zero at a half, then truncated.
                (scaled + 0.5f64.copysign(scaled)) as i32
            };
            Taps { first, weights: raw.into_iter().map(fixed).collect() }
        })
        .collect()
}

fn weight(filter: Filter, x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    match filter {
        Filter::Bilinear if x < 1.0 => 1.0 - x,
        Filter::Bicubic if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
        Filter::Bicubic if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
        _ => 0.0,
    }
}

/// Both passes; a dimension that keeps its size is only cut.
fn resample(pixels: &[u8], w: usize, c: usize, rows: &Axis, columns: &Axis, filter: Filter) -> Vec<u8> {
    let vertical = rows.changes().then(|| taps(rows, filter));
    // Rows that the second pass will read.
    let needed = match &vertical {
        Some(taps) => {
            let end = taps.iter().map(|t| t.first + t.weights.len()).max().unwrap_or(0);
            taps.first().map_or(0, |t| t.first)..end
        }
        None => rows.window.clone(),
    };
    let source = &pixels[needed.start * w * c..needed.end * w * c];
    let across = pass_columns(source, w, c, columns, filter);
    match vertical {
        Some(taps) => pass_rows(&across, columns.window.len() * c, needed.start, &taps),
        None => across,
    }
}

/// `[rows, w, c]` → `[rows, window, c]`.
fn pass_columns(pixels: &[u8], w: usize, c: usize, columns: &Axis, filter: Filter) -> Vec<u8> {
    let window = &columns.window;
    let mut out = Vec::with_capacity(pixels.len() / w * window.len());
    if !columns.changes() {
        pixels.chunks_exact(w * c).for_each(|row| out.extend_from_slice(&row[window.start * c..window.end * c]));
        return out;
    }
    let taps = taps(columns, filter);
    for row in pixels.chunks_exact(w * c) {
        for Taps { first, weights } in &taps {
            let near = &row[first * c..(first + weights.len()) * c];
            // One loop per number of channels, so that the sums stay in registers.
            match c {
                3 => {
                    let mut sums = [HALF; 3];
                    for (p, &k) in near.chunks_exact(3).zip(weights) {
                        sums[0] += i32::from(p[0]) * k;
                        sums[1] += i32::from(p[1]) * k;
                        sums[2] += i32::from(p[2]) * k;
                    }
                    out.extend(sums.map(to_byte));
                }
                _ => out.extend((0..c).map(|channel| {
                    let values = near.iter().skip(channel).step_by(c);
                    to_byte(values.zip(weights).fold(HALF, |sum, (&v, &k)| sum + i32::from(v) * k))
                })),
            }
        }
    }
    out
}

/// `[rows, row]` → `[taps, row]`; `pixels` begins with row `first_row` of the image.
fn pass_rows(pixels: &[u8], row: usize, first_row: usize, taps: &[Taps]) -> Vec<u8> {
    let mut out = Vec::with_capacity(taps.len() * row);
    let mut sums = vec![0; row];
    for Taps { first, weights } in taps {
        sums.fill(HALF);
        for (y, &k) in (first - first_row..).zip(weights) {
            for (sum, &v) in sums.iter_mut().zip(&pixels[y * row..(y + 1) * row]) {
                *sum += i32::from(v) * k;
            }
        }
        out.extend(sums.iter().map(|&sum| to_byte(sum)));
    }
    out
}

/// One half, so that the shift rounds.
const HALF: i32 = 1 << (BITS - 1);

fn to_byte(sum: i32) -> u8 {
    (sum >> BITS).clamp(0, 255) as u8
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

    /// From Pillow 13.0 on the same images: `resize((w, h), BILINEAR)` for squash; torchvision's sizes and offsets
    /// around it for crop.
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
    fn every_byte_is_pillows() {
        for (resize, filter, [h, w, channels], [height, width], expected) in PILLOW {
            let fit = ResizeSpec { height, width, channels, scale: None, resize, filter };
            let found = fit.apply(&image(h, w, channels), h, w, channels);
            assert_eq!(found, expected, "{resize} {filter} {h}x{w} to {height}x{width}");
        }
    }

    #[test]
    fn grey_is_pillows_luma_and_colour_is_grey_three_times() {
        // `convert("L")` of the 3x2 image.
        assert_eq!(convert(&image(3, 2, 3), 3, 1).as_ref(), [43, 80, 134, 176, 196, 93]);
        assert_eq!(convert(&[7, 9], 1, 3).as_ref(), [7, 7, 7, 9, 9, 9]);
    }

    #[test]
    fn an_image_of_the_right_size_is_left_alone_by_every_mode() {
        for resize in [Resize::Crop, Resize::Squash, Resize::Letterbox] {
            for filter in [Filter::Bilinear, Filter::Bicubic] {
                let fit = ResizeSpec { height: 7, width: 7, channels: 3, scale: None, resize, filter };
                assert_eq!(fit.apply(&image(7, 7, 3), 7, 7, 3), image(7, 7, 3));
            }
        }
    }

    #[test]
    fn a_letterbox_shows_everything_between_bars_of_black() {
        let fit = ResizeSpec {
            height: 6,
            width: 6,
            channels: 1,
            scale: None,
            resize: Resize::Letterbox,
            filter: Filter::Bilinear,
        };
        let wide = fit.apply(&[200; 4 * 12], 4, 12, 1);
        let rows: Vec<u8> =
            wide.chunks_exact(6).map(|row| if row.iter().all(|v| *v == row[0]) { row[0] } else { 1 }).collect();
        assert_eq!(rows, [0, 0, 200, 200, 0, 0]);
        let tall = fit.apply(&[200; 12 * 4], 12, 4, 1);
        assert_eq!(tall[..6], [0, 0, 200, 200, 0, 0]);
    }

    #[test]
    fn one_pixel_wide_images_become_whatever_is_asked_for() {
        for resize in [Resize::Crop, Resize::Squash, Resize::Letterbox] {
            for (h, w) in [(1, 1), (1, 500), (500, 1)] {
                let fit = ResizeSpec { height: 9, width: 5, channels: 3, scale: None, resize, filter: Filter::Bicubic };
                let out = fit.apply(&vec![99; h * w], h, w, 1);
                assert_eq!(out.len(), 9 * 5 * 3);
                assert!(out.iter().all(|v| *v == 99 || (*v == 0 && resize == Resize::Letterbox)), "{resize} {h}x{w}");
            }
        }
    }
}
