//! Augmentation: random changes of training images.
//!
//! The steps, each optional, are applied in this order:
//!
//! 1. `crop`: a window of an image of any size, resized to the network's input.
//! 2. `policy`: RandAugment or TrivialAugment.
//! 3. `jitter` of colours.
//! 4. Normalisation and, in the same pass and without a padded copy, a shift by `pad_crop` and a
//!    `flip`.
//! 5. `lighting`, `cutout` and `erasing` on normalised values.
//!
//! torchvision flips before the policy. Since every operation is as likely as its mirror image, the
//! distribution is the same, except for vertical shears: a mirrored image keeps its right edge in
//! place instead of its left. All random numbers come from [`AugmentRng`], so that neither threads
//! nor a resumed run change them. A crop needs images at their own size, which are then decoded in
//! every epoch.

mod affine;
mod colour;
mod crop;
mod erase;
mod jitter;
mod lighting;
mod policy;
mod rng;

pub use crop::Crop;
pub use jitter::Jitter;
pub use policy::{MAGNITUDE_BINS, Operation, Policy, PolicyKind};
pub use rng::AugmentRng;

use super::images::Images;
use super::sample::below;
use crate::error::{Error, Result};
use residual::image::{Image, Normalizer, Preprocessing, ResizeSpec};
use rng::Stream;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// Horizontal flip.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Flip {
    /// Never flips.
    #[default]
    None,
    /// Flips with probability one half.
    Random,
    /// Flips every other epoch from a random start, so that two epochs show every image both ways
    /// (Jordan 2024, "94% on CIFAR-10 in 3.29 seconds", section 3.6).
    Alternating,
}

/// Settings of augmentation. The default changes nothing.
///
/// ```
/// use residual_train::data::{Augment, Flip};
///
/// // The ResNet paper's augmentation for CIFAR-10 (section 4.2).
/// let augment = Augment { pad_crop: 4, flip: Flip::Random, ..Augment::default() };
/// augment.check(32, 32)?;
/// assert!(!augment.is_none());
/// # Ok::<(), residual_train::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Augment {
    /// How an image of any size becomes one of the network's input size.
    pub crop: Crop,
    /// RandAugment or TrivialAugment.
    pub policy: Policy,
    /// Jitter of brightness, contrast, saturation and hue.
    pub jitter: Jitter,
    /// Zero padding around the normalised image, in pixels, before a random window of the image's
    /// size is cropped.
    pub pad_crop: usize,
    /// Horizontal flip.
    pub flip: Flip,
    /// Standard deviation of shifts along the principal components of ImageNet's colours, 0.1 in
    /// both papers; 0 switches them off. Needs three channels.
    pub lighting: f32,
    /// Side of a square around a random pixel that is set to zero, the mean, clipped to the image
    /// (DeVries and Taylor 2017).
    pub cutout: usize,
    /// Probability that a random rectangle is set to zero (Zhong et al. 2020).
    pub erasing: f64,
}

/// Geometric transform of one image in one epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct GeometricTransform {
    /// Offset of the window from the unpadded image, rows then columns.
    offset: (isize, isize),
    flip: bool,
    /// Centre of the cutout square, row and column.
    cutout: Option<(usize, usize)>,
}

impl Augment {
    /// Returns whether images stay unchanged.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Returns whether augmentation starts from images at their own size rather than the network's.
    pub fn needs_originals(&self) -> bool {
        self.crop != Crop::None
    }

    /// Returns whether augmentation takes long enough to prepare images in parallel.
    pub(crate) fn is_slow(&self) -> bool {
        self.needs_originals() || self.policy != Policy::None || !self.jitter.is_none()
    }

    /// Checks the settings for a network's input of `height`x`width`.
    ///
    /// # Errors
    /// Fails if the crop, the policy or the probability of erasing is out of range.
    pub fn check(&self, height: usize, width: usize) -> Result<()> {
        self.crop.check(height, width)?;
        self.policy.check()?;
        if !(0.0..=1.0).contains(&self.erasing) {
            return Err(Error::usage(format!("augment.erasing must be in 0..=1, got {}", self.erasing)));
        }
        Ok(())
    }

