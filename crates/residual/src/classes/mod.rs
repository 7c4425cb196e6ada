//! Class names of the public data sets, and how the classes of data are matched with a network's.

pub mod cifar;
pub mod imagenet;
mod matching;

pub use matching::{is_numbered, match_classes, numbered};
