//! `residual predict`: what trained weights see in images.
//!
//! Images are decoded and brought to the network's input on all cores, a batch at a time, so that a folder of any size
//! takes the memory of one batch.

use crate::ui::Ui;
use crate::ui::table::{Align, Columns};
use rayon::prelude::*;
use residual::{Error, Result};
use residual_train::data::{Colours, Image, Normalizer, Progress, images_below};
use residual_train::eval::{Classifier, Weights, argmax};
use residual_train::explain;
use residual_train::weights::Metadata;
use serde::Serialize;
use std::collections::BTreeSet;
use std::io::Read;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use unicode_width::UnicodeWidthStr;

/// Tell what is in images
#[derive(Debug, clap::Args)]
pub struct Predict {
    /// A weights file, such as a run folder's best.safetensors
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// JPEG, PNG, WebP and BMP files, folders of them, or - for one image on stdin
    #[arg(value_name = "IMAGE|FOLDER|-", required = true)]
    images: Vec<PathBuf>,

    /// How many classes to tell, the likeliest first
    #[arg(long, value_name = "N", default_value = "5", value_parser = at_least_one)]
    top: NonZeroUsize,

    /// Print comma-separated values
    #[arg(long, conflicts_with = "json")]
    csv: bool,

    /// Write a PNG for each image that shows what spoke for its likeliest class (Grad-CAM)
    #[arg(long, value_name = "DIR")]
    explain: Option<PathBuf>,

    /// Leave out images that do not decode, rather than stop
    #[arg(long)]
    skip_bad: bool,
}

/// A line of `--json`.
#[derive(Debug, Serialize)]
struct Prediction<'a> {
    image: &'a str,
    top: Vec<Guess<'a>>,
}

/// A class and how likely it is.
#[derive(Debug, Serialize)]
struct Guess<'a> {
    class: &'a str,
    probability: f32,
}

/// Trained weights, ready for images.
struct Network {
    classifier: Classifier,
    metadata: Metadata,
    normalizer: Normalizer,
}

/// An image as the network sees it.
struct Seen {
    /// What the user called it.
    name: String,
    /// Bytes, `[h, w, c]`.
    pixels: Vec<u8>,
    /// The same, normalised.
    normalised: Vec<f32>,
    colours: Colours,
}

impl Predict {
    /// Prints a line for each image.
    pub fn run(&self, ui: &mut Ui) -> Result<()> {
        let images = images(&self.images)?;
        let network = Network::load(&self.file, images.len())?;
        let columns = columns(&images, &network.metadata.classes);
        let mut overlays = self.explain.as_deref().map(Overlays::open).transpose()?;
        let (mut bars, mut left_out, mut profiled) = (ui.bars(), 0, 0);
        bars.start("predicting", images.len() as u64);
        if self.csv {
            ui.line(&self.csv_head(&network))?;
        } else if !ui.json() {
            ui.line(&columns.line(&["image", "class", "probability"]))?;
        }
        for paths in images.chunks(network.classifier.batch()) {
            let seen: Vec<Result<Seen>> = paths.par_iter().map(|path| network.see(path)).collect();
            let whole = self.whole(seen, ui)?;
            left_out += paths.len() - whole.len();
            profiled += whole.iter().filter(|seen| seen.colours == Colours::Profiled).count();
            let rows = network.probabilities(&whole)?;
            for (seen, row) in whole.iter().zip(&rows) {
                let top = network.top(row, self.top.get());
                self.tell(&Prediction { image: &seen.name, top }, &columns, ui)?;
            }
            if let Some(overlays) = &mut overlays {
                overlays.write(&network, &whole, &rows)?;
            }
            bars.advance(paths.len() as u64);
        }
        if left_out == images.len() {
            return Err(Error::data(format!("none of {left_out} images decodes")));
        }
        if left_out > 0 {
            ui.warning(&format!("left out {left_out} of {} images", images.len()), None);
        }
        if profiled > 0 {
            ui.warning(&format!("colour profiles of {profiled} of {} images are ignored", images.len()), None);
        }
        Ok(())
    }

    /// The images that decode; the first that does not is an error, or a warning with `--skip-bad`.
    fn whole(&self, seen: Vec<Result<Seen>>, ui: &Ui) -> Result<Vec<Seen>> {
        let mut whole = Vec::with_capacity(seen.len());
        for image in seen {
            match image {
                Ok(image) => whole.push(image),
                Err(error) if self.skip_bad => ui.warning(&error.to_string(), None),
                Err(error) if error.hint().is_none() => return Err(error.with_hint("--skip-bad leaves it out")),
                Err(error) => return Err(error),
            }
        }
        Ok(whole)
    }

