//! Pictures: where they come from and how they become batches.
//!
//! [`open`] turns a source (a name, a folder, an archive) into a [`Dataset`] of three [`Pictures`], `u8` and
//! `[h, w, c]` each. [`Loader`] turns training pictures into normalised, varied batches `[n, h, w, c]` on a background
//! thread; [`batches`] does the same for testing, in order and unvaried.

mod augment;
mod canonical;
mod cifar;
mod container;
mod loader;
mod normalize;
mod options;
mod pictures;
mod preprocess;
mod progress;
mod sample;
mod shapes;
mod source;

pub use augment::{Augment, Flip};
pub use loader::{Batch, Loader, LoaderOptions, batches, epoch_order};
pub use normalize::{Normalize, Normalizer};
pub use options::{DataOptions, Filter, Resize, Split};
pub use pictures::{Dataset, Pictures, Provenance};
pub use preprocess::Preprocessing;
pub use progress::Progress;
pub use source::{SOURCES, open};
