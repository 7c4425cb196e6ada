//! Pages about runs, labs and reproduced experiments, each one file that needs nothing else.
//!
//! [`ReportData`] gathers what is known of a run; `curves`, `evaluation`, `examples`, `network`,
//! `environment` and `paper` each write a part of the page, `summary` its top; [`page`] is the
//! frame around them. [`lab`] is the page about a lab, [`contact_sheet()`] the one about
//! augmentation. Charts are drawn here, as SVG; the small script of the page only shows the values
//! under the pointer. The texts are in `messages/*.ftl`.

pub mod chart;
mod contact_sheet;
mod curves;
mod environment;
mod evaluation;
mod examples;
pub mod images;
pub mod lab;
pub mod lang;
mod messages;
mod network;
pub mod page;
mod paper;
mod report_data;
mod runs;
mod summary;

pub use contact_sheet::contact_sheet;
pub use lang::Lang;
pub use page::save;
pub use report_data::ReportData;
pub use runs::{filter_stacks, of_run, reproduction, write};
