//! The window of a large image that the net sees in training.

use super::super::sample::{below, uniform};
use super::draws::{Draws, What};
use crate::error::{Error, Result};
use residual::image::Image;
use residual::image::{Region, ResizeSpec};

/// How a window of the net's size is had from an image of any size.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Crop {
    /// As in testing: resized, and the centre cut out.
    #[default]
    None,
    /// The shorter side is brought to a random size from the first to the second of these, and a window is cut at random.
    /// VGG takes 256 to 512 or one fixed size (section 3.1), ResNet 256 to 480 (section 3.4).
    Scale([usize; 2]),
    /// A random part of the image, stretched to the net's size (Szegedy et al. 2015, section 6; torchvision's
    /// `RandomResizedCrop`).
    Resized {
        /// The least and the largest share of the image's area, 0.08 and 1 there.
        area: [f64; 2],
        /// The least and the largest ratio of width to height, 3/4 and 4/3 there.
        aspect: [f64; 2],
    },
}

/// Random parts that are tried before the centre is taken, as in torchvision.
const TRIES: usize = 10;

impl Crop {
    /// Whether windows of `height`x`width` can be cut.
    ///
    /// # Errors
    /// Scales that are smaller than the window; ranges in the wrong order.
    pub fn check(&self, height: usize, width: usize) -> Result<()> {
        match *self {
            Self::Scale([low, high]) if low > high || low < height.max(width) => Err(Error::usage(format!(
                "augment.scale = [{low}, {high}] is no range of sides from which {height}x{width} pixels can be cut"
            ))
            .with_hint("the smaller number first, and at least the net's input; VGG takes [256, 512]")),
            Self::Resized { area, aspect } => {
                let is_range = |[low, high]: [f64; 2]| low > 0.0 && low <= high && high.is_finite();
                if is_range(area) && area[1] <= 1.0 && is_range(aspect) {
                    return Ok(());
                }
                Err(Error::usage(format!("parts of area {area:?} and aspect {aspect:?} cannot be cut"))
                    .with_hint("ImageNet's are [0.08, 1] and [0.75, 1.3333]"))
            }
            Self::None | Self::Scale(_) => Ok(()),
        }
    }

    /// The window of `image` at `fit`'s size: `[height, width, channels]`.
    pub(super) fn cut(&self, image: &Image, fit: &ResizeSpec, draws: Draws) -> Vec<u8> {
        let mut rng = draws.of(What::Window);
        match *self {
            Self::None => image.fitted(fit),
            Self::Scale([low, high]) => {
                let side = low + below(&mut rng, high - low + 1);
                let short = image.height.min(image.width);
                let scaled = |long: usize| (side * long / short).max(side);
                let size = (scaled(image.height), scaled(image.width));
                let corner = (below(&mut rng, size.0 - fit.height + 1), below(&mut rng, size.1 - fit.width + 1));
                fit.window(image, size, corner)
            }
            Self::Resized { area, aspect } => fit.stretch(image, part(image, area, aspect, &mut rng)),
        }
    }
}

