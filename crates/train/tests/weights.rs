//! Weights on disk: what is written is read back to the bit, and anything else is refused with a sentence.

use residual::models::{Model, ModelOptions, Spec};
use residual::plan::Plan;
use residual::weights::{self, Metadata, container};
use residual_train::data::{Filter, Normalize, Preprocessing, Resize};
use residual_train::train::memory;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

fn model(name: &str, classes: usize) -> (Model, Metadata) {
    let options =
        ModelOptions { name: name.into(), input: Some(32), classes: Some(classes), ..ModelOptions::default() };
    let spec = Spec::resolve(&options).expect("a small network");
    let metadata = Metadata {
        model: spec.options(),
        preprocessing: Preprocessing {
            height: 32,
            width: 32,
            channels: 3,
            scale: None,
            resize: Resize::Crop,
            filter: Filter::Bilinear,
            normalize: Normalize::known("cifar10").expect("known"),
        },
        classes: (0..classes).map(|class| format!("class {class}")).collect(),
        recipe: Some("[model]\nname = \"resnet-cifar-8\"\n".into()),
        step: 7,
        trained_on: Some("CIFAR-10".into()),
    };
    (Model::initialised(spec, 3), metadata)
}

fn saved(folder: &TempDir) -> PathBuf {
    let (model, metadata) = model("resnet-cifar-8", 10);
    let path = folder.path().join("weights.safetensors");
    weights::save(&path, &model, &metadata).expect("a folder of ours");
    path
}

fn refusal(path: &Path) -> String {
    weights::load(path).expect_err("no good").to_string()
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

#[test]
fn weights_and_all_that_travels_with_them_come_back_to_the_bit() {
    let folder = folder();
    let (before, metadata) = model("resnet-cifar-8", 10);
    let path = saved(&folder);
    let (after, read) = weights::load(&path).expect("just written");
    assert_eq!(read, metadata);
    let pixels = vec![1.0; 2 * 32 * 32 * 3];
    let logits = |model: &Model| Plan::new(model, 2, true).logits(&pixels, [2, 32, 32]).expect("images").to_vec();
    assert_eq!(logits(&after), logits(&before));
    let bytes = std::fs::read(&path).expect("just written");
    weights::save(&path, &after, &read).expect("a folder of ours");
    assert_eq!(std::fs::read(&path).expect("just written"), bytes, "equal contents, equal bytes");
}

#[test]
fn a_truncated_file_is_damaged_wherever_it_ends() {
    let folder = folder();
    let path = saved(&folder);
    let bytes = std::fs::read(&path).expect("just written");
    for length in [0, 5, 100, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(&path, &bytes[..length]).expect("a folder of ours");
        assert!(refusal(&path).contains("damaged"), "{length} bytes");
    }
}

#[test]
fn one_altered_bit_is_noticed_in_weights_and_in_metadata() {
    let folder = folder();
    let path = saved(&folder);
    let bytes = std::fs::read(&path).expect("just written");
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let class = text.find("class 3").expect("class names are in the header") + 6;
    for at in [class, bytes.len() - 1000] {
        let mut altered = bytes.clone();
        altered[at] ^= 1;
        std::fs::write(&path, &altered).expect("a folder of ours");
        assert!(refusal(&path).contains("fingerprint"), "byte {at}");
    }
}

#[test]
fn a_checkpoint_of_another_network_shows_what_differs() {
    let (other, _) = model("resnet-cifar-8", 7);
    let (model_10, _) = model("resnet-cifar-8", 10);
    let tensors = other.tensors().clone();
    let error = Model::new(model_10.spec, tensors.clone()).expect_err("other classes");
    let message = error.to_string();
    assert!(message.contains("[7, 64]") || message.contains("[7]"), "{message}");
    assert!(message.contains("[10, 64]") || message.contains("[10]"), "{message}");
    let (vgg, _) = model("vgg-a", 10);
    let message = Model::new(vgg.spec, tensors).expect_err("a VGG").to_string();
    assert!(message.contains("missing: ") && message.contains("unexpected: "), "{message}");
}

#[test]
fn a_file_of_another_program_is_told_from_a_damaged_one() {
    let folder = folder();
    let path = folder.path().join("foreign.safetensors");
    let tensors = model("resnet-cifar-8", 10).0.tensors().clone();
    let views = tensors.iter().map(|(name, data)| {
        let dtype = safetensors::tensor::Dtype::F32;
        (
            name,
            safetensors::tensor::TensorView::new(dtype, data.shape().to_vec(), bytemuck::cast_slice(data.values()))
                .expect("fits"),
        )
    });
    let bytes = safetensors::serialize(views.collect::<Vec<_>>(), None).expect("plain tensors");
    std::fs::write(&path, bytes).expect("a folder of ours");
    assert_eq!(container::read(&path).expect("a whole file").tensors.len(), tensors.len());
    assert!(refusal(&path).contains("does not say which network"));
}

#[test]
fn a_step_that_will_not_fit_is_warned_of_before_it_starts() {
    let summary = model("vgg-e", 10).0.spec.summary();
    assert!(memory::warning(&summary, 1, 1).is_none());
    if memory::warning(&summary, 100_000_000, 1).is_none() {
        // Only systems that do not say how much memory they have.
        assert!(residual_train::train::machine::available_memory().is_none());
    }
}
