//! The papers' tables, experiments and report pages of Residual.
//!
//! This crate studies what [`residual_train`] trains. It has four parts:
//!
//! | module | content |
//! | --- | --- |
//! | [`report`] | pages about runs: errors, curves, images, layers; in English and Korean |
//! | [`reproduce`] | the tables of the VGG and ResNet papers, and how each row is reproduced |
//! | [`lab`] | several networks under one recipe, with layer responses and gradient norms |
//! | [`stats`] | intervals and tests for test errors: Wilson, McNemar |
//!
//! `lab` knows nothing of the other two, `reproduce` uses `lab`, and `report` uses both.
//!
//! # Example
//!
//! The rows of the papers that need no training are verified at once:
//!
//! ```
//! use residual_study::reproduce::{counts, find, verdict::Verdict};
//!
//! let experiment = find("vgg/params")?[0];
//! let outcome = counts::verify(experiment)?;
//! assert_eq!(outcome.verdict, Verdict::Reproduced);
//! for row in &outcome.rows {
//!     println!("{}: paper {:?} {}, ours {:?}", row.name, row.paper, row.unit, row.ours);
//! }
//! # Ok::<(), residual_study::Error>(())
//! ```
//!
//! A run folder becomes a page with [`report::write()`]:
//!
//! ```no_run
//! use residual_study::report::{self, Lang};
//! use residual_train::train::Record;
//! use std::path::Path;
//!
//! let run = Record::read(Path::new("runs/resnet-20"))?;
//! report::write(vec![run], None, Lang::En, Path::new("report.html"), &mut ())?;
//! # Ok::<(), residual_study::Error>(())
//! ```

pub mod lab;
pub mod report;
pub mod reproduce;
pub mod stats;

pub use residual::{Error, Kind, Result};
