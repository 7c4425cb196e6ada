//! clap's findings in our form: `error: …`, a blank line, `hint: …`.

use super::{FAILURE, labelled, say};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::io::Write;
use std::process::ExitCode;

/// Prints help or version on stdout, or what is wrong with the arguments on stderr.
pub fn report(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // Help that nobody reads on is no failure.
            let _ = error.print();
            ExitCode::SUCCESS
        }
        // `residual` alone asks what there is, as `cargo` alone does; `residual data` alone has forgotten something.
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand if std::env::args_os().len() == 1 => {
            let _ = writeln!(anstream::stdout().lock(), "{}", error.render().ansi().to_string().trim_end());
            ExitCode::SUCCESS
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            say(error.render().ansi().to_string().trim_end());
            ExitCode::from(2)
        }
        _ => {
            let (message, hint) = sentence(error);
            say(&labelled("error", FAILURE, &message, Some(&hint)));
            ExitCode::from(2)
        }
    }
}

/// clap's first paragraph without its label, and the best advice there is.
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
    let usage = error.get(ContextKind::Usage).map(|usage| usage.to_string());
    let hint = match (near, usage) {
        (Some(near), _) => format!("did you mean {near}?"),
        (None, Some(usage)) => usage.trim().replacen("Usage: ", "usage: ", 1),
        (None, None) => "--help behind the command tells what it takes".to_string(),
    };
    (message, hint)
}
