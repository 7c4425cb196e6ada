//! `residual eval`: tests trained weights on a data set.

use super::{parse_name, refuse_overwrite};
use crate::precision::{PrecisionArg, precision};
use crate::ui::Ui;
use crate::ui::numbers::{duration, percent, rate, thousands};
use crate::ui::table::{Align, Table};
use residual::{Error, Result};
use residual_train::data::{self, DataOptions, Dataset, Split};
use residual_train::eval::{Ensemble, Evaluation, TestProtocol, Weights};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Most classes for which the whole confusion matrix is printed; beyond, it does not fit a
/// terminal.
const MATRIX_UP_TO: usize = 12;

/// Rows of the list of most frequent confusions that replaces the matrix.
const MOST_FREQUENT: usize = 10;

/// Test trained weights
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Protocols: center (one centre crop), flip (and its mirror image), ten-crop (corners and centre, mirrored too), multi-crop \
(a 5x5 grid of crops, mirrored too), dense (the network applied fully convolutionally to the whole image and its mirror \
image). Several protocols or files are tested one after the other; with --fuse their probabilities are averaged:

  residual eval vgg.safetensors --data imagenet --protocol dense,multi-crop --scales 256,384,512 --fuse
  residual eval a.safetensors b.safetensors --data imagenet --protocol ten-crop --scales 256 --fuse")]
pub struct EvalArgs {
    /// Weights files, such as a run folder's best.safetensors
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    /// Images: a data set's name or a folder [default: what the weights were trained on]
    #[arg(long, value_name = "D")]
    data: Option<String>,

    /// Which part of the data [default: test, or all if the data has no test split]
    #[arg(long, value_name = "test|validation|train|all", value_parser = parse_name::<Split>)]
    split: Option<Split>,

    /// Test protocol: center, flip, ten-crop, dense, multi-crop
    #[arg(long, value_name = "P,…", value_delimiter = ',', default_value = "center", value_parser = parse_name::<TestProtocol>)]
    protocol: Vec<TestProtocol>,

    /// Resize the shorter side of each image to these sizes and average over them
    #[arg(long, value_name = "Q,…", value_delimiter = ',')]
    scales: Vec<usize>,

    /// Average the probabilities of all files and protocols
    #[arg(long)]
    fuse: bool,

    /// Write a CSV file with the prediction for each image
    #[arg(long, value_name = "FILE")]
    predictions: Option<PathBuf>,

    /// Arithmetic precision; auto selects the fastest that is supported
    #[arg(long, value_name = "f32|auto", default_value = "f32", value_parser = precision)]
    precision: PrecisionArg,

    /// Skip images that cannot be decoded
    #[arg(long)]
    skip_bad: bool,
}

/// Line of `--json`: the files that were tested and the result.
#[derive(Debug, Serialize)]
struct EvalReport {
    /// Absolute paths of the weights.
    files: Vec<PathBuf>,
    #[serde(flatten)]
    result: Evaluation,
}

impl EvalArgs {
    /// Tests the weights and prints the results.
    pub fn run(&self, ui: &mut Ui) -> Result<()> {
        ui.detail(|| format!("precision {}", self.precision.name()));
        let mut bars = ui.bars();
        let weights = self.files.iter().map(|path| Weights::load(path)).collect::<Result<Vec<_>>>()?;
        // Refuses impossible protocols before the images are read.
        let ensembles = self.ensembles(&weights)?;
        self.check_predictions(ensembles.len())?;
        let data = data::open(&self.data_options(&weights)?, &mut bars)?;
        let members = weights.iter().flat_map(|weights| self.protocol.iter().map(move |_| weights));
        let known = members.map(|weights| weights.label(&data)).collect::<Result<Vec<_>>>()?;
        if self.fuse {
            Weights::same_classes(&weights)?;
        }
        self.warn_about_classes(&weights, &data, ui);
        let split = self.split_of(&data, ui);
        for warning in &data.warnings {
            ui.warning(warning, None);
        }
        let mut results = Vec::new();
        // With --fuse there is one ensemble, and `same_classes` made sure that its files agree.
        for ((files, ensemble), data) in ensembles.into_iter().zip(&known) {
            let result = ensemble.evaluate(&data.split(split)?, &data.classes, self.skip_bad, &mut bars)?;
            if let Some(out) = &self.predictions {
                result.predictions.write(out)?;
            }
            let report = EvalReport { files, result };
            if ui.json() {
                ui.value(&report)?;
            }
            results.push(report);
        }
        if ui.json() {
            return Ok(());
        }
        let names: Vec<&str> = weights.iter().map(|weights| weights.metadata.model.name.as_str()).collect();
        ui.line(&format!("{} on {} ({})", names.join(", "), data.label(), split))?;
        print_tables(&results, ui)?;
        self.predictions.as_ref().map_or(Ok(()), |out| ui.line(&format!("\npredictions: {}", out.display())))
    }

    /// Fails if `--predictions` would be written by more than one test, or would replace weights.
    fn check_predictions(&self, tests: usize) -> Result<()> {
        let Some(out) = &self.predictions else { return Ok(()) };
        if tests > 1 {
            return Err(Error::usage(format!("--predictions takes one result, but {tests} are computed"))
                .with_hint("name one file and one protocol, or use --fuse"));
        }
        self.files.iter().try_for_each(|file| refuse_overwrite(file, out, "--predictions"))
    }

