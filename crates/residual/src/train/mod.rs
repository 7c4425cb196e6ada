//! Training: the loop, its schedule, its checkpoints, its events.

pub mod event;

pub use event::{Event, Sink};
