//! Command-line arguments.

use crate::commands;
use crate::ui::{Ui, Verbosity};
use clap::builder::Styles;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use residual::Result;
use std::num::NonZeroUsize;

/// Train, test, explain and ship VGG and ResNet image classifiers
#[derive(Debug, Parser)]
#[command(name = "residual", version, propagate_version = true, arg_required_else_help = true)]
#[command(max_term_width = 100)]
#[command(after_help = "\
`residual train` alone trains a ResNet-20 on built-in images, offline, in a minute or two.
`residual help COMMAND` describes a command.")]
pub struct Arguments {
    /// Print JSON on stdout: one object, or one per line
    #[arg(long, global = true, display_order = 100)]
    pub json: bool,

    /// Number of threads [default: one per core]
    #[arg(long, global = true, value_name = "N", value_parser = threads, display_order = 101)]
    pub threads: Option<NonZeroUsize>,

    /// Print only results and errors
    #[arg(short, long, global = true, conflicts_with = "verbose", display_order = 102)]
    pub quiet: bool,

    /// Print the machine, time and peak memory, too
    #[arg(short, long, global = true, display_order = 103)]
    pub verbose: bool,

    /// Command
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train a network and test it once
    Train(commands::train::TrainArgs),
    /// Test trained weights
    Eval(commands::eval::EvalArgs),
    /// Classify images
    Predict(commands::predict::PredictArgs),
    /// List the networks
    Models(commands::models::ModelsArgs),
    /// Show a network's layers, parameters and receptive fields
    Inspect(commands::inspect::InspectArgs),
    /// Import weights from PyTorch
    Import(commands::import::ImportArgs),
    /// Export a network as ONNX or safetensors
    Export(commands::export::ExportArgs),
    /// List run folders
    Runs(commands::runs::RunsArgs),
    /// Compare two runs and test whether they differ
    Compare(commands::compare::CompareArgs),
    /// Write an HTML report about runs: curves, errors, images, layers
    Report(commands::report::ReportArgs),
    /// List the built-in recipes, or show one with every key explained
    Recipes(commands::recipes::RecipesArgs),
    /// Fetch or check a data set
    #[command(subcommand, disable_help_subcommand = true)]
    Data(commands::data::DataCommand),
    /// Find values for a recipe
    #[command(subcommand, disable_help_subcommand = true)]
    Tune(commands::tune::TuneCommand),
    /// Compare networks by training them, and draw the results
    #[command(subcommand, disable_help_subcommand = true)]
    Lab(commands::lab::LabCommand),
    /// Reproduce a row of the papers' tables, or list them
    Reproduce(commands::reproduce::ReproduceArgs),
    /// Measure speed on this machine
    #[command(subcommand, disable_help_subcommand = true)]
    Bench(commands::bench::BenchCommand),
    /// Describe this machine and what is missing on it
    Doctor(commands::doctor::DoctorArgs),
    /// Print shell completions
    Completions(commands::completions::CompletionsArgs),
    /// Write a man page for each command to a folder
    #[command(hide = true)]
    Man(commands::man::ManArgs),
}

/// Commands in the groups of the top-level help.
const GROUPS: [(&str, &[&str]); 6] = [
    ("Train and use", &["train", "eval", "predict"]),
    ("Networks", &["models", "inspect", "import", "export"]),
    ("Runs", &["runs", "compare", "report"]),
    ("Data and recipes", &["data", "recipes", "tune"]),
    ("Papers", &["lab", "reproduce"]),
    ("Machine", &["bench", "doctor", "completions"]),
];

impl Arguments {
    /// Parses the command line of the process.
    ///
    /// # Errors
    /// Fails if the arguments are wrong, or ask for help or the version.
    pub fn parse_command_line() -> std::result::Result<Self, clap::Error> {
        Self::from_arg_matches(&Self::grouped_command().try_get_matches()?)
    }

    /// Returns the clap command, with its subcommands in groups.
    pub fn grouped_command() -> clap::Command {
        let command = Self::command();
        let template = format!(
            "{{before-help}}{{about-with-newline}}\n{{usage-heading}} {{usage}}\n{}\n{}\n{{options}}{{after-help}}",
            groups(&command),
            heading("Options"),
        );
        command.help_template(template)
    }

    /// Returns how much to print on stderr.
    pub fn verbosity(&self) -> Verbosity {
        match (self.quiet, self.verbose) {
            (true, _) => Verbosity::Quiet,
            (_, true) => Verbosity::Verbose,
            _ => Verbosity::Normal,
        }
    }
}

/// Formats the list of commands for the help of `command`.
fn groups(command: &clap::Command) -> String {
    let literal = Styles::styled().get_literal().to_owned();
    let mut text = String::new();
    for (group, names) in GROUPS {
        text += &format!("\n{}\n", heading(group));
        for name in names {
            let about = command.find_subcommand(name).and_then(clap::Command::get_about).cloned().unwrap_or_default();
            text += &format!("  {literal}{name:<13}{literal:#}{about}\n");
        }
    }
    text
}

/// Formats a heading as clap does.
fn heading(text: &str) -> String {
    let style = Styles::styled().get_header().to_owned();
    format!("{style}{text}:{style:#}")
}

impl Command {
    /// Runs the command.
    ///
    /// # Errors
    /// Returns the command's error.
    pub fn run(&self, ui: &mut Ui) -> Result<()> {
        match self {
            Self::Train(command) => command.run(ui),
            Self::Eval(command) => command.run(ui),
            Self::Predict(command) => command.run(ui),
            Self::Models(command) => command.run(ui),
            Self::Inspect(command) => command.run(ui),
            Self::Import(command) => command.run(ui),
            Self::Export(command) => command.run(ui),
            Self::Runs(command) => command.run(ui),
            Self::Compare(command) => command.run(ui),
            Self::Report(command) => command.run(ui),
            Self::Data(command) => command.run(ui),
            Self::Tune(command) => command.run(ui),
            Self::Lab(command) => command.run(ui),
            Self::Reproduce(command) => command.run(ui),
            Self::Bench(command) => command.run(ui),
            Self::Recipes(command) => command.run(ui),
            Self::Doctor(command) => command.run(ui),
            Self::Completions(command) => command.run(Arguments::grouped_command(), ui),
            Self::Man(command) => command.run(Arguments::command(), ui),
        }
    }
}

fn threads(text: &str) -> std::result::Result<NonZeroUsize, String> {
    text.parse().map_err(|_| "must be a whole number of at least 1".to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_visible_command_is_in_one_group_of_the_help() {
        let command = Arguments::command();
        let visible = command.get_subcommands().filter(|command| !command.is_hide_set());
        let mut names: Vec<&str> = visible.map(clap::Command::get_name).collect();
        let mut grouped: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| *names).copied().collect();
        names.sort_unstable();
        grouped.sort_unstable();
        assert_eq!(grouped, names);
    }

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::grouped_command().debug_assert();
    }
}
