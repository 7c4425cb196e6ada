//! The command-line contract: keys of `--json`, exit codes, what is left on the disk. Runs are as small as they can be:
//! the 8-layer CIFAR network on a few dozen of the built-in pictures.

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
const PICTURE: [u8; 69] = [
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

#[test]
fn models_lists_every_network_with_its_counts() {
    let lines = lines(residual(&["models", "--json"]));
    for line in &lines {
        assert_keys(line, &["name", "family", "params", "macs", "input", "classes"]);
    }
    let resnet = lines.iter().find(|line| line["name"] == "resnet-20").expect("listed");
    assert_eq!((resnet["params"].as_u64(), resnet["input"].as_u64()), (Some(269_722), Some(32)));
}

#[test]
fn inspect_tells_layers_and_marks_what_differs() {
    let vgg =
        &lines(residual(&["inspect", "vgg19bn", "--input", "32", "--classes", "10", "--against", "224", "--json"]))[0];
    assert_keys(vgg, &["name", "params", "macs", "receptive_field", "layers"]);
    assert_eq!(vgg["params"], 20_040_522);
    let layers = vgg["layers"].as_array().expect("layers");
    for layer in layers {
        assert_keys(layer, &["name", "kind", "output", "params", "macs", "receptive_field", "differs"]);
    }
    assert_eq!(layers.first().expect("a layer")["differs"], false);
    assert_eq!(layers.last().expect("a layer")["differs"], true);
}

#[test]
fn a_run_tells_its_events_and_leaves_weights_that_can_be_tested() {
    let folder = folder();
    let told = lines(small(&folder, 6, &[]));
    assert_eq!(events(&told, "start")[0]["step"], 0);
    let steps = events(&told, "step");
    assert_eq!(steps.iter().filter_map(|step| step["step"].as_u64()).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    steps.iter().for_each(|step| assert_keys(step, &["loss", "lr"]));
    let keys = ["epoch", "step", "train_loss", "val_loss", "val_top1_error", "lr", "images_per_second", "data_wait"];
    events(&told, "epoch").iter().for_each(|epoch| assert_keys(epoch, &keys));
    let done = events(&told, "done")[0];
    assert_keys(done, &["step", "test_top1_error", "test_top5_error", "checkpoint", "seconds"]);
    let checkpoint = done["checkpoint"].as_str().expect("a path");
    assert!(Path::new(checkpoint).is_absolute() && Path::new(checkpoint).is_file());
    for name in ["recipe.toml", "machine.json", "metrics.jsonl", "last.safetensors", "summary.json"] {
        assert!(folder.path().join("run").join(name).is_file(), "{name}");
    }

    let result = &lines(residual(&["eval", checkpoint, "--json"]))[0];
    let keys = [
        "images",
        "loss",
        "top1_error",
        "top5_error",
        "per_class",
        "confusion",
        "ece",
        "protocol",
        "images_per_second",
    ];
    assert_keys(result, &keys);
    assert_eq!(result["top1_error"], done["test_top1_error"], "eval finds what training found");
    let validation = &lines(residual(&["eval", checkpoint, "--json", "--split", "validation"]))[0];
    assert_eq!(validation["images"], 4, "the split of the run: a tenth of 40");

    let inspected = &lines(residual(&["inspect", checkpoint, "--json"]))[0];
    assert_eq!((&inspected["name"], &inspected["classes"]), (&Value::from("resnet-cifar-8"), &Value::from(10)));

    // A finished run that is resumed says so again, by its folder alone.
    let mut again = residual(&["train", "--resume", "--json", "--out"]);
    again.arg(folder.path().join("run"));
    let again = lines(again);
    assert_eq!(events(&again, "done")[0]["test_top1_error"], done["test_top1_error"]);
    assert!(events(&again, "step").is_empty());

    // And nothing is overwritten without being asked.
    let (code, text) = failure(small(&folder, 6, &[]));
    assert!(code != 0 && text.contains("--resume"), "{text}");
}

#[test]
fn training_weights_tested_on_other_classes_is_refused() {
    let folder = folder();
    let told = lines(small(&folder, 1, &[]));
    let checkpoint = events(&told, "done")[0]["checkpoint"].as_str().expect("a path").to_string();
    let pictures = folder.path().join("pictures");
    for class in ["cat", "dog"] {
        std::fs::create_dir_all(pictures.join(class)).expect("a class");
    }
    let (code, text) = failure(residual(&["eval", &checkpoint, "--data", &pictures.to_string_lossy()]));
    assert_eq!(code, 1);
    assert!(text.starts_with("error: "), "{text}");
}

/// Runs `SMALL` in `folder`/run, presses Ctrl-C after step `until`, and gives back the step that it began at and the
/// last one that it told of.
#[cfg(unix)]
fn interrupted(folder: &TempDir, until: u64, more: &[&str]) -> (u64, u64) {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};
    let mut run = Command::new(assert_cmd::cargo::cargo_bin("residual"))
        .args(SMALL)
        .args(["--set", "train.steps=100000", "--out"])
        .arg(folder.path().join("run"))
        .args(more)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("it runs");
    let (mut start, mut seen, mut pressed) = (0, 0, false);
    for line in BufReader::new(run.stdout.take().expect("piped")).lines() {
        let event: Value = serde_json::from_str(&line.expect("UTF-8")).expect("JSON");
        let step = event["step"].as_u64().expect("every event has its step");
        match event["event"].as_str() {
            Some("start") => start = step,
            Some("step") => seen = step,
            _ => {}
        }
        if seen >= until && !pressed {
            pressed = true;
            let pressed = Command::new("kill").args(["-INT", &run.id().to_string()]).status();
            assert!(pressed.expect("kill runs").success());
        }
    }
    assert_eq!(run.wait().expect("it ends").code(), Some(130));
    (start, seen)
}

#[test]
#[cfg(unix)]
fn ctrl_c_leaves_a_checkpoint_and_the_run_goes_on_from_there() {
    let folder = folder();
    let (start, seen) = interrupted(&folder, 2, &[]);
    assert_eq!(start, 0);
    let (start, _) = interrupted(&folder, seen + 1, &["--resume"]);
    assert_eq!(start, seen, "the last step that was told of is the one that was saved");
}

#[test]
fn a_loss_that_is_not_finite_stops_the_run_with_its_step_and_rate() {
    let (code, text) = failure(small(&folder(), 50, &["--set", "optimizer.lr=1e30"]));
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("step") && text.contains("hint: "), "{text}");
}

