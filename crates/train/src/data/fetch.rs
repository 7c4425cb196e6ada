//! Published data sets from the network, from a file, or from the cache where they already are.
//!
//! The cache is `RESIDUAL_CACHE`, else the platform's cache folder; each data set has a folder of its name in it. What
//! is there under its final name is complete: archives are verified before they are unpacked, and unpacked beside
//! their place.

use super::catalogue::{Archive, Published, published};
use super::check::{Report, check};
use super::cifar::hex;
use super::download::download;
use super::progress::Progress;
use super::shapes::write_shapes;
use super::source::SOURCES;
use crate::error::{Error, Result, nearest};
use etcetera::BaseStrategy;
use flate2::read::GzDecoder;
use md5::{Digest, Md5};
use sha2::Sha256;
use std::fs::{self, File, TryLockError};
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

/// The file by which processes that want the same data set wait for each other. It stays: whoever waits has it open.
const LOCK: &str = ".lock";

/// Where a data set comes from and goes to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FetchOptions {
    /// An archive that is already here (a folder, where the data set has several files), rather than the network.
    pub from_file: Option<PathBuf>,
    /// The folder to put the data set into; `None` is the cache.
    pub to: Option<PathBuf>,
}

/// The folder that fetched data sets are kept in.
///
/// # Errors
/// Where there is no home folder to have a cache in.
pub fn cache_dir() -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os("RESIDUAL_CACHE") {
        return Ok(folder.into());
    }
    let strategy = etcetera::choose_base_strategy().map_err(|e| {
        Error::data(format!("there is no folder to cache data in: {e}")).with_hint("set RESIDUAL_CACHE to a folder")
    })?;
    Ok(strategy.cache_dir().join("residual"))
}

/// Fetches the data set `name`, unpacks it and reads all of it once. What is already there is not fetched again, and a
/// file that was given for it is not read: the report warns of that. `shapes` is drawn and written in CIFAR's binary
/// layout.
///
/// # Errors
/// Where the name is unknown, no mirror gave the right bytes, the file given is not there or not the published one, or
/// nothing can be written there.
pub fn fetch(name: &str, options: &FetchOptions, progress: &mut dyn Progress) -> Result<Report> {
    let to = match &options.to {
        Some(folder) => folder.clone(),
        None => cache_dir()?.join(name),
    };
    if name == "shapes" {
        let holds_something = to.read_dir().is_ok_and(|mut entries| entries.next().is_some());
        if holds_something && !to.join("data_batch_1.bin").exists() {
            let message = format!("{} holds other files, which the images would hide", to.display());
            return Err(Error::usage(message).with_hint("name a folder that is new or empty with --to"));
        }
        write_shapes(&to, progress)?;
        return check(&to, progress);
    }
    let published = published(name).ok_or_else(|| unknown(name))?;
    let from = options.from_file.as_deref();
    if let Some(missing) = from.filter(|file| !file.exists()) {
        let error = Error::data(format!("{} does not exist", missing.display()));
        return Err(error.with_hint("--from-file takes the archive of the data set, or the folder of its archives"));
    }
    let Brought { path, was_there } = bring(published, from, &to, progress)?;
    let mut report = check(&path, progress)?;
    if let Some(file) = from.filter(|_| was_there) {
        report.warnings.push(format!("{name} was in {} already: {} was not read", path.display(), file.display()));
    }
    Ok(report)
}

fn unknown(name: &str) -> Error {
    let error = Error::usage(format!("no data set called \"{name}\" can be fetched"));
    match nearest(name, SOURCES) {
        Some(known) => error.with_hint(format!("did you mean \"{known}\"?")),
        None => error.with_hint(format!("one of {}", SOURCES.join(", "))),
    }
}

/// The data set `name` in the cache, fetched first where it is not there.
pub(crate) fn cached(name: &str, offline: bool, progress: &mut dyn Progress) -> Result<PathBuf> {
    cached_in(&cache_dir()?, name, offline, progress)
}

