//! Images: where they come from and how they become batches.
//!
//! [`open`] turns a source (a name, a folder, an archive) into a [`Dataset`] of three [`Images`], `u8` and
//! `[h, w, c]` each. [`Loader`] turns training images into normalised, varied batches `[n, h, w, c]` on a background
//! thread; [`batches`] does the same for testing, in order and unvaried.

mod augment;
mod canonical;
mod catalogue;
mod check;
pub(crate) mod cifar;
mod cifar_python;
mod container;
mod download;
mod fetch;
#[cfg(test)]
mod fixtures;
mod folder;
mod idx;
mod images;
mod loader;
mod options;
mod progress;
mod sample;
mod shapes;
mod source;
mod statistics;
#[cfg(test)]
mod tests;

pub use augment::{Augment, Crop, Draws, Flip, Jitter, Operation, Policy, PolicyKind, STEPS};
pub use check::{Report, check};
pub use fetch::{FetchOptions, cache_dir, fetch};
pub(crate) use folder::KAGGLE;
pub use folder::images_below;
pub use images::{Dataset, Images, Provenance};
pub use loader::{Batch, Loader, LoaderOptions, Repeats, batches, epoch_order};
pub use options::{DataOptions, Split};
pub use progress::Progress;
pub use residual::classes::{imagenet, is_numbered, places};
pub use residual::image::{Colours, Filter, Image, Normalize, Normalizer, Preprocessing, Resize, is_image_name};
pub use shapes::write_shapes;
pub(crate) use source::is_mnist_layout;
pub use source::{SOURCES, native_size, open};
pub use statistics::{channel_of, pixel_of};