    /// Draws the geometric transform of an image of `height`x`width`.
    fn geometry(&self, source: AugmentRng, height: usize, width: usize) -> GeometricTransform {
        let mut rng = source.stream(Stream::Geometry);
        // Every number is drawn in any case, so that switching one augmentation off does not change
        // the others.
        let mut shift = || below(&mut rng, 2 * self.pad_crop + 1) as isize - self.pad_crop as isize;
        let offset = (shift(), shift());
        let coin = below(&mut rng, 2) == 1;
        let centre = (below(&mut rng, height), below(&mut rng, width));
        let flip = match self.flip {
            Flip::None => false,
            Flip::Random => coin,
            Flip::Alternating => (below(&mut source.for_all_epochs(), 2) as u64 + source.epoch) % 2 == 1,
        };
        GeometricTransform { offset, flip, cutout: (self.cutout > 0).then_some(centre) }
    }

    /// Returns one augmented image for a preview, not yet normalised: `[height, width, channels]`
    /// bytes of `preprocessing`'s size, after crop, policy and jitter.
    pub fn example(&self, image: &Image, preprocessing: &Preprocessing, rng: AugmentRng) -> Vec<u8> {
        let spec = preprocessing.resize_spec();
        let pixels = match self.crop {
            Crop::None => image.fitted(&spec),
            crop => crop.apply(image, &spec, rng),
        };
        self.apply_policy_and_jitter(pixels.into(), &spec, rng).into_owned()
    }

