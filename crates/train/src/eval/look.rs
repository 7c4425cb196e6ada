//! How an image is looked at: which parts of it, at which sizes, mirrored or not.
//!
//! Images come as they were in their files. They are brought to a *scale* (the shorter side in pixels, proportions
//! kept), windows of the network's input are cut, and each window is normalised as training did. Pixels are
//! `[h, w, c]`.

use crate::data::{Image, Normalize, Normalizer, Preprocessing};
use crate::error::{Error, Result, nearest};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The papers' ways to look at an image. What several views say is averaged after the softmax.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Views {
    /// Once, at its centre.
    #[default]
    Center,
    /// At its centre, also mirrored.
    Flip,
    /// The four corners and the centre, each also mirrored (Krizhevsky et al. 2012, §4.1; ResNet Tables 2 and 3).
    TenCrop,
    /// The whole image, also mirrored: the network is applied fully convolutionally and its scores are averaged over
    /// the map (VGG §3.2; ResNet Table 4).
    Dense,
    /// A regular grid of 5x5 windows, each also mirrored (VGG §3.2, after Szegedy et al. 2014).
    MultiCrop,
}

impl Views {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Center, Self::Flip, Self::TenCrop, Self::Dense, Self::MultiCrop];

    /// What it is called on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Center => "center",
            Self::Flip => "flip",
            Self::TenCrop => "ten-crop",
            Self::Dense => "dense",
            Self::MultiCrop => "multi-crop",
        }
    }

    /// Windows at one scale; one where the whole image is looked at.
    fn windows(self) -> usize {
        match self {
            Self::Center | Self::Flip | Self::Dense => 1,
            Self::TenCrop => 5,
            Self::MultiCrop => GRID * GRID,
        }
    }

    fn mirrors(self) -> bool {
        self != Self::Center
    }

    /// Top left corners (row, column) of windows of `h`x`w` in an image of `height`x`width`.
    fn corners(self, [height, width]: [usize; 2], [h, w]: [usize; 2]) -> Vec<[usize; 2]> {
        let (down, right) = (height - h, width - w);
        let middle = [half_to_even(down), half_to_even(right)];
        match self {
            Self::Center | Self::Flip | Self::Dense => vec![middle],
            Self::TenCrop => vec![[0, 0], [0, right], [down, 0], [down, right], middle],
            Self::MultiCrop => {
                let place = |i: usize, room: usize| (2 * i * room + GRID - 1) / (2 * (GRID - 1));
                (0..GRID * GRID).map(|i| [place(i / GRID, down), place(i % GRID, right)]).collect()
            }
        }
    }
}

/// Windows along each side of the grid of [`Views::MultiCrop`].
const GRID: usize = 5;

/// Pixels of the largest scaled image that is made: 256 by 32,768, or 640 by 13,107. A thread of 2x20,000 pixels would
/// become 256 by 2,560,000, 2 GB. Of what is larger windows alone are made; densely it is not looked at, as each of a
/// VGG's first maps would take more than 2 GiB.
pub(super) const MOST_PIXELS: usize = 8 << 20;

/// Half of n, an exact half rounded to the even number, as torchvision's `CenterCrop`.
fn half_to_even(n: usize) -> usize {
    let half = n / 2;
    if n % 2 == 1 && half % 2 == 1 { half + 1 } else { half }
}

impl fmt::Display for Views {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Views {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let names = Self::ALL.map(Self::name);
        if let Some(views) = Self::ALL.into_iter().find(|views| views.name() == text) {
            return Ok(views);
        }
        let error = Error::usage(format!("unknown protocol \"{text}\""));
        Err(match nearest(text, names) {
            Some(name) => error.with_hint(format!("did you mean \"{name}\"?")),
            None => error.with_hint(format!("one of {}", names.join(", "))),
        })
    }
}

/// A way of looking, settled for one network's input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    views: Views,
    source: Source,
}

/// What windows are cut from.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    /// The image as training fits it to the network's input, whatever its resize mode.
    Fitted,
    /// The same with this many zeros around it once it is normalised.
    Padded(usize),
    /// The image at each of these scales.
    Scaled(Vec<usize>),
}

/// A part of an image as a network takes it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct View {
    /// Height and width.
    pub size: [usize; 2],
    /// Normalised, `[h, w, c]`.
    pub pixels: Vec<f32>,
}

