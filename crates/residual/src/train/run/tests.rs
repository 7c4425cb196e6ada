//! Two processes and one folder.

use super::*;
use std::fs;

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
fn a_run_that_came_to_be_while_the_data_was_read_is_not_overwritten() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("run");
    let recipe = Recipe::load("shapes-resnet20", &["data.train_size=256".to_owned()]).expect("a built-in recipe");
    let options = RunOptions { out: out.clone(), resume: false, skip_bad: false, stop: Arc::default() };
    let error = run(&recipe, &options, &mut Meanwhile(out.clone()), &mut |_: &Event| ()).expect_err("it is taken");
    assert_eq!(error.to_string(), format!("{} already holds a run", out.display()));
    assert!(!out.join("recipe.toml").exists(), "nothing of this run was written");
}
