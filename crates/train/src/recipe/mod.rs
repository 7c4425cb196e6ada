//! Recipes: how a network is trained, as a TOML file.
//!
//! A [`Recipe`] is what was typed: a file or a recipe that ships with the library
//! ([`Recipe::load`]), with overrides. It is checked strictly: an unknown key, a wrong type or an
//! impossible value is an error with file, line and key. [`Recipe::resolve`] takes what only the
//! data knows ([`DataFacts`]) and returns a [`ResolvedRecipe`], in which nothing is left open; a
//! run folder keeps its text as `recipe.toml`, which parses back to the same recipe.

mod check;
mod draft;
mod fields;
mod resolved;
pub mod schedule;
mod sections;
mod shipped;
#[cfg(test)]
mod tests;
mod text;

pub use resolved::{DataFacts, Normalization, ResolvedData, ResolvedRecipe, ResolvedTrain};
pub use sections::{
    AugmentOptions, DataOptions, Filter, Flip, LossOptions, Normalize, OptimizerKind, OptimizerOptions, PolicyKind,
    Recipe, Resize, ScheduleKind, ScheduleOptions, TrainOptions,
};
pub use shipped::{Shipped, shipped};
