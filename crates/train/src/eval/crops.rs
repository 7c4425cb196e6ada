//! The crops of an image that a test protocol asks for: at which scales, from where, mirrored or
//! not.
//!
//! Images come as they were in their files. They are resized to a *scale* (the shorter side in
//! pixels, aspect ratio kept), crops of the network's input size are cut, and each crop is
//! normalised as in training. Pixels are `[h, w, c]`.

use super::protocol::TestProtocol;
use crate::data::{Image, Normalize, Normalizer, Preprocessing};
use crate::error::{Error, Result};

/// Crops along each side of the grid of [`TestProtocol::MultiCrop`].
const GRID: usize = 5;

/// Pixels of the largest resized image that is stored whole: 256 by 32,768, or 640 by 13,107. An
/// image of 2x20,000 pixels would become 256 by 2,560,000, 2 GB. Of a larger one only the crops are
/// computed; the dense protocol refuses it, since each of VGG's first feature maps would take more
/// than 2 GiB.
pub(super) const MOST_PIXELS: usize = 8 << 20;

/// Number of crops of one image at one scale, without mirror images.
fn positions(protocol: TestProtocol) -> usize {
    match protocol {
        TestProtocol::Center | TestProtocol::Flip | TestProtocol::Dense => 1,
        TestProtocol::TenCrop => 5,
        TestProtocol::MultiCrop => GRID * GRID,
    }
}

/// Whether each crop is also tested mirrored.
fn is_mirrored(protocol: TestProtocol) -> bool {
    protocol != TestProtocol::Center
}

/// Top left corners (row, column) of the crops of `h`x`w` in an image of `height`x`width`.
fn corners(protocol: TestProtocol, [height, width]: [usize; 2], [h, w]: [usize; 2]) -> Vec<[usize; 2]> {
    let (down, right) = (height - h, width - w);
    let middle = [down, right].map(residual::numbers::half_to_even);
    match protocol {
        TestProtocol::Center | TestProtocol::Flip | TestProtocol::Dense => vec![middle],
        TestProtocol::TenCrop => vec![[0, 0], [0, right], [down, 0], [down, right], middle],
        TestProtocol::MultiCrop => {
            let place = |i: usize, room: usize| (2 * i * room + GRID - 1) / (2 * (GRID - 1));
            (0..GRID * GRID).map(|i| [place(i / GRID, down), place(i % GRID, right)]).collect()
        }
    }
}

/// The crops that a test protocol takes of each image, for one network's input size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CropSet {
    protocol: TestProtocol,
    source: CropSource,
}

/// What crops are cut from.
#[derive(Debug, Clone, PartialEq, Eq)]
enum CropSource {
    /// The image at the network's input size, resized as in validation.
    Fitted,
    /// The same with this many pixels of zeros around it, added after normalisation.
    Padded(usize),
    /// The image at each of these scales.
    Scaled(Vec<usize>),
}

/// One crop as a network takes it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Crop {
    /// Height and width.
    pub size: [usize; 2],
    /// Normalised pixels, `[h, w, c]`.
    pub pixels: Vec<f32>,
}

impl CropSet {
    /// Returns the crops of `protocol` at `scales`. If `scales` is empty:
    ///
    /// - `center` and `flip` take the image as validation does;
    /// - `ten-crop` and `multi-crop` cut from the image with `pad_crop` pixels of zeros around it if
    ///   training did; otherwise at the preprocessing's scale, or at 8/7 of the input (256 for 224)
    ///   if it names none;
    /// - `dense` takes the preprocessing's scale, or the input size.
    ///
    /// # Errors
    /// A scale is smaller than the network's input (all protocols but `dense`).
    pub fn new(
        protocol: TestProtocol,
        scales: &[usize],
        preprocessing: &Preprocessing,
        pad_crop: usize,
    ) -> Result<Self> {
        let side = preprocessing.height.max(preprocessing.width);
        if let Some(scale) = scales.iter().find(|&&scale| scale < side && protocol != TestProtocol::Dense) {
            return Err(Error::usage(format!("--scales {scale} is smaller than the {side} input"))
                .with_hint(format!("give scales of at least {side}")));
        }
        let source = match (protocol, scales) {
            (_, [_, ..]) => CropSource::Scaled(scales.to_vec()),
            (TestProtocol::Center | TestProtocol::Flip, []) => CropSource::Fitted,
            (TestProtocol::Dense, []) => CropSource::Scaled(vec![preprocessing.scale.unwrap_or(side)]),
            (TestProtocol::TenCrop | TestProtocol::MultiCrop, []) => match preprocessing.scale {
                None if pad_crop > 0 => CropSource::Padded(pad_crop),
                scale => {
                    let larger = scale.filter(|scale| *scale > side);
                    CropSource::Scaled(vec![larger.unwrap_or((8 * side).div_ceil(7))])
                }
            },
        };
        Ok(Self { protocol, source })
    }

