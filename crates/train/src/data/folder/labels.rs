//! Text files with the labels of images and the names of classes.
//!
//! Labels are read from these files, in a folder of images without class folders or above it:
//! - `val_annotations.txt` (Tiny ImageNet): file and WordNet ID, tabs;
//! - `LOC_val_solution.csv` (Kaggle): image, ID and boxes;
//! - `ILSVRC2012_validation_ground_truth.txt` (the development kit): a class number for each image
//!   in the order of names. Numbers are ILSVRC 2012's, unless the kit's `map_clsloc.txt` maps them
//!   to IDs;
//! - `val.txt`, `val_labels.txt`, `labels.txt`, `labels.csv`: file and class, which is a folder's
//!   name, an ID, a class's name, or its number from 0 in sorted order. The first line may name the
//!   columns: `file` and `wnid`, `class`, `label` or `index`.
//!
//! Names are read from `synset_words.txt`, `LOC_synset_mapping.txt`, `map_clsloc.txt` or
//! `words.txt`. ImageNet's thousand classes need none of them.

use crate::error::{Error, Result};
use residual::classes::imagenet;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

/// The development kit's ground truth.
const GROUND_TRUTH: &str = "ILSVRC2012_validation_ground_truth.txt";
/// Its map from class numbers to WordNet IDs, in kits of 2014 and later.
const MAP: &str = "map_clsloc.txt";
/// Files of labels, the more specific names first.
const LABELS: [&str; 7] = [
    "val_annotations.txt",
    "LOC_val_solution.csv",
    GROUND_TRUTH,
    "val.txt",
    "val_labels.txt",
    "labels.txt",
    "labels.csv",
];
/// Files of class names.
const NAMES: [&str; 4] = ["synset_words.txt", "LOC_synset_mapping.txt", MAP, "words.txt"];
/// Where such files may be, relative to the folder that holds `train` and `val`.
const FOLDERS: [&str; 4] = ["", "devkit/data", "ILSVRC2012_devkit_t12/data", "data"];

/// The class of each image.
#[derive(Debug)]
pub(super) struct Labels {
    /// File of the labels.
    pub file: PathBuf,
    /// Class by file name without extension.
    classes: HashMap<String, String>,
}

/// Finds the first file called one of `names` near `base`, the folder that holds `train` and `val`:
/// in it, in a development kit there, or up to three folders above (Kaggle keeps images in
/// `ILSVRC/Data/CLS-LOC`).
fn find(base: &Path, names: &[&str]) -> Option<PathBuf> {
    let above = base.ancestors().take(4);
    let folders = above.flat_map(|above| FOLDERS.iter().map(move |folder| above.join(folder)));
    folders.flat_map(|folder| names.iter().map(move |name| folder.join(name))).find(|path| path.is_file())
}

impl Labels {
    /// Reads the labels of `images`, which are in `folder`; `None` if there is no file of labels.
    ///
    /// # Errors
    /// Fails if a file cannot be read or has another format.
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

    /// Returns the class of an image as the file writes it.
    pub fn get(&self, image: &Path) -> Option<&str> {
        self.classes.get(&stem(&image.to_string_lossy())).map(String::as_str)
    }

    /// Returns the number of images with labels.
    pub fn len(&self) -> usize {
        self.classes.len()
    }
}

/// Finds the file of labels in `folder` itself.
pub(super) fn beside(folder: &Path) -> Option<PathBuf> {
    LABELS.iter().map(|name| folder.join(name)).find(|path| path.is_file())
}

/// Reads a text file.
fn read(file: &Path) -> Result<String> {
    fs::read_to_string(file).map_err(|error| Error::io("read", file, error))
}

/// Returns a file's name without folders and without an image's extension, `a/b.c.jpg` → `b.c`,
/// since labels are written with extensions and without.
fn stem(name: &str) -> String {
    let name = name.rsplit(['/', '\\']).next().unwrap_or(name);
    let bare = residual::image::is_image_name(Path::new(name)).then(|| name.rsplit_once('.')).flatten();
    bare.map_or(name, |(stem, _)| stem).to_owned()
}

