//! Data sets: reading, augmentation and batches.
//!
//! [`open`] reads a source (a name, a folder, an archive) into a [`Dataset`] of three [`Images`],
//! each image `[h, w, c]` in `u8`. [`Loader`] prepares augmented, normalised training batches `[n,
//! h, w, c]` on a background thread; [`batches`] prepares test batches in order, without
//! augmentation.

mod augment;
mod batch;
mod block;
mod cache;
mod catalogue;
mod check;
mod cifar;
mod cifar_python;
mod container;
mod dataset;
mod digest;
#[cfg_attr(not(feature = "fetch"), path = "download_disabled.rs")]
mod download;
mod fetch;
mod file_store;
mod fingerprint;
#[cfg(test)]
mod fixtures;
mod folder;
mod idx;
mod images;
mod loader;
mod options;
mod progress;
mod provenance;
mod raw;
mod sample;
mod shapes;
mod source;
mod split;
mod statistics;
#[cfg(test)]
mod tests;

pub use augment::{Augment, AugmentRng, Crop, Flip, Jitter, MAGNITUDE_BINS, Operation, Policy, PolicyKind};
pub use batch::{Batch, batches};
pub use cache::cache_dir;
pub use catalogue::{SOURCES, native_size};
pub use check::{DataReport, check, fetch};
pub use dataset::Dataset;
pub use fetch::FetchOptions;
pub(crate) use folder::KAGGLE_FOLDERS;
pub use folder::images_below;
pub use images::Images;
pub use loader::{Loader, LoaderOptions, RepeatedAugmentation, epoch_order};
pub use options::DataOptions;
pub use progress::Progress;
pub use provenance::Provenance;
pub use residual::classes::{imagenet, is_numbered, match_classes};
pub use residual::image::{Colours, Filter, Image, Normalize, Normalizer, Preprocessing, Resize, is_image_name};
pub use shapes::write_shapes;
pub(crate) use source::is_mnist_layout;
pub use source::open;
pub use split::Split;
pub use statistics::{channel_statistics, pixel_statistics};
