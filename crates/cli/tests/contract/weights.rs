//! What takes weights: `eval`, `predict`, `import` and `export`.

use super::*;

#[test]
fn training_weights_tested_on_other_classes_is_refused() {
    let folder = folder();
    let printed = lines(small(&folder, 1, &[]));
    let checkpoint = events(&printed, "done")[0]["checkpoint"].as_str().expect("a path").to_string();
    let images = folder.path().join("images");
    for class in ["cat", "dog"] {
        std::fs::create_dir_all(images.join(class)).expect("a class");
    }
    let (code, text) = failure(residual(&["eval", &checkpoint, "--data", &images.to_string_lossy()]));
    assert_eq!(code, 1);
    assert!(text.starts_with("error: "), "{text}");
}

#[test]
fn images_are_classified_by_the_classes_of_the_weights() {
    let folder = folder();
    let printed = lines(small(&folder, 1, &[]));
    let checkpoint = events(&printed, "done")[0]["checkpoint"].as_str().expect("a path").to_string();
    let whole = folder.path().join("whole.png");
    std::fs::write(&whole, IMAGE).expect("an image");
    let broken = folder.path().join("broken.png");
    std::fs::write(&broken, &IMAGE[..40]).expect("half an image");
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
    let (code, text) = failure(residual(&["predict", &checkpoint, &broken, "--skip-bad"]));
    assert!(code == 1 && text.contains("none of 1 images can be decoded"), "{text}");
    let (code, text) = failure(residual(&["predict", &checkpoint, &whole, "nowhere.png", "--skip-bad"]));
    assert!(code == 1 && text.contains("nowhere.png"), "what is not there is no bad image: {text}");
    assert_eq!(failure(residual(&["predict", &checkpoint, "-", "-"])).0, 2);
    assert_eq!(failure(residual(&["predict", &checkpoint, &whole, "--top", "0"])).0, 2);

    let output = residual(&["predict", &checkpoint, &whole, "--top", "2"]).output().expect("it runs");
    let table = String::from_utf8(output.stdout).expect("text");
    let rows: Vec<&str> = table.lines().collect();
    assert!(rows.len() == 3 && rows[0].starts_with("image") && rows[0].ends_with("probability"), "{table}");
    assert!(rows[1].starts_with(&whole) && rows[2].starts_with(' ') && rows[2].ends_with(" %"), "{table}");
}

#[test]
fn every_protocol_tests_alone_and_fused_and_reports_its_crops() {
    let folder = folder();
    let printed = lines(small(&folder, 1, &[]));
    let checkpoint = events(&printed, "done")[0]["checkpoint"].as_str().expect("a path").to_string();
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
    assert!(code == 2 && text.contains("hint: give scales of at least 32"), "{text}");
    let (code, text) = failure(residual(&["eval", &checkpoint, "--protocol", "tencrop"]));
    assert!(code == 2 && text.contains("ten-crop"), "{text}");
}

