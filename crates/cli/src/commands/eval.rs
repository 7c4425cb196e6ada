//! `residual eval`: what trained weights are worth.

use super::parsed;
use crate::ui::Ui;
use crate::ui::numbers::{duration, percent, rate, thousands};
use crate::ui::table::{Align, Table};
use residual::{Error, Result};
use residual_train::data::{self, DataOptions, Dataset, Split};
use residual_train::eval::{Ensemble, Evaluation, Views, Weights};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// A confusion matrix of more classes does not fit a terminal; the worst confusions are listed instead.
const MATRIX_UP_TO: usize = 12;

/// Confusions that are listed then.
const WORST: usize = 10;

/// Test trained weights
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Protocols: center (once), flip (mirrored too), ten-crop (corners and centre, mirrored too), multi-crop (a grid of 5x5 windows, mirrored too), \
dense (the network applied fully convolutionally to the whole image and its mirror image). Several, and several files, \
are tested one after the other; with --fuse their probabilities are averaged:

  residual eval vgg.safetensors --data imagenet --protocol dense,multi-crop --scales 256,384,512 --fuse
  residual eval a.safetensors b.safetensors --data imagenet --protocol ten-crop --scales 256 --fuse")]
pub struct Eval {
    /// Weights files, such as a run folder's best.safetensors
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    /// Images: a data set's name or a folder [default: what the weights were trained on]
    #[arg(long, value_name = "D")]
    data: Option<String>,

    /// Which part of the data
    #[arg(long, value_name = "test|validation|train", default_value = "test", value_parser = parsed::<Split>)]
    split: Split,

    /// How each image is looked at: center, flip, ten-crop, dense, multi-crop
    #[arg(long, value_name = "P,…", value_delimiter = ',', default_value = "center", value_parser = parsed::<Views>)]
    protocol: Vec<Views>,

    /// Bring the shorter side of each image to these sizes, and average over them
    #[arg(long, value_name = "Q,…", value_delimiter = ',')]
    scales: Vec<usize>,

    /// Average the probabilities of all files and protocols
    #[arg(long)]
    fuse: bool,

    /// Leave out images that do not decode, rather than stop
    #[arg(long)]
    skip_bad: bool,
}

/// A result, and what it belongs to.
#[derive(Debug, Serialize)]
struct Tested {
    /// Absolute paths of the weights.
    files: Vec<PathBuf>,
    #[serde(flatten)]
    result: Evaluation,
}

impl Eval {
    /// Tests and prints.
    pub fn run(&self, ui: &mut Ui) -> Result<()> {
        let mut bars = ui.bars();
        let weights = self.files.iter().map(|path| Weights::load(path)).collect::<Result<Vec<_>>>()?;
        // What cannot be looked at so is told before the images are read.
        let ensembles = self.ensembles(&weights)?;
        let data = data::open(&self.data_options(&weights)?, &mut bars)?;
        let members = weights.iter().flat_map(|weights| self.protocol.iter().map(move |_| weights));
        let known = members.map(|weights| weights.label(&data)).collect::<Result<Vec<_>>>()?;
        if self.fuse {
            Weights::same_classes(&weights)?;
        }
        self.tell_of_classes(&weights, &data, ui);
        for warning in &data.warnings {
            ui.warning(warning, None);
        }
        let mut results = Vec::new();
        // With --fuse there is one ensemble, and all files mean the same by a class's number.
        for ((files, ensemble), data) in ensembles.into_iter().zip(&known) {
            let result = ensemble.evaluate(data.split(self.split), &data.classes, self.skip_bad, &mut bars)?;
            let tested = Tested { files, result };
            if ui.json() {
                ui.value(&tested)?;
            }
            results.push(tested);
        }
        if ui.json() {
            return Ok(());
        }
        let names: Vec<&str> = weights.iter().map(|weights| weights.metadata.model.name.as_str()).collect();
        ui.line(&format!("{} on {} ({})", names.join(", "), data.label(), self.split))?;
        ui.line("")?;
        ui.line(&headline(&results))?;
        if let [Tested { result, .. }] = results.as_slice() {
            ui.line("")?;
            ui.line(&per_class(result))?;
            ui.line("")?;
            ui.line(&confusions(result))?;
        }
        Ok(())
    }

    /// The images. What one network was validated on, another may have been trained on: they must split the data alike.
    fn data_options(&self, weights: &[Weights]) -> Result<DataOptions> {
        let of = |weights: &Weights| weights.data_options(self.data.as_deref(), self.split, self.skip_bad);
        let options = of(&weights[0])?;
        for other in &weights[1..] {
            let theirs = of(other)?;
            if self.split != Split::Test
                && (theirs.train_size, theirs.validation) != (options.train_size, options.validation)
            {
                let (a, b) = (weights[0].path.display(), other.path.display());
                return Err(Error::usage(format!("{a} and {b} were trained on other splits of the data"))
                    .with_hint("test them one after the other, or both on --split test"));
            }
        }
        Ok(options)
    }

