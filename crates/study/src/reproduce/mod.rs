//! The papers' tables, and how each of their rows is reproduced.
//!
//! The experiments are data: `resnet.toml` and `vgg.toml` can be read beside the papers;
//! `quick.toml` says how they are shortened. [`counts`] verifies rows that need no training,
//! [`run`](mod@run) trains and tests by the paper's protocol, [`filter_stacks`] trains stacks of
//! filters in addition to their counts, [`pretrained`] tests weights that exist already,
//! [`verdict`] judges values, [`outcome`] holds the results, [`row`] finds the row that a run
//! reproduces, [`estimate`] predicts times.
//!
//! Errors are in percent, `std` is the standard deviation over seeds (n−1), counts are in the
//! experiment's unit.

pub mod counts;
pub mod estimate;
mod experiment;
pub mod filter_stacks;
pub mod options;
pub mod outcome;
pub mod pretrained;
pub mod row;
pub mod run;
mod tables;
pub mod verdict;

pub use experiment::{Experiment, FilterMetric, FilterStack, Metric, Part, Scale, TestSetting, is_papers_data};
pub use tables::{experiments, find};