    /// Returns the single centre crop that validation uses.
    pub fn center() -> Self {
        Self { protocol: TestProtocol::Center, source: CropSource::Fitted }
    }

    /// Returns the test protocol.
    pub fn protocol(&self) -> TestProtocol {
        self.protocol
    }

    /// Returns the scales that images are resized to; empty if they are resized to the input size.
    pub fn scales(&self) -> &[usize] {
        match &self.source {
            CropSource::Scaled(scales) => scales,
            CropSource::Fitted | CropSource::Padded(_) => &[],
        }
    }

    /// Returns the number of crops of each image.
    pub fn count(&self) -> usize {
        let mirrored = if is_mirrored(self.protocol) { 2 } else { 1 };
        self.scales().len().max(1) * positions(self.protocol) * mirrored
    }

    /// Returns all crops of `image`, in a fixed order.
    ///
    /// # Errors
    /// The image is too large for the dense protocol, or a mean image has another size than it.
    pub(super) fn crops_of(
        &self,
        image: &Image,
        preprocessing: &Preprocessing,
        normalizer: &Normalizer,
    ) -> Result<Vec<Crop>> {
        let mut crops = Vec::with_capacity(self.count());
        match &self.source {
            CropSource::Fitted => {
                let size = [preprocessing.height, preprocessing.width];
                let pixels = normalised(normalizer, &preprocessing.fit(image));
                self.push(Crop { size, pixels }, preprocessing.channels, &mut crops);
            }
            CropSource::Padded(pad) => self.padded_crops(image, *pad, preprocessing, normalizer, &mut crops),
            CropSource::Scaled(scales) => {
                for &scale in scales {
                    self.scaled_crops(image, scale, preprocessing, normalizer, &mut crops)?;
                }
            }
        }
        Ok(crops)
    }

    /// Adds the crops of the resized and normalised image between `pad` zeros on each side.
    fn padded_crops(
        &self,
        image: &Image,
        pad: usize,
        preprocessing: &Preprocessing,
        normalizer: &Normalizer,
        crops: &mut Vec<Crop>,
    ) {
        let Preprocessing { height, width, channels: c, .. } = *preprocessing;
        let size = [height, width];
        let pixels = normalised(normalizer, &preprocessing.fit(image));
        let (padded, whole) = (padded(&pixels, size, c, pad), [height + 2 * pad, width + 2 * pad]);
        for corner in corners(self.protocol, whole, size) {
            self.push(Crop { size, pixels: cut(&padded, whole[1], c, corner, size) }, c, crops);
        }
    }

    /// Adds the crops of the image at `scale`.
    fn scaled_crops(
        &self,
        image: &Image,
        scale: usize,
        preprocessing: &Preprocessing,
        normalizer: &Normalizer,
        crops: &mut Vec<Crop>,
    ) -> Result<()> {
        let Preprocessing { height, width, channels: c, .. } = *preprocessing;
        let size = [height, width];
        let whole = image.size_at(scale);
        let fits = whole[0].saturating_mul(whole[1]) <= MOST_PIXELS;
        let scaled = fits.then(|| image.scaled(scale, c, preprocessing.filter));
        if self.protocol == TestProtocol::Dense {
            let scaled = scaled.ok_or_else(|| too_large(image, scale))?;
            let pixels = whole_image(&scaled, preprocessing)?;
            self.push(Crop { size: whole, pixels }, c, crops);
            return Ok(());
        }
        for corner in corners(self.protocol, whole, size) {
            // The same bytes either way. Many crops together cost less when they are cut.
            let window = match &scaled {
                Some(scaled) => cut(&scaled.pixels, whole[1], c, corner, size),
                None => preprocessing.resize_spec().window(image, whole.into(), corner.into()),
            };
            self.push(Crop { size, pixels: normalised(normalizer, &window) }, c, crops);
        }
        Ok(())
    }

    /// Adds `crop`, and its mirror image if the protocol has one.
    fn push(&self, crop: Crop, c: usize, crops: &mut Vec<Crop>) {
        let mirror = || Crop { size: crop.size, pixels: mirrored(&crop.pixels, crop.size[1], c) };
        let mirror = is_mirrored(self.protocol).then(mirror);
        crops.push(crop);
        crops.extend(mirror);
    }
}