#[test]
fn a_recipe_with_a_typo_names_file_and_line() {
    let folder = folder();
    let recipe = folder.path().join("my.toml");
    std::fs::write(&recipe, "[train]\nepochs = 1\n[optimizer]\nmomentun = 0.9\n").expect("a recipe");
    let (code, text) = failure(residual(&["train", &recipe.to_string_lossy()]));
    assert_eq!(code, 2);
    assert!(text.contains("my.toml:4: unknown key optimizer.momentun"), "{text}");
    assert!(text.contains("hint: did you mean optimizer.momentum?"), "{text}");
}

#[test]
fn data_that_is_not_there_is_refused_with_the_nearest_name() {
    let (code, text) = failure(small(&folder(), 1, &["--data", "cifra10"]));
    assert_eq!(code, 1);
    assert!(text.contains("\"cifra10\"") && text.contains("hint: did you mean \"cifar10\"?"), "{text}");
}

#[test]
fn pictures_are_named_by_what_the_weights_were_trained_on() {
    let folder = folder();
    let told = lines(small(&folder, 1, &[]));
    let checkpoint = events(&told, "done")[0]["checkpoint"].as_str().expect("a path").to_string();
    let whole = folder.path().join("whole.png");
    std::fs::write(&whole, PICTURE).expect("a picture");
    let broken = folder.path().join("broken.png");
    std::fs::write(&broken, &PICTURE[..40]).expect("half a picture");
    let [whole, broken] = [&whole, &broken].map(|path| path.to_string_lossy().into_owned());

    let found = &lines(residual(&["predict", &checkpoint, &whole, "--top", "3", "--json"]))[0];
    assert_eq!(found["image"], whole.as_str());
    let top = found["top"].as_array().expect("guesses");
    assert_eq!(top.len(), 3);
    top.iter().for_each(|guess| assert_keys(guess, &["class", "probability"]));
    assert!(top[0]["probability"].as_f64() >= top[1]["probability"].as_f64());

    let (code, text) = failure(residual(&["predict", &checkpoint, &broken]));
    assert!(code == 1 && text.contains("broken.png") && text.contains("hint: "), "{text}");
    let rest = lines(residual(&["predict", &checkpoint, &broken, &whole, "--skip-bad", "--json"]));
    assert_eq!(rest.len(), 1, "the bad one is left out");
}

