//! Atomic writing of files: into a temporary file, which is synced and renamed.

use crate::error::{Error, Result};
use std::fs::DirEntry;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

/// Writes `bytes` to `path` so that a reader, also after a power failure, sees either the old file
/// or the new one. Missing folders are created.
///
/// # Errors
/// Fails if a folder or the file cannot be written; the old file is unchanged then.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    // A link is kept; the file that it points to is replaced.
    let target = path.canonicalize();
    let path = target.as_deref().unwrap_or(path);
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
        // The error of `tempfile` names the temporary file, which the user does not know.
        let error = error.raw_os_error().map_or(error, std::io::Error::from_raw_os_error);
        Error::io("write", path, error).with_hint(hint)
    };
    // A device or a pipe is written to directly; a rename would replace /dev/null by a file.
    if path.metadata().is_ok_and(|found| !found.is_file() && !found.is_dir()) {
        return std::fs::File::options()
            .write(true)
            .open(path)
            .and_then(|mut file| file.write_all(bytes))
            .map_err(fail);
    }
    std::fs::create_dir_all(folder).map_err(fail)?;
    let mut file = builder().tempfile_in(folder).map_err(fail)?;
    file.write_all(bytes).map_err(fail)?;
    file.as_file().sync_all().map_err(fail)?;
    file.persist(path).map_err(|error| fail(error.error))?;
    sync_folder(folder)
}

/// Syncs renames in `folder` to the disk, on platforms that can open a folder.
///
/// # Errors
/// Fails if the disk does.
pub fn sync_folder(folder: &Path) -> Result<()> {
    match std::fs::File::open(folder) {
        Ok(open) => open.sync_all().map_err(|error| Error::io("write", folder, error)),
        Err(_) => Ok(()),
    }
}

/// Returns a builder of files whose permissions follow the user's umask; temporary files are
/// private by default.
#[cfg(unix)]
fn builder() -> tempfile::Builder<'static, 'static> {
    use std::os::unix::fs::PermissionsExt;
    let mut builder = tempfile::Builder::new();
    builder.prefix(TEMPORARY).permissions(std::fs::Permissions::from_mode(0o666));
    builder
}

#[cfg(not(unix))]
fn builder() -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(TEMPORARY);
    builder
}

/// Prefix of the names of temporary files.
const TEMPORARY: &str = ".residual-";

/// Age from which a temporary file is abandoned; writing one takes seconds.
const STALE: Duration = Duration::from_secs(600);

/// Removes temporary files in `folder` that killed processes left behind, up to a gigabyte for a
/// VGG.
pub fn sweep(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let is_temporary = |entry: &DirEntry| entry.file_name().to_string_lossy().starts_with(TEMPORARY);
    let is_stale = |entry: &DirEntry| {
        let age = entry.metadata().ok().and_then(|found| found.modified().ok()?.elapsed().ok());
        age.is_some_and(|age| age > STALE)
    };
    for entry in entries.flatten().filter(|entry| is_temporary(entry) && is_stale(entry)) {
        // A file that cannot be removed does no harm.
        let _ = std::fs::remove_file(entry.path());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;

    #[test]
    fn missing_folders_are_created() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("a").join("b").join("weights");
        write(&path, b"new").expect("folders can be made");
        assert_eq!(std::fs::read(path).expect("there"), b"new");
    }

    #[test]
    #[cfg(unix)]
    fn links_are_kept_and_devices_are_written_to() {
        use std::os::unix::fs::FileTypeExt;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (link, target) = (folder.path().join("link"), folder.path().join("target"));
        std::fs::write(&target, b"old").expect("a file");
        std::os::unix::fs::symlink(&target, &link).expect("a link");
        write(&link, b"new").expect("a link can be written through");
        assert!(link.symlink_metadata().expect("there").is_symlink());
        assert_eq!(std::fs::read(target).expect("there"), b"new");
        write(Path::new("/dev/null"), b"nothing").expect("it takes anything");
        assert!(Path::new("/dev/null").metadata().expect("there").file_type().is_char_device());
        for (name, age) in [(".residual-old", 2 * STALE), (".residual-new", Duration::ZERO)] {
            let file = std::fs::File::create(folder.path().join(name)).expect("a file");
            file.set_modified(SystemTime::now() - age).expect("a time");
        }
        sweep(folder.path());
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 3, "only old files are removed");
    }

    #[test]
    fn a_failed_write_keeps_the_old_file_and_leaves_no_temporary_one() {
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