fn cached_in(cache: &Path, name: &str, offline: bool, progress: &mut dyn Progress) -> Result<PathBuf> {
    let published = published(name).ok_or_else(|| unknown(name))?;
    let to = cache.join(name);
    if offline && present(published, &to).is_none() {
        let error = Error::data(format!("{name} is not in {}, and the network is not to be used", to.display()));
        return Err(error.with_hint(offline_hint(published)));
    }
    bring(published, None, &to, progress).map(|brought| brought.path)
}

/// How to go on without a network.
fn offline_hint(published: &Published) -> String {
    let file = match published.layouts[0] {
        [one] => format!("{} (MD5 {})", one.file, one.md5),
        several => format!("a folder with {}", several.iter().map(|a| a.file).collect::<Vec<_>>().join(", ")),
    };
    let name = published.name;
    format!(
        "without a network, copy {file} here from another machine and run: residual data fetch {name} --from-file FILE; or \
         train on built-in images: --data shapes"
    )
}

/// Where a complete copy is below `folder`.
fn present(published: &Published, folder: &Path) -> Option<PathBuf> {
    let place = |archive: &Archive| match archive.folder {
        "" => folder.join(archive.file),
        inner => folder.join(inner),
    };
    let layout = published.layouts.iter().find(|layout| layout.iter().all(|archive| place(archive).exists()))?;
    Some(folder.join(layout[0].folder))
}

/// A data set that is there.
struct Brought {
    /// The folder that holds its files.
    path: PathBuf,
    /// Whether nothing had to be done for that.
    was_there: bool,
}

/// Brings a data set to `to`, unless it is there.
fn bring(published: &Published, from: Option<&Path>, to: &Path, progress: &mut dyn Progress) -> Result<Brought> {
    if let Some(path) = present(published, to) {
        return Ok(Brought { path, was_there: true });
    }
    fs::create_dir_all(to).map_err(|e| Error::io("create", to, e))?;
    // One at a time: two would write the same `.part` file, and one replace what the other already reads.
    let _lock = lock(published, to, progress)?;
    if let Some(path) = present(published, to) {
        return Ok(Brought { path, was_there: true });
    }
    match from {
        Some(file) => copy(published, file, to)?,
        None => fetch_any(published, to, progress)?,
    }
    let path = present(published, to)
        .ok_or_else(|| Error::data(format!("{} is not complete in {} after all", published.name, to.display())))?;
    Ok(Brought { path, was_there: false })
}

/// Waits until nobody else brings anything to `to`, and keeps others from it as long as the file is held.
fn lock(published: &Published, to: &Path, progress: &mut dyn Progress) -> Result<File> {
    let path = to.join(LOCK);
    let file = File::options().create(true).append(true).open(&path).map_err(|e| Error::io("write", &path, e))?;
    let locked = match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => {
            progress.note(&format!("another process is fetching {}: waiting for it", published.name));
            file.lock()
        }
        Err(TryLockError::Error(error)) => Err(error),
    };
    let hint = "set RESIDUAL_CACHE, or --to, to a folder on another disk";
    locked.map_err(|e| Error::io("lock", &path, e).with_hint(hint))?;
    Ok(file)
}

/// The first layout of which every file can be had.
fn fetch_any(published: &Published, to: &Path, progress: &mut dyn Progress) -> Result<()> {
    let mut failures = Vec::new();
    for layout in published.layouts {
        let fetched: std::result::Result<Vec<PathBuf>, ()> = layout
            .iter()
            .map(|archive| match to.join(archive.file) {
                done if done.is_file() => Ok(done),
                _ => download(archive, to, progress).map_err(|tried| failures.extend(tried)),
            })
            .collect();
        let Ok(files) = fetched else { continue };
        for (archive, file) in layout.iter().zip(files) {
            if !archive.folder.is_empty() {
                progress.note(&format!("unpacking {}", archive.file));
                unpack(&file, archive.folder, to)?;
                fs::remove_file(&file).map_err(|e| Error::io("remove", &file, e))?;
            }
        }
        return Ok(());
    }
    let message = format!("{} cannot be fetched: {}", published.name, failures.join("; "));
    Err(Error::data(message).with_hint(offline_hint(published)))
}

