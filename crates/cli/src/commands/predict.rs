//! `residual predict`: classifies images with trained weights.
//!
//! Images are decoded and resized on all cores, one batch at a time, so memory does not grow with
//! the number of images.

use crate::precision::{PrecisionArg, precision};
use crate::ui::Ui;
use crate::ui::table::{Align, Columns};
use rayon::prelude::*;
use residual::explain;
use residual::weights::Metadata;
use residual::{Error, Kind, Result};
use residual_train::data::{Colours, Image, Normalizer, Progress, images_below};
use residual_train::eval::{InferenceSession, Weights, argmax};
use serde::Serialize;
use std::collections::BTreeSet;
use std::io::Read;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use unicode_width::UnicodeWidthStr;

/// Classify images
#[derive(Debug, clap::Args)]
pub struct PredictArgs {
    /// A weights file, such as a run folder's best.safetensors
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// JPEG, PNG, WebP and BMP files, folders of them, or - for one image on stdin
    #[arg(value_name = "IMAGE|FOLDER|-", required = true)]
    images: Vec<PathBuf>,

    /// Number of classes to print, most probable first
    #[arg(long, value_name = "N", default_value = "5", value_parser = at_least_one)]
    top: NonZeroUsize,

    /// Print comma-separated values
    #[arg(long, conflicts_with = "json")]
    csv: bool,

    /// Write a heat map of the predicted class for each image (Grad-CAM), as PNG
    #[arg(long, value_name = "DIR")]
    explain: Option<PathBuf>,

    /// Arithmetic precision; auto selects the fastest that is supported
    #[arg(long, value_name = "f32|auto", default_value = "f32", value_parser = precision)]
    precision: PrecisionArg,

    /// Skip images that cannot be decoded
    #[arg(long)]
    skip_bad: bool,
}

/// Line of `--json`.
#[derive(Debug, Serialize)]
struct ImagePrediction<'a> {
    image: &'a str,
    top: Vec<Guess<'a>>,
}

/// Class and its probability.
#[derive(Debug, Serialize)]
struct Guess<'a> {
    class: &'a str,
    probability: f32,
}

/// Weights that are loaded for inference.
struct LoadedNetwork {
    session: InferenceSession,
    metadata: Metadata,
    normalizer: Normalizer,
}

/// Decoded image at the network's input size.
struct PreparedImage {
    /// Name as given on the command line.
    name: String,
    /// Bytes, `[h, w, c]`.
    pixels: Vec<u8>,
    /// The pixels, normalised.
    normalised: Vec<f32>,
    colours: Colours,
}

impl PredictArgs {
    /// Prints a line for each image.
    pub fn run(&self, ui: &mut Ui) -> Result<()> {
        ui.detail(|| format!("precision {}", self.precision.name()));
        let images = images(&self.images)?;
        let network = LoadedNetwork::load(&self.file, images.len())?;
        let columns = columns(&images, &network.metadata.classes);
        let mut overlays = self.explain.as_deref().map(Overlays::open).transpose()?;
        let (mut bars, mut skipped, mut profiled) = (ui.bars(), 0, 0);
        bars.start("predicting", images.len() as u64);
        if self.csv {
            ui.line(&self.csv_head(&network))?;
        } else if !ui.json() {
            ui.line(&columns.line(&["image", "class", "probability"]))?;
        }
        for paths in images.chunks(network.session.batch()) {
            let prepared: Vec<Result<PreparedImage>> = paths.par_iter().map(|path| network.prepare(path)).collect();
            let whole = self.whole(prepared, ui)?;
            skipped += paths.len() - whole.len();
            profiled += whole.iter().filter(|prepared| prepared.colours == Colours::Profiled).count();
            let rows = network.probabilities(&whole)?;
            for (prepared, row) in whole.iter().zip(&rows) {
                let top = network.top(row, self.top.get());
                self.print(&ImagePrediction { image: &prepared.name, top }, &columns, ui)?;
            }
            if let Some(overlays) = &mut overlays {
                overlays.write(&network, &whole, &rows)?;
            }
            bars.advance(paths.len() as u64);
        }
        if skipped == images.len() {
            return Err(Error::data(format!("none of {skipped} images can be decoded")));
        }
        if skipped > 0 {
            ui.warning(&format!("skipped {skipped} of {} images", images.len()), None);
        }
        if profiled > 0 {
            ui.warning(&format!("colour profiles of {profiled} of {} images are ignored", images.len()), None);
        }
        Ok(())
    }

    /// Returns the images that decode; others are errors, or warnings with `--skip-bad`.
    fn whole(&self, prepared: Vec<Result<PreparedImage>>, ui: &Ui) -> Result<Vec<PreparedImage>> {
        let mut whole = Vec::with_capacity(prepared.len());
        for image in prepared {
            match image {
                Ok(image) => whole.push(image),
                Err(error) if self.skip_bad => ui.warning(&error.to_string(), None),
                Err(error) if error.hint().is_none() => return Err(error.with_hint("use --skip-bad to skip it")),
                Err(error) => return Err(error),
            }
        }
        Ok(whole)
    }

    fn print(&self, prediction: &ImagePrediction<'_>, columns: &Columns, ui: &mut Ui) -> Result<()> {
        if ui.json() {
            return ui.value(prediction);
        }
        if self.csv {
            let mut cells = vec![prediction.image.to_owned()];
            for guess in &prediction.top {
                cells.push(guess.class.to_owned());
                cells.push(format!("{:.6}", guess.probability));
            }
            return ui.line(&csv_line(&cells)?);
        }
        // The name is printed only beside the first class.
        let names = std::iter::once(prediction.image).chain(std::iter::repeat(""));
        for (name, guess) in names.zip(&prediction.top) {
            ui.line(&columns.line(&[name, guess.class, &format!("{:.1} %", 100.0 * guess.probability)]))?;
        }
        Ok(())
    }

