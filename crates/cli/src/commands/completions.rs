//! `residual completions`: shell completions, generated from the arguments.

use crate::ui::Ui;
use clap_complete::Shell;
use residual::{Error, Result, atomic};
use serde::Serialize;
use std::path::PathBuf;

/// Print shell completions
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  residual completions bash --out ~/.local/share/bash-completion/completions/residual
  residual completions zsh --out ~/.zfunc/_residual        with ~/.zfunc in $fpath
  residual completions fish --out ~/.config/fish/completions/residual.fish
  residual completions powershell >> $PROFILE")]
pub struct CompletionsArgs {
    /// The shell: bash, zsh, fish, powershell or elvish
    #[arg(value_name = "SHELL", value_parser = shell)]
    shell: Shell,

    /// The file to write [default: stdout]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Object of `--json`: the file that was written, or the script.
#[derive(Debug, Serialize)]
struct CompletionsReport {
    shell: String,
    path: Option<PathBuf>,
    script: Option<String>,
}

fn shell(text: &str) -> std::result::Result<Shell, String> {
    text.parse().map_err(|_| "must be bash, zsh, fish, powershell or elvish".to_owned())
}

impl CompletionsArgs {
    /// Prints or writes the completion script for the command line `command`.
    ///
    /// # Errors
    /// Fails if the file cannot be written.
    pub fn run(&self, mut command: clap::Command, ui: &mut Ui) -> Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, "residual", &mut script);
        let shell = self.shell.to_string();
        let Some(out) = &self.out else {
            let script = String::from_utf8(script).expect("clap_complete writes UTF-8");
            if ui.json() {
                return ui.value(&CompletionsReport { shell, path: None, script: Some(script) });
            }
            return ui.line(script.trim_end());
        };
        if let Some(folder) = out.parent() {
            std::fs::create_dir_all(folder).map_err(|error| Error::io("create", folder, error))?;
        }
        atomic::write(out, &script)?;
        let path = super::absolute(out)?;
        if ui.json() {
            return ui.value(&CompletionsReport { shell, path: Some(path), script: None });
        }
        ui.line(&path.display().to_string())
    }
}
