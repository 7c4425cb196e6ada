//! The lab trains several networks under one recipe, measures what happens inside, and compares
//! them.
//!
//! `depth` is Figure 6 of the ResNet paper: plain and residual networks of several depths, with the
//! layer responses of Figure 7 and the gradient norms of each layer. `vgg` does the same for VGG's
//! depth, batch normalisation and LRN. `nonlinearity` compares stacks of filters with and without
//! their ReLUs.
//!
//! Each network has a folder in the lab's folder: `plain-20-seed0`. Networks of the papers are
//! ordinary run folders and resume; [`chain`] networks start again. Finished networks are not
//! trained again. [`candidates`] names the networks, [`run()`] trains and tests them, [`inside`]
//! measures responses and gradients, [`probes`] records those in `lab.jsonl`.

pub mod candidates;
pub mod chain;
pub mod inside;
pub mod probes;
mod run;
pub mod trial;

pub use candidates::{Candidate, Comparison};
pub use probes::Probe;
pub use run::run;
pub use trial::{LabOptions, TrialRow, TrialRun};
