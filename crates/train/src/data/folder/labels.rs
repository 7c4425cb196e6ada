//! Text files beside images that say which class each is of, and what classes are called.
//!
//! Read for labels, in a folder of images without class folders or above it:
//! - `val_annotations.txt` (Tiny ImageNet): file and WordNet ID, tabs;
//! - `LOC_val_solution.csv` (Kaggle): image, ID and boxes;
//! - `ILSVRC2012_validation_ground_truth.txt` (the development kit): a number for each image in the order of names,
//!   which the kit's `map_clsloc.txt` or `meta.mat` maps to IDs;
//! - `val.txt`, `val_labels.txt`, `labels.txt`, `labels.csv`: file and class, which is a folder's name, an ID, a class's name,
//!   or its number from 0 in sorted order. With columns that are named, `file` and `wnid`, `class`, `label` or `index`.
//!
//! Read for names: `synset_words.txt`, `LOC_synset_mapping.txt`, `map_clsloc.txt`, `words.txt`. ImageNet's thousand classes
//! need none of them.

use super::matlab;
use crate::error::{Error, Result};
use residual::classes::imagenet;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

/// The development kit's ground truth.
const GROUND_TRUTH: &str = "ILSVRC2012_validation_ground_truth.txt";
/// Its map from numbers to WordNet IDs, in kits of 2014 and later.
const MAP: &str = "map_clsloc.txt";
/// The same in the kit of 2012.
const META: &str = "meta.mat";
/// Files of labels, the more telling names first.
const LABELS: [&str; 7] = [
    "val_annotations.txt",
    "LOC_val_solution.csv",
    GROUND_TRUTH,
    "val.txt",
    "val_labels.txt",
    "labels.txt",
    "labels.csv",
];
/// Files of names.
const NAMES: [&str; 4] = ["synset_words.txt", "LOC_synset_mapping.txt", MAP, "words.txt"];
/// Where such files lie, seen from the folder that `train` and `val` are in.
const PLACES: [&str; 4] = ["", "devkit/data", "ILSVRC2012_devkit_t12/data", "data"];

/// Which class each image is of.
#[derive(Debug)]
pub(super) struct Labels {
    /// Where that was read.
    pub file: PathBuf,
    /// Class by file name without extension.
    classes: HashMap<String, String>,
}

/// The first file called `names` near `base`, the folder that holds `train` and `val`: in it, in a development kit
/// there, or up to three folders above (Kaggle keeps images in `ILSVRC/Data/CLS-LOC`).
fn find(base: &Path, names: &[&str]) -> Option<PathBuf> {
    let above = base.ancestors().take(4);
    let places = above.flat_map(|folder| PLACES.iter().map(move |place| folder.join(place)));
    places.flat_map(|place| names.iter().map(move |name| place.join(name))).find(|path| path.is_file())
}

impl Labels {
    /// The labels of `images`, which lie in `folder`; `None` where no file has any.
    ///
    /// # Errors
    /// A file that cannot be read or is of another form.
    pub fn of(folder: &Path, base: &Path, images: &[PathBuf]) -> Result<Option<Self>> {
        let Some(file) = beside(folder).or_else(|| find(base, &LABELS)) else { return Ok(None) };
        let text = read(&file)?;
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let classes = match name.as_ref() {
            GROUND_TRUTH => ground_truth(&file, &text, base, images)?,
            _ => table(&file, &text)?,
        };
        Ok(Some(Self { file, classes }))
    }

    /// The class of an image as the file writes it.
    pub fn get(&self, image: &Path) -> Option<&str> {
        self.classes.get(&stem(&image.to_string_lossy())).map(String::as_str)
    }

    /// How many images the file knows.
    pub fn len(&self) -> usize {
        self.classes.len()
    }
}

/// The file of labels in `folder` itself.
pub(super) fn beside(folder: &Path) -> Option<PathBuf> {
    LABELS.iter().map(|name| folder.join(name)).find(|path| path.is_file())
}

fn read(file: &Path) -> Result<String> {
    fs::read_to_string(file).map_err(|error| Error::io("read", file, error))
}

/// `a/b.c.jpg` → `b.c`: a file's name without folders, and without an extension where it has an image's. Labels are
/// written with extensions and without.
fn stem(name: &str) -> String {
    let name = name.rsplit(['/', '\\']).next().unwrap_or(name);
    let bare = residual::image::is_image_name(Path::new(name)).then(|| name.rsplit_once('.')).flatten();
    bare.map_or(name, |(stem, _)| stem).to_owned()
}

