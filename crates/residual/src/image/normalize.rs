//! Normalisation: bytes become (x / 255 - mean) / std, with a mean per channel or per pixel.
//!
//! Either is one multiplication and one addition with tables as long as a row (per channel) or an
//! image (per pixel), so that the loop over a row has no channel index and vectorises.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// Mean and standard deviation of a normalisation, on the 0 to 1 scale.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Normalize {
    /// A mean and a standard deviation per channel.
    Channel {
        /// Means, `[c]`.
        mean: Vec<f32>,
        /// Standard deviations, `[c]`.
        std: Vec<f32>,
    },
    /// A mean per pixel and channel, as for the ResNet paper's CIFAR networks (section 4.2), and a
    /// standard deviation per channel; ones subtract only the mean, as the paper does.
    Pixel {
        /// Means, `[h, w, c]`.
        mean: Vec<f32>,
        /// Standard deviations, `[c]`.
        std: Vec<f32>,
    },
}

impl Normalize {
    /// Returns the customary constants of a data set: `cifar10`, `cifar100`, `mnist`,
    /// `fashion-mnist` or `imagenet`. Any other name has none.
    ///
    /// ```
    /// use residual::image::Normalize;
    ///
    /// let expected = Normalize::Channel { mean: vec![0.1307], std: vec![0.3081] };
    /// assert_eq!(Normalize::known("mnist"), Some(expected));
    /// assert_eq!(Normalize::known("birds"), None);
    /// ```
    pub fn known(name: &str) -> Option<Self> {
        let (mean, std): (&[f32], &[f32]) = match name {
            // Krizhevsky's training sets; the digits are those of most published recipes.
            "cifar10" => (&[0.4914, 0.4822, 0.4465], &[0.2470, 0.2435, 0.2616]),
            "cifar100" => (&[0.5071, 0.4865, 0.4409], &[0.2673, 0.2564, 0.2762]),
            "mnist" => (&[0.1307], &[0.3081]),
            "fashion-mnist" => (&[0.2860], &[0.3530]),
            "imagenet" => (&[0.485, 0.456, 0.406], &[0.229, 0.224, 0.225]),
            _ => return None,
        };
        Some(Self::Channel { mean: mean.to_vec(), std: std.to_vec() })
    }
}

/// A [`Normalize`] prepared for images of one size.
#[derive(Debug, Clone)]
pub struct Normalizer {
    height: usize,
    width: usize,
    channels: usize,
    /// Factors, one row or one image long.
    scale: Vec<f32>,
    /// Summands, as long as `scale`.
    shift: Vec<f32>,
}

impl Normalizer {
    /// Prepares a normalisation for images of `[height, width, channels]`.
    ///
    /// # Errors
    /// Fails if `normalize` has values for another number of channels or pixels, or if a standard
    /// deviation is not positive.
    pub fn new(normalize: &Normalize, height: usize, width: usize, channels: usize) -> Result<Self> {
        let (mean, std, long) = match normalize {
            Normalize::Channel { mean, std } => (mean, std, channels),
            Normalize::Pixel { mean, std } => (mean, std, height * width * channels),
        };
        if mean.len() != long || std.len() != channels {
            return Err(Error::data(format!(
                "normalisation has {} means and {} standard deviations, and images of {height}x{width} in {channels} \
                 channels need {long} and {channels}",
                mean.len(),
                std.len()
            )));
        }
        if let Some(bad) = std.iter().find(|s| !(s.is_finite() && **s > 0.0)) {
            return Err(Error::data(format!("standard deviations must be positive, got {bad}")));
        }
        let period = width * channels * if long > channels { height } else { 1 };
        let scale = (0..period).map(|i| (1.0 / (255.0 * f64::from(std[i % channels]))) as f32).collect();
        let shift = (0..period).map(|i| (-f64::from(mean[i % long]) / f64::from(std[i % channels])) as f32).collect();
        Ok(Self { height, width, channels, scale, shift })
    }

    /// Returns the rows of an image.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Returns the columns of an image.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Returns the values per pixel.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Returns the values of an image: height · width · channels.
    pub fn stride(&self) -> usize {
        self.height * self.width * self.channels
    }

    /// Returns the factor of `channel`'s values: 1 / (255 · std).
    pub fn scale_of(&self, channel: usize) -> f32 {
        self.scale[channel]
    }

    /// Normalises a whole image, `[h, w, c]` bytes, into `out`, `[h, w, c]` floats.
    pub fn apply(&self, pixels: &[u8], out: &mut [f32]) {
        for (pixels, out) in pixels.chunks_exact(self.scale.len()).zip(out.chunks_exact_mut(self.scale.len())) {
            scale_and_shift(pixels, &self.scale, &self.shift, out);
        }
    }

    /// Normalises part of row `y`, from column `x` on; `pixels` and `out` have the same length. A
    /// mean per pixel is that of (`y`, `x`), the position in the stored image.
    pub fn apply_row(&self, y: usize, x: usize, pixels: &[u8], out: &mut [f32]) {
        let start = (y * self.width + x) * self.channels % self.scale.len();
        let part = start..start + pixels.len();
        scale_and_shift(pixels, &self.scale[part.clone()], &self.shift[part], out);
    }
}

/// Writes `pixels * scale + shift` to `out`.
fn scale_and_shift(pixels: &[u8], scale: &[f32], shift: &[f32], out: &mut [f32]) {
    for (((out, &p), scale), shift) in out.iter_mut().zip(pixels).zip(scale).zip(shift) {
        *out = f32::from(p) * scale + shift;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_for_another_number_of_channels_fail() {
        let cifar = Normalize::known("cifar10").expect("known");
        let error = Normalizer::new(&cifar, 28, 28, 1).expect_err("one channel");
        assert!(error.to_string().contains("3 means and 3 standard deviations"), "{error}");
    }

    #[test]
    fn a_normalisation_is_written_to_json_and_read_back() {
        let normalize = Normalize::known("mnist").expect("known");
        let json = serde_json::to_string(&normalize).expect("serialises");
        assert_eq!(json, r#"{"kind":"channel","mean":[0.1307],"std":[0.3081]}"#);
        assert_eq!(serde_json::from_str::<Normalize>(&json).expect("reads its own"), normalize);
    }
}
