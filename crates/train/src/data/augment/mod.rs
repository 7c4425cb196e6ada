//! What training does to an image so that it is never the same twice.
//!
//! In this order, each only where it is asked for:
//!
//! 1. `crop`: a window of an image of any size, brought to the net's size; bytes from here on.
//! 2. `policy`: RandAugment or TrivialAugment. 3. `jitter` of colours.
//! 4. Normalisation, and with it, in one pass and without a padded copy, a shift by `pad_crop` and a `flip`.
//! 5. `lighting`, `cutout`, `erasing`, on normalised values.
//!
//! torchvision flips before the policy; as every operation of a policy is as likely mirrored, that is the same in
//! distribution, but for a vertical shear: of a mirrored image the right edge stays where it is, not the left. Every draw comes from [`Draws`], so neither threads nor a resumed run change it. A crop needs images as
//! they are in their files, so they are then decoded anew in every epoch.

mod affine;
mod colour;
mod crop;
mod draws;
mod erase;
mod jitter;
mod lighting;
mod policy;

pub use crop::Crop;
pub use draws::Draws;
pub use jitter::Jitter;
pub use policy::{Operation, Policy, PolicyKind, STEPS};

use super::images::Images;
use super::sample::below;
use crate::error::{Error, Result};
use draws::What;
use residual::image::Image;
use residual::image::Normalizer;
use residual::image::Preprocessing;
use residual::image::ResizeSpec;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// Mirroring left to right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Flip {
    /// Never.
    #[default]
    None,
    /// Each time with probability one half.
    Random,
    /// Every other epoch, from a random start: after two epochs both sides of every image were seen (Jordan 2024,
    /// "94% on CIFAR-10 in 3.29 seconds", section 3.6).
    Alternating,
}

/// How training images are varied.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Augment {
    /// How a window of the net's size is had from an image of any size.
    pub crop: Crop,
    /// RandAugment, TrivialAugment.
    pub policy: Policy,
    /// Brightness, contrast, saturation, hue.
    pub jitter: Jitter,
    /// Pixels of zeros around the normalised image, of which a window of the image's size is cut at random.
    pub pad_crop: usize,
    /// Mirroring.
    pub flip: Flip,
    /// Standard deviation of the shifts along the principal components of ImageNet's colours, 0.1 in both papers; 0 shifts
    /// nothing. Only for three channels.
    pub lighting: f32,
    /// Side of a square set to zero (the mean) around a random pixel; parts may lie outside (DeVries and Taylor 2017).
    pub cutout: usize,
    /// Probability that a random rectangle is set to zero (Zhong et al. 2020).
    pub erasing: f64,
}

/// Where one image is placed in one epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    /// Window's offset from the unpadded image, rows then columns.
    offset: (isize, isize),
    flip: bool,
    /// Centre of the hidden square, row and column.
    hidden: Option<(usize, usize)>,
}

impl Augment {
    /// Whether images come out as they went in.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Whether training starts from images as they are in their files rather than from ones of the net's size.
    pub fn needs_originals(&self) -> bool {
        self.crop != Crop::None
    }

    /// Whether it takes so long that an image is worth a task of its own.
    pub(crate) fn is_slow(&self) -> bool {
        self.needs_originals() || self.policy != Policy::None || !self.jitter.is_none()
    }

    /// Whether images of `height`x`width` can be had.
    ///
    /// # Errors
    /// A crop, a policy or a probability that cannot be.
    pub fn check(&self, height: usize, width: usize) -> Result<()> {
        self.crop.check(height, width)?;
        self.policy.check()?;
        if !(0.0..=1.0).contains(&self.erasing) {
            return Err(Error::usage(format!("a probability of {} to erase cannot be", self.erasing)));
        }
        Ok(())
    }

    fn place(&self, draws: Draws, height: usize, width: usize) -> Place {
        let mut rng = draws.of(What::Place);
        // All draws are made in any case: switching one augmentation off leaves the others' numbers alone.
        let mut shift = || below(&mut rng, 2 * self.pad_crop + 1) as isize - self.pad_crop as isize;
        let offset = (shift(), shift());
        let coin = below(&mut rng, 2) == 1;
        let centre = (below(&mut rng, height), below(&mut rng, width));
        let flip = match self.flip {
            Flip::None => false,
            Flip::Random => coin,
            Flip::Alternating => (below(&mut draws.once(), 2) as u64 + draws.epoch) % 2 == 1,
        };
        Place { offset, flip, hidden: (self.cutout > 0).then_some(centre) }
    }

    /// What becomes of one image: bytes of `preprocessing`'s size, cropped, changed by the policy, jittered.
    pub fn example(&self, image: &Image, preprocessing: &Preprocessing, draws: Draws) -> Vec<u8> {
        let fit = preprocessing.resize_spec();
        let pixels = match self.crop {
            Crop::None => image.fitted(&fit),
            crop => crop.cut(image, &fit, draws),
        };
        self.varied(pixels.into(), &fit, draws).into_owned()
    }

