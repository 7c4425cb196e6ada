//! How a run ends: one test of the chosen weights, and the files that stay in the folder.

use super::event::{Event, Sink};
use super::folder::RunFolder;
use super::machine::peak_rss_mb;
use super::options::ReportWriter;
use super::record::{Record, RunResult};
use super::session::Session;
use super::state::{IMAGES_KEY, changes};
use crate::data;
use crate::error::{Error, Result};
use crate::eval::InferenceSession;
use crate::eval::predictions::Predictions;
use crate::eval::protocol::TestProtocol;
use crate::ops::profile;
use crate::recipe::Recipe;
use crate::weights;
use std::path::{Path, PathBuf};

/// Recipe keys that the data may decide.
const DECIDED_BY_DATA: [&str; 6] =
    ["model.input", "model.channels", "model.classes", "data.validation", "data.mean", "data.std"];

/// A part of the last event in `metrics.jsonl`.
const DONE: &str = "\"event\":\"done\"";

/// Returns the result of the run in `folder` if it finished by exactly this `recipe` and has its
/// report, if one is wanted; `sink` gets its last event. Neither the images nor a writable folder are needed for
/// that.
pub(super) fn finished_before(
    recipe: &Recipe,
    folder: &Path,
    wants_report: bool,
    sink: &mut dyn Sink,
) -> Option<RunResult> {
    let record = Record::read(folder).ok()?;
    let report = record.path.join("report.html");
    let metrics = std::fs::read_to_string(record.path.join("metrics.jsonl")).ok()?;
    let mut changes = changes(&record.recipe_text, &recipe.to_toml().ok()?).ok()?;
    // Images under another path may be other images; they are compared, unless the path does not
    // exist.
    let source = Path::new(&recipe.data.source);
    if source.is_absolute() && !source.exists() {
        changes.remove(IMAGES_KEY);
    }
    // Without a state no data can be compared: what the recipe leaves open is what it was.
    if !RunFolder::holds_a_state(folder) {
        for key in DECIDED_BY_DATA {
            if changes.get(key) == Some(&None) {
                changes.remove(key);
            }
        }
    }
    let report = report.is_file().then_some(report);
    let is_complete = changes.is_empty() && (report.is_some() || !wants_report) && metrics.contains(DONE);
    let result = record.result.filter(|_| is_complete)?;
    sink.event(&done(&result, recipe.data.test, report));
    Some(result)
}

/// The last event of a run.
fn done(result: &RunResult, protocol: TestProtocol, report: Option<PathBuf>) -> Event {
    Event::Done {
        step: result.step,
        test_top1_error: result.test_top1_error,
        test_top5_error: result.test_top5_error,
        checkpoint: result.checkpoint.clone(),
        rule: result.rule.clone(),
        protocol,
        seconds: result.seconds,
        report,
    }
}

impl Session {
    /// Tests the best weights, or the last ones if there is no validation split, once.
    ///
    /// # Errors
    /// The weights or an image cannot be read, or the folder cannot be written.
    pub(super) fn test(&mut self, progress: &mut dyn data::Progress) -> Result<RunResult> {
        let (rule, path) = match self.state.best {
            Some(_) => ("best", self.folder.best()),
            None => ("last", self.folder.last()),
        };
        // A kill between the last checkpoint's two files may have left older weights here.
        self.save_weights(&self.trainer.tested(), self.folder.last())?;
        let predictions = self.predictions(&path, progress)?;
        if let Some(predictions) = &predictions {
            predictions.write(&self.folder.predictions())?;
        }
        self.update_times();
        Ok(RunResult {
            step: self.state.step,
            test_top1_error: predictions.as_ref().map(Predictions::top1_error),
            test_top5_error: predictions.as_ref().and_then(Predictions::top5_error),
            test_loss: predictions.as_ref().map(Predictions::loss),
            checkpoint: path,
            rule: rule.to_owned(),
            best_val_top1_error: self.state.best.map(|best| best.error),
            seconds: self.state.seconds,
            peak_rss_mb: peak_rss_mb(),
            data: self.data.label(),
            images_md5: Some(self.data.provenance.md5.clone()),
            model: self.metadata.model.name.clone(),
            row: None,
        })
    }

    /// Classifies the test images with the weights in `path`; `None` if there are no test images.
    fn predictions(&self, path: &Path, progress: &mut dyn data::Progress) -> Result<Option<Predictions>> {
        let test = &self.data.test;
        if test.is_empty() {
            return Ok(None);
        }
        let (model, _) = weights::load(path)?;
        let flip = self.recipe.data.test == TestProtocol::Flip;
        let session = InferenceSession::new(&model, test.len(), self.recipe.train.winograd);
        Predictions::of(&session, test, &self.normalizer, &self.data.classes, flip, progress).map(Some)
    }

    /// Writes what a finished run leaves in its folder, and emits its last event.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub(super) fn finish(
        &mut self,
        result: &RunResult,
        writer: Option<ReportWriter>,
        progress: &mut dyn data::Progress,
        sink: &mut dyn Sink,
    ) -> Result<()> {
        self.folder.write("summary.json", &serde_json::to_string_pretty(result).expect("plain data"))?;
        self.folder.rewind(self.state.step)?;
        let metrics = self.folder.file("metrics.jsonl");
        let text = std::fs::read_to_string(&metrics).map_err(|error| Error::io("read", &metrics, error))?;
        let was_done = text.contains(DONE);
        let report = self.report(was_done, writer, progress, sink)?;
        let done = done(result, self.recipe.data.test, report);
        if was_done {
            sink.event(&done);
            return Ok(());
        }
        self.emit(done, sink)
    }

    /// Writes the report, unless the run `was_done` before and has one: an older report is that of
    /// an unfinished run. A report that cannot be written is a warning, not an error, since the
    /// weights are safe.
    fn report(
        &mut self,
        was_done: bool,
        writer: Option<ReportWriter>,
        progress: &mut dyn data::Progress,
        sink: &mut dyn Sink,
    ) -> Result<Option<PathBuf>> {
        let path = self.folder.report();
        if was_done && path.exists() {
            return Ok(Some(path));
        }
        let Some(writer) = writer else { return Ok(None) };
        let write = |record| writer(record, &self.data, &path, progress);
        match profile::aside(|| Record::read(self.folder.path()).and_then(write)) {
            Ok(path) => Ok(Some(path)),
            Err(error) => {
                let message = format!("the report could not be written: {error}");
                let hint = error.hint().map(str::to_owned);
                self.emit(Event::Warning { step: self.state.step, message, hint }, sink)?;
                Ok(None)
            }
        }
    }
}