#[test]
fn every_protocol_tests_alone_and_fused_and_tells_what_it_cost() {
    let folder = folder();
    let told = lines(small(&folder, 1, &[]));
    let checkpoint = events(&told, "done")[0]["checkpoint"].as_str().expect("a path").to_string();
    let eval = |more: &[&str]| {
        let mut command = residual(&["eval", &checkpoint, "--json", "--split", "validation"]);
        command.args(more);
        lines(command)
    };
    let each = eval(&["--protocol", "center,ten-crop,dense,multi-crop", "--scales", "32,40"]);
    let found: Vec<_> = each.iter().map(|line| (line["protocol"].as_str(), line["crops"].as_u64())).collect();
    let expected = [("center", 8), ("ten-crop", 80), ("dense", 16), ("multi-crop", 400)];
    assert_eq!(found, expected.map(|(name, crops)| (Some(name), Some(crops))));
    for line in &each {
        assert_keys(
            line,
            &["images", "loss", "top1_error", "top5_error", "ece", "seconds", "scales", "files", "skipped"],
        );
    }
    let fused = eval(&["--protocol", "dense,multi-crop", "--scales", "32,40", "--fuse"]);
    assert_eq!((fused.len(), &fused[0]["protocol"]), (1, &Value::from("dense+multi-crop")));
    assert_eq!(fused[0]["crops"], 416);
    // Two files, averaged: the same weights twice say what they say once.
    let twice = lines(residual(&["eval", &checkpoint, &checkpoint, "--json", "--split", "validation", "--fuse"]));
    let once = eval(&[]);
    assert_eq!((twice.len(), &twice[0]["confusion"]), (1, &once[0]["confusion"]));

    let (code, text) = failure(residual(&["eval", &checkpoint, "--protocol", "ten-crop", "--scales", "20"]));
    assert!(code == 2 && text.contains("hint: --scales takes numbers from 32 upwards"), "{text}");
    let (code, text) = failure(residual(&["eval", &checkpoint, "--protocol", "tencrop"]));
    assert!(code == 2 && text.contains("ten-crop"), "{text}");
}

#[test]
fn predictions_are_explained_by_a_picture_each() {
    let folder = folder();
    let told = lines(small(&folder, 1, &[]));
    let checkpoint = events(&told, "done")[0]["checkpoint"].as_str().expect("a path").to_string();
    let pictures = folder.path().join("pictures");
    std::fs::create_dir_all(&pictures).expect("a folder");
    for name in ["one.png", "two.png"] {
        std::fs::write(pictures.join(name), PICTURE).expect("a picture");
    }
    let out = folder.path().join("why");
    let mut predict = residual(&["predict", &checkpoint, "-", "--json"]);
    predict.arg(&pictures).arg("--explain").arg(&out).write_stdin(PICTURE);
    assert_eq!(lines(predict).len(), 3);
    let mut written: Vec<_> =
        std::fs::read_dir(&out).expect("written").map(|e| e.expect("an entry").file_name()).collect();
    written.sort();
    let written: Vec<_> = written.iter().map(|name| name.to_string_lossy().into_owned()).collect();
    let starts = ["one-", "stdin-", "two-"];
    assert!(written.iter().zip(starts).all(|(name, start)| name.starts_with(start) && name.ends_with(".png")));
    assert_eq!(written.len(), 3, "{written:?}");
}

#[test]
fn an_unknown_instruction_set_is_refused_at_the_start() {
    let mut command = residual(&["models"]);
    command.env("RESIDUAL_ISA", "sse9");
    let (code, text) = failure(command);
    assert_eq!(code, 2);
    assert!(text.contains("RESIDUAL_ISA is `sse9`"), "{text}");
}

