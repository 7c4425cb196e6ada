//! The papers' test protocols, each against what it is made of: plain forward passes, softmaxes and means.

#[path = "support/forward.rs"]
mod forward_pass;

use burn::tensor::{Device, Tensor, TensorData};
use forward_pass::forward;
use residual::graph::{GraphBuilder, Network, Node, Op, Value};
use residual::models::vgg::{LayerCfg, VggHead, vgg as vgg_layers};
use residual::models::{InitOptions, Model, ModelOptions, Spec};
use residual::plan::InferenceSession;
use residual::tensor::HostTensor;
use residual_train::data::{Filter, Image, Images, Normalize, Preprocessing, Resize};
use residual_train::eval::predictions::Predictions;
use residual_train::eval::{CropSet, Ensemble, Member, TestProtocol, evaluate};
use residual_train::network::TrainableNetwork;
use residual_train::ops::{self, Nhwc};

/// A VGG with the paper's head behind few channels, so that it is quick.
#[derive(Debug, Clone)]
struct NarrowVgg {
    /// Height and width.
    size: [usize; 2],
}

/// Its convolutions.
const LAYERS: [LayerCfg; 8] = {
    use LayerCfg::{C3, M};
    [C3(4), M, C3(6), M, M, M, C3(6), M]
};

/// Its head.
const HEAD: VggHead = VggHead::Imagenet { dropout: 0.5 };

impl Network for NarrowVgg {
    fn input(&self) -> [usize; 3] {
        [self.size[0], self.size[1], 3]
    }

    fn forward(&self, g: &mut GraphBuilder, x: Value) -> Value {
        vgg_layers(g, x, &LAYERS, false, HEAD, 7)
    }

    fn smallest_input(&self) -> usize {
        32
    }
}

fn vgg() -> Model<NarrowVgg> {
    let options = InitOptions { vgg_head: true, ..InitOptions::default() };
    Model::with_initial_weights(NarrowVgg { size: [224, 224] }, &options, 3).expect("it fits")
}

fn resnet(input: usize) -> Model {
    let options =
        ModelOptions { name: "resnet-cifar-8".into(), input: Some(input), classes: Some(7), ..ModelOptions::default() };
    Model::initialised(Spec::resolve(&options).expect("a network"), 4)
}

fn preprocessing(side: usize) -> Preprocessing {
    let normalize = Normalize::known("imagenet").expect("known");
    let (resize, filter) = (Resize::Crop, Filter::Bilinear);
    Preprocessing { height: side, width: side, channels: 3, scale: None, resize, filter, normalize }
}

/// Something with edges and colours.
fn image(height: usize, width: usize, seed: usize) -> Image {
    let value = |i: usize| {
        let (y, x, c) = (i / 3 / width, i / 3 % width, i % 3);
        ((y / 9 * 67 + x / 7 * (31 + 12 * c) + seed * 97 + (x * y) / 50) % 256) as u8
    };
    Image { height, width, channels: 3, pixels: (0..height * width * 3).map(value).collect() }
}

/// An image normalised, as a batch of one.
fn pixels(image: &Image) -> (Vec<f32>, [usize; 4]) {
    let [h, w] = [image.height, image.width];
    let mut preprocessing = preprocessing(h);
    preprocessing.width = w;
    let mut pixels = vec![0.0; image.pixels.len()];
    preprocessing.normalizer().expect("sizes agree").apply(&image.pixels, &mut pixels);
    (pixels, [1, h, w, 3])
}

fn logits<N: Network>(model: &Model<N>, image: &Image) -> Vec<f32> {
    let (pixels, dims) = pixels(image);
    forward(model, &pixels, dims)
}

fn dense<N: Network>(model: &Model<N>, image: &Image) -> Vec<f32> {
    let (pixels, [n, h, w, _]) = pixels(image);
    InferenceSession::new(model, 1, true).dense_logits(&pixels, [n, h, w]).expect("large enough")
}

fn mirrored(image: &Image) -> Image {
    let rows = image.pixels.chunks(image.width * 3);
    let pixels = rows.flat_map(|row| row.chunks(3).rev().flatten().copied()).collect();
    Image { pixels, ..image.clone() }
}

fn cut(image: &Image, [top, left]: [usize; 2], side: usize) -> Image {
    let row = |y: usize| &image.pixels[(y * image.width + left) * 3..(y * image.width + left + side) * 3];
    let pixels = (top..top + side).flat_map(row).copied().collect();
    Image { height: side, width: side, channels: 3, pixels }
}

