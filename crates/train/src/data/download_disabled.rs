//! Replaces `download` in builds without an HTTP client.

use super::catalogue::Archive;
use super::progress::Progress;
use std::path::{Path, PathBuf};

/// Fails: this build has no HTTP client.
pub(crate) fn download(
    archive: &Archive,
    _folder: &Path,
    _progress: &mut dyn Progress,
) -> Result<PathBuf, Vec<String>> {
    let Archive { file, bytes, mirrors, .. } = archive;
    let from = mirrors.first().copied().unwrap_or_default();
    Err(vec![format!(
        "{file} ({bytes} bytes, {from}) must be downloaded, and this build has no HTTP client (feature \"fetch\")"
    )])
}
