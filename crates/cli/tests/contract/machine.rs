//! `bench`, and how the program meets its machine.

use super::*;

#[test]
fn an_unknown_instruction_set_is_refused_at_the_start() {
    let mut command = residual(&["models"]);
    command.env("RESIDUAL_ISA", "sse9");
    let (code, text) = failure(command);
    assert_eq!(code, 2);
    assert!(text.contains("RESIDUAL_ISA is `sse9`"), "{text}");
}

#[test]
fn bench_prints_speed_memory_and_machine() {
    let keys = [
        "images_per_second",
        "ms_per_step",
        "peak_rss_mb",
        "gflops_of_direct_convolution",
        "isa",
        "threads",
        "precision",
        "device",
    ];
    for what in ["train", "infer"] {
        let arguments = ["bench", what, "resnet-cifar-8", "--batch", "4", "--iters", "2", "--threads", "1", "--json"];
        let result = &lines(residual(&arguments))[0];
        assert_keys(result, &keys);
        assert_eq!((&result["threads"], &result["precision"]), (&Value::from(1), &Value::from("f32")));
        assert!(result["images_per_second"].as_f64().is_some_and(|rate| rate > 0.0));
    }
}

#[test]
fn bench_layers_prints_each_pass_of_each_distinct_layer() {
    let arguments = ["bench", "layers", "resnet-cifar-8", "--batch", "2", "--iters", "1", "--json"];
    let lines = lines(residual(&arguments));
    let keys = [
        "layer",
        "count",
        "pass",
        "ms",
        "gflops_of_direct_convolution",
        "share_of_sgemm",
        "algorithm",
        "precision",
        "device",
    ];
    lines.iter().for_each(|line| assert_keys(line, &keys));
    let of = |pass: &str| lines.iter().filter(|line| line["pass"] == pass).count();
    // The stem, one shape in the first stage, two in each of the others, the classifier; images
    // need no gradient.
    assert_eq!((of("forward"), of("dx"), of("dw")), (7, 6, 7));
    let convolutions = lines.iter().filter(|line| line["kind"] == "conv" && line["pass"] == "forward");
    assert_eq!(convolutions.filter_map(|line| line["count"].as_u64()).sum::<u64>(), 7);
}

#[test]
fn bench_input_prints_images_per_second_of_a_recipe() {
    let arguments = ["bench", "input", "shapes-resnet20", "--batch", "8", "--iters", "2", "--json"];
    let line = &lines(residual(&arguments))[0];
    assert_keys(
        line,
        &["images_per_second", "ms_per_step", "peak_rss_mb", "isa", "threads", "precision", "device", "batch", "input"],
    );
    assert!(line["images_per_second"].as_f64().expect("a number") > 0.0);
    assert_eq!(line["input"], serde_json::json!([32, 32, 3]));
}

#[test]
fn a_closed_stdout_is_not_an_error() {
    let mut models = std::process::Command::new(assert_cmd::cargo::cargo_bin("residual"))
        .arg("models")
        .arg("--json")
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("it runs");
    drop(models.stdout.take());
    assert_eq!(models.wait().expect("it ends").code(), Some(0));
}
