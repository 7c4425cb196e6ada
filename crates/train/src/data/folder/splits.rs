//! Which images of a folder are for training, which for validation, which for testing, and which class each is of.
//!
//! - `DIR/CLASS/*` is split 80/10/10 by a hash of the file name.
//! - `DIR/{train,val,test}/CLASS/*` are the splits. ImageNet as it is unpacked or as Kaggle has it
//!   (`ILSVRC/Data/CLS-LOC`), Tiny ImageNet.
//! - `val` (or `DIR` itself) may hold images without class folders, beside a file of labels.
//!
//! `train` may be missing, for testing; whoever trains on it is told so.

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

/// The three splits of a folder, and what to tell about them.
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
    /// Where `train` and `val` are, seen from the root.
    base: &'a Path,
}

/// Where Kaggle keeps the images.
pub(crate) const KAGGLE: [&str; 2] = ["ILSVRC/Data/CLS-LOC", "Data/CLS-LOC"];

/// The files of each split. `train_on_all` leaves a flat folder without validation images.
pub(super) fn list(root: &Path, tree: &Tree, train_on_all: bool) -> Result<Splits> {
    let base = KAGGLE.into_iter().map(Path::new).find(|path| tree.has(path)).unwrap_or(Path::new(""));
    let source = Source { root, tree, base };
    let mut splits = source.list(train_on_all)?;
    // Only then: a words.txt somewhere above may be anything.
    if splits.classes.iter().any(|class| imagenet::is_id(class)) {
        splits.classes = readable(splits.classes, &labels::names(&source.full(base))?);
    }
    Ok(splits)
}

/// Classes that are WordNet IDs by their names, as far as those are known. Two of one name keep their IDs beside it.
fn readable(classes: Vec<String>, known: &BTreeMap<String, String>) -> Vec<String> {
    let name = |class: &String| {
        let name = imagenet::name(class).or_else(|| known.get(class).map(String::as_str));
        name.filter(|_| imagenet::is_id(class)).unwrap_or(class).to_owned()
    };
    let names: Vec<String> = classes.iter().map(name).collect();
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    names.iter().for_each(|name| *seen.entry(name).or_default() += 1);
    let unlike = |(name, class): (&String, &String)| match seen[name.as_str()] {
        1 => name.clone(),
        _ => format!("{name} ({class})"),
    };
    names.iter().zip(&classes).map(unlike).collect()
}