/// Takes the archive, or the folder of files, that the user has.
fn copy(published: &Published, from: &Path, to: &Path) -> Result<()> {
    let mut seen = Vec::new();
    for layout in published.layouts {
        let folder = if from.is_dir() { from } else { from.parent().unwrap_or(Path::new(".")) };
        let files: Vec<(&Archive, PathBuf)> = match layout {
            [one] if from.is_file() => vec![(one, from.to_path_buf())],
            _ => layout.iter().map(|archive| (archive, folder.join(archive.file))).collect(),
        };
        let wrong = files.iter().find_map(|(archive, file)| verify(archive, file).err());
        if let Some(why) = wrong {
            seen.push(why);
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
    seen.dedup();
    let message = format!("{} is not a published archive of {}: {}", from.display(), published.name, seen.join("; "));
    Err(Error::data(message).with_hint(format!(
        "it can be used as it is, without a claim to be {}: --data {}",
        published.name,
        from.display()
    )))
}

/// Whether a file is the archive that was published; else what is wrong with it.
pub(crate) fn verify(archive: &Archive, path: &Path) -> std::result::Result<(), String> {
    let mut file = File::open(path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
    let (mut md5, mut sha256) = (Md5::new(), Sha256::new());
    let mut buffer = vec![0; 1 << 20];
    loop {
        let n = file.read(&mut buffer).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
        if n == 0 {
            break;
        }
        rayon::join(|| md5.update(&buffer[..n]), || sha256.update(&buffer[..n]));
    }
    let found = hex(&md5.finalize());
    if found != archive.md5 {
        return Err(format!("the MD5 is {found}, and {} has {}", archive.file, archive.md5));
    }
    let found = hex(&sha256.finalize());
    match archive.sha256 {
        Some(published) if published != found => {
            Err(format!("the SHA-256 is {found}, and {} has {published}", archive.file))
        }
        _ => Ok(()),
    }
}

/// Unpacks `folder` of a verified archive into `to`, so that it is there whole or not at all.
fn unpack(archive: &Path, folder: &str, to: &Path) -> Result<()> {
    let broken = |e: std::io::Error| Error::io("unpack", archive, e);
    let beside = tempfile::tempdir_in(to).map_err(|e| Error::io("write to", to, e))?;
    let file = File::open(archive).map_err(|e| Error::io("open", archive, e))?;
    tar::Archive::new(GzDecoder::new(BufReader::new(file))).unpack(beside.path()).map_err(broken)?;
    let place = to.join(folder);
    if place.exists() {
        fs::remove_dir_all(&place).map_err(|e| Error::io("replace", &place, e))?;
    }
    fs::rename(beside.path().join(folder), &place).map_err(|e| Error::io("create", &place, e))
}

#[cfg(test)]
mod tests {
    use super::super::catalogue::published;
    use super::*;

    #[test]
    fn every_archive_has_mirrors_and_digests_of_the_right_length() {
        for name in SOURCES.into_iter().filter(|name| *name != "shapes") {
            for archive in published(name).expect("in the catalogue").layouts.iter().flat_map(|layout| layout.iter()) {
                assert!(
                    archive.md5.len() == 32 && archive.sha256.is_none_or(|digest| digest.len() == 64),
                    "{archive:?}"
                );
                assert!(archive.mirrors.iter().all(|url| url.contains(archive.file)), "{archive:?}");
            }
        }
    }

    #[test]
    fn an_archive_that_is_not_the_published_one_is_refused_with_its_digest() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("cifar-10-binary.tar.gz");
        fs::write(&file, b"not an archive").expect("writable");
        let options = FetchOptions { from_file: Some(file), to: Some(folder.path().join("to")) };
        let error = fetch("cifar10", &options, &mut ()).expect_err("not the archive");
        assert!(error.to_string().contains("c32a1d4ab5d03f1284b67883e8d87530"), "{error}");
        assert!(error.hint().expect("a way on").contains("--data"));
        assert!(present(published("cifar10").expect("known"), &folder.path().join("to")).is_none());
    }

    #[test]
    fn without_a_network_the_error_says_how_to_go_on() {
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
    fn a_file_for_what_is_there_is_not_read_and_the_report_says_so_but_it_must_exist() {
        let folder = tempfile::tempdir().expect("a folder");
        let (to, file) = (folder.path().join("to"), folder.path().join("any.tar.gz"));
        let place = to.join("cifar-10-batches-bin");
        fs::create_dir_all(&place).expect("writable");
        for batch in ["data_batch_1.bin", "test_batch.bin"] {
            fs::write(place.join(batch), vec![0; 3073]).expect("writable");
        }
        let options = FetchOptions { from_file: Some(file.clone()), to: Some(to) };
        let error = fetch("cifar10", &options, &mut ()).expect_err("no such file");
        assert_eq!(error.to_string(), format!("{} does not exist", file.display()));
        fs::write(&file, b"not an archive").expect("writable");
        let report = fetch("cifar10", &options, &mut ()).expect("it is there");
        let warning = format!("cifar10 was in {} already: {} was not read", place.display(), file.display());
        assert!(report.warnings.contains(&warning), "{:?}", report.warnings);
    }

    /// Tells what is noted through a channel.
    struct Told(std::sync::mpsc::Sender<String>);

    impl Progress for Told {
        fn start(&mut self, _what: &str, _total: u64) {}
        fn advance(&mut self, _n: u64) {}
        fn note(&mut self, text: &str) {
            let _ = self.0.send(text.to_owned());
        }
    }

    #[test]
    fn who_comes_second_waits_and_takes_what_the_first_has_brought() {
        let cache = tempfile::tempdir().expect("a folder");
        let to = cache.path().join("cifar10");
        fs::create_dir_all(&to).expect("writable");
        let first = lock(published("cifar10").expect("known"), &to, &mut ()).expect("nobody else has it");
        let (tell, told) = std::sync::mpsc::channel();
        let path = cache.path().to_owned();
        let second = std::thread::spawn(move || cached_in(&path, "cifar10", false, &mut Told(tell)));
        assert_eq!(told.recv().expect("a note"), "another process is fetching cifar10: waiting for it");
        let place = to.join("cifar-10-batches-bin");
        fs::create_dir_all(&place).expect("writable");
        drop(first);
        assert_eq!(second.join().expect("no panic").expect("it is there"), place);
        assert!(told.recv().is_err(), "and fetches nothing");
    }

    #[test]
    fn a_verified_archive_is_unpacked_whole() {
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
    fn a_slip_in_a_name_is_recognised() {
        let error = fetch("cifar-10", &FetchOptions::default(), &mut ()).expect_err("no such name");
        assert_eq!(error.hint(), Some("did you mean \"cifar10\"?"));
    }

    #[test]
    fn shapes_are_written_in_a_layout_that_reads_back_the_same() {
        let folder = tempfile::tempdir().expect("a folder");
        let options = FetchOptions { from_file: None, to: Some(folder.path().into()) };
        let report = fetch("shapes", &options, &mut ()).expect("writable");
        assert_eq!((report.images, report.canonical), (22_000, None));
        assert_eq!(report.md5, super::super::shapes::SHAPES_MD5);
        assert_eq!(report.classes[4], "star");
        assert_ne!(report.name, "cifar10");
    }
}
