//! Class names: those of the public data sets, and how the classes of data are matched with a network's.

pub mod cifar;
pub mod imagenet;

pub use imagenet::{is_numbered, places};
