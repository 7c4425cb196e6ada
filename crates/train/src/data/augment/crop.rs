//! Random crops of images of any size.

use super::super::sample::{below, uniform};
use super::rng::{AugmentRng, Stream};
use crate::error::{Error, Result};
use residual::image::{Image, Region, ResizeSpec};

/// How an image of any size becomes a training image of the network's input size.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Crop {
    /// Resizes as in testing.
    #[default]
    None,
    /// Scales the shorter side to a random size between these two and crops a random window. VGG
    /// takes 256 to 512 or one fixed size (section 3.1), ResNet 256 to 480 (section 3.4).
    Scale([usize; 2]),
    /// Crops a random region and scales both its sides to the input's (Szegedy et al. 2015, section
    /// 6; torchvision's `RandomResizedCrop`).
    Resized {
        /// Smallest and largest share of the image's area, 0.08 and 1 there.
        area: [f64; 2],
        /// Smallest and largest ratio of width to height, 3/4 and 4/3 there.
        aspect: [f64; 2],
    },
}

/// Random regions that are tried before the centre is cropped, as in torchvision.
const MAX_TRIES: usize = 10;

impl Crop {
    /// Checks the settings for an input of `height`x`width`.
    ///
    /// # Errors
    /// Fails if a scale is smaller than the input or a range is not in order.
    pub fn check(&self, height: usize, width: usize) -> Result<()> {
        match *self {
            Self::Scale([low, high]) if low > high || low < height.max(width) => Err(Error::usage(format!(
                "augment.scale must be a range of sizes of at least {}, got [{low}, {high}]",
                height.max(width)
            ))
            .with_hint("the smaller size comes first and is at least the network's input; VGG takes [256, 512]")),
            Self::Resized { area, aspect } => {
                let is_range = |[low, high]: [f64; 2]| low > 0.0 && low <= high && high.is_finite();
                if is_range(area) && area[1] <= 1.0 && is_range(aspect) {
                    return Ok(());
                }
                Err(Error::usage(format!(
                    "augment.area must be a range within 0..=1 and augment.aspect one of positive ratios, got {area:?} and {aspect:?}"
                ))
                    .with_hint("ImageNet's are [0.08, 1] and [0.75, 1.3333]"))
            }
            Self::None | Self::Scale(_) => Ok(()),
        }
    }

    /// Crops `image` and resizes the crop to `[height, width, channels]` of `spec`.
    pub(super) fn apply(&self, image: &Image, spec: &ResizeSpec, rng: AugmentRng) -> Vec<u8> {
        let mut rng = rng.stream(Stream::Window);
        match *self {
            Self::None => image.fitted(spec),
            Self::Scale([low, high]) => {
                let side = low + below(&mut rng, high - low + 1);
                let short = image.height.min(image.width);
                let scaled = |long: usize| (side * long / short).max(side);
                let size = (scaled(image.height), scaled(image.width));
                let corner = (below(&mut rng, size.0 - spec.height + 1), below(&mut rng, size.1 - spec.width + 1));
                spec.window(image, size, corner)
            }
            Self::Resized { area, aspect } => spec.stretch(image, random_region(image, area, aspect, &mut rng)),
        }
    }
}

/// Draws a region of random area, shape and position. After ten that do not fit, returns the
/// largest central region whose shape is allowed.
fn random_region(image: &Image, area: [f64; 2], aspect: [f64; 2], rng: &mut impl rand::RngCore) -> Region {
    let (h, w) = (image.height as f64, image.width as f64);
    for _ in 0..MAX_TRIES {
        let pixels = h * w * uniform(rng, area);
        // Log-uniform, so that twice as wide is as likely as twice as tall.
        let ratio = uniform(rng, aspect.map(f64::ln)).exp();
        let sides = [(pixels / ratio).sqrt(), (pixels * ratio).sqrt()].map(f64::round_ties_even);
        let [height, width] = sides.map(|side| side as usize);
        if (1..=image.height).contains(&height) && (1..=image.width).contains(&width) {
            let (top, left) = (below(rng, image.height - height + 1), below(rng, image.width - width + 1));
            return Region { top, left, height, width };
        }
    }
    let (mut height, mut width) = (image.height, image.width);
    if w / h < aspect[0] {
        height = ((w / aspect[0]).round_ties_even() as usize).clamp(1, height);
    } else if w / h > aspect[1] {
        width = ((h * aspect[1]).round_ties_even() as usize).clamp(1, width);
    }
    Region { top: (image.height - height) / 2, left: (image.width - width) / 2, height, width }
}

#[cfg(test)]
mod tests {
    use super::*;
    use residual::image::{Filter, Resize};

    fn spec(side: usize, channels: usize) -> ResizeSpec {
        let (resize, filter) = (Resize::Crop, Filter::Bilinear);
        ResizeSpec { height: side, width: side, channels, scale: None, resize, filter }
    }

    /// An image whose pixels are their row and column.
    fn position_image(height: usize, width: usize) -> Image {
        let pixels = (0..height * width).flat_map(|i| [(i / width) as u8, (i % width) as u8, 9]).collect();
        Image { height, width, channels: 3, pixels }
    }

