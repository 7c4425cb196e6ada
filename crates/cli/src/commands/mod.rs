//! The commands, one file each.

pub mod bench;
pub mod compare;
pub mod completions;
pub mod data;
pub mod doctor;
pub mod eval;
pub mod export;
pub mod import;
pub mod inspect;
pub mod lab;
pub mod man;
pub mod models;
pub mod predict;
pub mod recipes;
pub mod report;
pub mod reproduce;
pub mod runs;
pub mod train;
pub mod tune;

use residual::{Error, Kind, Result};
use std::path::{Path, PathBuf};

/// Returns an existing path as an absolute one, so that a run folder works from any directory;
/// other names stay unchanged.
fn absolute_if_exists(path: &str) -> String {
    if Path::new(path).exists()
        && let Ok(absolute) = std::path::absolute(path)
    {
        return absolute.to_string_lossy().into_owned();
    }
    path.to_string()
}

/// Returns `path` as an absolute path.
fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path)
        .map_err(|error| Error::new(Kind::Io, format!("cannot resolve the path {}: {error}", path.display())))
}

/// Fails if `out`, the value of `flag`, is the file that the command reads.
fn refuse_overwrite(input: &Path, out: &Path, flag: &str) -> Result<()> {
    match (input.canonicalize(), out.canonicalize()) {
        (Ok(a), Ok(b)) if a == b => Err(Error::usage(format!("{flag} is the input file, {}", input.display()))
            .with_hint(format!("choose another file for {flag}"))),
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
