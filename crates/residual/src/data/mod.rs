//! Pictures: where they come from and how they become batches.
//!
//! [`open`] turns a source (a name, a folder, an archive) into a [`Dataset`] of three [`Pictures`], `u8` and
//! `[h, w, c]` each. [`Loader`] turns training pictures into normalised, varied batches `[n, h, w, c]` on a background
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
mod folder;
mod idx;
pub(crate) mod imagenet;
mod loader;
mod normalize;
mod options;
mod picture;
mod pictures;
mod preprocess;
mod progress;
mod resample;
mod sample;
mod shapes;
mod source;
#[cfg(test)]
mod tests;

pub use augment::{Augment, Crop, Draws, Flip, Jitter, Operation, Policy, PolicyKind, STEPS};
pub use check::{Report, check};
pub use fetch::{FetchOptions, cache_dir, fetch};
pub(crate) use folder::KAGGLE;
pub use folder::pictures_below;
pub use imagenet::{is_numbered, places};
pub use loader::{Batch, Loader, LoaderOptions, Repeats, batches, epoch_order};
pub use normalize::{Normalize, Normalizer};
pub use options::{DataOptions, Filter, Resize, Split};
pub use picture::{Colours, Picture, is_picture_name};
pub use pictures::{Dataset, Pictures, Provenance};
pub use preprocess::Preprocessing;
pub use progress::Progress;
pub use shapes::write_shapes;
pub(crate) use source::is_mnist_layout;
pub use source::{SOURCES, native_size, open};
