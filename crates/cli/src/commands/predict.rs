//! `residual predict`: what trained weights see in pictures.
//!
//! Pictures are decoded and brought to the network's input on all cores, a batch at a time, so that a folder of any size
//! takes the memory of one batch.

use crate::ui::Ui;
use burn::tensor::Device;
use rayon::prelude::*;
use residual::data::{Normalizer, Picture, Progress};
use residual::infer::Plan;
use residual::models::Model;
use residual::weights::{self, Metadata};
use residual::{Error, Kind, Result};
use serde::Serialize;
use std::io::Read;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

/// Pictures per forward pass.
const BATCH: usize = 64;

/// Tell what is in pictures
#[derive(Debug, clap::Args)]
pub struct Predict {
    /// A weights file, such as a run folder's best.safetensors
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// JPEG and PNG files, folders of them, or - for one picture on stdin
    #[arg(value_name = "PICTURE|FOLDER|-", required = true)]
    pictures: Vec<PathBuf>,

    /// How many classes to tell, the likeliest first
    #[arg(long, value_name = "N", default_value = "5")]
    top: NonZeroUsize,

    /// Print comma-separated values
    #[arg(long, conflicts_with = "json")]
    csv: bool,

    /// Leave out pictures that do not decode, rather than stop
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

/// Trained weights, ready for pictures.
struct Network {
    model: Model,
    metadata: Metadata,
    normalizer: Normalizer,
    plan: Plan,
}

/// A picture's name, and its pixels as the network takes them or why there are none.
type Prepared = (String, Result<Vec<f32>>);

impl Predict {
    /// Prints a line for each picture.
    pub fn run(&self, ui: &mut Ui) -> Result<()> {
        let pictures = pictures(&self.pictures)?;
        let mut network = Network::load(&self.file, pictures.len().min(BATCH))?;
        let mut bars = ui.bars();
        bars.start("predicting", pictures.len() as u64);
        if self.csv {
            ui.line(&self.csv_head(&network))?;
        }
        for paths in pictures.chunks(BATCH) {
            let prepared: Vec<Prepared> = paths.par_iter().map(|path| network.prepare(path)).collect();
            let (names, pixels) = self.whole(prepared, ui)?;
            let probabilities = network.probabilities(&pixels, names.len())?;
            for (name, row) in names.iter().zip(probabilities) {
                let top = network.top(&row, self.top.get());
                self.tell(&Prediction { image: name, top }, ui)?;
            }
            bars.advance(paths.len() as u64);
        }
        Ok(())
    }

    /// The pictures that decode; the first that does not is an error, or a warning with `--skip-bad`.
    fn whole(&self, prepared: Vec<Prepared>, ui: &Ui) -> Result<(Vec<String>, Vec<f32>)> {
        let (mut names, mut pixels) = (Vec::new(), Vec::new());
        for (name, picture) in prepared {
            match picture {
                Ok(picture) => {
                    names.push(name);
                    pixels.extend(picture);
                }
                Err(error) if self.skip_bad => ui.warning(&error.to_string(), None),
                Err(error) if error.hint().is_none() => return Err(error.with_hint("--skip-bad leaves it out")),
                Err(error) => return Err(error),
            }
        }
        Ok((names, pixels))
    }

    fn tell(&self, prediction: &Prediction<'_>, ui: &mut Ui) -> Result<()> {
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
        let guesses = prediction.top.iter().map(|guess| format!("{} {:.1} %", guess.class, 100.0 * guess.probability));
        ui.line(&format!("{}: {}", prediction.image, guesses.collect::<Vec<_>>().join(", ")))
    }

    fn csv_head(&self, network: &Network) -> String {
        let columns = (1..=self.top.get().min(network.metadata.classes.len()))
            .map(|rank| format!(",class_{rank},probability_{rank}"))
            .collect::<String>();
        format!("image{columns}")
    }
}

impl Network {
    /// The weights in `file`, for batches of about `n` pictures.
    fn load(file: &Path, n: usize) -> Result<Self> {
        let device = Device::flex();
        let (model, metadata) = weights::load(file, &device)?;
        let normalizer = metadata.preprocessing.normalizer()?;
        let plan = Plan::new(&model, n, false);
        Ok(Self { model, metadata, normalizer, plan })
    }

    fn prepare(&self, path: &Path) -> Prepared {
        let name = path.to_string_lossy().into_owned();
        let picture = if name == "-" { read_stdin() } else { Picture::open(path) };
        let normalised = picture.map(|picture| {
            let pixels = self.metadata.preprocessing.fit(&picture);
            let mut normalised = vec![0.0; pixels.len()];
            self.normalizer.apply(&pixels, &mut normalised);
            normalised
        });
        (name, normalised)
    }

    /// `pixels`: `[n, h, w, c]` → `n` rows of class probabilities.
    fn probabilities(&mut self, pixels: &[f32], n: usize) -> Result<Vec<Vec<f32>>> {
        if n == 0 {
            return Ok(Vec::new());
        }
        let [h, w, _] = self.model.spec.input;
        let probabilities = self.plan.probabilities(pixels, [n, h, w])?;
        Ok(probabilities.chunks_exact(self.model.spec.classes).map(<[f32]>::to_vec).collect())
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

fn read_stdin() -> Result<Picture> {
    let mut bytes = Vec::new();
    std::io::stdin()
        .lock()
        .read_to_end(&mut bytes)
        .map_err(|error| Error::new(Kind::Io, format!("cannot read stdin: {error}")))?;
    Picture::decode(&bytes, "stdin")
}

/// What is to be looked at: files as they are given, the pictures in folders by name.
fn pictures(given: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for path in given {
        if !path.is_dir() {
            found.push(path.clone());
            continue;
        }
        let before = found.len();
        walk(path, &mut found)?;
        if found.len() == before {
            return Err(Error::data(format!("{} holds no JPEG or PNG files", path.display())));
        }
    }
    Ok(found)
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    let entries = std::fs::read_dir(folder).and_then(|entries| entries.collect::<std::io::Result<Vec<_>>>());
    let mut paths: Vec<PathBuf> =
        entries.map_err(|error| Error::io("read", folder, error))?.into_iter().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
        if path.is_dir() {
            walk(&path, found)?;
        } else if extension.is_some_and(|extension| ["jpg", "jpeg", "png"].contains(&extension.as_str())) {
            found.push(path);
        }
    }
    Ok(())
}

/// A cell of RFC 4180.
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_with_commas_or_quotes_are_quoted() {
        assert_eq!(["plain", "a,b", "a\"b"].map(quoted), ["plain", "\"a,b\"", "\"a\"\"b\""]);
    }

    #[test]
    fn folders_are_walked_by_name_and_empty_ones_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(pictures(&[folder.path().into()]).is_err());
        std::fs::create_dir(folder.path().join("b")).expect("a folder");
        for name in ["c.PNG", "a.jpeg", "b/d.jpg", "notes.txt"] {
            std::fs::write(folder.path().join(name), []).expect("a file");
        }
        let found = pictures(&[folder.path().into(), "-".into()]).expect("three pictures and stdin");
        let names: Vec<_> = found.iter().filter_map(|path| path.file_name()?.to_str()).collect();
        assert_eq!(names, ["a.jpeg", "d.jpg", "c.PNG", "-"]);
    }
}