    /// Image `i` as bytes of `fit`'s size, `[h, w, c]`: cropped, changed by the policy, its colours jittered.
    ///
    /// # Errors
    /// An image that cannot be read.
    pub(crate) fn pixels<'a>(
        &self,
        images: &'a Images,
        i: usize,
        fit: &ResizeSpec,
        draws: Draws,
    ) -> Result<Cow<'a, [u8]>> {
        let pixels = match self.crop {
            Crop::None => images.pixels(i)?,
            crop => crop.cut(&images.original(i)?, fit, draws).into(),
        };
        Ok(self.varied(pixels, fit, draws))
    }

    /// Changed by the policy, then by the jitter.
    fn varied<'a>(&self, pixels: Cow<'a, [u8]>, fit: &ResizeSpec, draws: Draws) -> Cow<'a, [u8]> {
        if self.policy == Policy::None && self.jitter.is_none() {
            return pixels;
        }
        let ResizeSpec { height, width, channels, .. } = *fit;
        let mut image = Image { height, width, channels, pixels: pixels.into_owned() };
        for operation in self.policy.draw(height, width, draws) {
            image.pixels = operation.apply(&image);
        }
        self.jitter.apply(&mut image, draws);
        image.pixels.into()
    }

    /// Normalises and varies one image of the normaliser's size, `[h, w, c]` to `[h, w, c]`.
    pub fn apply(&self, normalizer: &Normalizer, pixels: &[u8], draws: Draws, out: &mut [f32]) {
        let (h, w, c) = (normalizer.height(), normalizer.width(), normalizer.channels());
        let place = self.place(draws, h, w);
        self.moved(normalizer, pixels, place, out);
        if self.lighting > 0.0 && c == 3 {
            lighting::shift(out, normalizer, self.lighting, draws);
        }
        if let Some(centre) = place.hidden {
            erase::cutout(out, [h, w, c], centre, self.cutout);
        }
        if self.erasing > 0.0 {
            erase::erase(out, [h, w, c], self.erasing, &mut draws.of(What::Erase));
        }
    }

    /// Normalises, shifts and mirrors.
    fn moved(&self, normalizer: &Normalizer, pixels: &[u8], place: Place, out: &mut [f32]) {
        let (h, w, c) = (normalizer.height(), normalizer.width(), normalizer.channels());
        let (dy, dx) = place.offset;
        if (dy, dx, place.flip) == (0, 0, false) {
            return normalizer.apply(pixels, out);
        }
        // Columns of the output that show the image; the rest is padding.
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
            if place.flip {
                mirror(out, c);
            }
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use residual::image::Normalize;

    /// Normalisation that leaves bytes readable: x.
    fn bytes(h: usize, w: usize, c: usize) -> Normalizer {
        let unit = Normalize::Channel { mean: vec![0.0; c], std: vec![1.0 / 255.0; c] };
        Normalizer::new(&unit, h, w, c).expect("sizes agree")
    }

    /// Pads, cuts, mirrors, hides, one after the other and the slow way.
    fn reference(pixels: &[u8], draw: Place, pad: usize, cutout: usize, (h, w, c): (usize, usize, usize)) -> Vec<f32> {
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
            let draws = Draws { seed, epoch, image: 5 };
            augment.apply(&bytes(h, w, c), &pixels, draws, &mut out);
            let expected = match augment.is_none() {
                true => pixels.iter().map(|&p| f32::from(p)).collect(),
                false => reference(&pixels, augment.place(draws, h, w), pad_crop, cutout, (h, w, c)),
            };
            for (a, b) in out.iter().zip(&expected) {
                prop_assert!((a - b).abs() < 1e-3, "{} {}", a, b);
            }
        }
    }

    #[test]
    fn alternating_flips_show_both_sides_in_two_epochs_and_start_at_random() {
        let augment = Augment { flip: Flip::Alternating, ..Augment::default() };
        let flips = |epoch| {
            (0..200).map(|i| augment.place(Draws { seed: 3, epoch, image: i }, 8, 8).flip).collect::<Vec<bool>>()
        };
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
            let draw = augment.place(Draws { seed: 1, epoch, image: 9 }, 8, 8);
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
            augment.apply(&normalizer, &[0; 4], Draws { seed: 0, epoch, image: 0 }, &mut out);
            assert!(out.iter().all(|v| *v == 0.0 || *v == -2.0), "{out:?}");
            seen_padding |= out.contains(&0.0);
        }
        assert!(seen_padding);
    }

    #[test]
    fn lighting_shifts_whole_channels_by_the_papers_amounts() {
        let augment = Augment { lighting: 0.1, ..Augment::default() };
        let normalizer = Normalizer::new(&Normalize::known("imagenet").expect("known"), 2, 2, 3).expect("sizes agree");
        let (mut plain, mut squares) = ([0.0; 12], [0.0f64; 3]);
        normalizer.apply(&[90; 12], &mut plain);
        for epoch in 0..4000 {
            let mut out = [0.0; 12];
            augment.apply(&normalizer, &[90; 12], Draws { seed: 5, epoch, image: 3 }, &mut out);
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
