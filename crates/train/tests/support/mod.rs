//! A Python for tests that compare results with other programs.

use std::path::PathBuf;
use std::process::Command;

/// Returns a Python that can import `modules`: `$RESIDUAL_PYTHON`, or that of `bench/peers`.
///
/// # Panics
///
/// Panics if neither has the modules: a test that calls this is `#[ignore = "needs Python with …"]`.
pub fn python(modules: &str) -> PathBuf {
    let home = PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
    let named = std::env::var_os("RESIDUAL_PYTHON").map(PathBuf::from);
    let has = |python: &PathBuf| {
        let imported = Command::new(python).args(["-c", &format!("import {modules}")]).output();
        imported.is_ok_and(|output| output.status.success())
    };
    named
        .into_iter()
        .chain([home.join(".cache/residual-peers/bin/python")])
        .find(has)
        .unwrap_or_else(|| panic!("no Python with {modules} in $RESIDUAL_PYTHON or ~/.cache/residual-peers"))
}