    fn tell(&self, prediction: &Prediction<'_>, columns: &Columns, ui: &mut Ui) -> Result<()> {
        if ui.json() {
            return ui.value(prediction);
        }
        if self.csv {
            let mut cells = vec![quoted(prediction.image)];
            for guess in &prediction.top {
                cells.push(quoted(guess.class));
                cells.push(format!("{:.6}", guess.probability));
            }
            return ui.line(&cells.join(","));
        }
        // An image's name stands beside its likeliest class only.
        let names = std::iter::once(prediction.image).chain(std::iter::repeat(""));
        for (name, guess) in names.zip(&prediction.top) {
            ui.line(&columns.line(&[name, guess.class, &format!("{:.1} %", 100.0 * guess.probability)]))?;
        }
        Ok(())
    }

    fn csv_head(&self, network: &Network) -> String {
        let columns = (1..=self.top.get().min(network.metadata.classes.len()))
            .map(|rank| format!(",class_{rank},probability_{rank}"))
            .collect::<String>();
        format!("image{columns}")
    }
}

impl Network {
    /// The weights in `file`, for `n` images.
    fn load(file: &Path, n: usize) -> Result<Self> {
        let weights = Weights::load(file)?;
        let normalizer = weights.metadata.preprocessing.normalizer()?;
        Ok(Self { classifier: weights.classifier(n), metadata: weights.metadata, normalizer })
    }

    fn see(&self, path: &Path) -> Result<Seen> {
        let name = path.to_string_lossy().into_owned();
        let (file, bytes) = if name == "-" { ("stdin", read_stdin()) } else { (name.as_str(), std::fs::read(path)) };
        let bytes = bytes.map_err(|error| Error::io("read", Path::new(file), error))?;
        let (image, colours) = Image::decode_with_colours(&bytes, file)?;
        let pixels = self.metadata.preprocessing.fit(&image);
        let mut normalised = vec![0.0; pixels.len()];
        self.normalizer.apply(&pixels, &mut normalised);
        Ok(Seen { name, pixels, normalised, colours })
    }

    /// A row of class probabilities for each image.
    fn probabilities(&self, images: &[Seen]) -> Result<Vec<Vec<f32>>> {
        if images.is_empty() {
            return Ok(Vec::new());
        }
        let rows = self.classifier.probabilities(&batch(images), images.len())?;
        let rows: Vec<Vec<f32>> = rows.chunks_exact(self.metadata.classes.len()).map(<[f32]>::to_vec).collect();
        match images.iter().zip(&rows).find(|(_, row)| row.iter().any(|p| p.is_nan())) {
            Some((Seen { name, .. }, _)) => Err(Error::weights(format!("the network's answer to {name} is no number"))
                .with_hint("its weights may be too large; test them with `residual eval`")),
            None => Ok(rows),
        }
    }

    /// The `n` likeliest classes; the first of equals comes first.
    fn top(&self, probabilities: &[f32], n: usize) -> Vec<Guess<'_>> {
        let mut guesses: Vec<Guess<'_>> = self
            .metadata
            .classes
            .iter()
            .zip(probabilities)
            .map(|(class, &probability)| Guess { class, probability })
            .collect();
        guesses.sort_by(|a, b| b.probability.total_cmp(&a.probability));
        guesses.truncate(n);
        guesses
    }
}

/// Normalised pixels of all `images`, `[n, h, w, c]`.
fn batch(images: &[Seen]) -> Vec<f32> {
    images.iter().flat_map(|seen| &seen.normalised).copied().collect()
}

/// The folder of `--explain`, and the names that are taken in it.
struct Overlays {
    folder: PathBuf,
    taken: BTreeSet<String>,
}

