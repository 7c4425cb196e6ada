//! The files of a data set, in a folder or in a `.tar.gz`.
//!
//! Archives are unpacked into memory, since CIFAR's hold little else than the records. Archives of
//! images are not read; the user unpacks them into a folder.

use crate::error::{Error, Result};
use flate2::read::{GzDecoder, MultiGzDecoder};
use residual::image::is_image_name;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

/// The files of a data set by name.
#[derive(Debug)]
pub(crate) enum Container {
    /// Files in a folder.
    Folder(PathBuf),
    /// Files of an archive by their names without folders.
    Archive { path: PathBuf, files: BTreeMap<String, Vec<u8>> },
}

/// Largest size of an archive's contents that is read, 1 GiB; no supported data set is larger.
const MAX_BYTES: u64 = 1 << 30;

impl Container {
    /// Unpacks a `.tar.gz` or `.tar` into memory. An archive that is too large, or holds images or
    /// other archives, yields no files: it may be ImageNet's 138 GB.
    pub fn unpack(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|e| Error::io("open", path, e))?;
        let gzip = is_gzip(path)?;
        let reader: Box<dyn Read> = match gzip {
            true => Box::new(GzDecoder::new(BufReader::new(file))),
            false => Box::new(BufReader::new(file)),
        };
        let broken = |e: std::io::Error| {
            Error::data(format!("{} is truncated or not a tar archive: {e}", path.display()))
                .with_hint("fetch it again, or check its MD5")
        };
        let (mut files, mut room) = (BTreeMap::new(), MAX_BYTES);
        for entry in tar::Archive::new(reader).entries().map_err(broken)? {
            let mut entry = entry.map_err(broken)?;
            if !entry.header().entry_type().is_file() {
                continue;
            }
            let inner = entry.path().map_err(broken)?.into_owned();
            if entry.size() > room || is_image_name(&inner) || inner.extension().is_some_and(|kind| kind == "tar") {
                files.clear();
                break;
            }
            room -= entry.size();
            let Some(name) = inner.file_name().and_then(|n| n.to_str()) else { continue };
            // A forged header may claim more bytes than there are.
            let mut bytes = Vec::with_capacity(entry.size().min(1 << 26) as usize);
            entry.read_to_end(&mut bytes).map_err(broken)?;
            files.insert(name.to_string(), bytes);
        }
        Ok(Self::Archive { path: path.to_path_buf(), files })
    }

    /// Returns the path of the folder or archive.
    pub fn path(&self) -> &Path {
        match self {
            Self::Folder(path) | Self::Archive { path, .. } => path,
        }
    }

    /// Returns whether there is a file of that name.
    pub fn has(&self, name: &str) -> bool {
        match self {
            Self::Folder(folder) => folder.join(name).is_file(),
            Self::Archive { files, .. } => files.contains_key(name),
        }
    }

    /// Returns the file's name for messages.
    pub fn display(&self, name: &str) -> String {
        match self {
            Self::Folder(folder) => folder.join(name).display().to_string(),
            Self::Archive { path, .. } => format!("{name} in {}", path.display()),
        }
    }

    /// Reads a file, decompressing it if it is gzip.
    pub fn read_unpacked(&self, name: &str) -> Result<Vec<u8>> {
        let bytes = self.read(name)?;
        if !bytes.starts_with(&[0x1f, 0x8b]) {
            return Ok(bytes);
        }
        let mut unpacked = Vec::new();
        MultiGzDecoder::new(bytes.as_slice())
            .take(MAX_BYTES)
            .read_to_end(&mut unpacked)
            .map_err(|e| Error::data(format!("{} is truncated or corrupt gzip: {e}", self.display(name))))?;
        Ok(unpacked)
    }

    /// Reads a file.
    pub fn read(&self, name: &str) -> Result<Vec<u8>> {
        match self {
            Self::Folder(folder) => {
                let path = folder.join(name);
                fs::read(&path).map_err(|e| match e.kind() {
                    std::io::ErrorKind::NotFound => Error::data(format!("{} is missing", path.display())),
                    _ => Error::io("read", &path, e),
                })
            }
            Self::Archive { files, .. } => {
                files.get(name).cloned().ok_or_else(|| Error::data(format!("{} is missing", self.display(name))))
            }
        }
    }
}

/// Returns whether a file starts as gzip does, whatever its name is.
pub(crate) fn is_gzip(path: &Path) -> Result<bool> {
    let mut magic = [0; 2];
    let mut file = File::open(path).map_err(|e| Error::io("open", path, e))?;
    Ok(file.read_exact(&mut magic).is_ok() && magic == [0x1f, 0x8b])
}