impl Source<'_> {
    fn full(&self, path: &Path) -> PathBuf {
        if path.as_os_str().is_empty() { self.root.to_path_buf() } else { self.root.join(path) }
    }

    /// The first of these folders that is there.
    fn named(&self, names: &[&str]) -> Option<PathBuf> {
        names.iter().map(|name| self.base.join(name)).find(|path| self.tree.has(path))
    }

    /// As [`named`](Self::named), in capitals or not; only where it holds class folders, for a class may be called Train.
    fn named_loosely(&self, names: &[&str]) -> Option<PathBuf> {
        let there = self.tree.folders_in(self.base);
        let folded = names.iter().find_map(|name| there.iter().find(|folder| folder.eq_ignore_ascii_case(name)));
        folded.map(|folder| self.base.join(folder)).filter(|path| self.class_names(path).len() > 1)
    }

    /// Where training, validation and test images are: as everybody calls them, else in capitals or in the words of other data sets.
    fn places(&self) -> [Option<PathBuf>; 3] {
        let validation = ["val", "valid", "validation"];
        let exact = [self.named(&["train"]), self.named(&validation), self.named(&["test"])];
        match self.named_loosely(&["train", "training"]) {
            Some(train) if exact[0].is_none() => {
                [Some(train), self.named_loosely(&validation), self.named_loosely(&["test", "testing"])]
            }
            _ => exact,
        }
    }

    /// Whether something says what the images of `test` show: ImageNet's have no published labels, nor have those of competitions.
    fn is_labelled(&self, test: &Path) -> bool {
        // What is wrong with a file that lies there is told when it is read.
        let has_file = labels::beside(&self.full(test)).is_some();
        let knows_any = |(images, labels): (Vec<PathBuf>, Labels)| images.iter().any(|one| labels.get(one).is_some());
        !self.class_names(test).is_empty() || has_file || self.images_and_labels(test).is_ok_and(knows_any)
    }

    fn list(&self, train_on_all: bool) -> Result<Splits> {
        let [train, validation, test] = self.places();
        let mut warnings = Vec::new();
        let test = test.filter(|test| {
            let is_all = validation.is_none() && train.is_none();
            let taken = is_all || self.is_labelled(test);
            if !taken {
                warnings.push(format!("{} is left alone: it has no class folders", self.full(test).display()));
            }
            taken
        });
        let Some(train) = train else {
            return match test.or(validation) {
                Some(test) => self.only_tested(&test, warnings),
                None if self.class_names(self.base).is_empty() && !self.tree.images_in(self.base).is_empty() => {
                    self.only_tested(self.base, warnings)
                }
                None => self.flat(self.base, train_on_all),
            };
        };
        let (validation, test) = match (validation, test) {
            (validation, Some(test)) => (validation, test),
            (Some(val), None) => {
                let place = self.root.display();
                warnings.push(format!("{place} has no test folder: val is tested, and a tenth of train validates"));
                (None, val)
            }
            (None, None) => return self.without_tests(&train, train_on_all, warnings),
        };
        let classes = self.class_folders(&train)?;
        let (train, others) = self.listing(&train, &classes)?;
        warnings.extend(others);
        self.every_class(&classes, &train)?;
        let mut split = |folder: &Path| {
            let (listing, others) = self.labelled(folder, &classes)?;
            warnings.extend(others);
            Ok::<Listing, Error>(listing)
        };
        let validation = validation.map(|folder| split(&folder)).transpose()?;
        let test = split(&test)?;
        Ok(Splits { classes, train, validation, test, has_test_split: true, warnings })
    }

    /// `train` stands alone. One's own folder is split; half of ImageNet is a mistake.
    fn without_tests(&self, train: &Path, train_on_all: bool, warnings: Vec<String>) -> Result<Splits> {
        let place = self.root.display();
        if self.class_names(train).iter().all(|class| imagenet::is_id(class)) {
            return Err(Error::data(format!("{place} has train, and no val: half of an ImageNet folder is missing"))
                .with_hint(format!(
                    "put the validation images into {place}/val, or take {place}/train to hold a tenth of it back for tests"
                )));
        }
        let flat = self.flat(train, train_on_all)?;
        let warning = format!("{place} has neither val nor test: train is split 80/10/10");
        Ok(Splits { warnings: warnings.into_iter().chain([warning]).chain(flat.warnings).collect(), ..flat })
    }

    /// Images to test on, and none to train on.
    fn only_tested(&self, test: &Path, mut warnings: Vec<String>) -> Result<Splits> {
        let classes = match self.class_names(test).is_empty() {
            false => self.class_folders(test)?,
            true => self.labelled_classes(test)?,
        };
        let (listing, others) = self.labelled(test, &classes)?;
        warnings.extend(others);
        let train = Listing::default();
        Ok(Splits { classes, train, validation: None, test: listing, has_test_split: true, warnings })
    }

    fn flat(&self, root: &Path, train_on_all: bool) -> Result<Splits> {
        let classes = self.class_folders(root)?;
        self.no_splits(root, &classes)?;
        let (all, others) = self.listing(root, &classes)?;
        self.every_class(&classes, &all)?;
        let mut splits: [Listing; 3] = Default::default();
        let mut place: Vec<usize> = all.paths.iter().map(|p| bucket(p)).collect();
        if train_on_all {
            place.iter_mut().filter(|p| **p == 1).for_each(|p| *p = 0);
        }
        // So few images that a split got none: each class of three or more gives it one.
        for split in if train_on_all { 2..3 } else { 1..3 } {
            if !place.contains(&split) {
                give_one_of_each(&all.labels, classes.len(), split, &mut place);
            }
        }
        for ((path, label), place) in all.paths.into_iter().zip(all.labels).zip(place) {
            splits[place].paths.push(path);
            splits[place].labels.push(label);
        }
        let [train, validation, test] = splits;
        if train.paths.is_empty() || test.paths.is_empty() {
            let message = format!("{} has too few images to train on some and test on others", self.root.display());
            return Err(Error::data(message).with_hint("three images of a class are the least"));
        }
        let (validation, warnings) = (Some(validation), Vec::from_iter(others));
        Ok(Splits { classes, train, validation, test, has_test_split: false, warnings })
    }

    /// Whether these folders are classes, not splits under names of their own (`seg_train`, `seg_test`): those hold class folders alone.
    fn no_splits(&self, root: &Path, folders: &[String]) -> Result<()> {
        let is_called_so = |name: &String| {
            let name = name.to_ascii_lowercase();
            ["train", "test", "val"].iter().any(|split| name.contains(split))
        };
        let holds_classes = |name: &String| {
            let path = root.join(name);
            self.tree.images_in(&path).is_empty() && self.class_names(&path).len() > 1
        };
        if !folders.iter().all(|name| is_called_so(name) && holds_classes(name)) {
            return Ok(());
        }
        let (place, names) = (self.full(root), folders.join(", "));
        Err(Error::data(format!("{}: {names} hold folders alone: they look like splits, not classes", place.display()))
            .with_hint("call them train, val and test"))
    }

    /// Folders in `folder` that are named after classes. Alone, as in Tiny ImageNet, or beside one other, as annotations often are,
    /// `images` holds images without a class.
    fn class_names(&self, folder: &Path) -> Vec<String> {
        let mut names = self.tree.folders_in(folder);
        if names.len() < 3 {
            names.retain(|name| name != "images");
        }
        names
    }

    /// Sorted names of the folders that are classes.
    fn class_folders(&self, folder: &Path) -> Result<Vec<String>> {
        let (classes, place) = (self.class_names(folder), self.full(folder));
        match classes.as_slice() {
            [] => Err(Error::data(format!("{} holds no class folders", place.display()))
                .with_hint("put the images of each class into a folder of its own, named after it")),
            [only] => Err(Error::data(format!("{} holds one class, \"{only}\"", place.display()))
                .with_hint("a classifier tells at least two apart: a folder for each")),
            _ => Ok(classes),
        }
    }

    /// The images of every class of one split, and what else is there. A folder that is not a class of the training
    /// images is an error.
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

    /// A split by its class folders, or by a file of labels where it has none.
    fn labelled(&self, folder: &Path, classes: &[String]) -> Result<(Listing, Option<String>)> {
        if !self.class_names(folder).is_empty() {
            let (listing, others) = self.listing(folder, classes)?;
            if listing.paths.is_empty() {
                let place = self.full(folder);
                return Err(Error::data(format!("the class folders of {} hold no images", place.display())));
            }
            return Ok((listing, others));
        }
        let (images, labels) = self.images_and_labels(folder)?;
        let (mut listing, mut without, mut first) = (Listing::default(), 0, None);
        for image in images {
            match labels.get(&image) {
                Some(class) => {
                    listing.labels.push(number(class, classes).ok_or_else(|| {
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
                let message = format!("{file} labels {} images, and {} is none of them", labels.len(), first.display());
                Err(Error::data(message).with_hint("are labels and images of the same set?"))
            }
            Some(first) => {
                let message = format!("{file} has no label for {without} images, such as {}", first.display());
                Err(Error::data(message).with_hint("move them elsewhere, or add lines for them"))
            }
        }
    }

    /// The images of a folder without class folders, and the file that labels them.
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
                "{} holds {} images, and neither class folders nor a file of labels",
                place.display(),
                images.len()
            ))
            .with_hint("a folder for each class, or a val.txt beside them with a file and its class on each line")),
            (true, Some(labels)) => Err(Error::data(format!(
                "{} labels {} images, and {} holds none",
                labels.file.display(),
                labels.len(),
                place.display()
            ))
            .with_hint("unpack the images there")),
            (true, None) => Err(Error::data(format!("{} holds no images", place.display()))
                .with_hint("a folder for each class with images in it")),
        }
    }

    /// The classes that a file of labels speaks of. Numbers are ImageNet's, for nothing else says whose they are.
    fn labelled_classes(&self, folder: &Path) -> Result<Vec<String>> {
        let (images, labels) = self.images_and_labels(folder)?;
        let found: BTreeSet<&str> = images.iter().filter_map(|image| labels.get(image)).collect();
        let numbers = found.iter().all(|class| class.parse::<usize>().is_ok_and(|number| number < 1000));
        match numbers {
            true => Ok(imagenet::ids().map(String::from).collect()),
            false => Ok(found.into_iter().map(String::from).collect()),
        }
    }

    fn every_class(&self, classes: &[String], listing: &Listing) -> Result<()> {
        let mut seen = vec![false; classes.len()];
        listing.labels.iter().for_each(|&label| seen[label as usize] = true);
        match classes.iter().zip(seen).find(|(_, seen)| !seen) {
            Some((class, _)) => {
                Err(Error::data(format!("class folder \"{class}\" in {} holds no images", self.root.display()))
                    .with_hint("remove the folder, or put JPEG, PNG, WebP or BMP files into it"))
            }
            None => Ok(()),
        }
    }
}

/// The label that a file means by `class`: a class folder, a WordNet ID's name, or a number in sorted order.
fn number(class: &str, classes: &[String]) -> Option<u32> {
    let by_name = || classes.iter().position(|known| imagenet::name(known) == Some(class));
    let by_number = || class.parse().ok().filter(|number| *number < classes.len());
    classes
        .binary_search_by(|known| known.as_str().cmp(class))
        .ok()
        .or_else(by_name)
        .or_else(by_number)
        .map(|i| i as u32)
}

fn give_one_of_each(labels: &[u32], classes: usize, split: usize, place: &mut [usize]) {
    for class in 0..classes as u32 {
        let mine: Vec<usize> = (0..labels.len()).filter(|&i| labels[i] == class && place[i] == 0).collect();
        if let [.., last] = mine.as_slice()
            && mine.len() >= 2
        {
            place[*last] = split;
        }
    }
}

/// 0, 1 or 2 (training, validation, test; 80/10/10) by the MD5 of the file's name.
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
