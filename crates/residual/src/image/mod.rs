//! Images: decoding, resampling and normalisation, from a file's bytes to a network's input.
//!
//! [`Image`] is a decoded file, `[height, width, channels]` in bytes. [`Preprocessing`] travels with a
//! network's weights and says how an image becomes its input: [`Resize`] and [`Filter`] bring it to size,
//! [`Normalize`] takes it from bytes to values around zero.

mod decode;
mod normalize;
mod options;
mod preprocess;
mod resample;

pub use decode::{Colours, Image, is_image_name};
pub use normalize::{Normalize, Normalizer};
pub use options::{Filter, Resize};
pub use preprocess::Preprocessing;
pub use resample::{Region, ResizeSpec, isotropic, luma};
