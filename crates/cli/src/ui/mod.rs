//! Terminal output; nothing else prints. Results go to stdout, messages to stderr, and no
//! information is given by colour alone.

#[cfg(unix)]
pub mod dashboard;
mod message;
pub mod multi_run;
pub mod numbers;
pub mod progress_bars;
mod running_means;
pub mod table;
pub mod training;
pub mod usage;

use progress_bars::ProgressBars;
use residual::{Error, Kind, Result};
use serde::Serialize;
use std::io::{ErrorKind, IsTerminal, Write};

/// How much is printed on stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Errors only: no progress, notes or warnings.
    Quiet,
    /// Progress, notes, warnings and errors.
    Normal,
    /// Details of the machine and of the resources used, too.
    Verbose,
}

/// stdout and stderr of one command.
#[derive(Debug)]
pub struct Ui {
    json: bool,
    verbosity: Verbosity,
    bars: ProgressBars,
    /// The reader of stdout has closed it (`residual models | head -1`): later output is dropped.
    stdout_closed: bool,
}

impl Ui {
    /// Creates the output of a command; with `json`, commands print JSON instead of text.
    pub fn new(json: bool, verbosity: Verbosity) -> Self {
        let quiet = verbosity == Verbosity::Quiet;
        let bars = ProgressBars::new(std::io::stderr().is_terminal() && !quiet, quiet);
        Self { json, verbosity, bars, stdout_closed: false }
    }

    /// Returns whether stdout is JSON.
    pub fn json(&self) -> bool {
        self.json
    }

    /// Returns progress bars on stderr, hidden if that is not a terminal.
    pub fn bars(&self) -> ProgressBars {
        self.bars.clone()
    }

    /// Prints one or several lines on stdout.
    pub fn line(&mut self, text: &str) -> Result<()> {
        if self.stdout_closed {
            return Ok(());
        }
        let written = self.bars.suspend(|| {
            let mut stdout = std::io::stdout().lock();
            stdout.write_all(text.as_bytes())?;
            stdout.write_all(b"\n")?;
            stdout.flush()
        });
        match written {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.stdout_closed = true;
                Ok(())
            }
            Err(error) => Err(Error::new(Kind::Io, format!("cannot write to stdout: {error}"))),
        }
    }

    /// Prints `value` as one line of JSON on stdout.
    pub fn value(&mut self, value: &impl Serialize) -> Result<()> {
        let text = serde_json::to_string(value)
            .map_err(|error| Error::new(Kind::Io, format!("cannot write the result as JSON: {error}")))?;
        self.line(&text)
    }

    /// Prints a warning on stderr, unless `--quiet`.
    pub fn warning(&self, text: &str, hint: Option<&str>) {
        if self.verbosity > Verbosity::Quiet {
            self.bars.suspend(|| message::print(&message::labelled("warning", message::WARNING, text, hint)));
        }
    }

    /// Prints a detail on stderr, with `--verbose` only.
    pub fn detail(&self, text: impl FnOnce() -> String) {
        if self.verbosity == Verbosity::Verbose {
            self.bars.suspend(|| message::print(&text()));
        }
    }

    /// Prints the error that ends the command on stderr.
    pub fn failure(&self, error: &Error) {
        let (label, style) = match error.kind() {
            Kind::Interrupted => ("interrupted", message::WARNING),
            _ => ("error", message::ERROR),
        };
        self.bars.suspend(|| message::print(&message::labelled(label, style, &error.to_string(), error.hint())));
    }
}

/// Prints a line from the signal handler, which has no [`Ui`], below a progress bar. The dashboard
/// shows its own message instead.
pub fn print_from_signal(text: &str) {
    #[cfg(unix)]
    if dashboard::screen::is_open() {
        return;
    }
    message::print(&format!("\n{text}"));
}

/// Restores the terminal before the process ends at once.
pub fn restore_terminal() {
    #[cfg(unix)]
    dashboard::screen::leave();
}