    /// What matching classes took for granted.
    fn tell_of_classes(&self, weights: &[Weights], data: &Dataset, ui: &Ui) {
        for Weights { path, metadata, .. } in weights {
            let (file, known, here) = (path.display(), metadata.classes.len(), data.classes.len());
            if data::is_numbered(&metadata.classes) && !data::is_numbered(&data.classes) {
                ui.warning(&format!("{file} only numbers its classes: {}'s are taken in their order", data.name), None);
            } else if here < known {
                ui.warning(&format!("{} has {here} of the {known} classes of {file}", data.name), None);
            }
        }
    }

    /// What is tested: every file by every protocol, or all of them together.
    fn ensembles(&self, weights: &[Weights]) -> Result<Vec<(Vec<PathBuf>, Ensemble)>> {
        let mut members = Vec::new();
        for weights in weights {
            for &views in &self.protocol {
                let path = std::path::absolute(&weights.path).unwrap_or_else(|_| weights.path.clone());
                members.push((path, weights.member(views, &self.scales)?));
            }
        }
        if self.fuse {
            let (mut files, members): (Vec<_>, Vec<_>) = members.into_iter().unzip();
            files.dedup();
            return Ok(vec![(files, Ensemble::new(members)?)]);
        }
        members.into_iter().map(|(path, member)| Ok((vec![path], Ensemble::new(vec![member])?))).collect()
    }
}

fn headline(results: &[Tested]) -> String {
    let mut table = Table::new(&[
        ("weights", Align::Left),
        ("protocol", Align::Left),
        ("scales", Align::Left),
        ("images", Align::Right),
        ("loss", Align::Right),
        ("top-1 error", Align::Right),
        ("top-5 error", Align::Right),
        ("calibration error", Align::Right),
        ("crops", Align::Right),
        ("time", Align::Right),
        ("images/s", Align::Right),
    ]);
    for Tested { files, result } in results {
        let scales: Vec<String> = result.scales.iter().map(usize::to_string).collect();
        table.row(vec![
            short_name(files),
            result.protocol.clone(),
            if scales.is_empty() { "input".into() } else { scales.join(",") },
            thousands(result.images as u64),
            format!("{:.4}", result.loss),
            percent(Some(result.top1_error)),
            percent(result.top5_error),
            format!("{:.4}", result.ece),
            thousands(result.crops as u64),
            duration(result.seconds),
            rate(result.images_per_second),
        ]);
    }
    table.render()
}

/// The file, with the folder that tells runs apart; how many where there are several.
fn short_name(files: &[PathBuf]) -> String {
    let [file] = files else { return format!("{} files", files.len()) };
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    match file.parent().map(name) {
        Some(folder) if !folder.is_empty() => format!("{folder}/{}", name(file)),
        _ => name(file),
    }
}

fn per_class(result: &Evaluation) -> String {
    let mut table = Table::new(&[("class", Align::Left), ("images", Align::Right), ("accuracy", Align::Right)]);
    for class in result.per_class.iter().filter(|class| class.images > 0) {
        table.row(vec![class.class.clone(), thousands(class.images as u64), percent(class.accuracy)]);
    }
    table.render()
}

/// The whole matrix where it fits, the largest entries off its diagonal where not.
fn confusions(result: &Evaluation) -> String {
    if result.per_class.len() <= MATRIX_UP_TO { matrix(result) } else { worst(result) }
}

fn matrix(result: &Evaluation) -> String {
    let initial = |name: &str| name.chars().take(6).collect::<String>();
    let heads: Vec<String> = result.per_class.iter().map(|class| initial(&class.class)).collect();
    let mut columns = vec![("true \\ told", Align::Left)];
    columns.extend(heads.iter().map(|head| (head.as_str(), Align::Right)));
    let mut table = Table::new(&columns);
    for (class, row) in result.per_class.iter().zip(&result.confusion) {
        let mut cells = vec![class.class.clone()];
        cells.extend(row.iter().map(|n| if *n == 0 { ".".into() } else { n.to_string() }));
        table.row(cells);
    }
    table.render()
}

fn worst(result: &Evaluation) -> String {
    let name = |i: usize| result.per_class[i].class.clone();
    let mut errors: Vec<(u64, usize, usize)> = Vec::new();
    for (truth, row) in result.confusion.iter().enumerate() {
        let wrong = row.iter().enumerate().filter(|(told, n)| *told != truth && **n > 0);
        errors.extend(wrong.map(|(told, n)| (*n, truth, told)));
    }
    errors.sort_by_key(|(n, truth, told)| (std::cmp::Reverse(*n), *truth, *told));
    let mut table = Table::new(&[("true", Align::Left), ("told", Align::Left), ("images", Align::Right)]);
    for (n, truth, told) in errors.into_iter().take(WORST) {
        table.row(vec![name(truth), name(told), n.to_string()]);
    }
    format!("most frequent confusions\n{}", table.render())
}
