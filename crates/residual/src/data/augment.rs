//! What training does to a picture so that it is never the same twice: shifted, mirrored, partly hidden.
//!
//! Every draw comes from the stream of (seed, epoch, picture), so neither threads nor a resumed run change it. Shifting
//! and mirroring happen while bytes become floats, in one pass: no padded copy is made. `scale` needs the picture as it
//! was before it was brought to the net's size, so pictures are then decoded anew in every epoch.

use super::normalize::Normalizer;
use super::picture::Picture;
use super::resample::Fit;
use super::sample::{below, normal};
use crate::error::{Error, Result};
use crate::random::{Purpose, stream};
use serde::{Deserialize, Serialize};

/// Mirroring left to right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Flip {
    /// Never.
    #[default]
    None,
    /// Each time with probability one half.
    Random,
    /// Every other epoch, from a random start: after two epochs both sides of every picture were seen (Jordan 2024,
    /// "94% on CIFAR-10 in 3.29 seconds", section 3.6).
    Alternating,
}

/// How training pictures are varied.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Augment {
    /// Pixels of zeros around the normalised picture, of which a window of the picture's size is cut at random.
    pub pad_crop: usize,
    /// Mirroring.
    pub flip: Flip,
    /// Side of a square set to zero (the mean) around a random pixel; parts may lie outside (DeVries and Taylor 2017).
    pub cutout: usize,
    /// For large pictures: the shorter side is brought to a random size from the first to the second of these, and a
    /// window of the net's size is cut at random. VGG takes 256 to 512 (section 3.1), ResNet 256 to 480 (section 3.4).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale: Option<[usize; 2]>,
    /// Standard deviation of the shifts along the principal components of ImageNet's colours, 0.1 in both papers
    /// (Krizhevsky, Sutskever, Hinton 2012, section 4.1); 0 shifts nothing. Only for three channels.
    pub lighting: f32,
}

/// Variances' roots and directions of ImageNet's colours on the 0 to 1 scale, a row per channel (the constants that
/// fb.resnet.torch published and everyone took over).
const COLOUR_SPREAD: [f32; 3] = [0.2175, 0.0188, 0.0045];
const COLOUR_AXES: [[f32; 3]; 3] = [[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]];

/// Marks streams of their own: no epoch has this bit.
const WINDOW: u64 = 1 << 63;
const COLOUR: u64 = 1 << 62;

/// What was drawn for one picture in one epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Draw {
    /// Window's offset from the unpadded picture, rows then columns.
    offset: (isize, isize),
    flip: bool,
    /// Centre of the hidden square, row and column.
    hidden: Option<(usize, usize)>,
}

impl Augment {
    /// Whether pictures come out as they went in.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Whether training starts from pictures as they are in their files rather than from ones of the net's size.
    pub fn needs_originals(&self) -> bool {
        self.scale.is_some()
    }

    fn draw(&self, seed: u64, epoch: u64, picture: u64, height: usize, width: usize) -> Draw {
        let mut rng = stream(seed, Purpose::Augment, epoch, picture);
        // All draws are made in any case: switching one augmentation off leaves the others' numbers alone.
        let mut shift = || below(&mut rng, 2 * self.pad_crop + 1) as isize - self.pad_crop as isize;
        let offset = (shift(), shift());
        let coin = below(&mut rng, 2) == 1;
        let centre = (below(&mut rng, height), below(&mut rng, width));
        let flip = match self.flip {
            Flip::None => false,
            Flip::Random => coin,
            // No epoch has this number: it keys the one coin that the picture keeps.
            Flip::Alternating => {
                let start = below(&mut stream(seed, Purpose::Augment, u64::MAX, picture), 2) as u64;
                (start + epoch) % 2 == 1
            }
        };
        Draw { offset, flip, hidden: (self.cutout > 0).then_some(centre) }
    }