fn softmax(logits: &[f32]) -> Vec<f32> {
    let powers: Vec<f64> = logits.iter().map(|&v| f64::from(v).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.iter().map(|p| (p / sum) as f32).collect()
}

/// The mean of the probabilities that `model` gives for each of `images` by itself.
fn mean_of<N: Network>(model: &Model<N>, images: &[Image]) -> Vec<f32> {
    let rows: Vec<_> = images.iter().map(|p| softmax(&logits(model, p))).collect();
    mean(&rows)
}

fn mean(rows: &[Vec<f32>]) -> Vec<f32> {
    (0..rows[0].len()).map(|k| rows.iter().map(|row| row[k]).sum::<f32>() / rows.len() as f32).collect()
}

#[track_caller]
fn assert_close(a: &[f32], b: &[f32]) {
    assert_eq!(a.len(), b.len());
    let largest = a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    let scale = b.iter().fold(0.0f32, |m, v| m.max(v.abs()));
    assert!(largest < 1e-4 * scale.max(1e-3), "they differ by {largest}: {a:?} {b:?}");
    assert!(scale > 0.0 && b.iter().any(|v| (v - b[0]).abs() > 1e-4 * scale), "the network tells nothing apart: {b:?}");
}

fn ensemble<N: Network>(model: &Model<N>, protocol: TestProtocol, scales: &[usize]) -> Ensemble {
    let preprocessing = preprocessing(model.spec.input()[0]);
    let crop_set = CropSet::new(protocol, scales, &preprocessing, 0).expect("scales that fit");
    Ensemble::new(vec![Member::new(model, &preprocessing, crop_set, false).expect("it takes them")])
        .expect("one member")
}

fn probabilities<N: Network>(model: &Model<N>, protocol: TestProtocol, scales: &[usize], image: &Image) -> Vec<f32> {
    let images = std::slice::from_ref(image);
    ensemble(model, protocol, scales).probabilities(images).expect("probabilities").remove(0)
}

fn assert_dense_is_plain<N: Network>(model: &Model<N>, side: usize) {
    let image = image(side, side, 1);
    assert_close(&dense(model, &image), &logits(model, &image));
    // The protocol averages the softmax of the image and of its mirror image.
    let found = probabilities(model, TestProtocol::Dense, &[side], &image);
    assert_close(&found, &mean_of(model, &[image.clone(), mirrored(&image)]));
}

#[test]
fn dense_on_an_image_of_training_size_equals_the_plain_forward_pass() {
    assert_dense_is_plain(&vgg(), 224);
    assert_dense_is_plain(&resnet(32), 32);
}

#[test]
fn dense_equals_the_head_slid_by_hand_over_the_whole_image_s_map() {
    let model = vgg();
    let image = image(288, 352, 2);
    let map = features(&model, &image);
    let [h, w, c] = [9, 11, 6];
    assert_eq!(map.len(), h * w * c);
    let mut scores = Vec::new();
    for y in 0..=h - 7 {
        for x in 0..=w - 7 {
            let row = |dy: usize| &map[((y + dy) * w + x) * c..((y + dy) * w + x + 7) * c];
            let window: Vec<f32> = (0..7).flat_map(row).copied().collect();
            scores.push(head(&model, &window));
        }
    }
    assert_eq!(scores.len(), 3 * 5);
    assert_close(&dense(&model, &image), &mean(&scores));
}

/// The map behind the convolutions, `[h, w, c]`.
fn features(model: &Model<NarrowVgg>, image: &Image) -> Vec<f32> {
    let (pixels, dims) = pixels(image);
    let spec = NarrowVgg { size: [image.height, image.width] };
    let larger = Model::new(spec, model.tensors().clone()).expect("the same tensors");
    let is_pool = |node: &&Node| matches!(node.op, Op::AdaptiveAvgPool { .. });
    let last = larger.graph().nodes().iter().find(is_pool).expect("the head begins so").input();
    let x = Nhwc(Tensor::from_data(TensorData::new(pixels, dims), &Device::flex()));
    let mut map = Vec::new();
    TrainableNetwork::new(&larger, &Device::flex()).observe(x, &mut |value, activation| {
        if value == last {
            map = ops::values(activation.clone().ready().0);
        }
    });
    map
}

/// The head by itself, on a map of 7x7.
#[derive(Debug, Clone)]
struct Head;

impl Network for Head {
    fn input(&self) -> [usize; 3] {
        [7, 7, 6]
    }

    fn forward(&self, g: &mut GraphBuilder, x: Value) -> Value {
        vgg_layers(g, x, &[], false, HEAD, 7)
    }
}

fn head(model: &Model<NarrowVgg>, window: &[f32]) -> Vec<f32> {
    let is_head = |(name, _): &(&String, &HostTensor)| name.starts_with("classifier");
    let tensors = model.tensors().iter().filter(is_head).map(|(name, tensor)| (name.clone(), tensor.clone()));
    forward(&Model::new(Head, tensors.collect()).expect("the head's tensors"), window, [1, 7, 7, 6])
}

#[test]
fn dense_differs_from_crops_whose_borders_are_padded() {
    let model = vgg();
    let image = image(256, 256, 3);
    let dense = dense(&model, &image);
    let crops: Vec<_> =
        [[0, 0], [0, 32], [32, 0], [32, 32]].map(|corner| logits(&model, &cut(&image, corner, 224))).into();
    let crops = mean(&crops);
    let largest = dense.iter().zip(&crops).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(largest > 1e-4, "the same places of the head, but VGG §3.2 says that the padding differs: {largest}");
}

#[test]
fn a_resnet_is_fully_convolutional_by_pooling_its_larger_map_and_averages_the_softmax_over_scales() {
    let model = resnet(32);
    let image = image(60, 40, 4);
    let scales = [32, 48];
    let mut views = Vec::new();
    for scale in scales {
        let scaled = image.scaled(scale, 3, Filter::Bilinear);
        assert_eq!(scaled.height.min(scaled.width), scale);
        views.extend([scaled.clone(), mirrored(&scaled)]);
    }
    assert_close(&probabilities(&model, TestProtocol::Dense, &scales, &image), &mean_of(&model, &views));
}

#[test]
fn flip_is_the_mean_of_an_image_and_its_mirror_image() {
    let (model, image) = (resnet(32), image(32, 32, 4));
    let both = mean_of(&model, &[image.clone(), mirrored(&image)]);
    let found = probabilities(&model, TestProtocol::Flip, &[], &image);
    assert_close(&found, &both);
    let once = probabilities(&model, TestProtocol::Center, &[], &image);
    assert!(found.iter().zip(&once).any(|(a, b)| (a - b).abs() > 1e-4), "the mirror image says something else");
}

#[test]
fn ten_crop_equals_ten_forward_passes() {
    let model = resnet(32);
    let image = image(40, 56, 5);
    let crops = [[0, 0], [0, 24], [8, 0], [8, 24], [4, 12]].map(|corner| cut(&image, corner, 32));
    let views: Vec<Image> = crops.iter().flat_map(|crop| [crop.clone(), mirrored(crop)]).collect();
    assert_eq!(views.len(), 10);
    assert_close(&probabilities(&model, TestProtocol::TenCrop, &[40], &image), &mean_of(&model, &views));
}

#[test]
fn multi_crop_over_three_scales_is_the_mean_of_150_crops() {
    let model = resnet(32);
    let image = image(50, 50, 6);
    let mut views = Vec::new();
    for scale in [36, 40, 44] {
        let scaled = image.scaled(scale, 3, Filter::Bilinear);
        for i in 0..25 {
            let crop = cut(&scaled, [i / 5 * (scale - 32) / 4, i % 5 * (scale - 32) / 4], 32);
            views.extend([mirrored(&crop), crop]);
        }
    }
    assert_close(&probabilities(&model, TestProtocol::MultiCrop, &[36, 40, 44], &image), &mean_of(&model, &views));
}

#[test]
fn images_of_different_sizes_go_together_and_each_gets_its_own_answer() {
    let model = vgg();
    let images = [image(256, 300, 7), image(400, 250, 8), image(256, 300, 9), image(224, 224, 10)];
    let dense = ensemble(&model, TestProtocol::Dense, &[224, 256]);
    let together = dense.probabilities(&images).expect("probabilities");
    for (image, together) in images.iter().zip(&together) {
        assert_close(together, &probabilities(&model, TestProtocol::Dense, &[224, 256], image));
    }
    assert_ne!(together[0], together[2]);
}

#[test]
fn an_ensemble_averages_what_its_members_say() {
    let (one, image) = (vgg(), image(256, 320, 11));
    let preprocessing = preprocessing(224);
    let member = |protocol, scales: &[usize]| {
        let crop_set = CropSet::new(protocol, scales, &preprocessing, 0).expect("scales that fit");
        Member::new(&one, &preprocessing, crop_set, false).expect("it takes them")
    };
    let both =
        Ensemble::new(vec![member(TestProtocol::Dense, &[256]), member(TestProtocol::TenCrop, &[256])]).expect("two");
    let found = both.probabilities(std::slice::from_ref(&image)).expect("probabilities").remove(0);
    let dense = probabilities(&one, TestProtocol::Dense, &[256], &image);
    let crops = probabilities(&one, TestProtocol::TenCrop, &[256], &image);
    assert_close(&found, &mean(&[dense, crops]));
    assert!(Ensemble::new(Vec::new()).is_err());
}

#[test]
fn the_centre_as_a_protocol_is_what_training_validates_by_and_costs_are_counted() {
    let model = resnet(32);
    let pixels: Vec<u8> = (0..6).flat_map(|i| image(32, 32, i).pixels).collect();
    let images = Images::from_memory(32, 32, 3, pixels, (0..6).collect()).expect("lengths agree");
    let classes: Vec<String> = (0..7).map(|i| i.to_string()).collect();
    let normalizer = preprocessing(32).normalizer().expect("sizes agree");
    let session = InferenceSession::new(&model, 6, true);
    let plain = evaluate(&session, &images, &normalizer, &classes, &mut ()).expect("tested");
    let center =
        ensemble(&model, TestProtocol::Center, &[]).evaluate(&images, &classes, false, &mut ()).expect("tested");
    assert_eq!(plain.confusion, center.confusion);
    assert!((plain.loss - center.loss).abs() < 1e-6);
    let flip = ensemble(&model, TestProtocol::Flip, &[]).evaluate(&images, &classes, false, &mut ()).expect("tested");
    let tested = Predictions::of(&session, &images, &normalizer, &classes, true, &mut ()).expect("tested");
    assert!((flip.loss - tested.loss()).abs() < 1e-6, "as a run tests by it: {} {}", flip.loss, tested.loss());
    let crops = ensemble(&model, TestProtocol::MultiCrop, &[36, 40]).evaluate(&images, &classes, false, &mut ());
    let crops = crops.expect("tested");
    assert_eq!((crops.images, crops.crops, crops.protocol.as_str()), (6, 6 * 100, "multi-crop"));
    assert_eq!(crops.scales, [36, 40]);
}

#[test]
fn an_image_that_is_too_large_for_dense_is_named_and_can_be_skipped() {
    let model = resnet(32);
    let images = Images::from_memory(1, 2_100, 3, vec![9; 2 * 2_100 * 3], vec![0, 1]).expect("lengths agree");
    let classes: Vec<String> = (0..7).map(|i| i.to_string()).collect();
    let dense = ensemble(&model, TestProtocol::Dense, &[64]);
    let error = dense.evaluate(&images, &classes, false, &mut ()).expect_err("64x134400 pixels");
    assert!(
        error.to_string().starts_with("image #0: an image of 1x2100 pixels becomes 64x134400 at scale 64"),
        "{error}"
    );
    assert!(error.hint().is_some_and(|hint| hint.contains("--skip-bad")));
    let error = dense.evaluate(&images, &classes, true, &mut ()).expect_err("no image is left");
    assert!(error.to_string().starts_with("left out 2 of 2 images: image #0: "), "{error}");
}

#[test]
fn a_head_that_was_trained_on_another_map_cannot_be_applied_densely() {
    let options = ModelOptions { name: "vgg-a".into(), input: Some(96), ..ModelOptions::default() };
    let spec = Spec::resolve(&options).expect("a network of the paper");
    let session = InferenceSession::new(&Model::initialised(spec, 0), 1, true);
    let error = session.smallest_dense().expect_err("a map of 3x3");
    assert!(error.to_string().contains("3x3"), "{error}");
    let model = vgg();
    let crop_set = CropSet::new(TestProtocol::Dense, &[192], &preprocessing(224), 0).expect("a scale");
    let error = Member::new(&model, &preprocessing(224), crop_set, false).expect_err("no place for the head");
    assert!(error.hint().is_some_and(|hint| hint.contains("224")), "{error}");
    assert!(InferenceSession::new(&model, 1, true).smallest_dense().is_ok_and(|side| side == 224));
}
