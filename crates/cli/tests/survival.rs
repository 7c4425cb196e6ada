//! Runs that die: killed for real, resumed, and compared bit by bit with runs that were left alone.

use assert_cmd::cargo::cargo_bin;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A run of a few seconds that uses everything a checkpoint must carry: momentum, moving average,
/// crops and flips, mixup, accumulation, a schedule, a validation split. 24 steps of 2 x 32 images,
/// 4 epochs.
fn train(out: &Path, extra: &[&str]) -> Command {
    let mut command = Command::new(cargo_bin("residual"));
    command.args(["train", "resnet-cifar-8", "--data", "shapes", "--json", "--out"]).arg(out);
    for setting in [
        "data.train_size=448",
        "data.validation=64",
        "train.epochs=4",
        "train.batch=32",
        "train.accumulate=2",
        "train.ema=0.9",
        "train.checkpoint_every=5",
        "augment.pad_crop=4",
        "augment.flip=random",
        "loss.mixup=0.2",
    ] {
        command.args(["--set", setting]);
    }
    command.args(extra).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn finish(mut command: Command) -> Output {
    let output = command.output().expect("the binary was built");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

fn start(mut command: Command) -> Child {
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary was built")
}

/// Waits until the run in `out` has logged `lines` lines; it must not end before.
fn wait_for(out: &Path, lines: usize, child: &mut Child) {
    let began = Instant::now();
    loop {
        let text = std::fs::read_to_string(out.join("metrics.jsonl")).unwrap_or_default();
        if text.lines().count() >= lines {
            return;
        }
        assert!(child.try_wait().expect("a child of ours").is_none(), "it ended before its line {lines}");
        assert!(began.elapsed() < Duration::from_secs(120), "no progress in {}", out.display());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The files that hold the outcome of a run.
fn weights(out: &Path) -> [Vec<u8>; 2] {
    ["last.safetensors", "best.safetensors"].map(|name| std::fs::read(out.join(name)).expect("a finished run"))
}

/// Epoch events without what a clock decides.
fn epochs(out: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(out.join("metrics.jsonl")).expect("a finished run");
    let events = text.lines().map(|line| serde_json::from_str(line).expect("whole lines"));
    let epochs = events.filter(|event: &serde_json::Value| event["event"] == "epoch");
    epochs
        .map(|e| ["epoch", "step", "train_loss", "val_loss", "val_top1_error"].map(|key| e[key].clone()).into())
        .collect()
}

#[test]
fn a_run_killed_anywhere_and_resumed_ends_with_the_bits_of_one_left_alone() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (whole, killed) = (folder.path().join("whole"), folder.path().join("killed"));
    finish(train(&whole, &[]));
    // Killed in the first epoch before any checkpoint, between checkpoints, in the middle of later
    // epochs.
    for lines in [3, 9, 14, 22] {
        let mut child = start(train(&killed, &["--resume"]));
        wait_for(&killed, lines, &mut child);
        child.kill().expect("SIGKILL reaches a child");
        child.wait().expect("it is dead");
    }
    finish(train(&killed, &["--resume"]));
    assert_eq!(epochs(&killed), epochs(&whole));
    assert!(weights(&killed) == weights(&whole), "weights differ");
}

#[test]
fn one_thread_and_two_give_the_same_bits() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    finish(train(&one, &["--threads", "1", "--set", "train.epochs=2"]));
    finish(train(&two, &["--threads", "2", "--set", "train.epochs=2"]));
    assert!(weights(&one) == weights(&two), "weights differ");
}

#[test]
fn another_seed_gives_other_weights() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    finish(train(&one, &["--set", "train.epochs=1"]));
    finish(train(&two, &["--set", "train.epochs=1", "--seed", "1"]));
    assert!(weights(&one) != weights(&two));
}

#[test]
fn a_finished_run_is_not_run_again() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join("run");
    finish(train(&out, &["--set", "train.epochs=1"]));
    let before = weights(&out);
    let again = finish(train(&out, &["--set", "train.epochs=1", "--resume"]));
    let lines: Vec<_> = std::str::from_utf8(&again.stdout).expect("text").lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("\"event\":\"done\""), "{lines:?}");
    assert!(weights(&out) == before);
    // Without --resume a folder that holds a run is left alone.
    let refused = train(&out, &["--set", "train.epochs=1"]).output().expect("the binary was built");
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--resume"));
}

