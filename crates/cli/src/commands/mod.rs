//! One file for each command.

pub mod bench;
pub mod compare;
pub mod data;
pub mod eval;
pub mod export;
pub mod import;
pub mod inspect;
pub mod lab;
pub mod models;
pub mod predict;
pub mod report;
pub mod reproduce;
pub mod runs;
pub mod train;
pub mod tune;

use crate::arguments::Command;
use crate::ui::Ui;
use residual::{Error, Result};

/// Does what was asked.
pub fn run(command: &Command, ui: &mut Ui) -> Result<()> {
    match command {
        Command::Models(command) => command.run(ui),
        Command::Inspect(command) => command.run(ui),
        Command::Train(command) => command.run(ui),
        Command::Eval(command) => command.run(ui),
        Command::Predict(command) => command.run(ui),
        Command::Report(command) => command.run(ui),
        Command::Reproduce(command) => command.run(ui),
        Command::Lab(command) => command.run(ui),
        Command::Runs(command) => command.run(ui),
        Command::Compare(command) => command.run(ui),
        Command::Bench(command) => command.run(ui),
        Command::Import(command) => command.run(ui),
        Command::Export(command) => command.run(ui),
        Command::Tune(command) => command.run(ui),
        Command::Data(command) => command.run(ui),
    }
}

/// What a run folder keeps must be of use from any folder: a path that exists becomes absolute.
fn lasting(path: &str) -> String {
    if std::path::Path::new(path).exists()
        && let Ok(absolute) = std::path::absolute(path)
    {
        return absolute.to_string_lossy().into_owned();
    }
    path.to_string()
}

/// Whether `out` may be written: weights that a command reads are not to be replaced by what it makes of them.
fn not_onto(input: &std::path::Path, out: &std::path::Path) -> Result<()> {
    match (input.canonicalize(), out.canonicalize()) {
        (Ok(a), Ok(b)) if a == b => {
            Err(Error::usage(format!("--out is {} itself, which would be lost", input.display()))
                .with_hint("choose another --out"))
        }
        _ => Ok(()),
    }
}

/// One of the library's names as an argument, with its hint where it is none.
fn parsed<T: std::str::FromStr<Err = Error>>(text: &str) -> std::result::Result<T, String> {
    text.parse::<T>().map_err(|error| match error.hint() {
        Some(hint) => format!("{error}; {hint}"),
        None => error.to_string(),
    })
}
