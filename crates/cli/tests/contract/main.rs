//! The command-line contract: keys of `--json`, exit codes, what is left on the disk. Runs are as
//! small as they can be: the 8-layer CIFAR network on a few dozen of the built-in images.

mod lab;
mod machine;
mod networks;
mod pages;
mod runs;
mod tools;
mod weights;

use assert_cmd::Command;
use serde_json::Value;
use std::path::Path;
use tempfile::TempDir;

/// A training run that is over in a second or two.
const SMALL: [&str; 9] = [
    "train",
    "resnet-cifar-8",
    "--json",
    "--set",
    "train.batch=8",
    "--set",
    "data.train_size=40",
    "--set",
    "schedule.kind=constant",
];

/// A red PNG of one pixel.
const IMAGE: [u8; 69] = [
    137, 80, 78, 71, 13, 10, 26, 10, 0, 0, 0, 13, 73, 72, 68, 82, 0, 0, 0, 1, 0, 0, 0, 1, 8, 2, 0, 0, 0, 144, 119, 83,
    222, 0, 0, 0, 12, 73, 68, 65, 84, 120, 156, 99, 248, 207, 192, 0, 0, 3, 1, 1, 0, 201, 254, 146, 239, 0, 0, 0, 0,
    73, 69, 78, 68, 174, 66, 96, 130,
];

fn residual(arguments: &[&str]) -> Command {
    let mut command = Command::cargo_bin("residual").expect("the binary is built with the tests");
    command.args(arguments);
    command
}

/// Arguments of a small run of `steps` steps in `folder`/run.
fn small(folder: &TempDir, steps: u32, more: &[&str]) -> Command {
    let mut command = residual(&SMALL);
    command.args(["--set", &format!("train.steps={steps}"), "--out"]).arg(folder.path().join("run")).args(more);
    command
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

/// The lines of stdout of a command that succeeds.
fn lines(mut command: Command) -> Vec<Value> {
    let output = command.output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// Exit code and stderr of a command that fails.
fn failure(mut command: Command) -> (i32, String) {
    let output = command.output().expect("it runs");
    assert!(!output.status.success());
    (output.status.code().expect("a code"), String::from_utf8(output.stderr).expect("UTF-8"))
}

fn assert_keys(value: &Value, keys: &[&str]) {
    for key in keys {
        assert!(value.get(key).is_some(), "no {key} in {value}");
    }
}

fn events<'a>(lines: &'a [Value], name: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["event"] == name).collect()
}

/// An image of one colour.
fn image(path: &Path, colour: u8) {
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("writable");
    let image = residual_train::data::Image { height: 40, width: 48, channels: 3, pixels: vec![colour; 40 * 48 * 3] };
    image.save_png(path).expect("writable");
}
