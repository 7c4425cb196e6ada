//! Reading all of a data set to say what it is: `data check`.

use super::images::Provenance;
use super::options::DataOptions;
use super::progress::Progress;
use super::source::{self, Thoroughness};
use crate::error::{Error, Result};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// What a folder or an archive of images holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Its absolute path.
    pub path: PathBuf,
    /// What it is: `cifar10`, or the name of the folder.
    pub name: String,
    /// What results on it should be called.
    pub label: String,
    /// Images of all splits.
    pub images: usize,
    /// MD5 of the image files, uncompressed, one after the other in the data set's own order.
    pub md5: String,
    /// Whether these are the published pixels; `None` where nothing published can tell.
    pub canonical: Option<bool>,
    /// Class names in label order.
    pub classes: Vec<String>,
    /// Images of the training, validation (where the source has such a split of its own) and test split.
    pub splits: [usize; 3],
    /// What the user should know: one sentence each.
    pub warnings: Vec<String>,
}

/// Reads every record of a folder or an archive, and decodes every image.
///
/// # Errors
/// As [`open`](super::open): the first file or record that is short, truncated, corrupt or out of range, or the
/// images that do not decode.
pub fn check(path: &Path, progress: &mut dyn Progress) -> Result<Report> {
    if !path.exists() {
        return Err(Error::data(format!("{} does not exist", path.display())));
    }
    let options = DataOptions::new(path.to_string_lossy());
    let parts = source::read(path, &options, Thoroughness::Everything, progress)?;
    let Provenance { images, md5, canonical } = parts.provenance.clone();
    let validation = parts.validation.as_ref().map_or(0, |found| found.labels().len());
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    Ok(Report {
        path,
        label: parts.provenance.label(&parts.name),
        name: parts.name,
        images,
        md5,
        canonical,
        classes: parts.classes,
        splits: [parts.train.labels().len(), validation, parts.test.labels().len()],
        warnings: parts.warnings,
    })
}
