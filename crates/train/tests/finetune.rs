//! Training from another net's weights: a head for other classes, stages that stay as they are.

use residual::models::{Model, ModelOptions, Spec};
use residual::tensor::{HostTensor, Tensors};
use residual::weights::{self, Metadata};
use residual_train::data::Progress;
use residual_train::network::{is_running_statistic, is_within};
use residual_train::recipe::Recipe;
use residual_train::train::{self, Event, RunOptions};
use residual_train::{Error, Kind, data};
use std::path::Path;

/// What a run says beside its events.
#[derive(Default)]
struct Notes(Vec<String>);

impl Progress for Notes {
    fn start(&mut self, _: &str, _: u64) {}
    fn advance(&mut self, _: u64) {}
    fn note(&mut self, text: &str) {
        self.0.push(text.to_owned());
    }
}

/// A small network for `classes`, with running statistics and shifts that are not those of a fresh one.
fn pretrained(path: &Path, name: &str, classes: usize) -> Tensors {
    let options =
        ModelOptions { name: name.into(), input: Some(32), classes: Some(classes), ..ModelOptions::default() };
    let model = Model::initialised(Spec::resolve(&options).expect("a network"), 11);
    let mut tensors = model.tensors().clone();
    for (key, data) in tensors.iter_mut().filter(|(key, _)| is_running_statistic(key) || key.ends_with("bias")) {
        let values: Vec<f32> = (0..data.shape()[0]).map(|i| 0.5 + (i + key.len()) as f32 / 100.0).collect();
        *data = HostTensor::new(data.shape().to_vec(), values);
    }
    let metadata = Metadata {
        model: model.spec.options(),
        preprocessing: data::Preprocessing {
            height: 32,
            width: 32,
            channels: 3,
            scale: None,
            resize: data::Resize::Crop,
            filter: data::Filter::Bilinear,
            normalize: data::Normalize::known("cifar10").expect("known"),
        },
        classes: (0..classes).map(|class| format!("class {class}")).collect(),
        recipe: None,
        step: 0,
        trained_on: None,
    };
    weights::save_tensors(path, &tensors, &metadata).expect("a folder of ours");
    tensors
}

/// Two steps on a few of the built-in images, with `changes`; gives back the weights after them and what was said.
fn two_steps(folder: &Path, name: &str, changes: &[String]) -> Result<(Tensors, Vec<String>), Error> {
    let small = ["data.train_size=40", "train.batch=8", "train.steps=2", "schedule.kind=constant"];
    let named = format!("model.name={name}");
    let all: Vec<String> = small.map(String::from).into_iter().chain([named]).chain(changes.iter().cloned()).collect();
    let recipe = Recipe::load("shapes-resnet20", &all)?;
    let options = RunOptions {
        out: folder.join("run"),
        resume: false,
        skip_bad: false,
        row: None,
        stop: Default::default(),
        report: None,
    };
    let mut notes = Notes::default();
    train::run(&recipe, &options, &mut notes, &mut |_: &Event| {})?;
    let (model, _) = weights::load(&folder.join("run/last.safetensors"))?;
    Ok((model.tensors().clone(), notes.0))
}

fn from(path: &Path) -> String {
    format!("model.from={:?}", path.display().to_string())
}

#[test]
fn another_count_of_classes_gets_a_new_head_and_frozen_stages_keep_every_bit() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("seven.safetensors");
    let before = pretrained(&path, "resnet-cifar-8", 7);
    let changes = [from(&path), "model.freeze=[\"conv1\", \"bn1\", \"layer1\"]".into()];
    let (after, notes) = two_steps(folder.path(), "resnet-cifar-8", &changes).expect("a run");
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(
        notes[0]
            .contains("seven.safetensors has 7 classes, the data 10: the last layer, fc, starts with fresh weights"),
        "{notes:?}"
    );
    assert_eq!((after["fc.weight"].shape()[0], after["fc.bias"].shape()[0]), (10, 10));
    for (key, data) in after.iter().filter(|(key, _)| !key.starts_with("fc")) {
        let frozen = ["conv1", "bn1", "layer1"].iter().any(|prefix| is_within(key, prefix));
        // Weights and running statistics alike.
        assert_eq!(*data == before[key], frozen, "{key}");
    }
}

#[test]
fn the_same_classes_keep_their_head_and_nothing_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ten.safetensors");
    let before = pretrained(&path, "resnet-cifar-8", 10);
    let changes = [from(&path), "model.freeze=[\"fc\", \"layer3\"]".into()];
    let (after, notes) = two_steps(folder.path(), "resnet-cifar-8", &changes).expect("a run");
    assert!(notes.is_empty(), "{notes:?}");
    assert_eq!(after["fc.weight"], before["fc.weight"]);
    assert_ne!(after["conv1.weight"], before["conv1.weight"]);
}

#[test]
fn weights_of_another_depth_are_taken_as_far_as_they_go_and_the_rest_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("eight.safetensors");
    pretrained(&path, "resnet-cifar-8", 10);
    let (_, notes) = two_steps(folder.path(), "resnet-cifar-14", &[from(&path)]).expect("a run");
    assert!(notes.len() == 1 && notes[0].contains("tensors fit; these start with fresh weights"), "{notes:?}");
    assert!(notes[0].contains("layer1, layer2, layer3") && !notes[0].contains("conv1"), "{notes:?}");
}

#[test]
fn a_part_that_is_not_there_is_refused_with_those_that_are_and_so_is_freezing_everything() {
    let folder = tempfile::tempdir().expect("a folder");
    let refused = |name: &str, freeze: &str| {
        let error = two_steps(folder.path(), name, &[format!("model.freeze={freeze}")]).expect_err("no good");
        assert_eq!(error.kind(), Kind::Recipe);
        assert!(!folder.path().join("run").exists(), "nothing is left behind");
        format!("{error} {}", error.hint().unwrap_or_default())
    };
    let message = refused("resnet-cifar-8", "[\"layer1\", \"layer4\"]");
    assert!(message.contains("has nothing called layer4"), "{message}");
    assert!(message.contains("conv1, bn1, layer1, layer2, layer3, fc"), "{message}");
    let message = refused("vgg-a", "[\"feature\"]");
    assert!(message.contains("nothing called feature") && message.contains("features, classifier"), "{message}");
    let message = refused("resnet-cifar-8", "[\"conv1\", \"bn1\", \"layer1\", \"layer2\", \"layer3\", \"fc\"]");
    assert!(message.contains("nothing of resnet-cifar-8 to train"), "{message}");
}

#[test]
fn a_vgg_with_frozen_convolutions_trains_its_head_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("vgg.safetensors");
    let before = pretrained(&path, "vgg-a-bn", 4);
    let (after, notes) =
        two_steps(folder.path(), "vgg-a-bn", &[from(&path), "model.freeze=[\"features\"]".into()]).expect("a run");
    assert!(notes[0].contains("the last layer, classifier.0, starts with fresh weights"), "{notes:?}");
    let changed: Vec<_> =
        after.iter().filter(|(key, data)| before.get(*key) != Some(data)).map(|(key, _)| key).collect();
    assert_eq!(changed, ["classifier.0.bias", "classifier.0.weight"]);
}