#[test]
fn bench_tells_speed_memory_and_machine() {
    let keys = ["images_per_second", "ms_per_step", "peak_rss_mb", "gflops_of_direct_convolution", "isa", "threads"];
    for what in ["train", "infer"] {
        let arguments = ["bench", what, "resnet-cifar-8", "--batch", "4", "--iters", "2", "--threads", "1", "--json"];
        let result = &lines(residual(&arguments))[0];
        assert_keys(result, &keys);
        assert_eq!(result["threads"], 1);
        assert!(result["images_per_second"].as_f64().is_some_and(|rate| rate > 0.0));
    }
}

#[test]
fn bench_layers_tells_each_pass_of_each_distinct_layer() {
    let arguments = ["bench", "layers", "resnet-cifar-8", "--batch", "2", "--iters", "1", "--json"];
    let lines = lines(residual(&arguments));
    let keys = ["layer", "count", "pass", "ms", "gflops_of_direct_convolution", "share_of_sgemm", "algorithm"];
    lines.iter().for_each(|line| assert_keys(line, &keys));
    let of = |pass: &str| lines.iter().filter(|line| line["pass"] == pass).count();
    // The stem, one shape in the first stage, two in each of the others, the classifier; pictures need no gradient.
    assert_eq!((of("forward"), of("dx"), of("dw")), (7, 6, 7));
    let convolutions = lines.iter().filter(|line| line["kind"] == "conv" && line["pass"] == "forward");
    assert_eq!(convolutions.filter_map(|line| line["count"].as_u64()).sum::<u64>(), 7);
}

#[test]
fn bench_input_tells_pictures_per_second_of_a_recipe() {
    let arguments = ["bench", "input", "shapes-resnet20", "--batch", "8", "--iters", "2", "--json"];
    let line = &lines(residual(&arguments))[0];
    assert_keys(line, &["images_per_second", "ms_per_step", "peak_rss_mb", "isa", "threads", "batch", "input"]);
    assert!(line["images_per_second"].as_f64().expect("a number") > 0.0);
    assert_eq!(line["input"], serde_json::json!([32, 32, 3]));
}

/// A picture of one colour.
fn picture(path: &Path, colour: u8) {
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("writable");
    let picture = residual::data::Picture { height: 40, width: 48, channels: 3, pixels: vec![colour; 40 * 48 * 3] };
    picture.save_png(path).expect("writable");
}

#[test]
fn inspect_draws_what_a_recipe_does_to_a_picture() {
    let folder = folder();
    let (from, to) = (folder.path().join("cat.png"), folder.path().join("sheet.png"));
    picture(&from, 90);
    let (from, out) = (from.to_string_lossy(), to.to_string_lossy());
    let arguments = ["inspect", "--augment", "imagenet-resnet50-strong", &from, "--out", &out, "--json"];
    let line = &lines(residual(&arguments))[0];
    assert_eq!(line["path"], out.as_ref());
    let sheet = residual::data::Picture::open(&to).expect("a picture");
    assert!(sheet.width > 1000 && sheet.height > 1000, "{}x{}", sheet.width, sheet.height);
    let (code, _) = failure(residual(&["inspect", "--augment", "imagenet-resnet50-strong", &from]));
    assert_eq!(code, 2, "a sheet goes somewhere");
}

#[test]
fn weights_are_tested_on_some_of_their_classes_under_other_spellings() {
    let folder = folder();
    let told = lines(small(&folder, 1, &[]));
    let checkpoint = events(&told, "done")[0]["checkpoint"].as_str().expect("a path").to_string();
    let tests = folder.path().join("pictures/test");
    for (class, n) in [("Ring", 2), ("cross", 1)] {
        (0..n).for_each(|i| picture(&tests.join(class).join(format!("{i}.png")), 80));
    }
    let data = folder.path().join("pictures").to_string_lossy().into_owned();
    let line = &lines(residual(&["eval", &checkpoint, "--data", &data, "--json"]))[0];
    assert_eq!(line["images"], 3);
    let of = |name: &str| {
        let classes = line["per_class"].as_array().expect("a list");
        classes.iter().find(|class| class["class"] == name).map(|class| class["images"].clone())
    };
    assert_eq!((of("ring"), of("cross")), (Some(2.into()), Some(1.into())));
}

