//! `train`, and what lists, compares and reports runs.

use super::*;

#[test]
fn a_run_prints_its_events_and_leaves_weights_that_can_be_tested() {
    let folder = folder();
    let printed = lines(small(&folder, 6, &[]));
    let start = events(&printed, "start")[0];
    assert_eq!((&start["step"], &start["ranks"]), (&Value::from(0), &Value::from(1)));
    let steps = events(&printed, "step");
    assert_eq!(steps.iter().filter_map(|step| step["step"].as_u64()).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    steps.iter().for_each(|step| assert_keys(step, &["loss", "lr"]));
    let keys = ["epoch", "step", "train_loss", "val_loss", "val_top1_error", "lr", "images_per_second", "data_wait"];
    events(&printed, "epoch").iter().for_each(|epoch| assert_keys(epoch, &keys));
    let done = events(&printed, "done")[0];
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
        "precision",
        "images_per_second",
    ];
    assert_keys(result, &keys);
    let classes = result["per_class"].as_array().expect("a list");
    let keys = ["class", "images", "errors", "precision", "recall", "f1"];
    classes.iter().for_each(|class| assert_keys(class, &keys));
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

/// Runs `SMALL` in `folder`/run, presses Ctrl-C after step `until`, and gives back the step that it
/// began at and the last one that it printed.
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
fn ctrl_c_leaves_a_checkpoint_from_which_the_run_is_resumed() {
    let folder = folder();
    let (start, seen) = interrupted(&folder, 2, &[]);
    assert_eq!(start, 0);
    let (start, _) = interrupted(&folder, seen + 1, &["--resume"]);
    assert_eq!(start, seen, "the last step that was printed is the one that was saved");
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
fn unknown_data_is_refused_with_the_nearest_name() {
    let (code, text) = failure(small(&folder(), 1, &["--data", "cifra10"]));
    assert_eq!(code, 1);
    assert!(text.contains("\"cifra10\"") && text.contains("hint: did you mean \"cifar10\"?"), "{text}");
}

#[test]
fn a_profile_prints_the_time_of_each_operation_before_the_run_is_done() {
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
fn a_run_is_reported_listed_and_compared_without_touching_the_test_set_again() {
    let folder = folder();
    let printed = lines(small(&folder, 3, &[]));
    let run = folder.path().join("run");
    let [run_text, out] = [&run, &folder.path().join("page.html")].map(|path| path.to_string_lossy().into_owned());
    let report = events(&printed, "done")[0]["report"].as_str().expect("a path").to_string();
    for lang in ["en", "ko"] {
        let written = &lines(residual(&["report", &run_text, "--lang", lang, "--out", &out, "--json"]))[0];
        let path = written["path"].as_str().expect("a path");
        assert!(Path::new(path).is_absolute());
        let page = std::fs::read_to_string(path).expect("a page");
        assert!(page.contains(&format!("<html lang=\"{lang}\">")) && page.len() < 2_000_000);
        assert!(page.contains("data:image/png") && page.contains("layer1.0.conv1"), "images and layers");
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
fn without_a_terminal_the_dashboard_is_replaced_by_plain_lines() {
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
fn a_range_test_suggests_a_rate_from_its_own_curve() {
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
fn a_page_of_the_unfinished_run_is_replaced_by_that_of_the_finished_one() {
    let folder = folder();
    let page = folder.path().join("run").join("report.html");
    std::fs::create_dir(folder.path().join("run")).expect("a folder");
    std::fs::write(&page, "this run is not finished").expect("writable");
    lines(small(&folder, 2, &[]));
    let text = std::fs::read_to_string(&page).expect("a page");
    assert!(text.contains("<html") && !text.contains("this run is not finished"));
}

#[test]
fn a_run_in_its_default_folder_is_resumed_without_naming_it() {
    let folder = folder();
    let train = |arguments: &[&str]| {
        let mut command = residual(arguments);
        command.current_dir(folder.path());
        command
    };
    let mut first = SMALL.to_vec();
    first[1] = "resnet-20";
    // A schedule that the default recipe does not have: its key is taken by the run's own recipe
    // alone.
    first.extend(["--set", "train.steps=2", "--set", "schedule.kind=plateau", "--set", "schedule.patience=4"]);
    let printed = lines(train(&first));
    let set = ["train", "--resume", "--json", "--set", "schedule.patience=4"];
    assert!(events(&lines(train(&set)), "step").is_empty(), "the same recipe");
    let again = lines(train(&["train", "--resume", "--json"]));
    assert_eq!(events(&again, "done")[0]["test_top1_error"], events(&printed, "done")[0]["test_top1_error"]);
    assert!(events(&again, "step").is_empty());
}

#[test]
fn a_run_is_resumed_only_with_the_images_it_began_with_and_a_finished_one_needs_none() {
    let folder = folder();
    let images = folder.path().join("pets");
    let put = |name: &str, colour: u8| image(&images.join(name), colour);
    for i in 0..12 {
        put(&format!("cat/{i}.png"), 40 + i);
        put(&format!("dog/{i}.png"), 200 + i);
    }
    let train = |steps: &str, set: &[&str]| {
        let mut command = residual(&["train", "resnet-cifar-8", "--json", "--resume", "--out"]);
        command.arg(folder.path().join("run")).arg("--data").arg(&images);
        command
            .args(["--set", "train.batch=4", "--set", "model.input=32", "--set", &format!("train.steps={steps}")])
            .args(set);
        command
    };
    let printed = lines(train("3", &[]));
    let (code, text) = failure(train("5", &[]));
    assert!(code == 1 && text.contains("another recipe than train.steps = 5"), "{text}");
    std::fs::remove_file(folder.path().join("run").join("summary.json")).expect("a finished run");
    put("cat/12.png", 99);
    let (code, text) = failure(train("3", &[]));
    assert!(code == 1 && text.contains("other images"), "{text}");
    std::fs::remove_file(images.join("cat/12.png")).expect("just written");
    let again = lines(train("3", &[]));
    assert_eq!(events(&again, "done")[0]["test_top1_error"], events(&printed, "done")[0]["test_top1_error"]);

    std::fs::remove_dir_all(&images).expect("just written");
    let mut resume = residual(&["train", "--resume", "--json", "--out"]);
    resume.arg(folder.path().join("run"));
    assert_eq!(events(&lines(resume), "done")[0]["step"], 3);
}

#[test]
fn far_more_threads_than_cores_are_refused() {
    let (code, text) = failure(residual(&["models", "--threads", "100000"]));
    assert!(code == 2 && text.contains("cores") && text.contains("hint: "), "{text}");
}

#[test]
fn a_misspelt_recipe_is_answered_with_the_nearest_name() {
    let (code, text) = failure(residual(&["train", "cifar10-resnet20-quik"]));
    assert!(code == 2 && text.contains("did you mean the recipe cifar10-resnet20-quick?"), "{text}");
}

#[test]
#[cfg(unix)]
fn sigterm_leaves_a_checkpoint_as_ctrl_c_does() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};
    let folder = folder();
    let mut run = Command::new(assert_cmd::cargo::cargo_bin("residual"))
        .args(SMALL)
        .args(["--set", "train.steps=100000", "--out"])
        .arg(folder.path().join("run"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("it runs");
    let mut printed = BufReader::new(run.stdout.take().expect("piped")).lines();
    let first = printed.find(|line| line.as_ref().is_ok_and(|line| line.contains("\"event\":\"step\"")));
    assert!(first.is_some(), "a step");
    let sent = Command::new("kill").args(["-TERM", &run.id().to_string()]).status();
    assert!(sent.expect("kill runs").success());
    assert!(printed.any(|line| line.is_ok_and(|line| line.contains("\"event\":\"checkpoint\""))), "a checkpoint");
    assert_eq!(run.wait().expect("it ends").code(), Some(143));
}
