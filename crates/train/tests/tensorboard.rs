//! A run's event files as TensorBoard reads them, where Python has it.

mod support;

use residual_train::recipe::Recipe;
use residual_train::train::tensorboard::TensorBoard;
use residual_train::train::{self, Event, RunOptions, Sink};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Prints `tag step value` for each point that TensorBoard has of a run.
const READER: &str = "
import sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
run = EventAccumulator(sys.argv[1], size_guidance={'scalars': 0})
run.Reload()
for tag in run.Tags()['scalars']:
    for point in run.Scalars(tag):
        print(tag, point.step, point.value)
";

/// Trains in `folder`, and stops behind step `last`; gives back what was told.
fn sitting(recipe: &Recipe, folder: &Path, last: u64) -> Vec<Event> {
    let (stop, mut board, mut told) = (Arc::new(AtomicBool::new(false)), TensorBoard::default(), Vec::new());
    let options = RunOptions {
        out: folder.into(),
        resume: true,
        skip_bad: false,
        row: None,
        stop: Arc::clone(&stop),
        report: None,
    };
    let mut sink = |event: &Event| {
        if matches!(event, Event::Step { step, .. } if *step == last) {
            stop.store(true, Ordering::Relaxed);
        }
        board.event(event);
        told.push(event.clone());
    };
    let outcome = train::run(recipe, &options, &mut (), &mut sink);
    board.finish().expect("a folder that can be written");
    assert!(outcome.is_ok() || stop.load(Ordering::Relaxed), "{outcome:?}");
    told
}

#[test]
#[ignore = "needs Python with tensorboard"]
fn tensorboard_finds_every_point_of_a_run_once_even_where_a_kill_threw_steps_away() {
    let python = support::python("tensorboard");
    let folder = tempfile::tempdir().expect("a folder");
    let changes = [
        "model.name=resnet-cifar-8",
        "data.train_size=40",
        "train.batch=8",
        "train.steps=10",
        "schedule.kind=constant",
    ];
    let recipe = Recipe::load("shapes-resnet20", &changes.map(String::from)).expect("a small recipe");
    sitting(&recipe, folder.path(), 4);
    let saved = std::fs::read(folder.path().join("state.safetensors")).expect("a checkpoint of step 4");
    sitting(&recipe, folder.path(), 7);
    // As if the process had been killed at step 7 with no checkpoint behind 4.
    std::fs::write(folder.path().join("state.safetensors"), saved).expect("a folder of ours");
    sitting(&recipe, folder.path(), 0);

    let out = Command::new(&python).args(["-c", READER]).arg(folder.path()).output().expect("Python runs");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let mut curves: BTreeMap<String, Vec<(u64, f64)>> = BTreeMap::new();
    for line in String::from_utf8(out.stdout).expect("UTF-8").lines() {
        let [tag, step, value] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let point = (step.parse().expect("a step"), value.parse().expect("a number"));
        curves.entry(tag.to_owned()).or_default().push(point);
    }
    let metrics = std::fs::read_to_string(folder.path().join("metrics.jsonl")).expect("written by every run");
    let events: Vec<serde_json::Value> =
        metrics.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let expected = [
        ("loss/batch", "step", "loss"),
        ("learning_rate", "step", "lr"),
        ("loss/train", "epoch", "train_loss"),
        ("loss/validation", "epoch", "val_loss"),
        ("top1_error/train", "epoch", "train_top1_error"),
        ("top1_error/validation", "epoch", "val_top1_error"),
        ("speed/images_per_second", "epoch", "images_per_second"),
        ("speed/data_wait", "epoch", "data_wait"),
        ("top1_error/test", "done", "test_top1_error"),
        ("top5_error/test", "done", "test_top5_error"),
    ];
    for (tag, kind, key) in expected {
        let of_kind = events.iter().filter(|event| event["event"] == kind);
        let points = of_kind.filter_map(|event| Some((event["step"].as_u64()?, event[key].as_f64()?)));
        let points: Vec<(u64, f64)> = points.map(|(step, value)| (step, f64::from(value as f32))).collect();
        assert!(!points.is_empty(), "{tag}");
        assert_eq!(curves.remove(tag).unwrap_or_default(), points, "{tag}");
    }
    assert!(curves.is_empty(), "{curves:?}");
}
