//! The commands, one file each.

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

use residual::{Error, Result};

/// Returns an existing path as an absolute one, so that a run folder works from any directory;
/// other names stay unchanged.
fn absolute_if_exists(path: &str) -> String {
    if std::path::Path::new(path).exists()
        && let Ok(absolute) = std::path::absolute(path)
    {
        return absolute.to_string_lossy().into_owned();
    }
    path.to_string()
}

/// Fails if `out` is the file that the command reads.
fn refuse_overwrite(input: &std::path::Path, out: &std::path::Path) -> Result<()> {
    match (input.canonicalize(), out.canonicalize()) {
        (Ok(a), Ok(b)) if a == b => Err(Error::usage(format!("--out is the input file, {}", input.display()))
            .with_hint("choose another file for --out")),
        _ => Ok(()),
    }
}

/// Parses one of the library's names as a command-line value; errors include the library's hint.
fn parse_name<T: std::str::FromStr<Err = Error>>(text: &str) -> std::result::Result<T, String> {
    text.parse::<T>().map_err(|error| match error.hint() {
        Some(hint) => format!("{error}; {hint}"),
        None => error.to_string(),
    })
}