#[test]
fn a_profile_tells_the_time_of_each_operation_before_the_run_is_done() {
    let folder = folder();
    let lines = lines(small(&folder, 3, &["--profile"]));
    let profile = &lines[lines.len() - 2];
    assert_eq!((&profile["event"], &lines[lines.len() - 1]["event"]), (&"profile".into(), &"done".into()));
    let operations = profile["operations"].as_array().expect("a list");
    let calls = |name: &str| operations.iter().find(|row| row["operation"] == name).map(|row| row["calls"].as_u64());
    // Seven convolutions in each of three steps; the first needs no gradient of its input.
    assert_eq!((calls("conv"), calls("conv dw"), calls("conv dx")), (Some(Some(21)), Some(Some(21)), Some(Some(18))));
    let spent: f64 = operations.iter().filter_map(|row| row["seconds"].as_f64()).sum();
    assert!(spent > 0.0 && spent <= profile["seconds"].as_f64().expect("seconds"));
}

#[test]
fn a_reader_that_leaves_early_is_no_failure() {
    let mut models = std::process::Command::new(assert_cmd::cargo::cargo_bin("residual"))
        .arg("models")
        .arg("--json")
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("it runs");
    drop(models.stdout.take());
    assert_eq!(models.wait().expect("it ends").code(), Some(0));
}

#[test]
fn a_run_is_reported_listed_and_compared_without_touching_the_test_set_again() {
    let folder = folder();
    let told = lines(small(&folder, 3, &[]));
    let run = folder.path().join("run");
    let [run_text, out] = [&run, &folder.path().join("page.html")].map(|path| path.to_string_lossy().into_owned());
    let report = events(&told, "done")[0]["report"].as_str().expect("a path").to_string();
    for lang in ["en", "ko"] {
        let written = &lines(residual(&["report", &run_text, "--lang", lang, "--out", &out, "--json"]))[0];
        let path = written["path"].as_str().expect("a path");
        assert!(Path::new(path).is_absolute());
        let page = std::fs::read_to_string(path).expect("a page");
        assert!(page.contains(&format!("<html lang=\"{lang}\">")) && page.len() < 2_000_000);
        assert!(page.contains("data:image/png") && page.contains("layer1.0.conv1"), "pictures and layers");
        assert!(!page.contains("src=\"http") && !page.contains("href=\"http"), "nothing from the network");
    }
    assert!(std::fs::read_to_string(report).is_ok_and(|page| page.starts_with("<!DOCTYPE html>")));

    let rows = lines(residual(&["runs", &folder.path().to_string_lossy(), "--json"]));
    assert_eq!(rows.len(), 1);
    assert_keys(&rows[0], &["run", "path", "state", "model", "best_error", "test_top1_error", "seconds"]);
    assert_eq!((&rows[0]["state"], &rows[0]["run"]), (&Value::from("finished"), &Value::from("run")));

    let rows = lines(residual(&["compare", &run_text, &run_text, "--json"]));
    let verdict = rows.last().expect("a verdict");
    assert_keys(verdict, &["kind", "test", "difference", "low", "high", "p", "verdict"]);
    assert_eq!((&verdict["difference"], &verdict["verdict"]), (&Value::from(0.0), &Value::from("within noise")));

    let (code, text) = failure(residual(&["report", &folder.path().to_string_lossy()]));
    assert!(code == 2 && text.contains("holds no run"), "{text}");
}

#[test]
fn a_run_that_blew_up_is_listed_as_failed_with_its_reason() {
    let folder = folder();
    failure(small(&folder, 50, &["--set", "optimizer.lr=1e30"]));
    let rows = lines(residual(&["runs", &folder.path().to_string_lossy(), "--json"]));
    assert_eq!(rows[0]["state"], "failed");
    assert!(rows[0]["failure"].as_str().is_some_and(|why| why.contains("step")), "{}", rows[0]);
}