impl Look {
    /// `views` at `scales`. Without scales:
    ///
    /// - the centre, mirrored too or not, is what training validated by;
    /// - windows are cut as training cut them, where it cut them from an image with `pad_crop` pixels of zeros around
    ///   it; else at the scale of the preprocessing, or at 8/7 of the input (256 for 224) where that names none;
    /// - dense takes the scale of the preprocessing, or the input.
    ///
    /// # Errors
    /// A scale at which no window of the input can be cut.
    pub fn new(views: Views, scales: &[usize], preprocessing: &Preprocessing, pad_crop: usize) -> Result<Self> {
        let side = preprocessing.height.max(preprocessing.width);
        if let Some(scale) = scales.iter().find(|&&scale| scale < side && views != Views::Dense) {
            let message = format!("images whose shorter side is {scale} hold no window of {side}x{side} pixels");
            return Err(Error::usage(message).with_hint(format!("--scales takes numbers from {side} upwards")));
        }
        let source = match (views, scales) {
            (_, [_, ..]) => Source::Scaled(scales.to_vec()),
            (Views::Center | Views::Flip, []) => Source::Fitted,
            (Views::Dense, []) => Source::Scaled(vec![preprocessing.scale.unwrap_or(side)]),
            (Views::TenCrop | Views::MultiCrop, []) => match preprocessing.scale {
                None if pad_crop > 0 => Source::Padded(pad_crop),
                scale => Source::Scaled(vec![scale.filter(|scale| *scale > side).unwrap_or((8 * side).div_ceil(7))]),
            },
        };
        Ok(Self { views, source })
    }

    /// The image as training validates it, once.
    pub fn center() -> Self {
        Self { views: Views::Center, source: Source::Fitted }
    }

    /// Which views.
    pub fn views(&self) -> Views {
        self.views
    }

    /// The scales that images are brought to; none where they are fitted to the input.
    pub fn scales(&self) -> &[usize] {
        match &self.source {
            Source::Scaled(scales) => scales,
            Source::Fitted | Source::Padded(_) => &[],
        }
    }

    /// Views of each image.
    pub fn count(&self) -> usize {
        self.scales().len().max(1) * self.views.windows() * if self.views.mirrors() { 2 } else { 1 }
    }

    /// Everything that is looked at in `image`, in a fixed order.
    pub(super) fn views_of(
        &self,
        image: &Image,
        preprocessing: &Preprocessing,
        normalizer: &Normalizer,
    ) -> Result<Vec<View>> {
        let Preprocessing { height, width, channels: c, .. } = *preprocessing;
        let size = [height, width];
        let mut seen = Vec::with_capacity(self.count());
        match &self.source {
            Source::Fitted => {
                let pixels = normalised(normalizer, &preprocessing.fit(image));
                self.take(View { size, pixels }, c, &mut seen);
            }
            Source::Padded(pad) => {
                let pixels = normalised(normalizer, &preprocessing.fit(image));
                let (padded, whole) = (padded(&pixels, size, c, *pad), [height + 2 * pad, width + 2 * pad]);
                for corner in self.views.corners(whole, size) {
                    self.take(View { size, pixels: cut(&padded, whole[1], c, corner, size) }, c, &mut seen);
                }
            }
            Source::Scaled(scales) => {
                for &scale in scales {
                    let whole = image.size_at(scale);
                    let fits = whole[0].saturating_mul(whole[1]) <= MOST_PIXELS;
                    let scaled = fits.then(|| image.scaled(scale, c, preprocessing.filter));
                    if self.views == Views::Dense {
                        let scaled = scaled.ok_or_else(|| too_large(image, scale))?;
                        let pixels = self.whole(&scaled, preprocessing)?;
                        self.take(View { size: whole, pixels }, c, &mut seen);
                        continue;
                    }
                    for corner in self.views.corners(whole, size) {
                        // The same bytes either way. Many windows together cost less when they are cut.
                        let window = match &scaled {
                            Some(scaled) => cut(&scaled.pixels, whole[1], c, corner, size),
                            None => preprocessing.resize_spec().window(image, whole.into(), corner.into()),
                        };
                        self.take(View { size, pixels: normalised(normalizer, &window) }, c, &mut seen);
                    }
                }
            }
        }
        Ok(seen)
    }

    /// Adds `view`, and its mirror image where these views have one.
    fn take(&self, view: View, c: usize, seen: &mut Vec<View>) {
        let mirror = || View { size: view.size, pixels: mirrored(&view.pixels, view.size[1], c) };
        let mirror = self.views.mirrors().then(mirror);
        seen.push(view);
        seen.extend(mirror);
    }

    /// An image of any size, normalised.
    fn whole(&self, scaled: &Image, preprocessing: &Preprocessing) -> Result<Vec<f32>> {
        let (h, w) = (scaled.height, scaled.width);
        let own_size = (h, w) == (preprocessing.height, preprocessing.width);
        if matches!(preprocessing.normalize, Normalize::Pixel { .. }) && !own_size {
            let Preprocessing { height, width, .. } = *preprocessing;
            let message = format!("the mean image of {height}x{width} cannot be subtracted from one of {h}x{w}");
            return Err(Error::usage(message)
                .with_hint("weights trained with data.normalize = \"pixel\" see windows of their own size only"));
        }
        let normalizer = Normalizer::new(&preprocessing.normalize, h, w, preprocessing.channels)?;
        Ok(normalised(&normalizer, &scaled.pixels))
    }
}

