//! Two processes and one folder.

use super::*;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

/// Another process that trains in the folder, and ends, while this one reads its data.
struct Meanwhile(PathBuf);

impl data::Progress for Meanwhile {
    fn start(&mut self, _what: &str, _total: u64) {
        fs::create_dir_all(&self.0).expect("writable");
        fs::write(self.0.join("state.safetensors"), "a state").expect("writable");
    }
    fn advance(&mut self, _n: u64) {}
    fn note(&mut self, _text: &str) {}
}

#[test]
fn a_moved_finished_run_without_states_is_still_finished() {
    let folder = tempfile::tempdir().expect("a folder");
    let (out, moved) = (folder.path().join("run"), folder.path().join("moved"));
    let set = ["data.train_size=64", "train.steps=2", "train.batch=4"].map(str::to_owned);
    let recipe = Recipe::load("shapes-resnet20", &set).expect("a built-in recipe");
    let options = |out: &PathBuf, resume| RunOptions {
        out: out.clone(),
        resume,
        skip_bad: false,
        row: None,
        stop: Arc::default(),
        report: None,
    };
    let silence = &mut |_: &Event| ();
    let first = run(&recipe, &options(&out, false), &mut (), silence).expect("it runs");
    for state in ["state.safetensors", "state.previous.safetensors"] {
        let _ = fs::remove_file(out.join(state));
    }
    fs::rename(&out, &moved).expect("the same disk");
    let weights = fs::read(moved.join("last.safetensors")).expect("there");
    let again = run(&recipe, &options(&moved, true), &mut (), silence).expect("it is finished");
    assert_eq!(again.test_top1_error, first.test_top1_error);
    let canonical = moved.canonicalize().expect("there");
    assert_eq!(again.checkpoint, canonical.join(first.checkpoint.file_name().expect("a file")));
    assert_eq!(fs::read(moved.join("last.safetensors")).expect("there"), weights, "nothing was trained");
    let longer = recipe.with(&["train.steps=3".into()]).expect("a recipe");
    let error = run(&longer, &options(&moved, true), &mut (), silence).expect_err("no state to go on from");
    assert!(error.to_string().contains("holds a finished run"), "{error}");
    assert!(run(&recipe, &options(&moved, false), &mut (), silence).is_err(), "nor is it written over");
}

#[test]
fn a_run_that_came_to_be_while_the_data_was_read_is_not_overwritten() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("run");
    let recipe = Recipe::load("shapes-resnet20", &["data.train_size=256".to_owned()]).expect("a built-in recipe");
    let options =
        RunOptions { out: out.clone(), resume: false, skip_bad: false, row: None, stop: Arc::default(), report: None };
    let error = run(&recipe, &options, &mut Meanwhile(out.clone()), &mut |_: &Event| ()).expect_err("it is taken");
    assert_eq!(error.to_string(), format!("{} already holds a run", out.display()));
    assert!(!out.join("recipe.toml").exists(), "nothing of this run was written");
}