    /// Returns image `i` as `[h, w, c]` bytes of `spec`'s size, after crop, policy and jitter.
    ///
    /// # Errors
    /// Fails if the image cannot be read.
    pub(crate) fn pixels<'a>(
        &self,
        images: &'a Images,
        i: usize,
        spec: &ResizeSpec,
        rng: AugmentRng,
    ) -> Result<Cow<'a, [u8]>> {
        let pixels = match self.crop {
            Crop::None => images.pixels(i)?,
            crop => crop.apply(&images.original(i)?, spec, rng).into(),
        };
        Ok(self.apply_policy_and_jitter(pixels, spec, rng))
    }

    /// Applies the policy, then the jitter.
    fn apply_policy_and_jitter<'a>(&self, pixels: Cow<'a, [u8]>, spec: &ResizeSpec, rng: AugmentRng) -> Cow<'a, [u8]> {
        if self.policy == Policy::None && self.jitter.is_none() {
            return pixels;
        }
        let ResizeSpec { height, width, channels, .. } = *spec;
        let mut image = Image { height, width, channels, pixels: pixels.into_owned() };
        for operation in self.policy.draw(height, width, rng) {
            image.pixels = operation.apply(&image);
        }
        self.jitter.apply(&mut image, rng);
        image.pixels.into()
    }

    /// Normalises one image of the normaliser's size, `[h, w, c]`, and applies the remaining steps.
    pub fn apply(&self, normalizer: &Normalizer, pixels: &[u8], rng: AugmentRng, out: &mut [f32]) {
        let (h, w, c) = (normalizer.height(), normalizer.width(), normalizer.channels());
        let geometry = self.geometry(rng, h, w);
        self.normalize(normalizer, pixels, geometry, out);
        if self.lighting > 0.0 && c == 3 {
            lighting::shift(out, normalizer, self.lighting, rng);
        }
        if let Some(centre) = geometry.cutout {
            erase::cutout(out, [h, w, c], centre, self.cutout);
        }
        if self.erasing > 0.0 {
            erase::erase(out, [h, w, c], self.erasing, &mut rng.stream(Stream::Erase));
        }
    }

    /// Normalises, shifts and flips in one pass.
    fn normalize(&self, normalizer: &Normalizer, pixels: &[u8], geometry: GeometricTransform, out: &mut [f32]) {
        let (h, w, c) = (normalizer.height(), normalizer.width(), normalizer.channels());
        let (dy, dx) = geometry.offset;
        if (dy, dx, geometry.flip) == (0, 0, false) {
            return normalizer.apply(pixels, out);
        }
        // Columns of the output that lie in the image; the rest is padding.
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
            if geometry.flip {
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

    /// Normalisation that keeps the values of bytes.
    fn bytes(h: usize, w: usize, c: usize) -> Normalizer {
        let unit = Normalize::Channel { mean: vec![0.0; c], std: vec![1.0 / 255.0; c] };
        Normalizer::new(&unit, h, w, c).expect("sizes agree")
    }

    /// Pads, crops, flips and cuts out one after the other.
    fn reference(
        pixels: &[u8],
        geometry: GeometricTransform,
        pad: usize,
        cutout: usize,
        (h, w, c): (usize, usize, usize),
    ) -> Vec<f32> {
        let (ph, pw) = (h + 2 * pad, w + 2 * pad);
        let mut padded = vec![0.0; ph * pw * c];
        for y in 0..h {
            for x in 0..w * c {
                padded[(y + pad) * pw * c + pad * c + x] = f32::from(pixels[y * w * c + x]);
            }
        }
        let (oy, ox) = ((geometry.offset.0 + pad as isize) as usize, (geometry.offset.1 + pad as isize) as usize);
        let mut out = vec![0.0; h * w * c];
        for (y, x, k) in (0..h).flat_map(|y| (0..w).flat_map(move |x| (0..c).map(move |k| (y, x, k)))) {
            let from = if geometry.flip { w - 1 - x } else { x };
            let hidden = geometry.cutout.is_some_and(|(cy, cx)| {
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
        fn one_pass_equals_padding_cropping_flipping_and_cutout_in_turn(
            h in 1usize..9, w in 1usize..9, c in 1usize..4, pad_crop in 0usize..12, cutout in 0usize..6,
            flip in prop_oneof![Just(Flip::None), Just(Flip::Random), Just(Flip::Alternating)],
            seed: u64, epoch in 0u64..4,
        ) {
            let augment = Augment { pad_crop, flip, cutout, ..Augment::default() };
            let pixels: Vec<u8> = (0..h * w * c).map(|i| (i * 37 % 251) as u8 + 1).collect();
            let mut out = vec![7.0; h * w * c];
            let rng = AugmentRng { seed, epoch, image: 5 };
            augment.apply(&bytes(h, w, c), &pixels, rng, &mut out);
            let expected = match augment.is_none() {
                true => pixels.iter().map(|&p| f32::from(p)).collect(),
                false => reference(&pixels, augment.geometry(rng, h, w), pad_crop, cutout, (h, w, c)),
            };
            for (a, b) in out.iter().zip(&expected) {
                prop_assert!((a - b).abs() < 1e-3, "{} {}", a, b);
            }
        }
    }

    #[test]
    fn alternating_flips_alternate_from_a_random_start() {
        let augment = Augment { flip: Flip::Alternating, ..Augment::default() };
        let flips = |epoch| {
            (0..200)
                .map(|i| augment.geometry(AugmentRng { seed: 3, epoch, image: i }, 8, 8).flip)
                .collect::<Vec<bool>>()
        };
        assert!(flips(0).iter().zip(flips(1)).all(|(a, b)| *a != b));
        assert_eq!(flips(0), flips(2));
        let flipped = flips(0).iter().filter(|f| **f).count();
        assert!((70..130).contains(&flipped), "{flipped} of 200");
    }

    #[test]
    fn every_offset_and_both_flips_occur_over_the_epochs() {
        let augment = Augment { pad_crop: 2, flip: Flip::Random, ..Augment::default() };
        let mut seen = std::collections::BTreeSet::new();
        for epoch in 0..2000 {
            let geometry = augment.geometry(AugmentRng { seed: 1, epoch, image: 9 }, 8, 8);
            seen.insert((geometry.offset, geometry.flip));
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
            augment.apply(&normalizer, &[0; 4], AugmentRng { seed: 0, epoch, image: 0 }, &mut out);
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
            augment.apply(&normalizer, &[90; 12], AugmentRng { seed: 5, epoch, image: 3 }, &mut out);
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
