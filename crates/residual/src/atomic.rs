//! Files that are there whole or not at all: written beside, synced, renamed.

use crate::error::{Error, Result};
use std::io::Write;
use std::path::Path;

/// Writes `bytes` to `path` so that a reader, or a machine that loses power, sees the old file or the new one.
///
/// # Errors
/// A folder that is missing or read-only, or a full disk; the old file is untouched then.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let fail = |error: std::io::Error| {
        let hint = match error.kind() {
            std::io::ErrorKind::StorageFull => "free some space on that disk; what was written before is intact",
            std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
                "choose a folder that can be written to with --out"
            }
            _ => "what was written before is intact",
        };
        Error::io("write", path, error).with_hint(hint)
    };
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(fail)?;
    file.write_all(bytes).map_err(fail)?;
    readable_by_others(file.as_file()).map_err(fail)?;
    file.as_file().sync_all().map_err(fail)?;
    file.persist(path).map_err(|error| fail(error.error))?;
    // The rename itself must reach the disk as well; not every platform can open a folder.
    if let Ok(folder) = std::fs::File::open(folder) {
        folder.sync_all().map_err(fail)?;
    }
    Ok(())
}

/// Temporary files are private to their owner; a result is not.
#[cfg(unix)]
fn readable_by_others(file: &std::fs::File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn readable_by_others(_: &std::fs::File) -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_no_litter() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("weights");
        write(&path, b"old").expect("a fresh folder can be written");
        let missing = folder.path().join("no-such-folder").join("weights");
        assert!(write(&missing, b"new").is_err());
        assert_eq!(std::fs::read(&path).expect("still there"), b"old");
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1);
    }
}
