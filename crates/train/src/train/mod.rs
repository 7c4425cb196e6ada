//! Training: the loop, its checkpoints, its events.
//!
//! [`run()`] is the whole of it and reads from top to bottom: images and a resolved recipe
//! ([`prepare()`]), the network ([`start`]), a [`trainer`], the steps, the test, the files of the
//! run folder. What a checkpoint keeps is in [`state`], the folder's files in [`folder`], and what
//! listeners hear in [`event`].

pub mod average;
pub mod batches;
mod ending;
pub mod event;
pub mod folder;
pub mod machine;
pub mod memory;
pub mod optimizer;
mod options;
pub mod pace;
mod prepare;
pub mod range;
pub mod record;
mod run;
mod session;
pub mod start;
pub mod state;
pub mod targets;
pub mod tensorboard;
pub mod trainer;
mod whiten;

pub use event::{Event, Sink};
pub use options::{ReportWriter, RunOptions};
pub use prepare::{Prepared, open, prepare};
pub use record::{Record, RunResult};
pub use run::run;
