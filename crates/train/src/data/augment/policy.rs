//! Policies that change an image by operations drawn from a list: RandAugment and TrivialAugment.
//!
//! Lists, ranges and steps are torchvision's (`RandAugment`, `TrivialAugmentWide`), whose recipes they serve: images
//! are bytes, geometry is bilinear, black moves in from outside. They come before normalisation.

use super::super::sample::below;
use super::draws::{Draws, What};
use super::{affine, colour};
use crate::error::{Error, Result};
use rand::RngCore;
use residual::image::Image;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Steps of strength, 0 to 30.
pub const STEPS: u32 = 31;

/// Which policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PolicyKind {
    /// None.
    #[default]
    None,
    /// Several operations, all of one strength (Cubuk et al. 2020).
    RandAugment,
    /// One operation of random strength over a wide range (Müller and Hutter 2021).
    TrivialAugmentWide,
}

/// A policy and what it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Policy {
    /// Images stay as they are.
    #[default]
    None,
    /// So many operations after each other, each of this strength.
    RandAugment {
        /// Operations.
        operations: usize,
        /// Strength, below [`STEPS`].
        strength: u32,
    },
    /// One operation of any strength.
    TrivialAugmentWide,
}

/// What an operation does, how much of it. Shares and factors as in torchvision's `_apply_op`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Operation {
    /// Nothing.
    Identity,
    /// Rows slide along by this share of their distance from the upper edge.
    ShearX(f64),
    /// Columns slide down by this share of their distance from the left edge.
    ShearY(f64),
    /// Pixels to the right.
    TranslateX(i32),
    /// Pixels downwards.
    TranslateY(i32),
    /// Degrees counter-clockwise about the centre.
    Rotate(f64),
    /// −1 is black, 0 the image.
    Brightness(f64),
    /// −1 is grey, 0 the image.
    Color(f64),
    /// −1 is the mean grey, 0 the image.
    Contrast(f64),
    /// −1 is smoothed, 0 the image.
    Sharpness(f64),
    /// So many bits of each value are kept.
    Posterize(u32),
    /// Values from this one on are reversed.
    Solarize(f64),
    /// Each channel is stretched to the whole range.
    AutoContrast,
    /// Each channel's values are made about equally frequent.
    Equalize,
}

/// Operations of both lists.
const OPERATIONS: usize = 14;

/// The ends of the ranges in which the two policies differ.
struct Range {
    shear: f32,
    /// Pixels, across and down.
    translate: [f64; 2],
    degrees: f32,
    enhance: f32,
    /// Bits that are lost at the last step.
    bits: u32,
}

impl Policy {
    /// Whether it can be.
    ///
    /// # Errors
    /// A strength beyond the last step.
    pub fn check(&self) -> Result<()> {
        match *self {
            Self::RandAugment { strength, .. } if strength >= STEPS => {
                Err(Error::usage(format!("strength {strength} of RandAugment is beyond {}", STEPS - 1)))
            }
            _ => Ok(()),
        }
    }

    /// The operations for one image of `height`x`width`.
    pub(super) fn draw(&self, height: usize, width: usize, draws: Draws) -> Vec<Operation> {
        let mut rng = draws.of(What::Policy);
        match *self {
            Self::None => Vec::new(),
            Self::RandAugment { operations, strength } => {
                let range = rand_augment(height, width);
                (0..operations).map(|_| range.operation(below(&mut rng, OPERATIONS), strength, &mut rng)).collect()
            }
            Self::TrivialAugmentWide => {
                let which = below(&mut rng, OPERATIONS);
                let strength = below(&mut rng, STEPS as usize) as u32;
                vec![WIDE.operation(which, strength, &mut rng)]
            }
        }
    }

    /// Each operation of its list at `strength` for images of `height`x`width`, those with a sign with a plus.
    pub fn list(&self, height: usize, width: usize, strength: u32) -> Vec<Operation> {
        let range = match self {
            Self::None => return Vec::new(),
            Self::RandAugment { .. } => rand_augment(height, width),
            Self::TrivialAugmentWide => WIDE,
        };
        (0..OPERATIONS).map(|which| range.signed(which, strength, 1.0)).collect()
    }
}

const WIDE: Range = Range { shear: 0.99, translate: [32.0, 32.0], degrees: 135.0, enhance: 0.99, bits: 6 };

fn rand_augment(height: usize, width: usize) -> Range {
    let translate = [width, height].map(|side| 150.0 / 331.0 * side as f64);
    Range { shear: 0.3, translate, degrees: 30.0, enhance: 0.9, bits: 4 }
}

impl Range {
    fn operation(&self, which: usize, strength: u32, rng: &mut impl RngCore) -> Operation {
        self.signed(which, strength, if below(rng, 2) == 1 { -1.0 } else { 1.0 })
    }

    /// Operation number `which` of the list; those without a sign ignore it.
    fn signed(&self, which: usize, strength: u32, sign: f64) -> Operation {
        let up_to = |end: f32| sign * f64::from(step(0.0, end, strength));
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
                let lost = f64::from(strength * self.bits) / f64::from(STEPS - 1);
                Operation::Posterize(8 - lost.round_ties_even() as u32)
            }
            11 => Operation::Solarize(f64::from(step(255.0, 0.0, strength))),
            12 => Operation::AutoContrast,
            _ => Operation::Equalize,
        }
    }
}

/// Value number `i` of [`STEPS`] from `start` to `end`, in single precision and from the nearer end, as
/// `torch.linspace` has it: a pixel more or less is in its last bit.
fn step(start: f32, end: f32, i: u32) -> f32 {
    let last = STEPS - 1;
    let width = (end - start) / last as f32;
    // In one rounding, as torch computes it.
    if i < STEPS / 2 { width.mul_add(i as f32, start) } else { (-width).mul_add((last - i) as f32, end) }
}

impl Operation {
    /// The image's pixels after it, `[h, w, c]`.
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
        policy.draw(224, 331, Draws { seed: 5, epoch, image: 9 })
    }

    /// Which operation it is, whatever its strength.
    fn kind(operation: Operation) -> String {
        let text = format!("{operation:?}");
        text.split('(').next().unwrap_or_default().to_owned()
    }

    #[test]
    fn every_operation_is_drawn_as_often_as_the_others_with_both_signs() {
        for policy in [Policy::TrivialAugmentWide, Policy::RandAugment { operations: 2, strength: 9 }] {
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
    fn strengths_are_one_for_randaugment_and_uniform_for_trivialaugment() {
        for epoch in 0..500 {
            for operation in drawn(Policy::RandAugment { operations: 2, strength: 9 }, epoch) {
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
    fn an_image_gets_the_same_operations_again_and_others_in_the_next_epoch() {
        let policy = Policy::RandAugment { operations: 2, strength: 9 };
        assert_eq!(drawn(policy, 3), drawn(policy, 3));
        assert!((0..20).any(|epoch| drawn(policy, epoch) != drawn(policy, epoch + 1)));
        assert!(Policy::RandAugment { operations: 2, strength: 31 }.check().is_err());
    }
}
