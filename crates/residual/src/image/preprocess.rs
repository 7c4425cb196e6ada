//! What happens to an image before the net sees it. It travels with the weights (safetensors and ONNX metadata), so
//! that testing and predicting do what training did.

use super::decode::Image;
use super::normalize::{Normalize, Normalizer};
use super::options::{Filter, Resize};
use super::resample::ResizeSpec;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// The way from an image to the net's input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Preprocessing {
    /// Rows of the input.
    pub height: usize,
    /// Columns of the input.
    pub width: usize,
    /// 1 (grey) or 3 (red, green, blue).
    pub channels: usize,
    /// With [`Resize::Crop`]: the shorter side that an image is brought to before its centre is cut out (256 before 224
    /// is customary); the input's own where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<usize>,
    /// How images are brought to that size.
    pub resize: Resize,
    /// The filter that does it.
    pub filter: Filter,
    /// What is subtracted and divided by.
    pub normalize: Normalize,
}

impl Preprocessing {
    /// Tables for its normalisation.
    ///
    /// # Errors
    /// Where the normalisation has values for images of another size.
    pub fn normalizer(&self) -> Result<Normalizer> {
        Normalizer::new(&self.normalize, self.height, self.width, self.channels)
    }

    /// An image of any size as the net takes it, before normalisation: `[height, width, channels]`.
    pub fn fit(&self, image: &Image) -> Vec<u8> {
        image.fitted(&self.resize_spec())
    }

    pub fn resize_spec(&self) -> ResizeSpec {
        let Self { height, width, channels, scale, resize, filter, .. } = *self;
        ResizeSpec { height, width, channels, scale, resize, filter }
    }

    /// The same for a square of `side` pixels, as training at another size than testing takes it.
    ///
    /// # Errors
    /// A mean image, which has a size.
    pub fn at(&self, side: usize) -> Result<Self> {
        if side == self.height && side == self.width {
            return Ok(self.clone());
        }
        if matches!(self.normalize, Normalize::Pixel { .. }) {
            let message = format!("a mean image of {}x{} does not fit {side}x{side}", self.height, self.width);
            return Err(Error::usage(message).with_hint("augment.size takes data.normalize = \"channel\""));
        }
        Ok(Self { height: side, width: side, ..self.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_travels_as_json_and_does_the_same_afterwards() {
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
