//! Reading all of a data set to report what it holds: `data check` and `data fetch`.

use super::fetch::{FetchOptions, Fetched, obtain};
use super::options::DataOptions;
use super::progress::Progress;
use super::provenance::Provenance;
use super::raw::ValidateLevel;
use super::source;
use crate::error::{Error, Result};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// What a folder or an archive of images holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DataReport {
    /// Absolute path.
    pub path: PathBuf,
    /// Name of the data set: `cifar10`, or the name of the folder.
    pub name: String,
    /// Name under which results on these images are reported.
    pub label: String,
    /// Number of images in all splits.
    pub images: usize,
    /// MD5 of the image files, uncompressed, one after the other in the data set's own order.
    pub md5: String,
    /// Result of the fingerprint check: whether these are the published pixels. `None` where there
    /// is no published fingerprint to compare with.
    pub canonical: Option<bool>,
    /// Class names in label order.
    pub classes: Vec<String>,
    /// Numbers of training, validation and test images; validation is 0 where the source has no
    /// such split of its own.
    pub splits: [usize; 3],
    /// What a user should know about the images: one sentence each.
    pub warnings: Vec<String>,
}

/// Reads every record of a folder or an archive and decodes every image.
///
/// # Errors
/// Fails as [`open`](super::open) does: with the first file or record that is short, truncated,
/// corrupt or out of range, or with the images that do not decode.
pub fn check(path: &Path, progress: &mut dyn Progress) -> Result<DataReport> {
    if !path.exists() {
        return Err(Error::data(format!("{} does not exist", path.display())));
    }
    let options = DataOptions::new(path.to_string_lossy());
    let raw = source::read(path, &options, ValidateLevel::Full, progress)?;
    let Provenance { images, md5, canonical } = raw.provenance.clone();
    let validation = raw.validation.as_ref().map_or(0, |split| split.labels().len());
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    Ok(DataReport {
        path,
        label: raw.provenance.label(&raw.name),
        name: raw.name,
        images,
        md5,
        canonical,
        classes: raw.classes,
        splits: [raw.train.labels().len(), validation, raw.test.labels().len()],
        warnings: raw.warnings,
    })
}

/// Downloads the data set `name`, or takes it from a file, then checks all of it.
///
/// A data set that exists already is not downloaded again; a file given for it is not read, and the
/// report warns of that. `shapes` is generated and written in CIFAR's binary layout.
///
/// # Errors
/// Fails if the name is unknown, no mirror has the published bytes, the given file is missing or
/// not the published one, the destination cannot be written, or the check fails.
pub fn fetch(name: &str, options: &FetchOptions, progress: &mut dyn Progress) -> Result<DataReport> {
    let Fetched { path, existed } = obtain(name, options, progress)?;
    let mut report = check(&path, progress)?;
    if let Some(file) = options.from_file.as_ref().filter(|_| existed) {
        report.warnings.push(format!("{name} was in {} already: {} was not read", path.display(), file.display()));
    }
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::super::shapes::SHAPES_MD5;
    use super::*;
    use std::fs;

    #[test]
    fn a_file_given_for_an_existing_data_set_is_not_read_and_the_report_warns() {
        let folder = tempfile::tempdir().expect("a folder");
        let (to, file) = (folder.path().join("to"), folder.path().join("any.tar.gz"));
        let batches = to.join("cifar-10-batches-bin");
        fs::create_dir_all(&batches).expect("writable");
        for batch in ["data_batch_1.bin", "test_batch.bin"] {
            fs::write(batches.join(batch), vec![0; 3073]).expect("writable");
        }
        fs::write(&file, b"not an archive").expect("writable");
        let options = FetchOptions { from_file: Some(file.clone()), to: Some(to) };
        let report = fetch("cifar10", &options, &mut ()).expect("it is there");
        let warning = format!("cifar10 was in {} already: {} was not read", batches.display(), file.display());
        assert!(report.warnings.contains(&warning), "{:?}", report.warnings);
    }

    #[test]
    fn shapes_are_written_in_a_layout_that_reads_back_the_same() {
        let folder = tempfile::tempdir().expect("a folder");
        let options = FetchOptions { from_file: None, to: Some(folder.path().into()) };
        let report = fetch("shapes", &options, &mut ()).expect("writable");
        assert_eq!((report.images, report.canonical), (22_000, None));
        assert_eq!(report.md5, SHAPES_MD5);
        assert_eq!(report.classes[4], "star");
        assert_ne!(report.name, "cifar10");
    }
}
