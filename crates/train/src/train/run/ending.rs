//! How a run ends: one test of the chosen weights, and what stays in the folder for people. Not for checkpoints, from which
//! a run goes on.

use super::{ReportWriter, Run, RunResult};
use crate::data;
use crate::error::{Error, Result};
use crate::eval::predictions::Predictions;
use crate::eval::{Classifier, Views};
use crate::ops::profile;
use crate::recipe::Recipe;
use crate::train::event::{Event, Sink};
use crate::train::folder::RunFolder;
use crate::train::machine::peak_rss_mb;
use crate::train::record::Record;
use crate::train::state::{PLACE, changes};
use crate::weights;
use burn::tensor::Device;
use std::path::{Path, PathBuf};

/// The result of the run in `folder` where it has ended by exactly this `recipe`, with its page, and tells `sink` so: neither images nor
/// a folder that can be written are needed for that.
pub(super) fn ended(recipe: &Recipe, folder: &Path, sink: &mut dyn Sink) -> Option<RunResult> {
    let record = Record::read(folder).ok()?;
    let report = record.path.join("report.html");
    let metrics = std::fs::read_to_string(record.path.join("metrics.jsonl")).ok()?;
    let mut changes = changes(&record.recipe_text, &recipe.to_toml().ok()?).ok()?;
    // Images that are elsewhere now may be others: where there are any, or names of some, they have to be looked at.
    let place = Path::new(&recipe.data.source);
    if place.is_absolute() && !place.exists() {
        changes.remove(PLACE);
    }
    // Without a state nothing can be settled by the images, and what the recipe leaves open is what it was.
    if !RunFolder::holds_a_state(folder) {
        SETTLED.iter().for_each(|key| {
            if changes.get(*key) == Some(&None) {
                changes.remove(*key);
            }
        });
    }
    let same = changes.is_empty();
    let whole = same && report.is_file() && metrics.contains(DONE);
    let result = record.result.filter(|_| whole)?;
    sink.event(&done(&result, recipe, Some(report)));
    Some(result)
}

/// What a recipe may leave to the images.
const SETTLED: [&str; 6] =
    ["model.input", "model.channels", "model.classes", "data.validation", "data.mean", "data.std"];

/// What `metrics.jsonl` holds of a run that has told its end.
const DONE: &str = "\"event\":\"done\"";

/// The last event of a run.
fn done(result: &RunResult, recipe: &Recipe, report: Option<PathBuf>) -> Event {
    Event::Done {
        step: result.step,
        test_top1_error: result.test_top1_error,
        test_top5_error: result.test_top5_error,
        checkpoint: result.checkpoint.clone(),
        rule: result.rule.clone(),
        protocol: recipe.data.test,
        seconds: result.seconds,
        report,
    }
}

impl Run {
    /// Tests the chosen weights, once.
    pub(super) fn test(&mut self, progress: &mut dyn data::Progress) -> Result<RunResult> {
        let (rule, path) = match self.now.best {
            Some(_) => ("best", self.folder.best()),
            None => ("last", self.folder.last()),
        };
        // A kill between the last checkpoint's two files may have left older weights here.
        self.save_weights(&self.trainer.tested(), self.folder.last())?;
        let result = if self.data.test.is_empty() {
            None
        } else {
            let (model, _) = weights::load(&path, &Device::flex())?;
            let flip = self.recipe.data.test == Views::Flip;
            let classifier = Classifier::new(&model, self.data.test.len(), self.recipe.train.precise);
            let predictions = Predictions::of(&classifier, &self.data.test, &self.normalizer, flip, progress)?;
            predictions.write(&self.folder.predictions())?;
            Some(predictions)
        };
        self.tick();
        Ok(RunResult {
            step: self.now.step,
            test_top1_error: result.as_ref().map(Predictions::top1_error),
            test_top5_error: result
                .as_ref()
                .filter(|_| self.data.classes.len() > 5)
                .map(|result| result.error_within(5)),
            test_loss: result.as_ref().map(Predictions::loss),
            checkpoint: path,
            rule: rule.to_owned(),
            best_val_top1_error: self.now.best.map(|best| best.error),
            seconds: self.now.seconds,
            peak_rss_mb: peak_rss_mb(),
            data: self.data.label(),
            images_md5: Some(self.data.provenance.md5.clone()),
            model: self.metadata.model.name.clone(),
            row: None,
        })
    }

    /// Writes what a finished run leaves behind and says that it is done.
    pub(super) fn report(
        &mut self,
        result: &RunResult,
        writer: Option<ReportWriter>,
        progress: &mut dyn data::Progress,
        sink: &mut dyn Sink,
    ) -> Result<()> {
        self.folder.write("summary.json", &serde_json::to_string_pretty(result).expect("plain data"))?;
        self.folder.rewind(self.now.step)?;
        let metrics = self.folder.file("metrics.jsonl");
        let read = || std::fs::read_to_string(&metrics).map_err(|error| Error::io("read", &metrics, error));
        let was_told = read()?.contains(DONE);
        let report = self.page(was_told, writer, progress, sink)?;
        let done = done(result, &self.recipe, report);
        if was_told {
            sink.event(&done);
            return Ok(());
        }
        self.tell(done, sink)
    }

    /// Writes the page about the run, unless it `was_told` before that the run is done: an older page is of an unfinished
    /// one. A page that cannot be written is worth a warning, not a failure: the weights are
    /// what the run was for.
    fn page(
        &mut self,
        was_told: bool,
        writer: Option<ReportWriter>,
        progress: &mut dyn data::Progress,
        sink: &mut dyn Sink,
    ) -> Result<Option<PathBuf>> {
        let path = self.folder.report();
        if was_told && path.exists() {
            return Ok(Some(path));
        }
        let Some(writer) = writer else { return Ok(None) };
        let write = |record| writer(record, &self.data, &path, progress);
        let written = profile::aside(|| Record::read(self.folder.path()).and_then(write));
        match written {
            Ok(path) => Ok(Some(path)),
            Err(error) => {
                let message = format!("the report could not be written: {error}");
                let hint = error.hint().map(str::to_owned);
                self.tell(Event::Warning { step: self.now.step, message, hint }, sink)?;
                Ok(None)
            }
        }
    }
}