/// Why `image` is not looked at densely.
fn too_large(image: &Image, scale: usize) -> Error {
    let ([height, width], most) = (image.size_at(scale), MOST_PIXELS / 1_000_000);
    let message = format!(
        "an image of {}x{} pixels becomes one of {height}x{width} at scale {scale}, and dense takes {most} million",
        image.height, image.width
    );
    Error::data(message).with_hint("--skip-bad leaves it out; smaller --scales or --protocol ten-crop can look at it")
}

fn normalised(normalizer: &Normalizer, pixels: &[u8]) -> Vec<f32> {
    let mut out = vec![0.0; pixels.len()];
    normalizer.apply(pixels, &mut out);
    out
}

/// The window of `size` at `corner` of an image `width` wide.
fn cut<T: Copy>(pixels: &[T], width: usize, c: usize, [top, left]: [usize; 2], [h, w]: [usize; 2]) -> Vec<T> {
    let row = |y: usize| &pixels[(y * width + left) * c..(y * width + left + w) * c];
    (top..top + h).flat_map(row).copied().collect()
}

/// The image between `pad` zeros on each side.
fn padded(pixels: &[f32], [h, w]: [usize; 2], c: usize, pad: usize) -> Vec<f32> {
    let width = w + 2 * pad;
    let mut out = vec![0.0; (h + 2 * pad) * width * c];
    for (y, row) in pixels.chunks_exact(w * c).enumerate() {
        let start = ((y + pad) * width + pad) * c;
        out[start..start + w * c].copy_from_slice(row);
    }
    out
}

