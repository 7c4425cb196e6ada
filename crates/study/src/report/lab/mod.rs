//! The page about a lab: Figures 6 and 7 of the ResNet paper and similar ones, for the networks
//! trained here.
//!
//! [`page()`] composes it. `groups` puts networks of one kind side by side and averages seeds,
//! `conclusions` states the results in sentences, `inside` draws layer responses and gradients,
//! `shortcuts` compares the kinds of shortcut.

mod conclusions;
mod groups;
mod inside;
mod page;
mod shortcuts;

pub use page::{About, filter_stacks, page};
