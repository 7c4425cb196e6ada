//! A data set's files, wherever they are: in a folder, in a folder inside it, or in a `.tar.gz`.
//!
//! Archives are unpacked into memory, since those of CIFAR hold little but what we need. Archives of images go
//! through the folder that they were unpacked into instead.

use crate::error::{Error, Result};
use flate2::read::{GzDecoder, MultiGzDecoder};
use residual::image::is_image_name;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

/// Named files that belong together.
#[derive(Debug)]
pub(crate) enum Container {
    /// Files of one folder.
    Folder(PathBuf),
    /// Files of an archive by their last name.
    Archive { path: PathBuf, files: BTreeMap<String, Vec<u8>> },
}

/// Nothing that we read is larger: 1 GiB. An archive that claims more, in one file or in all, is not one of ours.
const LARGEST_FILE: u64 = 1 << 30;

impl Container {
    /// Unpacks a `.tar.gz` (or `.tar`) into memory; nothing of one that cannot be ours, which may be ImageNet's 138 GB.
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
        let (mut files, mut room) = (BTreeMap::new(), LARGEST_FILE);
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
            // Room for what is there, not for what a forged header claims.
            let mut bytes = Vec::with_capacity(entry.size().min(1 << 26) as usize);
            entry.read_to_end(&mut bytes).map_err(broken)?;
            files.insert(name.to_string(), bytes);
        }
        Ok(Self::Archive { path: path.to_path_buf(), files })
    }

    /// The folder or archive itself.
    pub fn path(&self) -> &Path {
        match self {
            Self::Folder(path) | Self::Archive { path, .. } => path,
        }
    }

    /// Whether there is a file of that name.
    pub fn has(&self, name: &str) -> bool {
        match self {
            Self::Folder(folder) => folder.join(name).is_file(),
            Self::Archive { files, .. } => files.contains_key(name),
        }
    }

    /// What to call the file in a message.
    pub fn display(&self, name: &str) -> String {
        match self {
            Self::Folder(folder) => folder.join(name).display().to_string(),
            Self::Archive { path, .. } => format!("{name} in {}", path.display()),
        }
    }

    /// The file's bytes, unpacked where it is gzip.
    pub fn read_unpacked(&self, name: &str) -> Result<Vec<u8>> {
        let bytes = self.read(name)?;
        if !bytes.starts_with(&[0x1f, 0x8b]) {
            return Ok(bytes);
        }
        let mut unpacked = Vec::new();
        MultiGzDecoder::new(bytes.as_slice())
            .take(LARGEST_FILE)
            .read_to_end(&mut unpacked)
            .map_err(|e| Error::data(format!("{} is truncated or corrupt gzip: {e}", self.display(name))))?;
        Ok(unpacked)
    }

    /// The file's bytes.
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

/// Whether the file starts as gzip does, whatever its name says.
pub(crate) fn is_gzip(path: &Path) -> Result<bool> {
    let mut magic = [0; 2];
    let mut file = File::open(path).map_err(|e| Error::io("open", path, e))?;
    Ok(file.read_exact(&mut magic).is_ok() && magic == [0x1f, 0x8b])
}
