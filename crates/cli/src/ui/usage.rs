//! Prints clap's errors in the form of all others: `error: …`, a blank line, `hint: …`.

use super::message::{self, ERROR};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::io::Write;
use std::process::ExitCode;

/// Prints help or version on stdout, or an argument error on stderr, and returns the exit code.
pub fn report(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // A closed pipe is not an error.
            let _ = error.print();
            ExitCode::SUCCESS
        }
        // `residual` alone prints its help, as `cargo` does; `residual data` alone is an error.
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand if std::env::args_os().len() == 1 => {
            let _ = writeln!(anstream::stdout().lock(), "{}", error.render().ansi().to_string().trim_end());
            ExitCode::SUCCESS
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            message::print(error.render().ansi().to_string().trim_end());
            ExitCode::from(2)
        }
        _ => {
            let (text, hint) = sentence(error);
            message::print(&message::labelled("error", ERROR, &text, Some(&hint)));
            ExitCode::from(2)
        }
    }
}

/// Options that were renamed before the first release.
const RENAMED: [(&str, &str); 1] = [("--looks", "--probes")];

/// Returns clap's first paragraph without its label, and the most specific hint.
fn sentence(error: &clap::Error) -> (String, String) {
    let text = error.render().to_string();
    let first = text.split("\n\n").next().unwrap_or_default();
    let message = first.strip_prefix("error: ").unwrap_or(first);
    let message = message.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    let suggestions = [ContextKind::SuggestedSubcommand, ContextKind::SuggestedArg, ContextKind::SuggestedValue];
    let near = suggestions.into_iter().filter_map(|kind| error.get(kind)).find_map(|value| match value {
        ContextValue::String(name) => Some(name.clone()),
        ContextValue::Strings(names) => names.first().cloned(),
        _ => None,
    });
    let renamed = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(name)) => RENAMED.iter().find(|(old, _)| old == name),
        _ => None,
    };
    if let Some((old, new)) = renamed {
        return (message, format!("{old} is now {new}"));
    }
    let usage = error.get(ContextKind::Usage).map(|usage| usage.to_string());
    let hint = match (near, usage) {
        (Some(near), _) => format!("did you mean {near}?"),
        (None, Some(usage)) => usage.trim().replacen("Usage: ", "usage: ", 1),
        (None, None) => "see the command's --help".to_string(),
    };
    (message, hint)
}