    /// Returns the options to open the data with. Several networks must have been trained on the
    /// same split: the validation images of one may be training images of another.
    fn data_options(&self, weights: &[Weights]) -> Result<DataOptions> {
        let asked = self.split.unwrap_or(Split::Test);
        let of = |weights: &Weights| weights.data_options(self.data.as_deref(), asked, self.skip_bad);
        let options = of(&weights[0])?;
        for other in &weights[1..] {
            let theirs = of(other)?;
            if asked != Split::Test
                && (theirs.train_size, theirs.validation) != (options.train_size, options.validation)
            {
                let (a, b) = (weights[0].path.display(), other.path.display());
                return Err(Error::usage(format!("{a} and {b} were trained on different splits of the data"))
                    .with_hint("test them one after the other, or both on --split test"));
            }
        }
        Ok(options)
    }

    /// Returns the part of `data` to test: all of it if it has no test split and `--split` is not
    /// given.
    fn split_of(&self, data: &Dataset, ui: &Ui) -> Split {
        let Some(split) = self.split else {
            if data.has_test_split {
                return Split::Test;
            }
            ui.warning(
                &format!("{} has no test split: all its images are tested", data.name),
                Some("if the weights were trained on it, --split test tests only the images that were held out"),
            );
            return Split::All;
        };
        split
    }

    /// Warns where classes are matched by order, or only some of them are tested.
    fn warn_about_classes(&self, weights: &[Weights], data: &Dataset, ui: &Ui) {
        for Weights { path, metadata, .. } in weights {
            let (file, known, here) = (path.display(), metadata.classes.len(), data.classes.len());
            if data::is_numbered(&metadata.classes) && !data::is_numbered(&data.classes) {
                ui.warning(
                    &format!("{file} has no class names: the classes of {} are matched by order", data.name),
                    None,
                );
            } else if here < known {
                ui.warning(&format!("{} has {here} of the {known} classes of {file}", data.name), None);
            }
        }
    }

    /// Returns the ensembles to test: every file with every protocol, or all fused into one.
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

/// Prints a row for each result, and classes and confusions if there is one result.
fn print_tables(results: &[EvalReport], ui: &mut Ui) -> Result<()> {
    ui.line("")?;
    ui.line(&headline(results))?;
    if let [EvalReport { result, .. }] = results {
        ui.line("")?;
        ui.line(&per_class(result))?;
        ui.line("")?;
        ui.line(&confusions(result))?;
    }
    Ok(())
}

fn headline(results: &[EvalReport]) -> String {
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
    for EvalReport { files, result } in results {
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

/// Returns the file with its folder's name, or the number of files.
fn short_name(files: &[PathBuf]) -> String {
    let [file] = files else { return format!("{} files", files.len()) };
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    match file.parent().map(name) {
        Some(folder) if !folder.is_empty() => format!("{folder}/{}", name(file)),
        _ => name(file),
    }
}

fn per_class(result: &Evaluation) -> String {
    let mut table = Table::new(&[
        ("class", Align::Left),
        ("images", Align::Right),
        ("errors", Align::Right),
        ("precision", Align::Right),
        ("recall", Align::Right),
        ("F1", Align::Right),
    ]);
    let share = |value: Option<f64>| value.map_or_else(|| "-".into(), |value| format!("{value:.3}"));
    for class in result.per_class.iter().filter(|class| class.images > 0) {
        table.row(vec![
            class.class.clone(),
            thousands(class.images as u64),
            thousands(class.errors as u64),
            share(class.precision),
            share(class.recall),
            share(class.f1),
        ]);
    }
    table.render()
}

/// Formats the confusion matrix, or its largest off-diagonal entries if it is too large.
fn confusions(result: &Evaluation) -> String {
    if result.per_class.len() <= MATRIX_UP_TO { matrix(result) } else { most_frequent(result) }
}

fn matrix(result: &Evaluation) -> String {
    let initial = |name: &str| name.chars().take(6).collect::<String>();
    let heads: Vec<String> = result.per_class.iter().map(|class| initial(&class.class)).collect();
    let mut columns = vec![("label \\ prediction", Align::Left)];
    columns.extend(heads.iter().map(|head| (head.as_str(), Align::Right)));
    let mut table = Table::new(&columns);
    for (class, row) in result.per_class.iter().zip(&result.confusion) {
        let mut cells = vec![class.class.clone()];
        cells.extend(row.iter().map(|n| if *n == 0 { ".".into() } else { n.to_string() }));
        table.row(cells);
    }
    table.render()
}

fn most_frequent(result: &Evaluation) -> String {
    let name = |i: usize| result.per_class[i].class.clone();
    let mut errors: Vec<(u64, usize, usize)> = Vec::new();
    for (label, row) in result.confusion.iter().enumerate() {
        let wrong = row.iter().enumerate().filter(|(prediction, n)| *prediction != label && **n > 0);
        errors.extend(wrong.map(|(prediction, n)| (*n, label, prediction)));
    }
    errors.sort_by_key(|(n, label, prediction)| (std::cmp::Reverse(*n), *label, *prediction));
    let mut table = Table::new(&[("label", Align::Left), ("prediction", Align::Left), ("images", Align::Right)]);
    for (n, label, prediction) in errors.into_iter().take(MOST_FREQUENT) {
        table.row(vec![name(label), name(prediction), n.to_string()]);
    }
    format!("most frequent confusions\n{}", table.render())
}
