//! Downloading of data sets into the cache, or taking them from a file.
//!
//! Each data set has a folder of its name in the cache. A file with its final name is complete:
//! archives are verified before they are unpacked, and are unpacked into a temporary folder first.

use super::cache::cache_dir;
use super::catalogue::{Archive, DownloadSet, SOURCES, download_set};
use super::digest::verify;
use super::download::download;
use super::progress::Progress;
use super::shapes::write_shapes;
use crate::error::{Error, Result, nearest};
use flate2::read::GzDecoder;
use std::fs::{self, File, TryLockError};
use std::io::BufReader;
use std::path::{Path, PathBuf};

/// Lock file for processes that want the same data set. It is never removed, since a waiting
/// process has it open.
const LOCK: &str = ".lock";

/// Source and destination of a data set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FetchOptions {
    /// Archive to read instead of downloading, or a folder of archives if the data set has several.
    pub from_file: Option<PathBuf>,
    /// Folder to write the data set to; `None` means the cache.
    pub to: Option<PathBuf>,
}

/// A data set in its folder.
#[derive(Debug)]
pub(crate) struct Fetched {
    /// Folder that holds its files.
    pub path: PathBuf,
    /// Whether it was already there, so that nothing was downloaded or copied.
    pub existed: bool,
}

/// Downloads or copies the data set `name` and unpacks it, unless it exists already. `shapes` is
/// generated and written in CIFAR's binary layout.
///
/// # Errors
/// Fails if the name is unknown, no mirror has the published bytes, the given file is missing or
/// not the published one, or the destination cannot be written.
pub(crate) fn obtain(name: &str, options: &FetchOptions, progress: &mut dyn Progress) -> Result<Fetched> {
    let to = match &options.to {
        Some(folder) => folder.clone(),
        None => cache_dir()?.join(name),
    };
    if name == "shapes" {
        let holds_something = to.read_dir().is_ok_and(|mut entries| entries.next().is_some());
        if holds_something && !to.join("data_batch_1.bin").exists() {
            let message = format!("{} is not empty and holds other files than shapes", to.display());
            return Err(Error::usage(message).with_hint("name a folder that is new or empty with --to"));
        }
        write_shapes(&to, progress)?;
        return Ok(Fetched { path: to, existed: false });
    }
    let set = download_set(name).ok_or_else(|| unknown(name))?;
    let from = options.from_file.as_deref();
    if let Some(missing) = from.filter(|file| !file.exists()) {
        let error = Error::data(format!("{} does not exist", missing.display()));
        return Err(error.with_hint("--from-file takes the archive of the data set, or the folder of its archives"));
    }
    obtain_set(set, from, &to, progress)
}

/// Returns the error for a name that is not a data set's.
fn unknown(name: &str) -> Error {
    let error = Error::usage(format!("there is no data set \"{name}\" to fetch"));
    match nearest(name, SOURCES) {
        Some(known) => error.with_hint(format!("did you mean \"{known}\"?")),
        None => error.with_hint(format!("one of {}", SOURCES.join(", "))),
    }
}

/// Returns the folder of the data set `name` in the cache, downloading it first if it is not there.
pub(crate) fn cached(name: &str, offline: bool, progress: &mut dyn Progress) -> Result<PathBuf> {
    cached_in(&cache_dir()?, name, offline, progress)
}

fn cached_in(cache: &Path, name: &str, offline: bool, progress: &mut dyn Progress) -> Result<PathBuf> {
    let set = download_set(name).ok_or_else(|| unknown(name))?;
    let to = cache.join(name);
    if offline && existing(set, &to).is_none() {
        let error = Error::data(format!("{name} is not in {}, and downloads are switched off", to.display()));
        return Err(error.with_hint(offline_hint(set)));
    }
    obtain_set(set, None, &to, progress).map(|fetched| fetched.path)
}

/// Returns a hint for going on without a network.
fn offline_hint(set: &DownloadSet) -> String {
    let file = match set.layouts[0] {
        [one] => format!("{} (MD5 {})", one.file, one.md5),
        several => format!("a folder with {}", several.iter().map(|a| a.file).collect::<Vec<_>>().join(", ")),
    };
    let name = set.name;
    format!(
        "without a network, copy {file} here from another machine and run: residual data fetch {name} --from-file FILE; or \
         train on built-in images: --data shapes"
    )
}

/// Returns the path of a complete copy below `folder`, if there is one.
fn existing(set: &DownloadSet, folder: &Path) -> Option<PathBuf> {
    let path = |archive: &Archive| match archive.folder {
        "" => folder.join(archive.file),
        inner => folder.join(inner),
    };
    let layout = set.layouts.iter().find(|layout| layout.iter().all(|archive| path(archive).exists()))?;
    Some(folder.join(layout[0].folder))
}