/// Lines of file and class. What divides them is a tab where there is one, else a comma, else blanks.
fn table(file: &Path, text: &str) -> Result<HashMap<String, String>> {
    let mut lines = text.lines().map(str::trim_end).filter(|line| !line.trim().is_empty()).peekable();
    let Some(first) = lines.peek().map(|line| cells(line)) else {
        return Err(Error::data(format!("{} is empty", file.display())));
    };
    let column = |names: &[&str]| names.iter().find_map(|name| first.iter().position(|c| c.eq_ignore_ascii_case(name)));
    let named = (column(&["file", "filename", "image", "image", "ImageId"])).zip(column(&[
        "wnid",
        "class",
        "label",
        "PredictionString",
        "name",
        "index",
    ]));
    if named.is_some() {
        lines.next();
    }
    let (image, class) = named.unwrap_or((0, 1));
    let mut classes = HashMap::new();
    for (number, line) in lines.enumerate() {
        let cells = cells(line);
        let (Some(image), Some(class)) = (cells.get(image), cells.get(class)) else {
            let line = number + 1 + usize::from(named.is_some());
            return Err(Error::data(format!("{}:{line} is no file and its class", file.display())));
        };
        // Kaggle writes boxes behind the class.
        let id = class.split(' ').next().filter(|word| imagenet::is_id(word));
        classes.insert(stem(image), id.unwrap_or(class).to_owned());
    }
    Ok(classes)
}

fn cells(line: &str) -> Vec<&str> {
    let cells: Vec<&str> = match line {
        _ if line.contains('\t') => line.split('\t').collect(),
        _ if line.contains(',') => line.split(',').collect(),
        // A class's name may have blanks in it.
        _ => line.splitn(2, ' ').collect(),
    };
    cells.into_iter().map(|cell| cell.trim().trim_matches('"')).collect()
}

/// One number per image; the kit's map says whose it is.
fn ground_truth(file: &Path, text: &str, base: &Path, images: &[PathBuf]) -> Result<HashMap<String, String>> {
    let Some(map) = find(base, &[MAP, META]) else {
        let message =
            format!("{} numbers classes as the development kit does, and {META} or {MAP} is missing", file.display());
        return Err(Error::data(message)
            .with_hint("put one of them beside it, or a val.txt with a file and its class on each line"));
    };
    let ids = if map.ends_with(META) { matlab::ids(&map)? } else { listed_ids(&read(&map)?) };
    let numbers: Vec<&str> = text.split_whitespace().collect();
    if numbers.len() != images.len() {
        let (labels, images) = (numbers.len(), images.len());
        let message = format!("{} labels {labels} images by their order, and there are {images}", file.display());
        return Err(Error::data(message).with_hint("the validation images are not all there, or others are among them"));
    }
    let class = |(number, image): (&&str, &PathBuf)| match ids.get(*number) {
        Some(id) => Ok((stem(&image.to_string_lossy()), id.clone())),
        None => {
            Err(Error::data(format!("{} has class {number}, which {} does not have", file.display(), map.display())))
        }
    };
    numbers.iter().zip(images).map(class).collect()
}

/// IDs by number, of lines of ID, number and name.
fn listed_ids(text: &str) -> HashMap<String, String> {
    let pair = |line: &str| {
        let mut words = line.split_whitespace();
        let id = words.next()?;
        Some((words.next()?.to_owned(), id.to_owned()))
    };
    text.lines().filter_map(pair).collect()
}

/// Names of classes by WordNet ID, from a file near `base`: the first of several that a class has.
pub(super) fn names(base: &Path) -> Result<BTreeMap<String, String>> {
    let Some(file) = find(base, &NAMES) else { return Ok(BTreeMap::new()) };
    let text = read(&file)?;
    let is_map = file.file_name().is_some_and(|name| name == MAP);
    let name = |line: &str| {
        let (id, rest) = line.split_once(char::is_whitespace)?;
        let rest = if is_map { rest.split_once(' ')?.1 } else { rest };
        let name = rest.split(',').next()?.trim().replace('_', " ");
        (imagenet::is_id(id) && !name.is_empty()).then(|| (id.to_owned(), name))
    };
    Ok(text.lines().filter_map(name).collect())
}
