//! What happens to a picture before the net sees it. It travels with the weights (safetensors and ONNX metadata), so
//! that testing and predicting do what training did.

use super::normalize::{Normalize, Normalizer};
use super::options::{Filter, Resize};
use crate::error::Result;
use serde::{Deserialize, Serialize};

/// The way from a picture to the net's input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Preprocessing {
    /// Rows of the input.
    pub height: usize,
    /// Columns of the input.
    pub width: usize,
    /// 1 (grey) or 3 (red, green, blue).
    pub channels: usize,
    /// How pictures are brought to that size.
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
    /// Where the normalisation has values for pictures of another size.
    pub fn normalizer(&self) -> Result<Normalizer> {
        Normalizer::new(&self.normalize, self.height, self.width, self.channels)
    }
}
