//! What can be typed.

use crate::commands;
use clap::{Parser, Subcommand};
use std::num::NonZeroUsize;

/// Train, test, explain and ship VGG and ResNet image classifiers
#[derive(Debug, Parser)]
#[command(name = "residual", version, propagate_version = true, arg_required_else_help = true)]
#[command(max_term_width = 100, disable_help_subcommand = true)]
#[command(after_help = "`residual train` alone trains a ResNet-20 on built-in images, offline, in a minute or two.")]
pub struct Arguments {
    /// Print JSON on stdout: one object, or one per line
    #[arg(long, global = true)]
    pub json: bool,

    /// Compute with this many threads [default: one for each core]
    #[arg(long, global = true, value_name = "N", value_parser = threads)]
    pub threads: Option<NonZeroUsize>,

    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the networks
    Models(commands::models::Models),
    /// Show a network's layers: shapes, parameters, multiply-adds, receptive fields
    Inspect(commands::inspect::Inspect),
    /// Train a network and test it once
    Train(commands::train::Train),
    /// Test trained weights
    Eval(commands::eval::Eval),
    /// Tell what is in images
    Predict(commands::predict::Predict),
    /// Bring in weights from PyTorch
    Import(commands::import::Import),
    /// Write a network as ONNX or safetensors
    Export(commands::export::Export),
    /// Write a page about runs: curves, errors, images, layers
    Report(commands::report::Report),
    /// Repeat a row of the papers' tables, or list them
    Reproduce(commands::reproduce::Reproduce),
    /// Train networks against each other and draw what happens
    #[command(subcommand)]
    Lab(commands::lab::Lab),
    /// List run folders
    Runs(commands::runs::Runs),
    /// Tell what differs between two runs, and whether it is more than chance
    Compare(commands::compare::Compare),
    /// Find values for a recipe
    #[command(subcommand)]
    Tune(commands::tune::Tune),
    /// Measure this machine
    #[command(subcommand)]
    Bench(commands::bench::Bench),
    /// Fetch or check a data set
    #[command(subcommand)]
    Data(commands::data::Data),
}

fn threads(text: &str) -> Result<NonZeroUsize, String> {
    text.parse().map_err(|_| "must be a whole number of at least 1".to_string())
}
