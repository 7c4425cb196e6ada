//! Augmentation policies that draw operations from a list: RandAugment and TrivialAugment.
//!
//! Lists, ranges and bins are torchvision's (`RandAugment`, `TrivialAugmentWide`), whose recipes
//! use them: images are bytes, interpolation is bilinear, and pixels from outside are black.
//! Policies are applied before normalisation.

use super::super::sample::below;
use super::rng::{AugmentRng, Stream};
use super::{affine, colour};
use crate::error::{Error, Result};
use rand::RngCore;
use residual::image::Image;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Number of magnitudes, 0 to 30.
pub const MAGNITUDE_BINS: u32 = 31;

/// Augmentation policy by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PolicyKind {
    /// No policy.
    #[default]
    None,
    /// Several operations of one magnitude (Cubuk et al. 2020).
    RandAugment,
    /// One operation of random magnitude over a wide range (Müller and Hutter 2021).
    TrivialAugmentWide,
}

/// Augmentation policy and its settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Policy {
    /// Keeps images unchanged.
    #[default]
    None,
    /// Applies several operations, each of the same magnitude.
    RandAugment {
        /// Number of operations.
        operations: usize,
        /// Magnitude, below [`MAGNITUDE_BINS`].
        magnitude: u32,
    },
    /// Applies one operation of random magnitude.
    TrivialAugmentWide,
}

/// An operation of a policy and its amount, as in torchvision's `_apply_op`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Operation {
    /// Keeps the image.
    Identity,
    /// Shifts each row by this share of its distance from the upper edge.
    ShearX(f64),
    /// Shifts each column by this share of its distance from the left edge.
    ShearY(f64),
    /// Shifts the image by pixels to the right.
    TranslateX(i32),
    /// Shifts the image by pixels downwards.
    TranslateY(i32),
    /// Rotates by degrees counter-clockwise about the centre.
    Rotate(f64),
    /// Changes brightness: −1 gives black, 0 the image.
    Brightness(f64),
    /// Changes saturation: −1 gives grey, 0 the image.
    Color(f64),
    /// Changes contrast: −1 gives the mean grey, 0 the image.
    Contrast(f64),
    /// Changes sharpness: −1 gives a smoothed image, 0 the image.
    Sharpness(f64),
    /// Keeps this many bits of each value.
    Posterize(u32),
    /// Inverts values from this one on.
    Solarize(f64),
    /// Stretches each channel to the whole range.
    AutoContrast,
    /// Equalises the histogram of each channel.
    Equalize,
}

/// Number of operations in either list.
const OPERATIONS: usize = 14;

/// Largest amounts, in which the two policies differ.
struct Range {
    shear: f32,
    /// In pixels, across and down.
    translate: [f64; 2],
    degrees: f32,
    enhance: f32,
    /// Bits that are lost at the largest magnitude.
    bits: u32,
}

impl Policy {
    /// Checks the settings.
    ///
    /// # Errors
    /// Fails if a magnitude is not below [`MAGNITUDE_BINS`].
    pub fn check(&self) -> Result<()> {
        match *self {
            Self::RandAugment { magnitude, .. } if magnitude >= MAGNITUDE_BINS => {
                Err(Error::usage(format!("augment.strength must be at most {}, got {magnitude}", MAGNITUDE_BINS - 1)))
            }
            _ => Ok(()),
        }
    }

    /// Draws the operations for one image of `height`x`width`.
    pub(super) fn draw(&self, height: usize, width: usize, rng: AugmentRng) -> Vec<Operation> {
        let mut rng = rng.stream(Stream::Policy);
        match *self {
            Self::None => Vec::new(),
            Self::RandAugment { operations, magnitude } => {
                let range = rand_augment(height, width);
                (0..operations).map(|_| range.operation(below(&mut rng, OPERATIONS), magnitude, &mut rng)).collect()
            }
            Self::TrivialAugmentWide => {
                let which = below(&mut rng, OPERATIONS);
                let magnitude = below(&mut rng, MAGNITUDE_BINS as usize) as u32;
                vec![WIDE.operation(which, magnitude, &mut rng)]
            }
        }
    }