/// Returns an image of any size, normalised.
fn whole_image(scaled: &Image, preprocessing: &Preprocessing) -> Result<Vec<f32>> {
    let (h, w) = (scaled.height, scaled.width);
    let Preprocessing { height, width, .. } = *preprocessing;
    if matches!(preprocessing.normalize, Normalize::Pixel { .. }) && (h, w) != (height, width) {
        let message = format!("a mean image of {height}x{width} does not fit an image of {h}x{w}");
        return Err(Error::usage(message)
            .with_hint("weights trained with data.normalize = \"pixel\" take crops of their own size only"));
    }
    let normalizer = Normalizer::new(&preprocessing.normalize, h, w, preprocessing.channels)?;
    Ok(normalised(&normalizer, &scaled.pixels))
}

/// The error of an image that is too large for the dense protocol.
fn too_large(image: &Image, scale: usize) -> Error {
    let ([height, width], most) = (image.size_at(scale), MOST_PIXELS / 1_000_000);
    let message = format!(
        "an image of {}x{} pixels becomes {height}x{width} at scale {scale}; dense takes at most {most} million pixels",
        image.height, image.width
    );
    Error::data(message).with_hint("--skip-bad leaves it out; smaller --scales or --protocol ten-crop take it")
}

fn normalised(normalizer: &Normalizer, pixels: &[u8]) -> Vec<f32> {
    let mut out = vec![0.0; pixels.len()];
    normalizer.apply(pixels, &mut out);
    out
}

/// Returns the crop of `size` at `corner` of an image that is `width` wide.
fn cut<T: Copy>(pixels: &[T], width: usize, c: usize, [top, left]: [usize; 2], [h, w]: [usize; 2]) -> Vec<T> {
    let row = |y: usize| &pixels[(y * width + left) * c..(y * width + left + w) * c];
    (top..top + h).flat_map(row).copied().collect()
}

/// Returns the image between `pad` zeros on each side.
fn padded(pixels: &[f32], [h, w]: [usize; 2], c: usize, pad: usize) -> Vec<f32> {
    let width = w + 2 * pad;
    let mut out = vec![0.0; (h + 2 * pad) * width * c];
    for (y, row) in pixels.chunks_exact(w * c).enumerate() {
        let start = ((y + pad) * width + pad) * c;
        out[start..start + w * c].copy_from_slice(row);
    }
    out
}

