//! A walk over a folder: the images in it and in the folders below, and a cheap check for changes.
//!
//! Adding, removing or renaming a file changes the modification time of its folder, so that a tree
//! of 1.28 million files is checked by its thousand folders. A file that is overwritten in place
//! goes unnoticed.

use crate::error::{Error, Result};
use rayon::prelude::*;
use residual::image::is_image_name;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Levels of folders that are walked.
const MAX_DEPTH: usize = 10;
/// Coarsest resolution of file systems' clocks.
const CLOCK_RESOLUTION: Duration = Duration::from_secs(2);

/// Folders by their path relative to the root, whose own is empty; sorted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tree {
    folders: BTreeMap<PathBuf, Folder>,
    /// Time at which the walk began.
    walked: SystemTime,
}

/// The files of one folder. Names that begin with a dot are left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Folder {
    stamp: Stamp,
    /// Names of images, sorted.
    images: Vec<PathBuf>,
    /// Numbers of other files by extension.
    others: BTreeMap<String, usize>,
}

/// Metadata that change when a folder's entries do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    modified: SystemTime,
    /// Size of the list of entries on disk.
    size: u64,
}

impl Stamp {
    /// Reads a folder's stamp.
    fn of(folder: &Path) -> std::io::Result<Self> {
        let metadata = fs::metadata(folder)?;
        Ok(Self { modified: metadata.modified()?, size: metadata.len() })
    }
}

impl Tree {
    /// Walks all folders below `root`.
    pub fn walk(root: &Path) -> Result<Self> {
        let walked = SystemTime::now();
        Ok(Self { folders: walk(root, PathBuf::new(), &[])?.into_iter().collect(), walked })
    }

    /// Returns whether no folder has gained or lost an entry since the walk.
    pub fn is_fresh(&self, root: &Path) -> bool {
        let same = |(path, folder): (&PathBuf, &Folder)| {
            // A folder that changed just before the walk may have changed again at the same time
            // stamp.
            let settled = folder.stamp.modified + CLOCK_RESOLUTION < self.walked;
            settled && Stamp::of(&root.join(path)).is_ok_and(|stamp| stamp == folder.stamp)
        };
        self.folders.par_iter().all(same)
    }

    /// Returns the number of images.
    pub fn len(&self) -> usize {
        self.folders.values().map(|folder| folder.images.len()).sum()
    }

    /// Returns whether there is such a folder.
    pub fn has(&self, folder: &Path) -> bool {
        self.folders.contains_key(folder)
    }

    /// Returns the names of the folders in `folder`.
    pub fn folders_in(&self, folder: &Path) -> Vec<String> {
        let inside = self.folders.keys().filter(|path| path.parent() == Some(folder));
        inside.filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned())).collect()
    }

    /// Returns the images in `folder` itself by their paths relative to the root.
    pub fn images_in(&self, folder: &Path) -> Vec<PathBuf> {
        self.folders
            .get(folder)
            .map_or_else(Vec::new, |found| found.images.iter().map(|name| folder.join(name)).collect())
    }

    /// Returns the images in `folder` and in all folders below it.
    pub fn images_below(&self, folder: &Path) -> Vec<PathBuf> {
        self.below(folder).flat_map(|(path, found)| found.images.iter().map(move |name| path.join(name))).collect()
    }

    /// Counts the other files in the folders below `folder` by extension.
    pub fn others_below(&self, folder: &Path) -> BTreeMap<String, usize> {
        let mut others = BTreeMap::new();
        let inside = self.below(folder).filter(|(path, _)| path.as_path() != folder);
        for (kind, n) in inside.flat_map(|(_, found)| &found.others) {
            *others.entry(kind.clone()).or_default() += n;
        }
        others
    }

    /// Returns `folder` and the folders below it.
    fn below<'a>(&'a self, folder: &'a Path) -> impl Iterator<Item = (&'a PathBuf, &'a Folder)> {
        // A folder sorts right before its contents.
        self.folders.range(folder.to_path_buf()..).take_while(move |(path, _)| path.starts_with(folder))
    }
}

/// Returns the paths of all images below `folder`, sorted. Names that begin with a dot are left
/// out.
///
/// # Errors
/// Fails if a folder cannot be read.
pub fn images_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Tree::walk(folder)?.images_below(Path::new(""));
    found.sort();
    Ok(found.into_iter().map(|path| folder.join(path)).collect())
}

/// Lists the folder at `path`, which is inside the folders `above`, and those below it. A link to a
/// folder above is left out, since following it would never end.
fn walk(root: &Path, path: PathBuf, above: &[PathBuf]) -> Result<Vec<(PathBuf, Folder)>> {
    let full = root.join(&path);
    let fail = |error| Error::io("read", &full, error);
    let real = fs::canonicalize(&full).map_err(fail)?;
    if above.contains(&real) {
        return Ok(Vec::new());
    }
    // The stamp is read first, so that a change during the walk makes it stale.
    let stamp = Stamp::of(&full).map_err(fail)?;
    let mut folder = Folder { stamp, images: Vec::new(), others: BTreeMap::new() };
    let mut inside = Vec::new();
    for entry in fs::read_dir(&full).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let name = PathBuf::from(entry.file_name());
        if name.to_string_lossy().starts_with('.') {
            continue;
        }
        // This asks the file system again only for links.
        let kind = entry.file_type().map_err(fail)?;
        if kind.is_dir() || (kind.is_symlink() && entry.path().is_dir()) {
            inside.push(path.join(name));
        } else if is_image_name(&name) {
            folder.images.push(name);
        } else {
            let kind = name.extension().map_or_else(
                || "without an extension".into(),
                |extension| format!(".{}", extension.to_string_lossy().to_ascii_lowercase()),
            );
            *folder.others.entry(kind).or_default() += 1;
        }
    }
    folder.images.sort();
    let mut found = vec![(path, folder)];
    let above: Vec<PathBuf> = above.iter().cloned().chain([real]).collect();
    if above.len() <= MAX_DEPTH {
        let below: Vec<_> = inside.into_par_iter().map(|path| walk(root, path, &above)).collect::<Result<_>>()?;
        found.extend(below.into_iter().flatten());
    }
    Ok(found)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn links_are_followed_except_to_folders_above() {
        let [folder, elsewhere] = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
        let [cat, dog] = [folder.path().join("cat"), elsewhere.path().join("dog")];
        for class in [&cat, &dog] {
            fs::create_dir(class).expect("a folder");
            fs::write(class.join("a.png"), []).expect("a file");
        }
        let link = std::os::unix::fs::symlink::<&Path, PathBuf>;
        link(folder.path(), cat.join("again")).expect("a link");
        link(&dog, folder.path().join("dog")).expect("a link");
        let tree = Tree::walk(folder.path()).expect("a tree");
        assert_eq!(tree.images_below(Path::new("")), ["cat/a.png", "dog/a.png"].map(PathBuf::from));
    }
}