    /// Lists every operation at one magnitude for images of `height`x`width`; signed amounts are
    /// positive.
    pub fn list(&self, height: usize, width: usize, magnitude: u32) -> Vec<Operation> {
        let range = match self {
            Self::None => return Vec::new(),
            Self::RandAugment { .. } => rand_augment(height, width),
            Self::TrivialAugmentWide => WIDE,
        };
        (0..OPERATIONS).map(|which| range.signed(which, magnitude, 1.0)).collect()
    }
}

const WIDE: Range = Range { shear: 0.99, translate: [32.0, 32.0], degrees: 135.0, enhance: 0.99, bits: 6 };

fn rand_augment(height: usize, width: usize) -> Range {
    let translate = [width, height].map(|side| 150.0 / 331.0 * side as f64);
    Range { shear: 0.3, translate, degrees: 30.0, enhance: 0.9, bits: 4 }
}

impl Range {
    /// Returns operation number `which` of the list with a random sign.
    fn operation(&self, which: usize, magnitude: u32, rng: &mut impl RngCore) -> Operation {
        self.signed(which, magnitude, if below(rng, 2) == 1 { -1.0 } else { 1.0 })
    }

    /// Returns operation number `which` of the list; unsigned ones ignore `sign`.
    fn signed(&self, which: usize, magnitude: u32, sign: f64) -> Operation {
        let up_to = |end: f32| sign * f64::from(bin(0.0, end, magnitude));
        let pixels = |end: f64| up_to(end as f32) as i32;
        match which {
            0 => Operation::Identity,
            1 => Operation::ShearX(up_to(self.shear)),
            2 => Operation::ShearY(up_to(self.shear)),
            3 => Operation::TranslateX(pixels(self.translate[0])),
            4 => Operation::TranslateY(pixels(self.translate[1])),
            5 => Operation::Rotate(up_to(self.degrees)),
            6 => Operation::Brightness(up_to(self.enhance)),
            7 => Operation::Color(up_to(self.enhance)),
            8 => Operation::Contrast(up_to(self.enhance)),
            9 => Operation::Sharpness(up_to(self.enhance)),
            10 => {
                let lost = f64::from(magnitude * self.bits) / f64::from(MAGNITUDE_BINS - 1);
                Operation::Posterize(8 - lost.round_ties_even() as u32)
            }
            11 => Operation::Solarize(f64::from(bin(255.0, 0.0, magnitude))),
            12 => Operation::AutoContrast,
            _ => Operation::Equalize,
        }
    }
}

/// Returns value number `i` of [`MAGNITUDE_BINS`] from `start` to `end`, computed as
/// `torch.linspace` does, in single precision and from the nearer end: the last bit decides about a
/// pixel.
fn bin(start: f32, end: f32, i: u32) -> f32 {
    let last = MAGNITUDE_BINS - 1;
    let width = (end - start) / last as f32;
    // With one rounding, as in torch.
    if i < MAGNITUDE_BINS / 2 { width.mul_add(i as f32, start) } else { (-width).mul_add((last - i) as f32, end) }
}