/// Downloads a data set into `to`, or copies it there from a file, unless it exists already.
fn obtain_set(set: &DownloadSet, from: Option<&Path>, to: &Path, progress: &mut dyn Progress) -> Result<Fetched> {
    if let Some(path) = existing(set, to) {
        return Ok(Fetched { path, existed: true });
    }
    fs::create_dir_all(to).map_err(|e| Error::io("create", to, e))?;
    // Two processes at once would write the same `.part` file, and one would replace what the other
    // already reads.
    let _lock = lock(set, to, progress)?;
    if let Some(path) = existing(set, to) {
        return Ok(Fetched { path, existed: true });
    }
    match from {
        Some(file) => copy(set, file, to)?,
        None => download_any(set, to, progress)?,
    }
    let path = existing(set, to)
        .ok_or_else(|| Error::data(format!("{} was unpacked into {} and is incomplete", set.name, to.display())))?;
    Ok(Fetched { path, existed: false })
}

/// Locks `to` against other processes until the file is dropped, waiting for another's lock.
fn lock(set: &DownloadSet, to: &Path, progress: &mut dyn Progress) -> Result<File> {
    let path = to.join(LOCK);
    let file = File::options().create(true).append(true).open(&path).map_err(|e| Error::io("write", &path, e))?;
    let locked = match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => {
            progress.note(&format!("another process is fetching {}: waiting for it", set.name));
            file.lock()
        }
        Err(TryLockError::Error(error)) => Err(error),
    };
    let hint = "set RESIDUAL_CACHE, or --to, to a folder on another disk";
    locked.map_err(|e| Error::io("lock", &path, e).with_hint(hint))?;
    Ok(file)
}

/// Downloads and unpacks the first layout of which every file is available.
fn download_any(set: &DownloadSet, to: &Path, progress: &mut dyn Progress) -> Result<()> {
    let mut failures = Vec::new();
    for layout in set.layouts {
        let files: std::result::Result<Vec<PathBuf>, ()> = layout
            .iter()
            .map(|archive| match to.join(archive.file) {
                done if done.is_file() => Ok(done),
                _ => download(archive, to, progress).map_err(|tried| failures.extend(tried)),
            })
            .collect();
        let Ok(files) = files else { continue };
        for (archive, file) in layout.iter().zip(files) {
            if !archive.folder.is_empty() {
                progress.note(&format!("unpacking {}", archive.file));
                unpack(&file, archive.folder, to)?;
                fs::remove_file(&file).map_err(|e| Error::io("remove", &file, e))?;
            }
        }
        return Ok(());
    }
    let message = format!("{} cannot be downloaded: {}", set.name, failures.join("; "));
    Err(Error::data(message).with_hint(offline_hint(set)))
}

/// Copies or unpacks the archive, or the folder of archives, that the user has.
fn copy(set: &DownloadSet, from: &Path, to: &Path) -> Result<()> {
    let mut failures = Vec::new();
    for layout in set.layouts {
        let folder = if from.is_dir() { from } else { from.parent().unwrap_or(Path::new(".")) };
        let files: Vec<(&Archive, PathBuf)> = match layout {
            [one] if from.is_file() => vec![(one, from.to_path_buf())],
            _ => layout.iter().map(|archive| (archive, folder.join(archive.file))).collect(),
        };
        if let Some(why) = files.iter().find_map(|(archive, file)| verify(archive, file).err()) {
            failures.push(why);
            continue;
        }
        for (archive, file) in files {
            if !archive.folder.is_empty() {
                unpack(&file, archive.folder, to)?;
                continue;
            }
            let bytes = fs::read(&file).map_err(|e| Error::io("read", &file, e))?;
            crate::atomic::write(&to.join(archive.file), &bytes)?;
        }
        return Ok(());
    }
    failures.dedup();
    let message = format!("{} is not a published archive of {}: {}", from.display(), set.name, failures.join("; "));
    let hint = format!("to use it as data of your own, without the name {}: --data {}", set.name, from.display());
    Err(Error::data(message).with_hint(hint))
}

