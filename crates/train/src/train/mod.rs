//! Training: the loop, its schedule, its checkpoints, its events.
//!
//! [`run`] is the whole of it. Steps of every kind live in [`trainer`], what survives a kill in [`state`], files in
//! [`folder`], and what the world hears in [`event`].

pub mod average;
pub mod event;
pub mod folder;
pub mod machine;
pub mod memory;
pub mod optimizer;
pub mod pace;
mod prepare;
pub mod range;
pub mod record;
mod run;
pub mod schedule;
pub mod state;
pub mod targets;
pub mod tensorboard;
pub mod trainer;

pub use event::{Event, Sink};
pub use prepare::{Prepared, images, loader, open, prepare};
pub use record::Record;
pub use run::{ReportWriter, RunOptions, RunResult, run};