#[test]
fn predictions_are_explained_by_one_image_each() {
    let folder = folder();
    let printed = lines(small(&folder, 1, &[]));
    let checkpoint = events(&printed, "done")[0]["checkpoint"].as_str().expect("a path").to_string();
    let images = folder.path().join("images");
    std::fs::create_dir_all(&images).expect("a folder");
    for name in ["one.png", "two.png"] {
        std::fs::write(images.join(name), IMAGE).expect("an image");
    }
    let out = folder.path().join("why");
    let mut predict = residual(&["predict", &checkpoint, "-", "--json"]);
    predict.arg(&images).arg("--explain").arg(&out).write_stdin(IMAGE);
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
fn weights_are_tested_on_some_of_their_classes_under_other_spellings() {
    let folder = folder();
    let printed = lines(small(&folder, 1, &[]));
    let checkpoint = events(&printed, "done")[0]["checkpoint"].as_str().expect("a path").to_string();
    let tests = folder.path().join("images/test");
    for (class, n) in [("Ring", 2), ("cross", 1)] {
        (0..n).for_each(|i| image(&tests.join(class).join(format!("{i}.png")), 80));
    }
    let data = folder.path().join("images").to_string_lossy().into_owned();
    let line = &lines(residual(&["eval", &checkpoint, "--data", &data, "--json"]))[0];
    assert_eq!(line["images"], 3);
    let of = |name: &str| {
        let classes = line["per_class"].as_array().expect("a list");
        classes.iter().find(|class| class["class"] == name).map(|class| class["images"].clone())
    };
    assert_eq!((of("ring"), of("cross")), (Some(2.into()), Some(1.into())));
}

#[test]
fn exported_weights_are_counted_and_can_be_imported_again() {
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
fn a_file_of_this_program_keeps_its_preprocessing_and_classes_through_an_import() {
    let folder = folder();
    let printed =
        lines(small(&folder, 1, &["--set", "data.mean=[0.4, 0.5, 0.6]", "--set", "data.std=[0.3, 0.2, 0.1]"]));
    let checkpoint = events(&printed, "done")[0]["checkpoint"].as_str().expect("a path").to_string();
    let out = folder.path().join("new folder").join("again.safetensors").to_string_lossy().into_owned();
    lines(residual(&["import", &checkpoint, "--as", "resnet-cifar-8", "--out", &out, "--json"]));
    let eval = |file: &str| lines(residual(&["eval", file, "--data", "shapes", "--json"])).remove(0);
    let (before, after) = (eval(&checkpoint), eval(&out));
    for key in ["loss", "top1_error", "per_class"] {
        assert_eq!(before[key], after[key], "{key}");
    }
}

#[test]
fn weights_are_never_overwritten_by_their_own_output() {
    let folder = folder();
    lines(small(&folder, 1, &[]));
    let run = folder.path().join("run").to_string_lossy().into_owned();
    let weights = format!("{run}/last.safetensors");
    let before = std::fs::read(&weights).expect("weights");
    for command in [
        ["export", &weights, "--format", "onnx", "--out", &weights].as_slice(),
        &["import", &weights, "--as", "resnet-cifar-8", "--out", &weights],
        &["report", &run, "--out", &weights],
    ] {
        let (code, stderr) = failure(residual(command));
        assert!(code == 2 && stderr.contains("hint: "), "{stderr}");
    }
    assert!(std::fs::read(&weights).expect("weights") == before);
}

#[test]
fn all_images_of_a_folder_without_a_test_split_are_tested_unless_a_split_is_named() {
    let folder = folder();
    let events_seen = lines(small(&folder, 1, &[]));
    let checkpoint = events(&events_seen, "done")[0]["checkpoint"].as_str().expect("a path").to_string();
    let images = folder.path().join("images");
    for class in ["ring", "cross"] {
        (0..40).for_each(|i| image(&images.join(class).join(format!("{i}.png")), 80));
    }
    let data = images.to_string_lossy().into_owned();
    let eval = |more: &[&str]| {
        let mut command = residual(&["eval", &checkpoint, "--data", &data, "--json"]);
        let output = command.args(more).output().expect("it runs");
        let result: Value = serde_json::from_slice(&output.stdout).expect("one line");
        (result["images"].as_u64().expect("a number"), String::from_utf8(output.stderr).expect("UTF-8"))
    };
    let (tested, stderr) = eval(&[]);
    assert!(tested == 80 && stderr.contains("has no test split: all its images are tested"), "{tested}: {stderr}");
    assert_eq!(eval(&["--split", "all"]).0, 80);
    assert!(eval(&["--split", "test"]).0 < 80, "the held-out part");
}

#[test]
fn the_prediction_for_each_image_is_written_with_its_file_and_class_names() {
    let folder = folder();
    let printed = lines(small(&folder, 1, &[]));
    let checkpoint = events(&printed, "done")[0]["checkpoint"].as_str().expect("a path").to_string();
    let images = folder.path().join("images");
    for class in ["ring", "cross"] {
        (0..3).for_each(|i| image(&images.join(class).join(format!("{i}.png")), 80));
    }
    let (data, out) = (images.to_string_lossy().into_owned(), folder.path().join("predictions.csv"));
    let eval = |more: &[&str]| {
        let mut command = residual(&["eval", &checkpoint, "--data", &data, "--json", "--predictions"]);
        command.arg(&out).args(more);
        command
    };
    assert_eq!(lines(eval(&[]))[0]["images"], 6);
    let written = std::fs::read_to_string(&out).expect("a file");
    let rows: Vec<&str> = written.lines().collect();
    assert_eq!(rows[0], "index,file,label,prediction,confidence,second_prediction,second_confidence,loss");
    assert_eq!(rows.len(), 7);
    let cells: Vec<&str> = rows[1].split(',').collect();
    assert!(cells[0] == "0" && cells[1].ends_with(".png") && ["ring", "cross"].contains(&cells[2]), "{}", rows[1]);
    let (code, text) = failure(eval(&["--protocol", "center,flip"]));
    assert!(code == 2 && text.contains("--predictions takes one result"), "{text}");
    let mut onto = residual(&["eval", &checkpoint, "--predictions", &checkpoint]);
    onto.arg("--json");
    assert_eq!(failure(onto).0, 2, "weights are not replaced");
}