/// Unpacks `folder` of a verified archive into `to`; it appears complete or not at all.
fn unpack(archive: &Path, folder: &str, to: &Path) -> Result<()> {
    let broken = |e: std::io::Error| Error::io("unpack", archive, e);
    let temporary = tempfile::tempdir_in(to).map_err(|e| Error::io("write to", to, e))?;
    let file = File::open(archive).map_err(|e| Error::io("open", archive, e))?;
    tar::Archive::new(GzDecoder::new(BufReader::new(file))).unpack(temporary.path()).map_err(broken)?;
    let path = to.join(folder);
    if path.exists() {
        fs::remove_dir_all(&path).map_err(|e| Error::io("repath", &path, e))?;
    }
    fs::rename(temporary.path().join(folder), &path).map_err(|e| Error::io("create", &path, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_archive_has_mirrors_and_digests_of_the_right_length() {
        for name in SOURCES.into_iter().filter(|name| *name != "shapes") {
            for archive in download_set(name).expect("in the catalogue").layouts.iter().flat_map(|layout| layout.iter())
            {
                assert!(
                    archive.md5.len() == 32 && archive.sha256.is_none_or(|digest| digest.len() == 64),
                    "{archive:?}"
                );
                assert!(archive.mirrors.iter().all(|url| url.contains(archive.file)), "{archive:?}");
            }
        }
    }

    #[test]
    fn an_archive_with_another_digest_fails_and_the_error_names_the_published_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("cifar-10-binary.tar.gz");
        fs::write(&file, b"not an archive").expect("writable");
        let options = FetchOptions { from_file: Some(file), to: Some(folder.path().join("to")) };
        let error = obtain("cifar10", &options, &mut ()).expect_err("not the archive");
        assert!(error.to_string().contains("c32a1d4ab5d03f1284b67883e8d87530"), "{error}");
        assert!(error.hint().expect("a way on").contains("--data"));
        assert!(existing(download_set("cifar10").expect("known"), &folder.path().join("to")).is_none());
    }

    #[test]
    fn offline_the_error_names_the_file_to_copy() {
        let cache = tempfile::tempdir().expect("a folder");
        let error = cached_in(cache.path(), "cifar10", true, &mut ()).expect_err("it is not there");
        assert!(error.to_string().starts_with("cifar10 is not in "), "{error}");
        let hint = error.hint().expect("a way on");
        for part in ["cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530", "--from-file", "--data shapes"] {
            assert!(hint.contains(part), "{hint}");
        }
        let place = cache.path().join("cifar10").join("cifar-10-batches-py");
        fs::create_dir_all(&place).expect("writable");
        assert_eq!(cached_in(cache.path(), "cifar10", true, &mut ()).expect("it is there"), place);
    }

    #[test]
    fn a_file_given_for_an_existing_data_set_must_exist_and_is_not_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let (to, file) = (folder.path().join("to"), folder.path().join("any.tar.gz"));
        let place = to.join("cifar-10-batches-bin");
        fs::create_dir_all(&place).expect("writable");
        let options = FetchOptions { from_file: Some(file.clone()), to: Some(to) };
        let error = obtain("cifar10", &options, &mut ()).expect_err("no such file");
        assert_eq!(error.to_string(), format!("{} does not exist", file.display()));
        fs::write(&file, b"not an archive").expect("writable");
        let fetched = obtain("cifar10", &options, &mut ()).expect("it is there");
        assert_eq!((fetched.path, fetched.existed), (place, true));
    }

    /// Sends notes through a channel.
    struct Notes(std::sync::mpsc::Sender<String>);

    impl Progress for Notes {
        fn start(&mut self, _what: &str, _total: u64) {}
        fn advance(&mut self, _n: u64) {}
        fn note(&mut self, text: &str) {
            let _ = self.0.send(text.to_owned());
        }
    }

    #[test]
    fn a_second_process_waits_and_uses_what_the_first_has_fetched() {
        let cache = tempfile::tempdir().expect("a folder");
        let to = cache.path().join("cifar10");
        fs::create_dir_all(&to).expect("writable");
        let first = lock(download_set("cifar10").expect("known"), &to, &mut ()).expect("nobody else has it");
        let (send, notes) = std::sync::mpsc::channel();
        let path = cache.path().to_owned();
        let second = std::thread::spawn(move || cached_in(&path, "cifar10", false, &mut Notes(send)));
        assert_eq!(notes.recv().expect("a note"), "another process is fetching cifar10: waiting for it");
        let place = to.join("cifar-10-batches-bin");
        fs::create_dir_all(&place).expect("writable");
        drop(first);
        assert_eq!(second.join().expect("no panic").expect("it is there"), place);
        assert!(notes.recv().is_err(), "it fetches nothing itself");
    }

    #[test]
    fn a_verified_archive_is_unpacked_and_replaces_an_older_copy() {
        let folder = tempfile::tempdir().expect("a folder");
        let gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        let mut tar = tar::Builder::new(gzip);
        let mut header = tar::Header::new_gnu();
        header.set_size(3);
        header.set_mode(0o644);
        tar.append_data(&mut header, "inner/a.bin", &b"abc"[..]).expect("in memory");
        let bytes = tar.into_inner().and_then(flate2::write::GzEncoder::finish).expect("in memory");
        let archive = folder.path().join("small.tar.gz");
        fs::write(&archive, bytes).expect("writable");
        unpack(&archive, "inner", folder.path()).expect("an archive");
        // Again: what was there is replaced.
        unpack(&archive, "inner", folder.path()).expect("an archive");
        assert_eq!(fs::read(folder.path().join("inner").join("a.bin")).expect("unpacked"), b"abc");
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 2);
    }

    #[test]
    fn a_misspelt_name_gets_the_nearest_one_as_hint() {
        let error = obtain("cifar-10", &FetchOptions::default(), &mut ()).expect_err("no such name");
        assert_eq!(error.hint(), Some("did you mean \"cifar10\"?"));
    }
}