    fn rng(epoch: u64) -> AugmentRng {
        AugmentRng { seed: 1, epoch, image: 0 }
    }

    #[test]
    fn windows_are_cropped_at_every_scale_and_position() {
        let crop = Crop::Scale([8, 12]);
        let pixels = (0..600).map(|i| (i / 30 * 10) as u8).collect();
        let image = Image { height: 20, width: 30, channels: 1, pixels };
        let mut seen = std::collections::BTreeSet::new();
        for epoch in 0..200 {
            let window = crop.apply(&image, &spec(8, 3), rng(epoch));
            assert_eq!(window.len(), 8 * 8 * 3);
            // Rows get lighter downwards and are flat.
            let rows: Vec<u8> = window.chunks_exact(24).map(|row| row[0]).collect();
            assert!(rows.windows(2).all(|pair| pair[0] < pair[1]), "{rows:?}");
            assert!(window.chunks_exact(24).all(|row| row.iter().all(|v| *v == row[0])));
            seen.insert(window);
        }
        // One position at scale 8, two to five at the others.
        assert_eq!(seen.len(), 1 + 2 + 3 + 4 + 5);
        assert!(crop.check(9, 9).is_err() && crop.check(8, 8).is_ok());
    }

    #[test]
    fn a_fixed_scale_crops_without_resizing_as_in_single_scale_training() {
        let image = position_image(40, 60);
        for epoch in 0..50 {
            let window = Crop::Scale([40, 40]).apply(&image, &spec(24, 3), rng(epoch));
            let (top, left) = (window[0], window[1]);
            assert!(top <= 16 && left <= 36);
            assert_eq!(window[window.len() - 3..], [top + 23, left + 23, 9], "pixels are copied");
        }
    }

    #[test]
    fn random_regions_have_uniform_areas_and_log_uniform_shapes() {
        let image = position_image(200, 200);
        let (area, aspect) = ([0.08, 1.0], [0.75, 4.0 / 3.0]);
        let n = 4000;
        let parts: Vec<Region> =
            (0..n).map(|epoch| random_region(&image, area, aspect, &mut rng(epoch).stream(Stream::Window))).collect();
        let shares: Vec<f64> = parts.iter().map(|r| (r.height * r.width) as f64 / 40_000.0).collect();
        let ratios: Vec<f64> = parts.iter().map(|r| (r.width as f64 / r.height as f64).ln()).collect();
        assert!(shares.iter().all(|share| (0.079..=1.0).contains(share)));
        assert!(ratios.iter().all(|ratio| ratio.abs() <= (4.0f64 / 3.0).ln() + 0.02));
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        // Regions near the whole image rarely fit, which lowers the mean of 0.54 a little.
        assert!((0.48..0.54).contains(&mean(&shares)), "{}", mean(&shares));
        assert!(mean(&ratios).abs() < 0.01, "{}", mean(&ratios));
        let small = shares.iter().filter(|share| **share < 0.31).count() as f64 / n as f64;
        assert!((0.25..0.31).contains(&small), "a quarter of the range: {small}");
        // Positions are uniform, so that the centres average to the middle.
        let middle = mean(&parts.iter().map(|r| (2 * r.top + r.height) as f64 / 2.0).collect::<Vec<_>>());
        assert!((middle - 100.0).abs() < 1.5, "{middle}");
    }

    #[test]
    fn a_region_is_resized_like_an_image_of_its_own() {
        let image = position_image(50, 70);
        let region = Region { top: 7, left: 11, height: 30, width: 40 };
        let rows = image.pixels.chunks_exact(70 * 3).skip(7).take(30);
        let alone = rows.flat_map(|row| row[11 * 3..51 * 3].to_vec()).collect();
        let alone = Image { height: 30, width: 40, channels: 3, pixels: alone };
        let whole = Region { top: 0, left: 0, height: 30, width: 40 };
        assert_eq!(spec(16, 3).stretch(&image, region), spec(16, 3).stretch(&alone, whole));
        assert_eq!(spec(16, 1).stretch(&image, region), spec(16, 1).stretch(&alone, whole));
        let squash = ResizeSpec { resize: Resize::Squash, ..spec(16, 3) };
        assert_eq!(squash.stretch(&image, region), alone.fitted(&squash));
    }

    #[test]
    fn an_image_that_no_region_fits_gives_its_centre() {
        let strip = position_image(10, 200);
        let region = random_region(&strip, [1.0, 1.0], [0.75, 4.0 / 3.0], &mut rng(0).stream(Stream::Window));
        assert_eq!(region, Region { top: 0, left: 93, height: 10, width: 13 });
        assert!(Crop::Resized { area: [0.5, 0.2], aspect: [1.0, 1.0] }.check(8, 8).is_err());
        assert!(Crop::Resized { area: [0.5, 1.5], aspect: [1.0, 1.0] }.check(8, 8).is_err());
    }
}