/// `[…, w, c]`, left and right exchanged. Normalisation comes first, as in training: a mean image stays as it was.
pub(super) fn mirrored(pixels: &[f32], w: usize, c: usize) -> Vec<f32> {
    pixels.chunks_exact(w * c).flat_map(|row| row.chunks_exact(c).rev()).flatten().copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Filter, Resize};

    fn preprocessing(side: usize, scale: Option<usize>) -> Preprocessing {
        let normalize = Normalize::Channel { mean: vec![0.0; 3], std: vec![1.0 / 255.0; 3] };
        let (resize, filter) = (Resize::Crop, Filter::Bilinear);
        Preprocessing { height: side, width: side, channels: 3, scale, resize, filter, normalize }
    }

    /// Every pixel tells its row, its column, and that it is no padding.
    fn image(height: usize, width: usize) -> Image {
        let pixels = (0..height * width).flat_map(|i| [(i / width) as u8, (i % width) as u8, 255]).collect();
        Image { height, width, channels: 3, pixels }
    }

    /// The row and column of the first pixel of each view, and of the last.
    fn ends(look: &Look, image: &Image, preprocessing: &Preprocessing) -> Vec<[f32; 4]> {
        let normalizer = preprocessing.normalizer().expect("sizes agree");
        let views = look.views_of(image, preprocessing, &normalizer).expect("windows");
        assert_eq!(views.len(), look.count());
        let ends = |view: &View| {
            let last = view.pixels.len() - 3;
            [view.pixels[0], view.pixels[1], view.pixels[last], view.pixels[last + 1]].map(f32::round)
        };
        views.iter().map(ends).collect()
    }

    #[test]
    fn ten_crops_are_the_corners_and_the_centre_and_their_mirror_images() {
        let preprocessing = preprocessing(4, None);
        let look = Look::new(Views::TenCrop, &[8], &preprocessing, 0).expect("fits");
        let found = ends(&look, &image(8, 12), &preprocessing);
        let corners = [[0, 0], [0, 8], [4, 0], [4, 8], [2, 4]];
        for (i, [top, left]) in corners.into_iter().enumerate() {
            let [t, l] = [top as f32, left as f32];
            assert_eq!(found[2 * i], [t, l, t + 3.0, l + 3.0]);
            assert_eq!(found[2 * i + 1], [t, l + 3.0, t + 3.0, l]);
        }
    }

    #[test]
    fn multi_crop_is_a_regular_grid_over_the_whole_image() {
        let weights = preprocessing(4, None);
        let look = Look::new(Views::MultiCrop, &[10], &weights, 0).expect("fits");
        let found = ends(&look, &image(10, 20), &weights);
        assert_eq!(found.len(), 50);
        let (rows, columns) = ([0.0, 2.0, 3.0, 5.0, 6.0], [0.0, 4.0, 8.0, 12.0, 16.0]);
        for (i, pair) in found.chunks(2).enumerate() {
            assert_eq!([pair[0][0], pair[0][1]], [rows[i / 5], columns[i % 5]]);
        }
        let three = Look::new(Views::MultiCrop, &[256, 384, 512], &preprocessing(224, None), 0);
        assert_eq!(three.expect("fits").count(), 150, "VGG §3.2: 150 crops over three scales");
    }

    #[test]
    fn without_scales_windows_are_cut_as_training_cut_them() {
        let weights = preprocessing(4, None);
        let look = Look::new(Views::TenCrop, &[], &weights, 1).expect("fits");
        let normalizer = weights.normalizer().expect("sizes agree");
        let views = look.views_of(&image(4, 4), &weights, &normalizer).expect("windows");
        // The first window reaches one pixel into the padding above and to the left, the last one nowhere.
        let pixel = |view: usize, at: usize| [0, 1, 2].map(|c| views[view].pixels[at * 3 + c].round());
        assert_eq!([pixel(0, 0), pixel(0, 4 + 1), pixel(8, 0)], [[0.0; 3], [0.0, 0.0, 255.0], [0.0, 0.0, 255.0]]);
        let scales =
            |views, scale, pad| Look::new(views, &[], &preprocessing(224, scale), pad).expect("fits").scales().to_vec();
        assert_eq!(scales(Views::TenCrop, None, 0), [256]);
        assert_eq!(scales(Views::MultiCrop, Some(232), 0), [232]);
        assert_eq!(scales(Views::Dense, None, 28), [224]);
        assert_eq!(scales(Views::Dense, Some(256), 0), [256]);
        assert!(scales(Views::Center, Some(256), 0).is_empty());
    }

    #[test]
    fn a_scale_that_holds_no_window_is_refused() {
        let error = Look::new(Views::TenCrop, &[256, 200], &preprocessing(224, None), 0).expect_err("too small");
        assert_eq!(error.to_string(), "images whose shorter side is 200 hold no window of 224x224 pixels");
        assert!(Look::new(Views::Dense, &[200], &preprocessing(224, None), 0).is_ok(), "the network decides that");
    }

    #[test]
    fn a_mean_image_is_subtracted_from_windows_of_its_size_only() {
        let normalize = Normalize::Pixel { mean: vec![0.5; 4 * 4 * 3], std: vec![1.0; 3] };
        let weights = Preprocessing { normalize, ..preprocessing(4, None) };
        let normalizer = weights.normalizer().expect("sizes agree");
        let dense = Look::new(Views::Dense, &[6], &weights, 0).expect("a scale");
        assert!(dense.views_of(&image(6, 6), &weights, &normalizer).is_err());
        let crops = Look::new(Views::TenCrop, &[6], &weights, 0).expect("a scale");
        assert!(crops.views_of(&image(6, 6), &weights, &normalizer).is_ok());
    }

    #[test]
    fn windows_of_a_thread_are_made_without_the_whole_and_densely_it_is_refused() {
        let weights = preprocessing(4, None);
        let normalizer = weights.normalizer().expect("sizes agree");
        let thread = image(1, 2_100);
        let crops = Look::new(Views::TenCrop, &[64], &weights, 0).expect("a scale");
        let views = crops.views_of(&thread, &weights, &normalizer).expect("windows");
        // Small enough to be made here all the same.
        let whole = thread.scaled(64, 3, Filter::Bilinear);
        assert!(whole.width == 134_400 && 64 * whole.width > MOST_PIXELS);
        for (view, corner) in [(0, [0, 0]), (6, [60, 134_396]), (8, [30, 67_198])] {
            let window = cut(&whole.pixels, whole.width, 3, corner, [4, 4]);
            assert_eq!(views[view].pixels, normalised(&normalizer, &window), "{corner:?}");
        }
        let dense = Look::new(Views::Dense, &[64], &weights, 0).expect("a scale");
        let error = dense.views_of(&thread, &weights, &normalizer).expect_err("too large");
        assert!(error.to_string().starts_with("an image of 1x2100 pixels becomes one of 64x134400 "), "{error}");
        let endless = Image { height: 2, width: 20_000, channels: 1, pixels: vec![7; 40_000] };
        for views in [Views::TenCrop, Views::MultiCrop] {
            let look = Look::new(views, &[256], &weights, 0).expect("a scale");
            let seen = look.views_of(&endless, &weights, &normalizer).expect("windows of 256x2560000");
            assert!(seen.iter().all(|view| view.pixels.iter().all(|v| v.round() == 7.0)));
        }
    }

    #[test]
    fn protocols_are_read_by_name_and_slips_are_recognised() {
        assert!(Views::ALL.into_iter().all(|views| views.to_string().parse::<Views>().is_ok_and(|read| read == views)));
        assert_eq!("tencrop".parse::<Views>().expect_err("a hyphen").hint(), Some("did you mean \"ten-crop\"?"));
    }
}