#[test]
fn a_damaged_checkpoint_is_refused_and_the_one_before_it_used() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (whole, damaged) = (folder.path().join("whole"), folder.path().join("damaged"));
    finish(train(&whole, &[]));
    let mut child = start(train(&damaged, &[]));
    wait_for(&damaged, 16, &mut child);
    child.kill().expect("SIGKILL reaches a child");
    child.wait().expect("it is dead");
    let state = damaged.join("state.safetensors");
    let mut bytes = std::fs::read(&state).expect("a checkpoint after five steps");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&state, &bytes).expect("a folder of ours");
    let resumed = finish(train(&damaged, &["--resume"]));
    assert!(String::from_utf8_lossy(&resumed.stdout).contains("fingerprint"), "the warning names the damage");
    assert!(weights(&damaged) == weights(&whole), "weights differ");
    // Cut short, with nothing before it: a clear refusal.
    let alone = folder.path().join("alone");
    std::fs::create_dir(&alone).expect("a folder of ours");
    std::fs::write(alone.join("state.safetensors"), &bytes[..1000]).expect("a folder of ours");
    let refused = train(&alone, &["--resume"]).output().expect("the binary was built");
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("damaged"));
}

#[test]
fn a_second_run_in_the_same_folder_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join("run");
    let mut first = start(train(&out, &["--set", "train.epochs=200"]));
    wait_for(&out, 2, &mut first);
    let second = train(&out, &["--resume"]).output().expect("the binary was built");
    first.kill().expect("SIGKILL reaches a child");
    first.wait().expect("it is dead");
    assert_eq!(second.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&second.stderr).contains("another process is training in"));
    // The lock died with its holder: a run of the same recipe gets in, and is killed in turn.
    let mut command = train(&out, &["--set", "train.epochs=200", "--resume"]);
    let mut third = command.stderr(Stdio::null()).spawn().expect("the binary was built");
    let mut line = String::new();
    BufReader::new(third.stdout.take().expect("piped")).read_line(&mut line).expect("a pipe");
    assert!(line.contains("\"event\":\"start\""), "{line}");
    third.kill().expect("SIGKILL reaches a child");
    third.wait().expect("it is dead");
}

#[cfg(unix)]
#[test]
fn ctrl_c_writes_a_checkpoint_and_exits_with_130() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (whole, stopped) = (folder.path().join("whole"), folder.path().join("stopped"));
    finish(train(&whole, &["--set", "train.checkpoint_every=0"]));
    let mut child = start(train(&stopped, &["--set", "train.checkpoint_every=0"]));
    wait_for(&stopped, 4, &mut child);
    let interrupted = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(interrupted.expect("kill is everywhere").success());
    assert_eq!(child.wait().expect("it ends").code(), Some(130));
    assert!(stopped.join("state.safetensors").exists());
    finish(train(&stopped, &["--set", "train.checkpoint_every=0", "--resume"]));
    assert!(weights(&stopped) == weights(&whole), "weights differ");
}

#[cfg(unix)]
#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let out = Path::new("/proc/residual-run");
    let refused = train(out, &[]).output().expect("the binary was built");
    assert_eq!(refused.status.code(), Some(1));
    let message = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(message.contains("/proc/residual-run") && message.contains("hint: "), "{message}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error_and_the_last_checkpoint_survives() {
    // A file-size limit makes every write beyond it fail, as a full disk would.
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join("run");
    let mut child = start(train(&out, &["--set", "train.epochs=200"]));
    wait_for(&out, 10, &mut child);
    child.kill().expect("SIGKILL reaches a child");
    child.wait().expect("it is dead");
    let good = std::fs::read(out.join("state.safetensors")).expect("a checkpoint after five steps");
    let command = train(&out, &["--resume", "--set", "train.epochs=200"]);
    let mut shell = Command::new("sh");
    // SIGXFSZ is ignored so that the write returns an error.
    shell
        .args(["-c", "trap '' XFSZ; ulimit -f 100; exec \"$0\" \"$@\""])
        .arg(command.get_program())
        .args(command.get_args());
    let failed = shell.output().expect("a shell");
    assert_eq!(failed.status.code(), Some(1), "{}", String::from_utf8_lossy(&failed.stderr));
    assert!(String::from_utf8_lossy(&failed.stderr).contains("cannot write"));
    let kept = ["state.safetensors", "state.previous.safetensors"].map(|name| std::fs::read(out.join(name)).ok());
    assert!(kept.contains(&Some(good)), "the last good checkpoint is gone");
}
