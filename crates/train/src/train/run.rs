//! One run, from a recipe to tested weights. It may be killed at any moment and resumed.

#[cfg(test)]
mod tests;

use super::ending;
use super::event::{Event, Sink};
use super::folder::RunFolder;
use super::options::RunOptions;
use super::prepare::prepare;
use super::record::RunResult;
use super::session::Session;
use super::start;
use super::trainer::Trainer;
use crate::data;
use crate::error::{Error, Kind, Result};
use crate::recipe::Recipe;
use burn::tensor::Device;
use std::sync::atomic::Ordering;

/// Trains by `recipe` in the folder that `options` names, tests once, and returns the result.
/// Everything stays in the folder.
///
/// # Errors
/// The recipe, the images or the folder cannot be used; the loss or the weights stop being finite;
/// Ctrl-C was pressed (a checkpoint is written).
pub fn run(
    recipe: &Recipe,
    options: &RunOptions,
    progress: &mut dyn data::Progress,
    sink: &mut dyn Sink,
) -> Result<RunResult> {
    let resumed = RunFolder::holds_a_run(&options.out);
    if resumed && !options.resume {
        return Err(is_taken(options));
    }
    if resumed && let Some(result) = ending::finished_before(recipe, &options.out, options.report.is_some(), sink) {
        return Ok(result);
    }
    let device = Device::flex().autodiff();
    let prepared = prepare(recipe, options.skip_bad, progress)?;
    let model = match resumed {
        true => start::fresh_model(&prepared.recipe)?,
        false => start::initial_model(&prepared, progress)?,
    };
    let trainer = Trainer::new(&model, prepared.recipe.written(), &device);
    // Only now: a mistake in the recipe or the data leaves no folder behind.
    let folder = RunFolder::open(&options.out)?;
    // Again under the lock: another process may have trained here while this one read its data.
    if !resumed && RunFolder::holds_a_run(folder.path()) {
        return Err(is_taken(options));
    }
    let mut session = Session::begin(prepared, trainer, folder, resumed, &device)?;
    if let Some(result) = session.result()? {
        session.finish(&result, options.report, progress, sink)?;
        return Ok(result);
    }
    session.announce(sink)?;
    let result = train(&mut session, options, progress, sink);
    if let Err(error) = &result
        && error.kind() != Kind::Interrupted
    {
        // For `residual runs`. A full disk may be the failure itself, so this may fail, too.
        let _ = session.folder.log(&Event::Failed { step: session.state.step, message: error.to_string() });
    }
    result
}

/// Takes steps until the last one or until Ctrl-C, tests the weights, and finishes the run folder.
fn train(
    session: &mut Session,
    options: &RunOptions,
    progress: &mut dyn data::Progress,
    sink: &mut dyn Sink,
) -> Result<RunResult> {
    while !session.is_done() {
        let mut batches = session.next_batches()?;
        let (metrics, lr) = session.step(&mut batches);
        session.record(metrics, lr, sink)?;
        // Read once per step: the checkpoint and the end of the run must agree on it.
        let stop = options.stop.load(Ordering::Relaxed);
        let is_checkpoint_due = session.is_checkpoint_due() || stop;
        if is_checkpoint_due {
            session.check_weights(lr)?;
        }
        if session.is_epoch_end() {
            session.end_epoch(lr, progress, sink)?;
        }
        if is_checkpoint_due {
            session.checkpoint(sink)?;
        }
        if stop && !session.is_done() {
            return Err(session.interrupted());
        }
    }
    let result = RunResult { row: options.row.clone(), ..session.test(progress)? };
    session.finish(&result, options.report, progress, sink)?;
    Ok(result)
}

/// The error of a folder that holds another run.
fn is_taken(options: &RunOptions) -> Error {
    let message = format!("{} already holds a run", options.out.display());
    Error::usage(message).with_hint("resume it with --resume, or choose another --out")
}