/// Reads rows of file and class. The first row may name the columns.
fn table(file: &Path, text: &str) -> Result<HashMap<String, String>> {
    let rows = rows(file, text)?;
    let Some((_, first)) = rows.first() else {
        return Err(Error::data(format!("{} is empty", file.display())));
    };
    let column = |names: &[&str]| names.iter().find_map(|name| first.iter().position(|c| c.eq_ignore_ascii_case(name)));
    let files = column(&["file", "filename", "image", "ImageId"]);
    let named = files.zip(column(&["wnid", "class", "label", "PredictionString", "name", "index"]));
    let (image, class) = named.unwrap_or((0, 1));
    let mut classes = HashMap::new();
    for (line, cells) in &rows[usize::from(named.is_some())..] {
        let (Some(image), Some(class)) = (cells.get(image), cells.get(class)) else {
            let message = format!("{}:{line} must have a file and its class", file.display());
            return Err(Error::data(message));
        };
        // Kaggle writes boxes behind the class.
        let id = class.split(' ').next().filter(|word| imagenet::is_id(word));
        classes.insert(stem(image), id.unwrap_or(class).to_owned());
    }
    Ok(classes)
}

/// Splits a file into rows of cells, each with its line number. The first line decides the
/// delimiter: a tab if it has one, else a comma, else the first blank of each line.
fn rows(file: &Path, text: &str) -> Result<Vec<(u64, Vec<String>)>> {
    let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let Some(delimiter) = [b'\t', b','].into_iter().find(|delimiter| first.as_bytes().contains(delimiter)) else {
        // The name of a class may have blanks, so only the first one counts.
        let cells = |line: &str| line.splitn(2, ' ').map(|cell| cell.trim().trim_matches('"').to_owned()).collect();
        let lines = (1..).zip(text.lines().map(str::trim)).filter(|(_, line)| !line.is_empty());
        return Ok(lines.map(|(number, line)| (number, cells(line))).collect());
    };
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| Error::data(format!("{} is not a table: {error}", file.display())))?;
        let line = record.position().map_or(0, csv::Position::line);
        if record.iter().any(|cell| !cell.is_empty()) {
            rows.push((line, record.iter().map(String::from).collect()));
        }
    }
    Ok(rows)
}

/// Reads one class number per image, in the order of the images' names.
fn ground_truth(file: &Path, text: &str, base: &Path, images: &[PathBuf]) -> Result<HashMap<String, String>> {
    let map = find(base, &[MAP]);
    let listed = map.as_deref().map(read).transpose()?.map(|text| listed_ids(&text));
    let id = |number: &str| match &listed {
        Some(ids) => ids.get(number).cloned(),
        None => imagenet::id_of_number(number.parse().ok()?).map(String::from),
    };
    let numbers: Vec<&str> = text.split_whitespace().collect();
    if numbers.len() != images.len() {
        let (labels, images) = (numbers.len(), images.len());
        let message = format!("{} has labels of {labels} images, but there are {images}", file.display());
        let hint = "it labels images in the order of their names: none may be missing, and no others may be there";
        return Err(Error::data(message).with_hint(hint));
    }
    let class = |(number, image): (&&str, &PathBuf)| match id(number) {
        Some(id) => Ok((stem(&image.to_string_lossy()), id)),
        None => {
            let known = map.as_ref().map_or("the 1000 classes of ILSVRC 2012".into(), |map| map.display().to_string());
            let message = format!("{} has class {number}, which is not in {known}", file.display());
            Err(Error::data(message).with_hint(format!("put a {MAP} with these numbers beside it")))
        }
    };
    numbers.iter().zip(images).map(class).collect()
}

/// Returns IDs by number, from lines of ID, number and name.
fn listed_ids(text: &str) -> HashMap<String, String> {
    let pair = |line: &str| {
        let mut words = line.split_whitespace();
        let id = words.next()?;
        Some((words.next()?.to_owned(), id.to_owned()))
    };
    text.lines().filter_map(pair).collect()
}

/// Reads names of classes by WordNet ID from a file near `base`; of several names, the first.
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