    fn csv_head(&self, network: &LoadedNetwork) -> String {
        let columns = (1..=self.top.get().min(network.metadata.classes.len()))
            .map(|rank| format!(",class_{rank},probability_{rank}"))
            .collect::<String>();
        format!("image{columns}")
    }
}

impl LoadedNetwork {
    /// Loads the weights in `file` for up to `n` images.
    fn load(file: &Path, n: usize) -> Result<Self> {
        let weights = Weights::load(file)?;
        let normalizer = weights.metadata.preprocessing.normalizer()?;
        Ok(Self { session: weights.session(n), metadata: weights.metadata, normalizer })
    }

    fn prepare(&self, path: &Path) -> Result<PreparedImage> {
        let name = path.to_string_lossy().into_owned();
        let (file, bytes) = if name == "-" { ("stdin", read_stdin()) } else { (name.as_str(), std::fs::read(path)) };
        let bytes = bytes.map_err(|error| Error::io("read", Path::new(file), error))?;
        let (image, colours) = Image::decode_with_colours(&bytes, file)?;
        let pixels = self.metadata.preprocessing.fit(&image);
        let mut normalised = vec![0.0; pixels.len()];
        self.normalizer.apply(&pixels, &mut normalised);
        Ok(PreparedImage { name, pixels, normalised, colours })
    }

    /// Computes a row of class probabilities for each image.
    fn probabilities(&self, images: &[PreparedImage]) -> Result<Vec<Vec<f32>>> {
        if images.is_empty() {
            return Ok(Vec::new());
        }
        let rows = self.session.probabilities(&batch(images), images.len())?;
        let rows: Vec<Vec<f32>> = rows.chunks_exact(self.metadata.classes.len()).map(<[f32]>::to_vec).collect();
        match images.iter().zip(&rows).find(|(_, row)| row.iter().any(|p| p.is_nan())) {
            Some((PreparedImage { name, .. }, _)) => Err(Error::weights(format!("output for {name} is NaN"))
                .with_hint("the weights may have diverged; test them with `residual eval`")),
            None => Ok(rows),
        }
    }

    /// Returns the `n` most probable classes; ties keep the order of classes.
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

/// Concatenates the normalised pixels of `images` to `[n, h, w, c]`.
fn batch(images: &[PreparedImage]) -> Vec<f32> {
    images.iter().flat_map(|prepared| &prepared.normalised).copied().collect()
}

/// Folder of `--explain`, and the file names already used.
struct Overlays {
    folder: PathBuf,
    taken: BTreeSet<String>,
}

impl Overlays {
    fn open(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder).map_err(|error| Error::io("create", folder, error))?;
        Ok(Self { folder: folder.to_owned(), taken: BTreeSet::new() })
    }

    /// Writes a Grad-CAM overlay of the predicted class for each image.
    fn write(&mut self, network: &LoadedNetwork, images: &[PreparedImage], rows: &[Vec<f32>]) -> Result<()> {
        if images.is_empty() {
            return Ok(());
        }
        let session = &network.session;
        let [height, width, channels] = session.input();
        let classes: Vec<usize> = rows.iter().map(|row| argmax(row)).collect();
        let dims = [images.len(), height, width, channels];
        let maps = explain::grad_cam(session, &batch(images), dims, &classes)?;
        for ((prepared, map), class) in images.iter().zip(&maps).zip(classes) {
            let image = Image { height, width, channels, pixels: prepared.pixels.clone() };
            let name = self.file_name(&prepared.name, &network.metadata.classes[class]);
            explain::overlay(&image, map).save_png(&self.folder.join(name))?;
        }
        Ok(())
    }

    /// Returns the overlay's file name: `cat.jpg` of class `tabby` becomes `cat-tabby.png`, with a
    /// number if that name is in use.
    fn file_name(&mut self, image: &str, class: &str) -> String {
        let stem = Path::new(image).file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let plain = |c: char| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '_' };
        let stem = if image == "-" { "stdin".into() } else { stem };
        let name: String = format!("{stem}-{class}").chars().map(plain).collect();
        // `img` of class 7, twice, and `img-7` of class 2 all map to `img-7-2`.
        let numbered = (2..).map(|count: u64| format!("{name}-{count}.png"));
        let free = std::iter::once(format!("{name}.png")).chain(numbered).find(|name| !self.taken.contains(name));
        let free = free.expect("numbers do not run out");
        self.taken.insert(free.clone());
        free
    }
}

fn read_stdin() -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::io::stdin().lock().read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Returns columns that are wide enough for all names and classes.
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

/// Lists the image files: files as given, folders by name. Fails before any image is read if a path
/// does not exist.
fn images(given: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    if given.iter().filter(|path| path.as_os_str() == "-").count() > 1 {
        return Err(Error::usage("- reads one image from stdin and can be given only once"));
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
            return Err(Error::data(format!("{} has no images (JPEG, PNG, WebP, BMP)", path.display())));
        }
        found.extend(inside);
    }
    Ok(found)
}

/// Formats a row of comma-separated values, without a line end.
fn csv_line(cells: &[String]) -> Result<String> {
    let failed = |error: csv::Error| Error::new(Kind::Io, format!("cannot write the result as CSV: {error}"));
    let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
    writer.write_record(cells).map_err(failed)?;
    let bytes = writer.into_inner().map_err(|error| failed(error.into_error().into()))?;
    Ok(String::from_utf8_lossy(&bytes).trim_end_matches('\n').to_owned())
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
        let line = csv_line(&["plain", "a,b", "a\"b"].map(str::to_owned)).expect("a line");
        assert_eq!(line, "plain,\"a,b\",\"a\"\"b\"");
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
