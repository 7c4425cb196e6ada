//! Preprocessing of images for a network. It is stored with the weights (safetensors and ONNX
//! metadata), so that evaluation and prediction do what training did.

use super::decode::Image;
use super::normalize::{Normalize, Normalizer};
use super::options::{Filter, Resize};
use super::resize::ResizeSpec;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// How an image becomes the input of a network: its size, how it is resized, and normalisation.
///
/// ```
/// use residual::Image;
/// use residual::image::{Filter, Normalize, Preprocessing, Resize};
///
/// let preprocessing = Preprocessing {
///     height: 224,
///     width: 224,
///     channels: 3,
///     scale: Some(256),
///     resize: Resize::Crop,
///     filter: Filter::Bilinear,
///     normalize: Normalize::known("imagenet").expect("its constants are built in"),
/// };
/// let image = Image { height: 300, width: 400, channels: 1, pixels: vec![128; 300 * 400] };
/// let pixels = preprocessing.fit(&image);
/// let mut input = vec![0.0; 224 * 224 * 3];
/// preprocessing.normalizer()?.apply(&pixels, &mut input);
/// assert!((input[0] - (128.0 / 255.0 - 0.485) / 0.229).abs() < 1e-6);
/// # Ok::<(), residual::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Preprocessing {
    /// Rows of the input.
    pub height: usize,
    /// Columns of the input.
    pub width: usize,
    /// Channels of the input: 1 (grey) or 3 (red, green, blue).
    pub channels: usize,
    /// With [`Resize::Crop`]: the shorter side to which an image is scaled before its centre is
    /// cropped (256 before 224 is customary); `None` scales it until it just covers the input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<usize>,
    /// How an image's proportions are brought to the input's.
    pub resize: Resize,
    /// Resampling filter.
    pub filter: Filter,
    /// Mean and standard deviation by which values are normalised.
    pub normalize: Normalize,
}

impl Preprocessing {
    /// Returns the normalisation prepared for the input's size.
    ///
    /// # Errors
    /// Fails if the normalisation is for another number of channels or pixels.
    pub fn normalizer(&self) -> Result<Normalizer> {
        Normalizer::new(&self.normalize, self.height, self.width, self.channels)
    }

    /// Resizes an image to `[height, width, channels]` bytes, not yet normalised.
    pub fn fit(&self, image: &Image) -> Vec<u8> {
        image.fitted(&self.resize_spec())
    }

    /// Returns how images are resized.
    pub fn resize_spec(&self) -> ResizeSpec {
        let Self { height, width, channels, scale, resize, filter, .. } = *self;
        ResizeSpec { height, width, channels, scale, resize, filter }
    }

    /// Returns the same preprocessing for an input of `side`x`side` pixels, as for training at
    /// another size than testing.
    ///
    /// # Errors
    /// Fails if the normalisation subtracts a mean per pixel, which has a fixed size.
    pub fn at(&self, side: usize) -> Result<Self> {
        if side == self.height && side == self.width {
            return Ok(self.clone());
        }
        if matches!(self.normalize, Normalize::Pixel { .. }) {
            let message = format!("the mean image is {}x{}, the input is {side}x{side}", self.height, self.width);
            return Err(Error::usage(message).with_hint("augment.size needs data.normalize = \"channel\""));
        }
        Ok(Self { height: side, width: side, ..self.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preprocessing_read_from_json_gives_the_same_input() {
        let normalize = Normalize::known("imagenet").expect("known");
        let (resize, filter) = (Resize::Letterbox, Filter::Bicubic);
        let before = Preprocessing { height: 4, width: 6, channels: 3, scale: None, resize, filter, normalize };
        let json = serde_json::to_string(&before).expect("serialises");
        assert!(json.contains(r#""resize":"letterbox","filter":"bicubic""#), "{json}");
        let after: Preprocessing = serde_json::from_str(&json).expect("reads its own");
        assert_eq!(after, before);
        let image = Image { height: 3, width: 5, channels: 1, pixels: (0..15).map(|i| i * 17).collect() };
        let input = |p: &Preprocessing| {
            let mut out = vec![0.0; 4 * 6 * 3];
            p.normalizer().expect("sizes agree").apply(&p.fit(&image), &mut out);
            out
        };
        assert_eq!(input(&after), input(&before));
    }
}