#[test]
fn where_there_is_no_terminal_the_dashboard_gives_way_to_plain_lines() {
    let folder = folder();
    let mut shown = residual(&SMALL.map(|argument| if argument == "--json" { "--tui" } else { argument }));
    shown.args(["--tensorboard", "--set", "train.steps=2", "--out"]).arg(folder.path().join("run"));
    let output = shown.output().expect("it runs");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(output.status.success() && text.contains("test error"), "{text}");
    assert!(!text.contains('\u{1b}') && !output.stderr.contains(&0x1b), "no control sequences");
    let names = std::fs::read_dir(folder.path().join("run")).expect("a run folder");
    let names: Vec<_> = names.map(|entry| entry.expect("an entry").file_name()).collect();
    let events = names.iter().filter(|name| name.to_string_lossy().starts_with("events.out.tfevents."));
    assert_eq!(events.count(), 1, "{names:?}");
}

#[test]
fn exported_weights_are_named_counted_and_imported_again() {
    let folder = folder();
    lines(small(&folder, 1, &[]));
    let weights = folder.path().join("run/best.safetensors");
    let written = [
        ("onnx", &["--keep-bn", "--with-preprocessing", "--verify"][..]),
        ("onnx", &["--verify"]),
        ("safetensors", &["--preset", "cifar-akamaster", "--verify"]),
        ("safetensors", &[]),
    ];
    for (format, more) in written {
        let out = folder.path().join(format!("net.{format}"));
        let mut export = residual(&["export", "--format", format, "--json"]);
        export.arg(&weights).arg("--out").arg(&out).args(more);
        let report = &lines(export)[0];
        assert_keys(report, &["path", "keys", "max_difference"]);
        assert!(out.is_file() && report["keys"].as_u64().is_some_and(|keys| keys > 20), "{report}");
        let difference = report["max_difference"].as_f64();
        assert!(difference.is_some() == more.contains(&"--verify") && difference.is_none_or(|d| d < 1e-4), "{report}");
    }
    let mut import = residual(&["import", "--as", "resnet-cifar-8", "--json"]);
    import.arg(folder.path().join("net.safetensors")).arg("--out").arg(folder.path().join("again.safetensors"));
    assert_keys(&lines(import)[0], &["path", "keys", "max_difference"]);
    let mut tensors_only = residual(&["export", "--format", "onnx", "--preset", "cifar-akamaster", "--out", "x"]);
    tensors_only.arg(&weights);
    assert_eq!(failure(tensors_only).0, 2);
    let mut onnx_only = residual(&["export", "--format", "safetensors", "--keep-bn", "--out", "x"]);
    onnx_only.arg(&weights);
    assert_eq!(failure(onnx_only).0, 2);
}

#[test]
fn a_range_test_tells_a_rate_from_its_own_curve() {
    let arguments = ["tune", "lr", "resnet-cifar-8", "--steps", "80", "--json", "--set", "train.batch=32"];
    let lines = lines(residual(&arguments));
    let (suggested, points) = lines.split_last().expect("lines");
    points.iter().for_each(|point| assert_keys(point, &["step", "lr", "loss", "smoothed"]));
    let rate = |value: &Value| value["lr"].as_f64().expect("a rate");
    let lr = suggested["suggested_lr"].as_f64().expect("a rate");
    assert!(rate(&points[0]) < lr && lr < rate(&points[points.len() - 1]), "{lr}");
    assert_eq!(failure(residual(&["tune", "lr", "resnet-20", "--from", "1", "--to", "0.1"])).0, 2);
}