/// Returns `[…, w, c]` with left and right exchanged. Normalisation comes first, as in training: a
/// mean image is not mirrored.
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

    /// An image whose pixels hold their row, their column, and 255 (padding holds 0).
    fn image(height: usize, width: usize) -> Image {
        let pixels = (0..height * width).flat_map(|i| [(i / width) as u8, (i % width) as u8, 255]).collect();
        Image { height, width, channels: 3, pixels }
    }

    /// The row and column of the first pixel of each crop, and of the last.
    fn ends(crop_set: &CropSet, image: &Image, preprocessing: &Preprocessing) -> Vec<[f32; 4]> {
        let normalizer = preprocessing.normalizer().expect("sizes agree");
        let found = crop_set.crops_of(image, preprocessing, &normalizer).expect("crops");
        assert_eq!(found.len(), crop_set.count());
        let ends = |crop: &Crop| {
            let last = crop.pixels.len() - 3;
            [crop.pixels[0], crop.pixels[1], crop.pixels[last], crop.pixels[last + 1]].map(f32::round)
        };
        found.iter().map(ends).collect()
    }

    #[test]
    fn ten_crops_are_the_corners_and_the_centre_and_their_mirror_images() {
        let preprocessing = preprocessing(4, None);
        let crop_set = CropSet::new(TestProtocol::TenCrop, &[8], &preprocessing, 0).expect("fits");
        let found = ends(&crop_set, &image(8, 12), &preprocessing);
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
        let crop_set = CropSet::new(TestProtocol::MultiCrop, &[10], &weights, 0).expect("fits");
        let found = ends(&crop_set, &image(10, 20), &weights);
        assert_eq!(found.len(), 50);
        let (rows, columns) = ([0.0, 2.0, 3.0, 5.0, 6.0], [0.0, 4.0, 8.0, 12.0, 16.0]);
        for (i, pair) in found.chunks(2).enumerate() {
            assert_eq!([pair[0][0], pair[0][1]], [rows[i / 5], columns[i % 5]]);
        }
        let three = CropSet::new(TestProtocol::MultiCrop, &[256, 384, 512], &preprocessing(224, None), 0);
        assert_eq!(three.expect("fits").count(), 150, "VGG §3.2: 150 crops over three scales");
    }

    #[test]
    fn without_scales_crops_are_cut_as_training_cut_them() {
        let weights = preprocessing(4, None);
        let crop_set = CropSet::new(TestProtocol::TenCrop, &[], &weights, 1).expect("fits");
        let normalizer = weights.normalizer().expect("sizes agree");
        let found = crop_set.crops_of(&image(4, 4), &weights, &normalizer).expect("crops");
        // The first crop reaches one pixel into the padding above and to the left, the last one
        // none.
        let pixel = |crop: usize, at: usize| [0, 1, 2].map(|c| found[crop].pixels[at * 3 + c].round());
        assert_eq!([pixel(0, 0), pixel(0, 4 + 1), pixel(8, 0)], [[0.0; 3], [0.0, 0.0, 255.0], [0.0, 0.0, 255.0]]);
        let scales = |protocol, scale, pad| {
            CropSet::new(protocol, &[], &preprocessing(224, scale), pad).expect("fits").scales().to_vec()
        };
        assert_eq!(scales(TestProtocol::TenCrop, None, 0), [256]);
        assert_eq!(scales(TestProtocol::MultiCrop, Some(232), 0), [232]);
        assert_eq!(scales(TestProtocol::Dense, None, 28), [224]);
        assert_eq!(scales(TestProtocol::Dense, Some(256), 0), [256]);
        assert!(scales(TestProtocol::Center, Some(256), 0).is_empty());
    }

    #[test]
    fn a_scale_smaller_than_the_input_is_refused() {
        let error =
            CropSet::new(TestProtocol::TenCrop, &[256, 200], &preprocessing(224, None), 0).expect_err("too small");
        assert_eq!(error.to_string(), "--scales 200 is smaller than the 224 input");
        assert!(
            CropSet::new(TestProtocol::Dense, &[200], &preprocessing(224, None), 0).is_ok(),
            "the network decides that"
        );
    }

    #[test]
    fn a_mean_image_is_subtracted_from_crops_of_its_size_only() {
        let normalize = Normalize::Pixel { mean: vec![0.5; 4 * 4 * 3], std: vec![1.0; 3] };
        let weights = Preprocessing { normalize, ..preprocessing(4, None) };
        let normalizer = weights.normalizer().expect("sizes agree");
        let dense = CropSet::new(TestProtocol::Dense, &[6], &weights, 0).expect("a scale");
        assert!(dense.crops_of(&image(6, 6), &weights, &normalizer).is_err());
        let crops = CropSet::new(TestProtocol::TenCrop, &[6], &weights, 0).expect("a scale");
        assert!(crops.crops_of(&image(6, 6), &weights, &normalizer).is_ok());
    }

    #[test]
    fn crops_of_a_long_thin_image_are_computed_one_by_one_and_dense_refuses_it() {
        let weights = preprocessing(4, None);
        let normalizer = weights.normalizer().expect("sizes agree");
        let thread = image(1, 2_100);
        let crops = CropSet::new(TestProtocol::TenCrop, &[64], &weights, 0).expect("a scale");
        let found = crops.crops_of(&thread, &weights, &normalizer).expect("crops");
        // Larger than the limit, and still small enough for a test.
        let whole = thread.scaled(64, 3, Filter::Bilinear);
        assert!(whole.width == 134_400 && 64 * whole.width > MOST_PIXELS);
        for (at, corner) in [(0, [0, 0]), (6, [60, 134_396]), (8, [30, 67_198])] {
            let window = cut(&whole.pixels, whole.width, 3, corner, [4, 4]);
            assert_eq!(found[at].pixels, normalised(&normalizer, &window), "{corner:?}");
        }
        let dense = CropSet::new(TestProtocol::Dense, &[64], &weights, 0).expect("a scale");
        let error = dense.crops_of(&thread, &weights, &normalizer).expect_err("too large");
        assert!(error.to_string().starts_with("an image of 1x2100 pixels becomes 64x134400 at scale 64"), "{error}");
        let endless = Image { height: 2, width: 20_000, channels: 1, pixels: vec![7; 40_000] };
        for protocol in [TestProtocol::TenCrop, TestProtocol::MultiCrop] {
            let crop_set = CropSet::new(protocol, &[256], &weights, 0).expect("a scale");
            let seen = crop_set.crops_of(&endless, &weights, &normalizer).expect("crops of 256x2560000");
            assert!(seen.iter().all(|crop| crop.pixels.iter().all(|v| v.round() == 7.0)));
        }
    }
}
