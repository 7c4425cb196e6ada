//! `residual man`: man pages, generated from the arguments. Hidden: packages call it.

use crate::ui::Ui;
use residual::{Error, Result};
use serde::Serialize;
use std::path::PathBuf;

/// Write a man page for each command to a folder
#[derive(Debug, clap::Args)]
pub struct ManArgs {
    /// The folder to write to
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// Object of `--json`.
#[derive(Debug, Serialize)]
struct ManReport {
    path: PathBuf,
    pages: usize,
}

impl ManArgs {
    /// Writes `residual.1`, `residual-train.1`, … for the command line `command`.
    ///
    /// # Errors
    /// Fails if the folder cannot be written.
    pub fn run(&self, command: clap::Command, ui: &mut Ui) -> Result<()> {
        let failed = |error| Error::io("write", &self.folder, error);
        std::fs::create_dir_all(&self.folder).map_err(failed)?;
        let command = command.disable_help_subcommand(true);
        let pages = 1 + count(&command);
        clap_mangen::generate_to(command, &self.folder).map_err(failed)?;
        let path = super::absolute(&self.folder)?;
        if ui.json() {
            return ui.value(&ManReport { path, pages });
        }
        ui.line(&format!("{pages} man pages in {}", path.display()))
    }
}

/// Counts the commands below `command` that have a page.
fn count(command: &clap::Command) -> usize {
    command.get_subcommands().filter(|command| !command.is_hide_set()).map(|command| 1 + count(command)).sum()
}