    /// Whether a window of `height`x`width` can be cut at every scale.
    ///
    /// # Errors
    /// Where a scale is smaller than the window, or the scales are in the wrong order.
    pub fn check(&self, height: usize, width: usize) -> Result<()> {
        match self.scale {
            Some([low, high]) if low > high || low < height.max(width) => Err(Error::usage(format!(
                "augment.scale = [{low}, {high}] is no range of sides from which {height}x{width} pixels can be cut"
            ))
            .with_hint("the smaller number first, and at least the net's input; VGG takes [256, 512]")),
            _ => Ok(()),
        }
    }

    /// Brings `picture` to a random scale and cuts a random window of `fit`'s size: `[height, width, channels]`.
    pub(crate) fn window(
        &self,
        [low, high]: [usize; 2],
        picture: &Picture,
        fit: &Fit,
        seed: u64,
        epoch: u64,
        index: u64,
    ) -> Vec<u8> {
        let mut rng = stream(seed, Purpose::Augment, epoch | WINDOW, index);
        let side = low + below(&mut rng, high - low + 1);
        let short = picture.height.min(picture.width);
        let scaled = |long: usize| (side * long / short).max(side);
        let size = (scaled(picture.height), scaled(picture.width));
        let corner = (below(&mut rng, size.0 - fit.height + 1), below(&mut rng, size.1 - fit.width + 1));
        fit.window(picture, size, corner)
    }

    /// What is added to each channel of a normalised picture.
    fn colour_shift(&self, normalizer: &Normalizer, seed: u64, epoch: u64, picture: u64) -> [f32; 3] {
        let mut rng = stream(seed, Purpose::Augment, epoch | COLOUR, picture);
        let amounts = COLOUR_SPREAD.map(|spread| spread * self.lighting * normal(&mut rng));
        std::array::from_fn(|channel| {
            let shift: f32 = COLOUR_AXES[channel].iter().zip(amounts).map(|(axis, amount)| axis * amount).sum();
            shift * 255.0 * normalizer.scale_of(channel)
        })
    }

    /// Normalises and varies one picture, `[h, w, c]` to `[h, w, c]`.
    pub fn apply(&self, normalizer: &Normalizer, pixels: &[u8], seed: u64, epoch: u64, picture: u64, out: &mut [f32]) {
        if self.is_none() {
            return normalizer.apply(pixels, out);
        }
        let (h, w, c) = (normalizer.height(), normalizer.width(), normalizer.channels());
        let draw = self.draw(seed, epoch, picture, h, w);
        let (dy, dx) = draw.offset;
        // Columns of the output that show the picture; the rest is padding.
        let from = (-dx).clamp(0, w as isize) as usize;
        let to = (w as isize - dx).clamp(0, w as isize) as usize;
        for (y, out) in out.chunks_exact_mut(w * c).enumerate() {
            let source = y as isize + dy;
            if source < 0 || source >= h as isize || from >= to {
                out.fill(0.0);
                continue;
            }
            let (source, x) = (source as usize, (from as isize + dx) as usize);
            let start = (source * w + x) * c;
            out[..from * c].fill(0.0);
            out[to * c..].fill(0.0);
            normalizer.apply_row(source, x, &pixels[start..start + (to - from) * c], &mut out[from * c..to * c]);
            if draw.flip {
                mirror(out, c);
            }
        }
        if self.lighting > 0.0 && c == 3 {
            let shift = self.colour_shift(normalizer, seed, epoch, picture);
            for pixel in out.chunks_exact_mut(3) {
                pixel.iter_mut().zip(shift).for_each(|(value, shift)| *value += shift);
            }
        }
        if let Some(centre) = draw.hidden {
            hide(out, (h, w, c), centre, self.cutout);
        }
    }
}

/// Reverses the pixels of a row.
fn mirror(row: &mut [f32], c: usize) {
    let half = row.len() / c / 2;
    let (left, right) = row.split_at_mut(row.len() - half * c);
    for (a, b) in left.chunks_exact_mut(c).zip(right.chunks_exact_mut(c).rev()) {
        a.swap_with_slice(b);
    }
}

