//! What is remembered of a large folder from one run to the next: its list of images, and that they are whole.
//!
//! To list ImageNet is to read two thousand folders, and to know that none of its files is truncated is to read 140 GB. Both
//! are kept in the cache folder, compressed, in a file that is named after the folder's path. The folder itself is only
//! read.

use super::super::cifar::hex;
use super::super::fetch::cache_dir;
use super::tree::Tree;
use crate::atomic;
use crate::error::Result;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};

/// Fewer images than these are listed and read in no time.
const LARGE: usize = 10_000;
/// An index of another form is as good as none.
const FORM: u32 = 3;

/// A folder as it was when it was last looked at.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Index {
    form: u32,
    root: PathBuf,
    pub tree: Tree,
    /// What reading every file came to, if that was done.
    pub checked: Option<Checked>,
    /// Where it is kept.
    #[serde(skip)]
    file: Option<PathBuf>,
}

/// The outcome of reading every image of a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Checked {
    /// Whether every image was decoded, not only looked at for its head and its end.
    pub decoded: bool,
    /// The fingerprint of those that are whole.
    pub md5: String,
    /// How many have a colour profile that is ignored.
    pub profiled: usize,
    /// Those that are not whole, seen from the folder: it may be spelt in another way next time.
    pub bad: Vec<PathBuf>,
}

impl Index {
    /// The tree below `root`: the remembered one where nothing has changed, else a new walk. Without a cache folder that
    /// is what it always is.
    pub fn open(root: &Path) -> Result<Self> {
        Self::open_in(root, cache_dir().ok().as_deref(), LARGE)
    }

    /// A new walk, which is not remembered.
    pub fn anew(root: &Path) -> Result<Self> {
        Ok(Self { form: FORM, root: root.to_path_buf(), tree: Tree::walk(root)?, checked: None, file: None })
    }

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

    /// Remembers what reading every file came to.
    pub fn remember(&mut self, checked: Checked) {
        self.checked = Some(checked);
        self.save();
    }

    /// What cannot be written is not remembered, and nothing is lost but time.
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

fn read(file: &Path) -> Option<Index> {
    let packed = BufReader::new(File::open(file).ok()?);
    serde_json::from_reader(BufReader::new(GzDecoder::new(packed))).ok()
}
