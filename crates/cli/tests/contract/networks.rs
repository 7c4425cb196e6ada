//! `models` and `inspect`.

use super::*;

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
fn inspect_lists_layers_and_marks_those_that_differ() {
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
    let alone = &lines(residual(&["inspect", "resnet-cifar-8", "--json"]))[0];
    assert!(alone.get("against").is_some_and(Value::is_null) && alone["layers"][0].get("differs").is_some());
}

#[test]
fn inspect_draws_what_a_recipe_does_to_an_image() {
    let folder = folder();
    let (from, to) = (folder.path().join("cat.png"), folder.path().join("sheet.html"));
    image(&from, 90);
    let (from, out) = (from.to_string_lossy(), to.to_string_lossy());
    let arguments = ["inspect", "--augment", "imagenet-resnet50-strong", &from, "--out", &out, "--json"];
    let line = &lines(residual(&arguments))[0];
    assert_eq!(line["path"], out.as_ref());
    let page = std::fs::read_to_string(&to).expect("a page");
    assert!(page.contains("TrivialAugment") && page.matches("<img ").count() > 40);
    let png = ["inspect", "--augment", "imagenet-resnet50-strong", &from, "--out", "sheet.png"];
    let (code, stderr) = failure(residual(&png));
    assert!(code == 2 && stderr.contains("must name an .html file"), "{stderr}");
    let (code, _) = failure(residual(&["inspect", "--augment", "imagenet-resnet50-strong", &from]));
    assert_eq!(code, 2, "a sheet goes somewhere");
}
