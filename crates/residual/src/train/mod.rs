//! Training: the loop, its schedule, its checkpoints, its events.

pub mod event;
pub mod schedule;

pub use event::{Event, Sink};
pub use schedule::{Schedule, ScheduleState};
