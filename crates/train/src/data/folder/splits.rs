//! The splits of a folder and the class of each image.
//!
//! - `DIR/CLASS/*` is split 80/10/10 by a hash of the file name.
//! - `DIR/{train,val,test}/CLASS/*` are the splits: ImageNet as unpacked or as Kaggle has it
//!   (`ILSVRC/Data/CLS-LOC`), Tiny ImageNet.
//! - `val` (or `DIR` itself) may hold images without class folders, beside a file of labels.
//!
//! `train` may be missing in a folder that is only tested on.

use super::labels::{self, Labels};
use super::tree::Tree;
use crate::error::{Error, Result};
use md5::{Digest, Md5};
use residual::classes::imagenet;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Files of one split with their labels.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub paths: Vec<PathBuf>,
    pub labels: Vec<u32>,
}

/// The three splits of a folder.
pub(super) struct Splits {
    /// Names in the order of labels.
    pub classes: Vec<String>,
    pub train: Listing,
    pub validation: Option<Listing>,
    pub test: Listing,
    /// Whether the folder names its test images; in a flat folder some are held out instead.
    pub has_test_split: bool,
    pub warnings: Vec<String>,
}

/// A folder, and the tree below it.
struct Source<'a> {
    root: &'a Path,
    tree: &'a Tree,
    /// Folder of `train` and `val` relative to the root.
    base: &'a Path,
}

/// Folders of images in Kaggle's archive.
pub(crate) const KAGGLE_FOLDERS: [&str; 2] = ["ILSVRC/Data/CLS-LOC", "Data/CLS-LOC"];

/// Lists the files of each split. With `train_on_all`, a flat folder has no validation images.
pub(super) fn list(root: &Path, tree: &Tree, train_on_all: bool) -> Result<Splits> {
    let base = KAGGLE_FOLDERS.into_iter().map(Path::new).find(|path| tree.has(path)).unwrap_or(Path::new(""));
    let source = Source { root, tree, base };
    let mut splits = source.list(train_on_all)?;
    // Only for classes with IDs: a words.txt in a folder above may be something else.
    if splits.classes.iter().any(|class| imagenet::is_id(class)) {
        splits.classes = readable(splits.classes, &labels::names(&source.full(base))?);
    }
    Ok(splits)
}

/// Replaces classes that are WordNet IDs by their names if those are known. Classes of the same
/// name keep their IDs in parentheses.
fn readable(classes: Vec<String>, known: &BTreeMap<String, String>) -> Vec<String> {
    let name = |class: &String| {
        let name = imagenet::name(class).or_else(|| known.get(class).map(String::as_str));
        name.filter(|_| imagenet::is_id(class)).unwrap_or(class).to_owned()
    };
    let names: Vec<String> = classes.iter().map(name).collect();
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    names.iter().for_each(|name| *seen.entry(name).or_default() += 1);
    let unique = |(name, class): (&String, &String)| match seen[name.as_str()] {
        1 => name.clone(),
        _ => format!("{name} ({class})"),
    };
    names.iter().zip(&classes).map(unique).collect()
}

