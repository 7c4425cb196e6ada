//! A Python for tests that hold results against other programs.

use std::path::PathBuf;
use std::process::Command;

/// A Python with `module`, or `None` with a word about it. `$RESIDUAL_PYTHON` names the interpreter; without it, that of
/// `bench/peers` is looked for.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
pub fn python(module: &str) -> Option<PathBuf> {
    let home = PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
    let named = std::env::var_os("RESIDUAL_PYTHON").map(PathBuf::from);
    let places = ["residual-peers", "peers"].map(|name| home.join(".cache").join(name).join("bin/python"));
    let has = |python: &PathBuf| {
        Command::new(python).args(["-c", &format!("import {module}")]).output().is_ok_and(|out| out.status.success())
    };
    let found = named.into_iter().chain(places).find(has);
    if found.is_none() {
        eprintln!("skipped: no Python with {module} in $RESIDUAL_PYTHON or ~/.cache/residual-peers");
    }
    found
}
