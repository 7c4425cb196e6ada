//! Colour jitter: random changes of brightness, contrast, saturation and hue in random order
//! (torchvision's `ColorJitter`).

use super::super::sample::{shuffled, uniform};
use super::colour;
use super::rng::{AugmentRng, Stream};
use residual::image::Image;

/// Ranges of colour jitter; 0 switches a change off.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Jitter {
    /// Brightness is multiplied by a factor in 1 ± this.
    pub brightness: f64,
    /// Contrast is multiplied by a factor in 1 ± this.
    pub contrast: f64,
    /// Saturation is multiplied by a factor in 1 ± this.
    pub saturation: f64,
    /// Hue is shifted by up to this share of the colour circle either way, at most 0.5.
    pub hue: f64,
}

impl Jitter {
    /// Returns whether images stay unchanged.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Changes an image in place.
    pub(super) fn apply(&self, image: &mut Image, rng: AugmentRng) {
        let mut rng = rng.stream(Stream::Jitter);
        let order = shuffled(4, &mut rng);
        let mut factor = |width: f64| uniform(&mut rng, [(1.0 - width).max(0.0), 1.0 + width]);
        let factors = [factor(self.brightness), factor(self.contrast), factor(self.saturation)];
        let turn = uniform(&mut rng, [-self.hue, self.hue]);
        for change in order {
            image.pixels = match change {
                0 if self.brightness > 0.0 => colour::brightness(image, factors[0]),
                1 if self.contrast > 0.0 => colour::contrast(image, factors[1]),
                2 if self.saturation > 0.0 => colour::saturation(image, factors[2]),
                3 if self.hue > 0.0 => colour::hue(image, turn),
                _ => continue,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jittered(jitter: Jitter, epoch: u64) -> Vec<u8> {
        let mut image = Image { height: 1, width: 2, channels: 3, pixels: vec![100, 50, 50, 40, 60, 80] };
        jitter.apply(&mut image, AugmentRng { seed: 1, epoch, image: 4 });
        image.pixels
    }

    #[test]
    fn brightness_factors_are_uniform_around_one() {
        let jitter = Jitter { brightness: 0.4, ..Jitter::default() };
        let reds: Vec<f64> = (0..4000).map(|epoch| f64::from(jittered(jitter, epoch)[0])).collect();
        let mean = reds.iter().sum::<f64>() / 4000.0;
        // Truncation takes half a step away.
        assert!((mean - 99.5).abs() < 1.5, "{mean}");
        assert!(reds.iter().all(|red| (60.0..=140.0).contains(red)));
        let outer = reds.iter().filter(|red| (**red - 100.0).abs() > 20.0).count();
        assert!((1800..2200).contains(&outer), "half of the range on either side: {outer}");
    }

    #[test]
    fn all_four_changes_are_applied_in_random_order() {
        let jitter = Jitter { brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1 };
        let seen: std::collections::BTreeSet<Vec<u8>> = (0..100).map(|epoch| jittered(jitter, epoch)).collect();
        assert!(seen.len() > 95, "{}", seen.len());
        assert_eq!(jittered(jitter, 7), jittered(jitter, 7));
        let hue = Jitter { hue: 0.5, ..Jitter::default() };
        assert!((0..100).any(|epoch| jittered(hue, epoch)[1] > jittered(hue, epoch)[0]), "red turns green");
        assert_eq!(jittered(Jitter::default(), 0), [100, 50, 50, 40, 60, 80]);
    }
}