impl Overlays {
    fn open(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder).map_err(|error| Error::io("create", folder, error))?;
        Ok(Self { folder: folder.to_owned(), taken: BTreeSet::new() })
    }

    /// Writes what spoke for the likeliest class of each image.
    fn write(&mut self, network: &Network, images: &[Seen], rows: &[Vec<f32>]) -> Result<()> {
        if images.is_empty() {
            return Ok(());
        }
        let model = network.classifier.model();
        let [height, width, channels] = model.spec.input;
        let classes: Vec<usize> = rows.iter().map(|row| argmax(row)).collect();
        let dims = [images.len(), height, width, channels];
        let maps = explain::grad_cam(model, batch(images), dims, &classes)?;
        for ((seen, map), class) in images.iter().zip(&maps).zip(classes) {
            let image = Image { height, width, channels, pixels: seen.pixels.clone() };
            let name = self.file_name(&seen.name, &network.metadata.classes[class]);
            explain::overlay(&image, map).save_png(&self.folder.join(name))?;
        }
        Ok(())
    }

    /// `cat.jpg` and class `tabby` → `cat-tabby.png`; a number keeps images of one name apart.
    fn file_name(&mut self, image: &str, class: &str) -> String {
        let stem = Path::new(image).file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let plain = |c: char| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '_' };
        let stem = if image == "-" { "stdin".into() } else { stem };
        let name: String = format!("{stem}-{class}").chars().map(plain).collect();
        // `img` of class 7, again, and `img-7` of class 2 would be `img-7-2` both.
        let numbered = (2..).map(|count: u64| format!("{name}-{count}.png"));
        let free = std::iter::once(format!("{name}.png")).chain(numbered).find(|name| !self.taken.contains(name));
        let free = free.expect("there are more numbers than images");
        self.taken.insert(free.clone());
        free
    }
}

fn read_stdin() -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::io::stdin().lock().read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A table's columns, wide enough for all of these.
fn columns(images: &[PathBuf], classes: &[String]) -> Columns {
    let name = images.iter().map(|path| path.to_string_lossy().width()).max().unwrap_or(0);
    let class = classes.iter().map(|class| class.width()).max().unwrap_or(0);
    Columns::new(&[
        (Align::Left, name.max("image".len())),
        (Align::Left, class.max("class".len())),
        (Align::Right, "probability".len()),
    ])
}

fn at_least_one(text: &str) -> std::result::Result<NonZeroUsize, String> {
    text.parse().map_err(|_| "must be a whole number of at least 1".to_owned())
}

/// What is to be looked at: files as they are given, the images in folders by name. What is not there is told before
/// anything is looked at.
fn images(given: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    if given.iter().filter(|path| path.as_os_str() == "-").count() > 1 {
        return Err(Error::usage("- stands for the one image on stdin, and is given more than once"));
    }
    for path in given {
        if path.as_os_str() != "-" {
            std::fs::metadata(path).map_err(|error| Error::io("read", path, error))?;
        }
        if !path.is_dir() {
            found.push(path.clone());
            continue;
        }
        let inside = images_below(path)?;
        if inside.is_empty() {
            return Err(Error::data(format!("{} holds no images (JPEG, PNG, WebP, BMP)", path.display())));
        }
        found.extend(inside);
    }
    Ok(found)
}

/// A cell of RFC 4180.
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlays_are_named_after_image_and_class_and_never_overwrite_each_other() {
        let mut overlays = Overlays { folder: PathBuf::new(), taken: BTreeSet::new() };
        let names = [("a/cat.jpg", "great dane"), ("b/cat.jpg", "great dane"), ("-", "x/y")]
            .map(|(image, class)| overlays.file_name(image, class));
        assert_eq!(names, ["cat-great_dane.png", "cat-great_dane-2.png", "stdin-x_y.png"]);
        assert_eq!(overlays.file_name("cat-great_dane.jpg", "2"), "cat-great_dane-2-2.png");
    }

    #[test]
    fn cells_with_commas_or_quotes_are_quoted() {
        assert_eq!(["plain", "a,b", "a\"b"].map(quoted), ["plain", "\"a,b\"", "\"a\"\"b\""]);
    }

    #[test]
    fn folders_are_walked_by_name_and_empty_ones_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(images(&[folder.path().into()]).is_err());
        std::fs::create_dir(folder.path().join("b")).expect("a folder");
        for name in ["c.PNG", "a.jpeg", "b/d.jpg", "notes.txt"] {
            std::fs::write(folder.path().join(name), []).expect("a file");
        }
        let found = images(&[folder.path().into(), "-".into()]).expect("three images and stdin");
        let names: Vec<_> = found.iter().filter_map(|path| path.file_name()?.to_str()).collect();
        assert_eq!(names, ["a.jpeg", "d.jpg", "c.PNG", "-"]);
    }
}
