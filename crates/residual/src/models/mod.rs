//! The networks of both papers.

pub mod options;