/// A part of random area and shape at a random place; after ten that do not fit, the centre as far as its shape is
/// allowed.
fn part(image: &Image, area: [f64; 2], aspect: [f64; 2], rng: &mut impl rand::RngCore) -> Region {
    let (h, w) = (image.height as f64, image.width as f64);
    for _ in 0..TRIES {
        let pixels = h * w * uniform(rng, area);
        // Uniform in the logarithm: twice as wide is as likely as twice as tall.
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

    fn fit(side: usize, channels: usize) -> ResizeSpec {
        let (resize, filter) = (Resize::Crop, Filter::Bilinear);
        ResizeSpec { height: side, width: side, channels, scale: None, resize, filter }
    }

    /// Every pixel tells its row and its column.
    fn map(height: usize, width: usize) -> Image {
        let pixels = (0..height * width).flat_map(|i| [(i / width) as u8, (i % width) as u8, 9]).collect();
        Image { height, width, channels: 3, pixels }
    }

    fn draws(epoch: u64) -> Draws {
        Draws { seed: 1, epoch, image: 0 }
    }

    #[test]
    fn windows_are_cut_at_every_scale_and_show_the_image() {
        let crop = Crop::Scale([8, 12]);
        let pixels = (0..600).map(|i| (i / 30 * 10) as u8).collect();
        let image = Image { height: 20, width: 30, channels: 1, pixels };
        let mut seen = std::collections::BTreeSet::new();
        for epoch in 0..200 {
            let window = crop.cut(&image, &fit(8, 3), draws(epoch));
            assert_eq!(window.len(), 8 * 8 * 3);
            // Rows get lighter downwards and are flat.
            let rows: Vec<u8> = window.chunks_exact(24).map(|row| row[0]).collect();
            assert!(rows.windows(2).all(|pair| pair[0] < pair[1]), "{rows:?}");
            assert!(window.chunks_exact(24).all(|row| row.iter().all(|v| *v == row[0])));
            seen.insert(window);
        }
        // One place at scale 8, two to five at the others.
        assert_eq!(seen.len(), 1 + 2 + 3 + 4 + 5);
        assert!(crop.check(9, 9).is_err() && crop.check(8, 8).is_ok());
    }

    #[test]
    fn a_fixed_scale_is_the_papers_single_scale_training() {
        let image = map(40, 60);
        for epoch in 0..50 {
            let window = Crop::Scale([40, 40]).cut(&image, &fit(24, 3), draws(epoch));
            let (top, left) = (window[0], window[1]);
            assert!(top <= 16 && left <= 36);
            assert_eq!(window[window.len() - 3..], [top + 23, left + 23, 9], "nothing is resized");
        }
    }

    #[test]
    fn random_parts_have_uniform_areas_and_log_uniform_shapes_within_their_bounds() {
        let image = map(200, 200);
        let (area, aspect) = ([0.08, 1.0], [0.75, 4.0 / 3.0]);
        let n = 4000;
        let parts: Vec<Region> =
            (0..n).map(|epoch| part(&image, area, aspect, &mut draws(epoch).of(What::Window))).collect();
        let shares: Vec<f64> = parts.iter().map(|r| (r.height * r.width) as f64 / 40_000.0).collect();
        let ratios: Vec<f64> = parts.iter().map(|r| (r.width as f64 / r.height as f64).ln()).collect();
        assert!(shares.iter().all(|share| (0.079..=1.0).contains(share)));
        assert!(ratios.iter().all(|ratio| ratio.abs() <= (4.0f64 / 3.0).ln() + 0.02));
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        // Parts near the whole image rarely fit, which takes a little off the mean of 0.54.
        assert!((0.48..0.54).contains(&mean(&shares)), "{}", mean(&shares));
        assert!(mean(&ratios).abs() < 0.01, "{}", mean(&ratios));
        let small = shares.iter().filter(|share| **share < 0.31).count() as f64 / n as f64;
        assert!((0.25..0.31).contains(&small), "a quarter of the range: {small}");
        // Every place is as likely: the centres average to the middle.
        let middle = mean(&parts.iter().map(|r| (2 * r.top + r.height) as f64 / 2.0).collect::<Vec<_>>());
        assert!((middle - 100.0).abs() < 1.5, "{middle}");
    }

    #[test]
    fn a_part_is_resized_as_if_it_were_an_image_of_its_own() {
        let image = map(50, 70);
        let region = Region { top: 7, left: 11, height: 30, width: 40 };
        let rows = image.pixels.chunks_exact(70 * 3).skip(7).take(30);
        let alone = rows.flat_map(|row| row[11 * 3..51 * 3].to_vec()).collect();
        let alone = Image { height: 30, width: 40, channels: 3, pixels: alone };
        let whole = Region { top: 0, left: 0, height: 30, width: 40 };
        assert_eq!(fit(16, 3).stretch(&image, region), fit(16, 3).stretch(&alone, whole));
        assert_eq!(fit(16, 1).stretch(&image, region), fit(16, 1).stretch(&alone, whole));
        let squash = ResizeSpec { resize: Resize::Squash, ..fit(16, 3) };
        assert_eq!(squash.stretch(&image, region), alone.fitted(&squash));
    }

    #[test]
    fn what_no_part_fits_into_gives_its_centre() {
        let strip = map(10, 200);
        let region = part(&strip, [1.0, 1.0], [0.75, 4.0 / 3.0], &mut draws(0).of(What::Window));
        assert_eq!(region, Region { top: 0, left: 93, height: 10, width: 13 });
        assert!(Crop::Resized { area: [0.5, 0.2], aspect: [1.0, 1.0] }.check(8, 8).is_err());
        assert!(Crop::Resized { area: [0.5, 1.5], aspect: [1.0, 1.0] }.check(8, 8).is_err());
    }
}
