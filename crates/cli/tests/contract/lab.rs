//! `reproduce` and `lab`.

use super::*;

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
    // Its filters are counted at once; networks of them are trained at the quick scale only.
    let filters = row("vgg/small-filters");
    assert_eq!(filters["estimated_seconds"], 0.0);
    assert!(filters["estimated_quick_seconds"].as_f64().is_some_and(|seconds| seconds > 0.0), "{filters}");
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
    assert_eq!((&outcome["paper"], &outcome["verdict"]), (&Value::from(8.75), &Value::from("other-images")));
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
        lab.args(["--steps", "3", "--probes", "1", "--set", "train.batch=8", "--set", "data.train_size=40", "--out"]);
        lab.arg(folder.path());
        lines(lab)
    };
    let rows = lab();
    for row in &rows {
        assert_keys(
            row,
            &["network", "family", "depth", "shortcut", "seed", "steps", "train_error", "test_error", "path"],
        );
    }
    let nets: Vec<&str> = rows.iter().filter_map(|row| row["network"].as_str()).collect();
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

#[test]
fn the_depth_lab_compares_kinds_of_shortcut_and_draws_every_layer_along_training() {
    let folder = folder();
    let mut lab = residual(&["lab", "depth", "--depths", "8", "--shortcuts", "A,B,C", "--data", "shapes", "--json"]);
    lab.args(["--steps", "2", "--probes", "2", "--set", "train.batch=8", "--set", "data.train_size=40", "--out"]);
    lab.arg(folder.path());
    let rows = lines(lab);
    let shortcuts: Vec<&Value> = rows.iter().map(|row| &row["shortcut"]).collect();
    assert_eq!(shortcuts, [&Value::Null, &Value::from("A"), &Value::from("B"), &Value::from("C")]);
    let params: Vec<u64> = rows.iter().filter_map(|row| row["params"].as_u64()).collect();
    assert!(params[0] == params[1] && params[1] < params[2] && params[2] < params[3], "{params:?}");
    let page = std::fs::read_to_string(folder.path().join("report.html")).expect("a page");
    assert!(page.contains("<section id=\"shortcuts\"") && page.contains("Shortcuts A, B and C"));
    // A map of gradients for each network: seven layers, three probes.
    assert_eq!(page.matches("width=\"3\" height=\"7\"").count(), 4);
    assert!(page.contains("8 layers, in layer order") && page.contains("8 layers, at the start"));
}

#[test]
fn stacks_of_filters_are_trained_again_only_as_they_were_and_refuse_what_they_do_not_do() {
    let folder = folder();
    let lab = |more: &[&str]| {
        let mut lab = residual(&["lab", "nonlinearity", "--data", "shapes", "--json", "--probes", "1"]);
        lab.args(["--set", "train.batch=8", "--set", "data.train_size=40", "--out"]).arg(folder.path().join("lab"));
        lab.args(more);
        lab
    };
    let first = lines(lab(&["--steps", "2"]));
    assert_eq!(lines(lab(&["--steps", "2"])), first, "what is finished is not run again");
    let (code, stderr) = failure(lab(&["--steps", "3"]));
    assert!(code == 2 && stderr.contains("belongs to another recipe"), "{stderr}");
    let (code, stderr) = failure(lab(&["--steps", "2", "--set", "loss.mixup=0.2"]));
    assert!(code == 2 && stderr.contains("loss.mixup does not apply"), "{stderr}");
}