impl Source<'_> {
    /// Returns a path with the root.
    fn full(&self, path: &Path) -> PathBuf {
        if path.as_os_str().is_empty() { self.root.to_path_buf() } else { self.root.join(path) }
    }

    /// Returns the first of these folders that exists.
    fn named(&self, names: &[&str]) -> Option<PathBuf> {
        names.iter().map(|name| self.base.join(name)).find(|path| self.tree.has(path))
    }

    /// Returns the first of these folders that exists, ignoring case, if it holds class folders: a
    /// class may be called Train.
    fn named_loosely(&self, names: &[&str]) -> Option<PathBuf> {
        let existing = self.tree.folders_in(self.base);
        let folded = names.iter().find_map(|name| existing.iter().find(|folder| folder.eq_ignore_ascii_case(name)));
        folded.map(|folder| self.base.join(folder)).filter(|path| self.class_names(path).len() > 1)
    }

    /// Finds the folders of training, validation and test images by their usual names, else by
    /// other spellings.
    fn split_folders(&self) -> [Option<PathBuf>; 3] {
        let validation = ["val", "valid", "validation"];
        let exact = [self.named(&["train"]), self.named(&validation), self.named(&["test"])];
        match self.named_loosely(&["train", "training"]) {
            Some(train) if exact[0].is_none() => {
                [Some(train), self.named_loosely(&validation), self.named_loosely(&["test", "testing"])]
            }
            _ => exact,
        }
    }

    /// Returns whether the images of `test` have labels: those of ImageNet and of competitions have
    /// none.
    fn is_labelled(&self, test: &Path) -> bool {
        // Errors in that file are reported when it is read.
        let has_file = labels::beside(&self.full(test)).is_some();
        let knows_any = |(images, labels): (Vec<PathBuf>, Labels)| images.iter().any(|one| labels.get(one).is_some());
        !self.class_names(test).is_empty() || has_file || self.images_and_labels(test).is_ok_and(knows_any)
    }

    /// Lists the splits in whichever layout the folder has.
    fn list(&self, train_on_all: bool) -> Result<Splits> {
        let [train, validation, test] = self.split_folders();
        let mut warnings = Vec::new();
        let test = test.filter(|test| {
            let is_all = validation.is_none() && train.is_none();
            let is_used = is_all || self.is_labelled(test);
            if !is_used {
                warnings.push(format!("{} is ignored: it has no class folders", self.full(test).display()));
            }
            is_used
        });
        let Some(train) = train else {
            return match test.or(validation) {
                Some(test) => self.test_only(&test, warnings),
                None if self.class_names(self.base).is_empty() && !self.tree.images_in(self.base).is_empty() => {
                    self.test_only(self.base, warnings)
                }
                None => self.flat(self.base, train_on_all),
            };
        };
        let (validation, test) = match (validation, test) {
            (validation, Some(test)) => (validation, test),
            (Some(val), None) => {
                let place = self.root.display();
                warnings.push(format!(
                    "{place} has no test folder: val is used for testing, and a tenth of train for validation"
                ));
                (None, val)
            }
            (None, None) => return self.without_tests(&train, train_on_all, warnings),
        };
        let classes = self.class_folders(&train)?;
        let (train, others) = self.listing(&train, &classes)?;
        warnings.extend(others);
        self.check_classes(&classes, &train)?;
        let mut split = |folder: &Path| {
            let (listing, others) = self.labelled(folder, &classes)?;
            warnings.extend(others);
            Ok::<Listing, Error>(listing)
        };
        let validation = validation.map(|folder| split(&folder)).transpose()?;
        let test = split(&test)?;
        Ok(Splits { classes, train, validation, test, has_test_split: true, warnings })
    }

    /// Splits `train` if it is the only folder; half of an ImageNet folder is an error.
    fn without_tests(&self, train: &Path, train_on_all: bool, warnings: Vec<String>) -> Result<Splits> {
        let place = self.root.display();
        if self.class_names(train).iter().all(|class| imagenet::is_id(class)) {
            return Err(Error::data(format!("{place} has train but no val: half of an ImageNet folder is missing"))
                .with_hint(format!(
                    "put the validation images into {place}/val, or name {place}/train to hold out a tenth of it for tests"
                )));
        }
        let flat = self.flat(train, train_on_all)?;
        let warning = format!("{place} has neither val nor test: train is split 80/10/10");
        Ok(Splits { warnings: warnings.into_iter().chain([warning]).chain(flat.warnings).collect(), ..flat })
    }

    /// Lists a folder that has only test images.
    fn test_only(&self, test: &Path, mut warnings: Vec<String>) -> Result<Splits> {
        let classes = match self.class_names(test).is_empty() {
            false => self.class_folders(test)?,
            true => self.labelled_classes(test)?,
        };
        let (listing, others) = self.labelled(test, &classes)?;
        warnings.extend(others);
        let train = Listing::default();
        Ok(Splits { classes, train, validation: None, test: listing, has_test_split: true, warnings })
    }

    /// Splits a folder of class folders by file names.
    fn flat(&self, root: &Path, train_on_all: bool) -> Result<Splits> {
        let classes = self.class_folders(root)?;
        self.reject_splits(root, &classes)?;
        let (all, others) = self.listing(root, &classes)?;
        self.check_classes(&classes, &all)?;
        let mut splits: [Listing; 3] = Default::default();
        let mut assigned: Vec<usize> = all.paths.iter().map(|p| bucket(p)).collect();
        if train_on_all {
            assigned.iter_mut().filter(|p| **p == 1).for_each(|p| *p = 0);
        }
        // With few images a split may be empty: each class of three or more gives it one.
        for split in if train_on_all { 2..3 } else { 1..3 } {
            if !assigned.contains(&split) {
                give_one_of_each(&all.labels, classes.len(), split, &mut assigned);
            }
        }
        for ((path, label), split) in all.paths.into_iter().zip(all.labels).zip(assigned) {
            splits[split].paths.push(path);
            splits[split].labels.push(label);
        }
        let [train, validation, test] = splits;
        let (validation, warnings) = (Some(validation), Vec::from_iter(others));
        Ok(Splits { classes, train, validation, test, has_test_split: false, warnings })
    }

    /// Rejects folders that are splits with other names (`seg_train`, `seg_test`), not classes:
    /// they hold only class folders.
    fn reject_splits(&self, root: &Path, folders: &[String]) -> Result<()> {
        let is_named_like_split = |name: &String| {
            let name = name.to_ascii_lowercase();
            ["train", "test", "val"].iter().any(|split| name.contains(split))
        };
        let holds_classes = |name: &String| {
            let path = root.join(name);
            self.tree.images_in(&path).is_empty() && self.class_names(&path).len() > 1
        };
        if !folders.iter().all(|name| is_named_like_split(name) && holds_classes(name)) {
            return Ok(());
        }
        let (place, names) = (self.full(root), folders.join(", "));
        Err(Error::data(format!(
            "{}: {names} hold only folders, so they look like splits rather than classes",
            place.display()
        ))
        .with_hint("name them train, val and test"))
    }

    /// Returns the folders in `folder` that are classes. A folder `images` is not one if it is
    /// alone, as in Tiny ImageNet, or beside one other, such as annotations.
    fn class_names(&self, folder: &Path) -> Vec<String> {
        let mut names = self.tree.folders_in(folder);
        if names.len() < 3 {
            names.retain(|name| name != "images");
        }
        names
    }

    /// Returns the sorted names of at least two class folders.
    fn class_folders(&self, folder: &Path) -> Result<Vec<String>> {
        let (classes, place) = (self.class_names(folder), self.full(folder));
        match classes.as_slice() {
            [] => Err(Error::data(format!("{} holds no class folders", place.display()))
                .with_hint("put the images of each class into its own folder, named after the class")),
            [only] => Err(Error::data(format!("{} has one class, \"{only}\"", place.display()))
                .with_hint("a classifier needs at least two classes, with a folder for each")),
            _ => Ok(classes),
        }
    }

    /// Lists the images of every class of one split, and a warning about other files. A folder that
    /// is not a class of the training images is an error.
    fn listing(&self, folder: &Path, classes: &[String]) -> Result<(Listing, Option<String>)> {
        let mut listing = Listing::default();
        for name in self.class_names(folder) {
            let path = folder.join(&name);
            let Ok(label) = classes.binary_search(&name) else {
                let path = self.full(&path);
                return Err(Error::data(format!("{} is a class that the training images do not have", path.display())));
            };
            listing.paths.extend(self.tree.images_below(&path).iter().map(|path| self.full(path)));
            listing.labels.resize(listing.paths.len(), label as u32);
        }
        let others = self.tree.others_below(folder);
        let kinds: Vec<String> = others.iter().map(|(kind, n)| format!("{n} {kind}")).collect();
        let place = self.full(folder);
        let warning = format!("{} holds files that are not images: {}", place.display(), kinds.join(", "));
        Ok((listing, (!others.is_empty()).then_some(warning)))
    }

    /// Lists a split by its class folders, or by a file of labels if it has none.
    fn labelled(&self, folder: &Path, classes: &[String]) -> Result<(Listing, Option<String>)> {
        if !self.class_names(folder).is_empty() {
            let (listing, others) = self.listing(folder, classes)?;
            if listing.paths.is_empty() {
                let place = self.full(folder);
                return Err(Error::data(format!("the class folders of {} have no images", place.display())));
            }
            return Ok((listing, others));
        }
        let (images, labels) = self.images_and_labels(folder)?;
        let (mut listing, mut without, mut first) = (Listing::default(), 0, None);
        for image in images {
            match labels.get(&image) {
                Some(class) => {
                    listing.labels.push(label_of(class, classes).ok_or_else(|| {
                        let file = labels.file.display();
                        Error::data(format!("{file} has class \"{class}\", which the training images do not have"))
                    })?);
                    listing.paths.push(self.full(&image));
                }
                None => {
                    without += 1;
                    first.get_or_insert(image);
                }
            }
        }
        let file = labels.file.display();
        match first {
            None => Ok((listing, None)),
            Some(first) if listing.paths.is_empty() => {
                let message = format!("{file} has labels of {} images, but none of {}", labels.len(), first.display());
                Err(Error::data(message).with_hint("check that labels and images are of the same data set"))
            }
            Some(first) => {
                let message = format!("{file} has no label for {without} images, such as {}", first.display());
                Err(Error::data(message).with_hint("remove them, or add lines for them"))
            }
        }
    }

    /// Returns the images of a folder without class folders, and the file that labels them.
    fn images_and_labels(&self, folder: &Path) -> Result<(Vec<PathBuf>, Labels)> {
        let place = self.full(folder);
        let images = match self.tree.has(&folder.join("images")) {
            true => self.tree.images_in(&folder.join("images")),
            false => self.tree.images_in(folder),
        };
        let labels = Labels::of(&place, &self.full(self.base), &images)?;
        match (images.is_empty(), labels) {
            (false, Some(labels)) => Ok((images, labels)),
            (false, None) => Err(Error::data(format!(
                "{} has {} images, but neither class folders nor a file of labels",
                place.display(),
                images.len()
            ))
            .with_hint(
                "make a folder for each class, or a val.txt beside them with a file and its class on each line",
            )),
            (true, Some(labels)) => Err(Error::data(format!(
                "{} has labels of {} images, but {} has no images",
                labels.file.display(),
                labels.len(),
                place.display()
            ))
            .with_hint("unpack the images there")),
            (true, None) => Err(Error::data(format!("{} has no images", place.display()))
                .with_hint("make a folder for each class and put its images into it")),
        }
    }

    /// Returns the classes in a file of labels. Numbers are taken as ImageNet's, since nothing
    /// names their classes.
    fn labelled_classes(&self, folder: &Path) -> Result<Vec<String>> {
        let (images, labels) = self.images_and_labels(folder)?;
        let found: BTreeSet<&str> = images.iter().filter_map(|image| labels.get(image)).collect();
        let numbers = found.iter().all(|class| class.parse::<usize>().is_ok_and(|number| number < 1000));
        match numbers {
            true => Ok(imagenet::ids().map(String::from).collect()),
            false => Ok(found.into_iter().map(String::from).collect()),
        }
    }

    /// Checks that every class has an image.
    fn check_classes(&self, classes: &[String], listing: &Listing) -> Result<()> {
        let mut seen = vec![false; classes.len()];
        listing.labels.iter().for_each(|&label| seen[label as usize] = true);
        match classes.iter().zip(seen).find(|(_, seen)| !seen) {
            Some((class, _)) => {
                Err(Error::data(format!("class folder \"{class}\" in {} has no images", self.root.display()))
                    .with_hint("remove the folder, or put JPEG, PNG, WebP or BMP files into it"))
            }
            None => Ok(()),
        }
    }
}

