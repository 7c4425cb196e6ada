//! `completions`, `man`, `doctor`, `recipes`, and what holds for every command.

use super::*;

/// Stdout of a command that succeeds.
fn text(mut command: Command) -> String {
    let output = command.output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn completions_are_printed_for_each_shell_or_written_to_a_file() {
    for (shell, part) in [
        ("bash", "complete -F _residual"),
        ("zsh", "#compdef residual"),
        ("fish", "complete -c residual"),
        ("powershell", "Register-ArgumentCompleter"),
    ] {
        let script = text(residual(&["completions", shell]));
        assert!(script.contains(part) && script.contains("tensorboard"), "{shell}");
        let line = &lines(residual(&["completions", shell, "--json"]))[0];
        assert!(line["path"].is_null() && line["script"].as_str().is_some_and(|script| script.contains(part)));
    }
    let folder = folder();
    let out = folder.path().join("new/_residual").to_string_lossy().into_owned();
    let line = &lines(residual(&["completions", "zsh", "--out", &out, "--json"]))[0];
    assert_eq!((&line["path"], &line["script"]), (&Value::from(out.as_str()), &Value::Null));
    assert!(std::fs::read_to_string(&out).is_ok_and(|script| script.starts_with("#compdef")));
    assert_eq!(failure(residual(&["completions", "csh"])).0, 2);
}

#[test]
fn a_man_page_is_written_for_each_command_and_each_of_its_own() {
    let folder = folder();
    let line = &lines(residual(&["man", &folder.path().to_string_lossy(), "--json"]))[0];
    let pages = std::fs::read_dir(folder.path()).expect("written").count();
    assert_eq!(line["pages"], pages);
    for name in ["residual.1", "residual-train.1", "residual-lab-depth.1"] {
        let page = std::fs::read_to_string(folder.path().join(name)).expect("a page");
        assert!(page.contains(".SH SYNOPSIS"), "{name}");
    }
    assert!(!folder.path().join("residual-man.1").exists(), "hidden commands have no page");
}

#[test]
fn the_doctor_describes_the_machine_and_names_what_is_missing() {
    let cache = folder();
    std::fs::create_dir(cache.path().join("cifar10")).expect("writable");
    let doctor = |isa: Option<&str>| {
        let mut command = residual(&["doctor", "--threads", "1", "--json"]);
        command.env("RESIDUAL_CACHE", cache.path()).env_remove("RESIDUAL_ISA");
        command.envs(isa.map(|isa| ("RESIDUAL_ISA", isa)));
        lines(command).remove(0)
    };
    let report = doctor(None);
    assert_keys(&report, &["cpu", "isa", "precision", "threads", "memory_mb", "cache"]);
    assert_eq!((&report["precision"], &report["threads"]), (&Value::from("f32"), &Value::from(1)));
    assert_eq!(report["cache"], cache.path().to_string_lossy().as_ref());
    assert_eq!(report["cached"], serde_json::json!(["cifar10"]));
    assert_eq!(report["isa"], report["isa_available"][0], "the widest");
    let report = doctor(Some("portable"));
    let missing = report["missing"].as_array().expect("a list");
    assert!(
        missing.iter().any(|problem| problem
            .as_str()
            .is_some_and(|problem| problem.contains("RESIDUAL_ISA") || problem.contains("portable"))),
        "{missing:?}"
    );
}

#[test]
fn recipes_are_listed_shown_with_every_key_and_copied() {
    let list = lines(residual(&["recipes", "--json"]));
    for line in &list {
        assert_keys(line, &["name", "model", "data", "epochs", "steps", "batch", "lr", "schedule"]);
    }
    assert!(list.iter().any(|line| line["name"] == "shapes-resnet20"));
    let keys = lines(residual(&["recipes", "cifar10-resnet18", "--json"]));
    keys.iter().for_each(|line| assert_keys(line, &["key", "value", "explanation"]));
    let value = |key: &str| keys.iter().find(|line| line["key"] == key).map(|line| line["value"].clone());
    assert_eq!((value("optimizer.lr"), value("schedule.milestones")), (Some("0.2".into()), Some(Value::Null)));

    // Both forms of a recipe are recipes.
    let folder = folder();
    for raw in [true, false] {
        let more: &[&str] = if raw { &["--raw"] } else { &[] };
        let toml = text(residual(&[&["recipes", "cifar10-resnet18"], more].concat()));
        let path = folder.path().join("my.toml").to_string_lossy().into_owned();
        std::fs::write(&path, toml).expect("writable");
        assert_eq!(lines(residual(&["recipes", &path, "--json"])), keys, "raw: {raw}");
    }
    let (code, text) = failure(residual(&["recipes", "cifar10-resnet81"]));
    assert!(code == 2 && text.contains("did you mean"), "{text}");
}

#[test]
fn help_is_the_same_by_command_and_by_flag() {
    for command in [&["train"][..], &["lab", "depth"], &["doctor"]] {
        let by_command = text(residual(&[&["help"], command].concat()));
        assert_eq!(by_command, text(residual(&[command, &["--help"]].concat())));
        assert!(by_command.contains("Usage: residual"), "{by_command}");
    }
}

#[test]
fn quiet_prints_results_only_and_verbose_the_machine_too() {
    let stderr = |flag: &[&str]| {
        let output = residual(&[&["models"], flag].concat()).output().expect("it runs");
        assert!(output.status.success() && !output.stdout.is_empty());
        String::from_utf8(output.stderr).expect("UTF-8")
    };
    assert_eq!((stderr(&[]), stderr(&["-q"])), (String::new(), String::new()));
    let verbose = stderr(&["-v"]);
    assert!(verbose.contains("threads") && verbose.contains("peak memory"), "{verbose}");
    assert_eq!(failure(residual(&["models", "-q", "-v"])).0, 2);
}

#[test]
fn precisions_that_are_not_supported_are_refused_with_a_sentence() {
    for command in [&["eval", "x.safetensors"][..], &["predict", "x.safetensors", "-"], &["bench", "infer", "vgg-d"]] {
        for precision in ["bf16", "int8"] {
            let (code, text) = failure(residual(&[command, &["--precision", precision]].concat()));
            assert!(code == 2 && text.contains("is not supported by this version; use f32 or auto"), "{text}");
        }
    }
}
