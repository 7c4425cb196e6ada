//! The networks of both papers: a registry of names, and a file for each family.
//!
//! [`Spec::resolve`] turns a name and options into a network; [`Model`] is a network with its weights.

#[cfg(feature = "init")]
mod init;
mod model;
pub mod options;
pub mod registry;
pub mod resnet;
mod spec;
pub mod speedrun;
pub mod vgg;

#[cfg(feature = "init")]
pub use init::InitOptions;
pub use model::Model;
pub use options::ModelOptions;
pub use registry::{Architecture, Entry, find, registry};
pub use spec::Spec;

use crate::error::Result;
use crate::graph::Summary;

/// Returns the network of `options` as a table, without weights.
///
/// # Errors
/// Fails for an unknown network, or an input it cannot take.
pub fn summary(options: &ModelOptions) -> Result<Summary> {
    Ok(Spec::resolve(options)?.summary())
}
