//! Files that are there whole or not at all: written beside, synced, renamed.

use crate::error::{Error, Result};
use std::io::Write;
use std::path::Path;

/// Writes `bytes` to `path` so that a reader, or a machine that loses power, sees the old file or the new one. Folders on
/// the way are made.
///
/// # Errors
/// A folder that cannot be made or written, or a full disk; the old file is untouched then.
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
            _ if path.exists() => "what was written before is intact",
            _ => "choose another place for it",
        };
        // `tempfile` names its own file in the error, which nobody asked for.
        let error = error.raw_os_error().map_or(error, std::io::Error::from_raw_os_error);
        Error::io("write", path, error).with_hint(hint)
    };
    std::fs::create_dir_all(folder).map_err(fail)?;
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(fail)?;
    file.write_all(bytes).map_err(fail)?;
    readable_by_others(file.as_file()).map_err(fail)?;
    file.as_file().sync_all().map_err(fail)?;
    file.persist(path).map_err(|error| fail(error.error))?;
    sync_folder(folder)
}

/// Makes renames in `folder` reach the disk; not every platform can open a folder.
///
/// # Errors
/// A disk that fails.
pub fn sync_folder(folder: &Path) -> Result<()> {
    match std::fs::File::open(folder) {
        Ok(open) => open.sync_all().map_err(|error| Error::io("write", folder, error)),
        Err(_) => Ok(()),
    }
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
    fn folders_on_the_way_are_made() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("a").join("b").join("weights");
        write(&path, b"new").expect("folders can be made");
        assert_eq!(std::fs::read(path).expect("there"), b"new");
    }

    #[test]
    fn a_failed_write_leaves_the_old_file_and_no_litter() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("weights");
        write(&path, b"old").expect("a fresh folder can be written");
        // A file where a folder would have to be.
        let impossible = path.join("weights");
        let error = write(&impossible, b"new").expect_err("no folder");
        assert!(error.to_string().starts_with(&format!("cannot write {}: ", impossible.display())), "{error}");
        assert!(!error.to_string().contains("at path"), "{error}");
        assert_eq!(std::fs::read(&path).expect("still there"), b"old");
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1);
    }
}
