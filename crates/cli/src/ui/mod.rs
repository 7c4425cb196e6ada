//! The only place that prints. Data goes to stdout, talk to stderr; everything can be understood without colour.

pub mod bars;
#[cfg(unix)]
pub mod dashboard;
mod means;
pub mod numbers;
pub mod rounds;
pub mod table;
pub mod training;
pub mod usage;

use anstyle::{AnsiColor, Style};
use bars::Bars;
use residual::{Error, Kind, Result};
use serde::Serialize;
use std::io::{ErrorKind, IsTerminal, Write};

const FAILURE: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default().bold();

/// stdout and stderr of one command.
#[derive(Debug)]
pub struct Ui {
    json: bool,
    bars: Bars,
    /// The reader of stdout has gone (`residual models | head -1`): nothing more is written, nothing is wrong.
    deserted: bool,
}

impl Ui {
    /// With `json`, commands write JSON instead of text.
    pub fn new(json: bool) -> Self {
        Self { json, bars: Bars::new(std::io::stderr().is_terminal()), deserted: false }
    }

    /// Whether stdout is for programs.
    pub fn json(&self) -> bool {
        self.json
    }

    /// Bars on stderr, where that is a terminal.
    pub fn bars(&self) -> Bars {
        self.bars.clone()
    }

    /// Writes a line, or several, to stdout.
    pub fn line(&mut self, text: &str) -> Result<()> {
        if self.deserted {
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
                self.deserted = true;
                Ok(())
            }
            Err(error) => Err(Error::new(Kind::Io, format!("cannot write to stdout: {error}"))),
        }
    }

    /// Writes `value` as one line of JSON to stdout.
    pub fn value(&mut self, value: &impl Serialize) -> Result<()> {
        let text = serde_json::to_string(value)
            .map_err(|error| Error::new(Kind::Io, format!("cannot write the result as JSON: {error}")))?;
        self.line(&text)
    }

    /// Says on stderr what is not right but does not stop the command.
    pub fn warning(&self, message: &str, hint: Option<&str>) {
        self.bars.suspend(|| say(&labelled("warning", WARNING, message, hint)));
    }

    /// Says on stderr why the command ends.
    pub fn failure(&self, error: &Error) {
        let message = error.to_string();
        let label = if error.kind() == Kind::Interrupted { ("interrupted", WARNING) } else { ("error", FAILURE) };
        self.bars.suspend(|| say(&labelled(label.0, label.1, &message, error.hint())));
    }
}

/// `label: message`, and after a blank line `hint: …`.
fn labelled(label: &str, style: Style, message: &str, hint: Option<&str>) -> String {
    let mut text = format!("{style}{label}:{style:#} {message}");
    if let Some(hint) = hint {
        text += &format!("\n\n{HINT}hint:{HINT:#} {hint}");
    }
    text
}

/// A line on stderr; colours go where there is no terminal or `NO_COLOR` is set. Nobody is left to be told when it fails.
fn say(text: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}

/// A line from a signal handler, which has no [`Ui`] at hand. It starts on a line of its own, below a bar. The dashboard has
/// words of its own for it.
pub fn interject(text: &str) {
    #[cfg(unix)]
    if dashboard::screen::is_taken() {
        return;
    }
    say(&format!("\n{text}"));
}

/// Gives the terminal back before the process ends at once.
pub fn give_back() {
    #[cfg(unix)]
    dashboard::screen::leave();
}