/// Returns the label of `class` in a file of labels: a class folder, the name of a WordNet ID, or a
/// number in sorted order.
fn label_of(class: &str, classes: &[String]) -> Option<u32> {
    let by_name = || classes.iter().position(|known| imagenet::name(known) == Some(class));
    let by_number = || class.parse().ok().filter(|number| *number < classes.len());
    classes
        .binary_search_by(|known| known.as_str().cmp(class))
        .ok()
        .or_else(by_name)
        .or_else(by_number)
        .map(|i| i as u32)
}

/// Moves an image of each class with at least two training images to `split`.
fn give_one_of_each(labels: &[u32], classes: usize, split: usize, assigned: &mut [usize]) {
    for class in 0..classes as u32 {
        let members: Vec<usize> = (0..labels.len()).filter(|&i| labels[i] == class && assigned[i] == 0).collect();
        if let [.., last] = members.as_slice()
            && members.len() >= 2
        {
            assigned[*last] = split;
        }
    }
}

/// Returns 0, 1 or 2 (training, validation, test; 80/10/10) by the MD5 of the file's name.
fn bucket(path: &Path) -> usize {
    let name = path.file_name().unwrap_or_default();
    let digest = Md5::digest(name.to_string_lossy().as_bytes());
    let first = digest.iter().take(4).fold(0u32, |n, &byte| n << 8 | u32::from(byte));
    match first % 10 {
        0..8 => 0,
        8 => 1,
        _ => 2,
    }
}
