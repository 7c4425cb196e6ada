//! Index of a large folder, kept from one run to the next: its list of images, and whether they are
//! whole.
//!
//! Listing ImageNet means reading a thousand folders, and checking that none of its files is
//! truncated means reading 140 GB. Both results are kept in the cache folder, compressed, in a file
//! that is named after the folder's path. The folder itself is only read.

use super::super::cache::cache_dir;
use super::tree::Tree;
use crate::atomic;
use crate::error::Result;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use md5::{Digest, Md5};
use residual::numbers::hex;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};

/// Smallest number of images that is worth an index.
const MIN_IMAGES: usize = 10_000;
/// Version of the file format; an index of another version is ignored.
const FORM: u32 = 3;

/// A folder as of its last walk.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Index {
    form: u32,
    root: PathBuf,
    pub tree: Tree,
    /// Result of reading every file, if that was done.
    pub checked: Option<Checked>,
    /// File of the index; `None` if it is not kept.
    #[serde(skip)]
    file: Option<PathBuf>,
}

/// Result of reading every image of a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Checked {
    /// Whether every image was decoded, rather than its header and end checked.
    pub decoded: bool,
    /// Fingerprint of the whole images.
    pub md5: String,
    /// Number of images whose colour profile is ignored.
    pub profiled: usize,
    /// Images that are not whole, relative to the folder, whose path may be spelt differently next
    /// time.
    pub bad: Vec<PathBuf>,
}

impl Index {
    /// Opens the index of `root`, or walks the folder if there is none, something has changed, or
    /// there is no cache folder.
    pub fn open(root: &Path) -> Result<Self> {
        Self::open_in(root, cache_dir().ok().as_deref(), MIN_IMAGES)
    }

    /// Walks the folder without reading or keeping an index.
    pub fn uncached(root: &Path) -> Result<Self> {
        Ok(Self { form: FORM, root: root.to_path_buf(), tree: Tree::walk(root)?, checked: None, file: None })
    }

    /// Opens the index in a given cache folder; folders of fewer than `large` images have none.
    pub(super) fn open_in(root: &Path, cache: Option<&Path>, large: usize) -> Result<Self> {
        let root = fs::canonicalize(root).unwrap_or_else(|_| root.to_path_buf());
        let name = hex(&Md5::digest(root.to_string_lossy().as_bytes()));
        let file = cache.map(|cache| cache.join("index").join(format!("{name}.json.gz")));
        if let Some(known) = file.as_deref().and_then(read)
            && known.form == FORM
            && known.root == root
            && known.tree.is_fresh(&root)
        {
            return Ok(Self { file, ..known });
        }
        let tree = Tree::walk(&root)?;
        let file = file.filter(|_| tree.len() >= large);
        let index = Self { form: FORM, root, tree, checked: None, file };
        index.save();
        Ok(index)
    }

    /// Keeps the result of reading every file.
    pub fn store(&mut self, checked: Checked) {
        self.checked = Some(checked);
        self.save();
    }

    /// Writes the index. A failure is ignored, since it only costs time in the next run.
    fn save(&self) {
        let Some(file) = &self.file else { return };
        let packed = serde_json::to_vec(self).ok().and_then(|bytes| {
            let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
            packed.write_all(&bytes).ok()?;
            packed.finish().ok()
        });
        if let (Some(packed), Some(folder)) = (packed, file.parent())
            && fs::create_dir_all(folder).is_ok()
        {
            let _ = atomic::write(file, &packed);
        }
    }
}

/// Reads an index; `None` if the file is missing or damaged.
fn read(file: &Path) -> Option<Index> {
    let packed = BufReader::new(File::open(file).ok()?);
    serde_json::from_reader(BufReader::new(GzDecoder::new(packed))).ok()
}