#[test]
fn the_papers_rows_are_listed_and_counts_are_verified_at_once() {
    let cache = folder();
    let mut list = residual(&["reproduce", "--json"]);
    list.env("RESIDUAL_CACHE", cache.path());
    let rows = lines(list);
    for row in &rows {
        assert_keys(row, &["id", "paper", "ours", "std", "tolerance", "verdict", "needs", "estimated_seconds"]);
    }
    let row = |id: &str| rows.iter().find(|row| row["id"] == id).unwrap_or_else(|| panic!("{id} is not listed"));
    for id in ["resnet/t2", "resnet/t4", "vgg/t5", "resnet/t3/152", "resnet/t6/n=200", "vgg/t4/E/jitter"] {
        assert!(row(id)["estimated_seconds"].as_f64().is_some_and(|seconds| seconds > 0.0), "{id}");
    }
    assert_eq!((&row("resnet/t6/n=3")["paper"], &row("resnet/t6/n=3")["ours"]), (&Value::from(8.75), &Value::Null));
    for id in ["vgg/params", "resnet/flops", "vgg/small-filters"] {
        assert_eq!(row(id)["verdict"], "reproduced");
        let outcome = lines(residual(&["reproduce", id, "--json"]));
        assert_eq!((outcome.len(), &outcome[0]["verdict"]), (1, &Value::from("reproduced")), "one object");
    }
}

#[test]
fn given_weights_are_judged_by_the_papers_protocol_and_only_beside_their_own_row() {
    let folder = folder();
    let (run, shapes) = (folder.path().join("run"), ["--data", "shapes", "--json"]);
    let mut train = residual(&["train", "resnet-20", "--json", "--set", "train.steps=1", "--set", "train.batch=4"]);
    train.args(["--set", "data.train_size=40", "--out"]).arg(&run);
    lines(train);
    let weights = run.join("last.safetensors");
    let judge = |id: &str| {
        let mut command = residual(&["reproduce", id, "--weights"]);
        command.arg(&weights).args(shapes);
        command
    };
    let outcome = lines(judge("resnet/t6/n=3")).remove(0);
    assert_keys(&outcome, &["id", "paper", "ours", "std", "tolerance", "verdict", "rows", "data"]);
    assert_eq!((&outcome["paper"], &outcome["verdict"]), (&Value::from(8.75), &Value::from("not-reproduced")));
    assert!(outcome["ours"].as_f64().is_some_and(|error| error > 50.0));
    let (code, stderr) = failure(judge("resnet/t6/n=5"));
    assert!(code == 1 && stderr.contains("holds resnet-20") && stderr.contains("is about resnet-32"), "{stderr}");
    let (code, stderr) = failure(residual(&["reproduce", "resnet/t3/50"]));
    assert!(code == 1 && stderr.contains("needs ImageNet") && stderr.contains("--weights"), "{stderr}");
    let (code, stderr) = failure(residual(&["reproduce", "resnet/t6/n=4"]));
    assert!(code == 2 && stderr.contains("did you mean resnet/t6/n="), "{stderr}");
}

#[test]
fn a_lab_prints_a_line_for_each_network_and_does_not_train_it_again() {
    let folder = folder();
    let lab = || {
        let mut lab = residual(&["lab", "depth", "--depths", "8", "--shortcuts", "A,B", "--data", "shapes", "--json"]);
        lab.args(["--steps", "3", "--looks", "1", "--set", "train.batch=8", "--set", "data.train_size=40", "--out"]);
        lab.arg(folder.path());
        lines(lab)
    };
    let rows = lab();
    for row in &rows {
        assert_keys(row, &["net", "family", "depth", "shortcut", "seed", "steps", "train_error", "test_error", "path"]);
    }
    let nets: Vec<&str> = rows.iter().filter_map(|row| row["net"].as_str()).collect();
    assert_eq!(nets, ["plain-cifar-8", "resnet-cifar-8 (A)", "resnet-cifar-8 (B)"]);
    assert!(folder.path().join("report.html").is_file());
    assert_eq!(lab(), rows, "the seconds of training are the same: it was not repeated");
    let mut chains = residual(&["lab", "nonlinearity", "--data", "shapes", "--json", "--steps", "2", "--out"]);
    chains.arg(folder.path().join("chains")).args(["--set", "train.batch=4", "--set", "data.train_size=20"]);
    let families: Vec<Value> = lines(chains).into_iter().map(|row| row["family"].clone()).collect();
    assert_eq!(families, ["relu", "relu", "linear", "linear"]);
    let (code, stderr) = failure(residual(&["lab", "depth", "--depths", "21", "--data", "shapes"]));
    assert!(code == 2 && stderr.contains("6n+2") && stderr.contains("20 and 26"), "{stderr}");
}
