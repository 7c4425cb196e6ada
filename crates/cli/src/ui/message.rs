//! Messages on stderr: `error: …`, and after a blank line `hint: …`.

use anstyle::{AnsiColor, Style};
use std::io::Write;

/// Style of `error:`.
pub const ERROR: Style = AnsiColor::Red.on_default().bold();
/// Style of `warning:` and `interrupted:`.
pub const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default().bold();

/// Formats a message as `label: message`, and after a blank line `hint: …`.
pub fn labelled(label: &str, style: Style, message: &str, hint: Option<&str>) -> String {
    let mut text = format!("{style}{label}:{style:#} {message}");
    if let Some(hint) = hint {
        text += &format!("\n\n{HINT}hint:{HINT:#} {hint}");
    }
    text
}

/// Prints a line on stderr, without colours if it is not a terminal or `NO_COLOR` is set. Errors
/// are ignored: there is no other channel to report them.
pub fn print(text: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}