/// Sets a square of `side` around `(row, column)` to zero, as far as it lies within.
fn hide(out: &mut [f32], (h, w, c): (usize, usize, usize), (row, column): (usize, usize), side: usize) {
    let span = |centre: usize, limit: usize| {
        let start = centre as isize - (side / 2) as isize;
        start.max(0) as usize..(start + side as isize).min(limit as isize) as usize
    };
    let columns = span(column, w);
    for y in span(row, h) {
        out[(y * w + columns.start) * c..(y * w + columns.end) * c].fill(0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::super::normalize::Normalize;
    use super::super::options::{Filter, Resize};
    use super::*;
    use proptest::prelude::*;

    /// Normalisation that leaves bytes readable: x.
    fn bytes(h: usize, w: usize, c: usize) -> Normalizer {
        let unit = Normalize::Channel { mean: vec![0.0; c], std: vec![1.0 / 255.0; c] };
        Normalizer::new(&unit, h, w, c).expect("sizes agree")
    }

    /// Pads, cuts, mirrors, hides, one after the other and the slow way.
    fn reference(pixels: &[u8], draw: Draw, pad: usize, cutout: usize, (h, w, c): (usize, usize, usize)) -> Vec<f32> {
        let (ph, pw) = (h + 2 * pad, w + 2 * pad);
        let mut padded = vec![0.0; ph * pw * c];
        for y in 0..h {
            for x in 0..w * c {
                padded[(y + pad) * pw * c + pad * c + x] = f32::from(pixels[y * w * c + x]);
            }
        }
        let (oy, ox) = ((draw.offset.0 + pad as isize) as usize, (draw.offset.1 + pad as isize) as usize);
        let mut out = vec![0.0; h * w * c];
        for (y, x, k) in (0..h).flat_map(|y| (0..w).flat_map(move |x| (0..c).map(move |k| (y, x, k)))) {
            let from = if draw.flip { w - 1 - x } else { x };
            let hidden = draw.hidden.is_some_and(|(cy, cx)| {
                let covers = |at: usize, centre: usize| {
                    let start = centre as isize - (cutout / 2) as isize;
                    (start..start + cutout as isize).contains(&(at as isize))
                };
                covers(y, cy) && covers(x, cx)
            });
            out[(y * w + x) * c + k] = if hidden { 0.0 } else { padded[((y + oy) * pw + from + ox) * c + k] };
        }
        out
    }

    proptest! {
        #[test]
        fn one_pass_gives_what_padding_cropping_mirroring_and_hiding_give(
            h in 1usize..9, w in 1usize..9, c in 1usize..4, pad_crop in 0usize..12, cutout in 0usize..6,
            flip in prop_oneof![Just(Flip::None), Just(Flip::Random), Just(Flip::Alternating)],
            seed: u64, epoch in 0u64..4,
        ) {
            let augment = Augment { pad_crop, flip, cutout, ..Augment::default() };
            let pixels: Vec<u8> = (0..h * w * c).map(|i| (i * 37 % 251) as u8 + 1).collect();
            let mut out = vec![7.0; h * w * c];
            augment.apply(&bytes(h, w, c), &pixels, seed, epoch, 5, &mut out);
            let expected = match augment.is_none() {
                true => pixels.iter().map(|&p| f32::from(p)).collect(),
                false => reference(&pixels, augment.draw(seed, epoch, 5, h, w), pad_crop, cutout, (h, w, c)),
            };
            for (a, b) in out.iter().zip(&expected) {
                prop_assert!((a - b).abs() < 1e-3, "{} {}", a, b);
            }
        }
    }

    #[test]
    fn alternating_flips_show_both_sides_in_two_epochs_and_start_at_random() {
        let augment = Augment { flip: Flip::Alternating, ..Augment::default() };
        let flips = |epoch| (0..200).map(|i| augment.draw(3, epoch, i, 8, 8).flip).collect::<Vec<bool>>();
        assert!(flips(0).iter().zip(flips(1)).all(|(a, b)| *a != b));
        assert_eq!(flips(0), flips(2));
        let flipped = flips(0).iter().filter(|f| **f).count();
        assert!((70..130).contains(&flipped), "{flipped} of 200");
    }

    #[test]
    fn every_offset_and_both_sides_turn_up_over_the_epochs() {
        let augment = Augment { pad_crop: 2, flip: Flip::Random, ..Augment::default() };
        let mut seen = std::collections::BTreeSet::new();
        for epoch in 0..2000 {
            let draw = augment.draw(1, epoch, 9, 8, 8);
            seen.insert((draw.offset, draw.flip));
        }
        assert_eq!(seen.len(), 5 * 5 * 2);
    }

    #[test]
    fn padding_is_zero_after_normalisation_not_black() {
        let normalize = Normalize::Channel { mean: vec![0.5], std: vec![0.25] };
        let normalizer = Normalizer::new(&normalize, 2, 2, 1).expect("sizes agree");
        let augment = Augment { pad_crop: 2, ..Augment::default() };
        let mut seen_padding = false;
        for epoch in 0..50 {
            let mut out = [9.0; 4];
            augment.apply(&normalizer, &[0; 4], 0, epoch, 0, &mut out);
            assert!(out.iter().all(|v| *v == 0.0 || *v == -2.0), "{out:?}");
            seen_padding |= out.contains(&0.0);
        }
        assert!(seen_padding);
    }

    #[test]
    fn windows_are_cut_at_every_scale_and_show_the_picture() {
        let augment = Augment { scale: Some([8, 12]), ..Augment::default() };
        let picture =
            Picture { height: 20, width: 30, channels: 1, pixels: (0..600).map(|i| (i / 30 * 10) as u8).collect() };
        let fit = Fit { height: 8, width: 8, channels: 3, scale: None, resize: Resize::Crop, filter: Filter::Bilinear };
        let mut seen = std::collections::BTreeSet::new();
        for epoch in 0..200 {
            let window = augment.window([8, 12], &picture, &fit, 1, epoch, 0);
            assert_eq!(window.len(), 8 * 8 * 3);
            // Rows get lighter downwards and are flat.
            let rows: Vec<u8> = window.chunks_exact(24).map(|row| row[0]).collect();
            assert!(rows.windows(2).all(|pair| pair[0] < pair[1]), "{rows:?}");
            assert!(window.chunks_exact(24).all(|row| row.iter().all(|v| *v == row[0])));
            seen.insert(window);
        }
        // One place at scale 8, two to five at the others.
        assert_eq!(seen.len(), 1 + 2 + 3 + 4 + 5);
        assert!(augment.check(9, 9).is_err() && augment.check(8, 8).is_ok());
    }

    #[test]
    fn lighting_shifts_whole_channels_by_the_papers_amounts() {
        let augment = Augment { lighting: 0.1, ..Augment::default() };
        let normalizer = Normalizer::new(&Normalize::known("imagenet").expect("known"), 2, 2, 3).expect("sizes agree");
        let (mut plain, mut squares) = ([0.0; 12], [0.0f64; 3]);
        normalizer.apply(&[90; 12], &mut plain);
        for epoch in 0..4000 {
            let mut out = [0.0; 12];
            augment.apply(&normalizer, &[90; 12], 5, epoch, 3, &mut out);
            for channel in 0..3 {
                let shifts = [0, 3, 6, 9].map(|at| out[at + channel] - plain[at + channel]);
                assert!(shifts.iter().all(|s| (s - shifts[0]).abs() < 1e-6), "{shifts:?}");
                squares[channel] += f64::from(shifts[0]).powi(2) / 4000.0;
            }
        }
        // Red: 0.1 · sqrt((0.5675 · 0.2175)² + (0.7192 · 0.0188)² + (0.4009 · 0.0045)²) / 0.229.
        assert!((squares[0].sqrt() - 0.0542).abs() < 0.002, "{squares:?}");
    }
}
