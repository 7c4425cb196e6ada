//! The papers' tables, experiments and pages.
//!
//! `reproduce` holds the papers' tables, `lab` runs their argument, `report` writes pages about runs.

pub mod lab;
pub mod report;
pub mod reproduce;

pub use residual::{Error, Kind, Result};
