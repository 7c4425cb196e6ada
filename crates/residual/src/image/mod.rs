//! Images: decoding, resizing and normalisation, from a file's bytes to a network's input.
//!
//! [`Image`] is a decoded file, `[height, width, channels]` in bytes. [`Preprocessing`] is stored
//! with a network's weights and says how an image becomes its input: [`Resize`] and [`Filter`] say
//! how it is resized, [`Normalize`] how bytes become values around zero.

mod decode;
mod normalize;
mod options;
mod preprocess;
mod resample;
mod resize;

pub use decode::{Colours, Image, is_image_name};
pub use normalize::{Normalize, Normalizer};
pub use options::{Filter, Resize};
pub use preprocess::Preprocessing;
pub use resize::{Region, ResizeSpec, luma};