impl Operation {
    /// Applies the operation and returns the pixels, `[h, w, c]`.
    pub fn apply(&self, image: &Image) -> Vec<u8> {
        match *self {
            Self::Identity => image.pixels.clone(),
            Self::ShearX(share) => affine::shear_x(image, share),
            Self::ShearY(share) => affine::shear_y(image, share),
            Self::TranslateX(pixels) => affine::translate(image, pixels, 0),
            Self::TranslateY(pixels) => affine::translate(image, 0, pixels),
            Self::Rotate(degrees) => affine::rotate(image, degrees),
            Self::Brightness(more) => colour::brightness(image, 1.0 + more),
            Self::Color(more) => colour::saturation(image, 1.0 + more),
            Self::Contrast(more) => colour::contrast(image, 1.0 + more),
            Self::Sharpness(more) => colour::sharpness(image, 1.0 + more),
            Self::Posterize(bits) => colour::posterize(image, bits),
            Self::Solarize(threshold) => colour::solarize(image, threshold),
            Self::AutoContrast => colour::auto_contrast(image),
            Self::Equalize => colour::equalize(image),
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Identity => f.write_str("identity"),
            Self::ShearX(share) => write!(f, "shear x {share:.2}"),
            Self::ShearY(share) => write!(f, "shear y {share:.2}"),
            Self::TranslateX(pixels) => write!(f, "translate x {pixels}"),
            Self::TranslateY(pixels) => write!(f, "translate y {pixels}"),
            Self::Rotate(degrees) => write!(f, "rotate {degrees:.1}"),
            Self::Brightness(more) => write!(f, "brightness {more:+.2}"),
            Self::Color(more) => write!(f, "colour {more:+.2}"),
            Self::Contrast(more) => write!(f, "contrast {more:+.2}"),
            Self::Sharpness(more) => write!(f, "sharpness {more:+.2}"),
            Self::Posterize(bits) => write!(f, "posterize {bits} bits"),
            Self::Solarize(threshold) => write!(f, "solarize {threshold:.0}"),
            Self::AutoContrast => f.write_str("autocontrast"),
            Self::Equalize => f.write_str("equalize"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn drawn(policy: Policy, epoch: u64) -> Vec<Operation> {
        policy.draw(224, 331, AugmentRng { seed: 5, epoch, image: 9 })
    }

    /// Name of an operation without its amount.
    fn kind(operation: Operation) -> String {
        let text = format!("{operation:?}");
        text.split('(').next().unwrap_or_default().to_owned()
    }

    #[test]
    fn operations_are_drawn_equally_often_and_with_both_signs() {
        for policy in [Policy::TrivialAugmentWide, Policy::RandAugment { operations: 2, magnitude: 9 }] {
            let n = 7000;
            let mut counts: BTreeMap<String, usize> = BTreeMap::new();
            let mut negative = 0;
            for operation in (0..n).flat_map(|epoch| drawn(policy, epoch)) {
                *counts.entry(kind(operation)).or_default() += 1;
                negative += usize::from(matches!(operation, Operation::Rotate(degrees) if degrees < 0.0));
            }
            let total: usize = counts.values().sum();
            let each = total / OPERATIONS;
            assert_eq!(counts.len(), OPERATIONS);
            // Five standard deviations around the mean.
            let slack = 5.0 * (each as f64).sqrt();
            assert!(counts.values().all(|n| (*n as f64 - each as f64).abs() < slack), "{counts:?}");
            assert!((negative as f64 / counts["Rotate"] as f64 - 0.5).abs() < 0.1, "{negative}");
        }
    }

    #[test]
    fn magnitudes_are_one_for_randaugment_and_uniform_for_trivialaugment() {
        for epoch in 0..500 {
            for operation in drawn(Policy::RandAugment { operations: 2, magnitude: 9 }, epoch) {
                match operation {
                    Operation::Rotate(degrees) => assert!((degrees.abs() - 9.0).abs() < 1e-5),
                    Operation::TranslateX(pixels) => assert_eq!(pixels.abs(), 45),
                    Operation::Posterize(bits) => assert_eq!(bits, 7),
                    Operation::Solarize(threshold) => assert!((threshold - 178.5).abs() < 1e-3),
                    _ => {}
                }
            }
        }
        let degrees: Vec<f64> = (0..20_000)
            .filter_map(|epoch| match drawn(Policy::TrivialAugmentWide, epoch)[..] {
                [Operation::Rotate(degrees)] => Some(degrees.abs()),
                _ => None,
            })
            .collect();
        let mean = degrees.iter().sum::<f64>() / degrees.len() as f64;
        assert!((mean - 67.5).abs() < 5.0 && degrees.iter().any(|d| *d > 134.0) && degrees.contains(&0.0), "{mean}");
    }

    #[test]
    fn operations_are_reproducible_and_change_with_the_epoch() {
        let policy = Policy::RandAugment { operations: 2, magnitude: 9 };
        assert_eq!(drawn(policy, 3), drawn(policy, 3));
        assert!((0..20).any(|epoch| drawn(policy, epoch) != drawn(policy, epoch + 1)));
        assert!(Policy::RandAugment { operations: 2, magnitude: 31 }.check().is_err());
    }
}
