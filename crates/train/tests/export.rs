//! Exported files in other programs' hands: ONNX Runtime and PyTorch, where Python has them.

#[path = "support/forward.rs"]
mod forward_pass;
mod support;

use forward_pass::forward;
use residual::export::{self, onnx, verify};
use residual::models::options::{Head, Shortcut};
use residual::models::{Model, ModelOptions, Spec, registry};
use residual::tensor::HostTensor;
use residual::weights::import::Preset;
use residual::weights::{self, Metadata};
use residual_train::data::{Filter, Normalize, Preprocessing, Resize};
use std::path::Path;
use std::process::Command;
use support::python;

/// Runs every `*.onnx` of a folder on the floats or bytes beside it.
const RUNNER: &str = "
import pathlib, sys, numpy, onnxruntime
for path in sorted(pathlib.Path(sys.argv[1]).glob('*.onnx')):
    session = onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
    entry = session.get_inputs()[0]
    kind = numpy.uint8 if entry.type == 'tensor(uint8)' else numpy.float32
    shape = [int(n) for n in path.with_suffix('.shape').read_text().split()]
    x = numpy.fromfile(path.with_suffix('.in'), kind).reshape(shape)
    session.run(None, {entry.name: x})[0].astype(numpy.float32).tofile(path.with_suffix('.out'))
    assert 'classes' in session.get_modelmeta().custom_metadata_map
";

/// Values between 0 and 1 that look like noise.
fn noise(n: usize, salt: usize) -> Vec<f32> {
    let hash = |i: usize| ((i + 7919 * salt) as u32).wrapping_mul(2_654_435_761) >> 8;
    (0..n).map(|i| hash(i) as f32 / (1 << 24) as f32).collect()
}

/// A network whose normalisations and biases all matter.
fn network(name: &str, input: usize, options: ModelOptions) -> (Model, Metadata) {
    let options = ModelOptions { name: name.into(), input: Some(input), classes: Some(10), ..options };
    let model = Model::initialised(Spec::resolve(&options).expect("a network"), 3);
    let mut tensors = model.tensors().clone();
    for (salt, (key, data)) in tensors.iter_mut().enumerate() {
        let shape = data.shape().to_vec();
        if shape.len() == 1 {
            let low = if key.ends_with("weight") || key.ends_with("running_var") { 0.8 } else { -0.2 };
            let values = noise(shape[0], salt).iter().map(|v| low + 0.4 * v).collect::<Vec<f32>>();
            *data = HostTensor::new(shape, values);
        }
    }
    let model = Model::new(model.spec, tensors).expect("the network's own tensors");
    let normalize = Normalize::Channel { mean: vec![0.4, 0.5, 0.6], std: vec![0.2, 0.25, 0.3] };
    let (resize, filter) = (Resize::Crop, Filter::Bilinear);
    let preprocessing =
        Preprocessing { height: input, width: input, channels: 3, scale: None, resize, filter, normalize };
    let classes = (0..10).map(|i| format!("class {i}")).collect();
    let model_options = model.spec.options();
    (model, Metadata { model: model_options, preprocessing, classes, recipe: None, step: 7, trained_on: None })
}

fn nchw(pixels: &[f32], [n, h, w, c]: [usize; 4]) -> Vec<f32> {
    let mut out = Vec::with_capacity(pixels.len());
    for image in pixels.chunks_exact(h * w * c).take(n) {
        (0..c).for_each(|channel| out.extend(image[channel..].iter().step_by(c)));
    }
    out
}

fn write(path: &Path, values: &[f32], shape: [usize; 4]) {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    std::fs::write(path.with_extension("in"), bytes).expect("writable");
    std::fs::write(path.with_extension("shape"), shape.map(|n| n.to_string()).join(" ")).expect("writable");
}

fn assert_result(path: &Path, expected: &[f32]) {
    let bytes = std::fs::read(path.with_extension("out")).expect("ONNX Runtime's result");
    let found: Vec<f32> = bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    assert_eq!(found.len(), expected.len(), "{}", path.display());
    let largest = expected.iter().fold(0f32, |a, b| a.max(b.abs()));
    let worst = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
    assert!(worst <= 1e-4 * largest, "{}: {worst} off, with values up to {largest}", path.display());
}

/// One network of each kind of layer and shortcut.
fn small_networks() -> [(&'static str, usize, ModelOptions); 9] {
    let default = ModelOptions::default;
    [
        ("resnet-20", 32, default()),
        ("resnet-20", 32, ModelOptions { shortcut: Some(Shortcut::C), ..default() }),
        ("plain-20", 32, default()),
        ("resnet-18", 32, default()),
        ("resnet-50", 32, ModelOptions { shortcut: Some(Shortcut::A), ..default() }),
        ("vgg-a-lrn", 32, default()),
        ("vgg-c-bn", 32, default()),
        ("vgg-e", 48, default()),
        ("vgg-a", 64, ModelOptions { head: Head::Imagenet, ..default() }),
    ]
}

#[test]
fn a_written_file_run_by_an_independent_reader_gives_our_outputs_for_every_family() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("net.onnx");
    for (name, size, options) in small_networks() {
        let (model, metadata) = network(name, size, options);
        for (keep_bn, with_preprocessing) in [(false, false), (true, true)] {
            let options = onnx::OnnxOptions { keep_bn, with_preprocessing };
            onnx::write(&path, &model, &metadata, options).expect("a fresh folder");
            let difference = verify::onnx(&path, &model, &metadata, options).expect("the same outputs");
            assert!(difference < 1e-4, "{name}: {difference}");
        }
    }
}

#[test]
fn a_damaged_file_does_not_pass_for_a_verified_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let (model, metadata) = network("resnet-20", 32, ModelOptions::default());
    let [onnx, tensors] = ["net.onnx", "net.safetensors"].map(|name| folder.path().join(name));
    let options = onnx::OnnxOptions::default();
    onnx::write(&onnx, &model, &metadata, options).expect("a fresh folder");
    let whole = std::fs::read(&onnx).expect("just written");
    let refused = |bytes: &[u8], why: &str| {
        std::fs::write(&onnx, bytes).expect("a folder of ours");
        let error = verify::onnx(&onnx, &model, &metadata, options).expect_err("a damaged file").to_string();
        assert!(error.contains("net.onnx") && error.contains(why), "{error}");
    };
    // The last layer's bias is the last tensor but for the shapes behind it: the high byte of a float of it.
    let bias: Vec<u8> = model.tensors()["fc.bias"].values().iter().flat_map(|v| v.to_le_bytes()).collect();
    let at = whole.windows(bias.len()).position(|window| window == bias).expect("stored as it is");
    let mut other = whole.clone();
    other[at + 3] ^= 0x40;
    refused(&other, "gives other outputs");
    let at = whole.windows(4).position(|window| window == b"Relu").expect("there are some");
    let mut other = whole.clone();
    other[at..at + 4].copy_from_slice(b"Selu");
    refused(&other, "Selu of 1 inputs cannot be run");
    refused(&whole[..whole.len() / 2], "cannot be run");
    refused(b"", "there is no graph in it");
    std::fs::write(&onnx, &whole).expect("a folder of ours");
    assert!(verify::onnx(&onnx, &model, &metadata, options).is_ok());

    export::safetensors(&tensors, &model, &metadata, Preset::Torchvision).expect("a fresh folder");
    assert_eq!(verify::safetensors(&tensors, &model, &metadata, Preset::Torchvision).ok(), Some(0.0));
    let (another, _) = network("resnet-20", 32, ModelOptions { zero_last_gamma: true, ..ModelOptions::default() });
    let mut changed = another.tensors().clone();
    changed.insert("fc.bias".into(), HostTensor::new([10], vec![9.0; 10]));
    weights::save_tensors(&tensors, &changed, &metadata).expect("a folder of ours");
    let error = verify::safetensors(&tensors, &model, &metadata, Preset::Torchvision).expect_err("other weights");
    assert!(error.to_string().contains("gives other outputs"), "{error}");
}

/// Writes a network to `path` with images of `[n, h, w]` beside it; what it makes of them.
fn exported(path: &Path, (model, metadata): &(Model, Metadata), keep_bn: bool, [n, h, w]: [usize; 3]) -> Vec<f32> {
    let options = onnx::OnnxOptions { keep_bn, with_preprocessing: false };
    onnx::write(path, model, metadata, options).expect("a fresh folder");
    let pixels = noise(n * h * w * 3, h);
    write(path, &nchw(&pixels, [n, h, w, 3]), [n, 3, h, w]);
    forward(model, &pixels, [n, h, w, 3])
}

fn run_by_onnx_runtime(python: &Path, folder: &Path) {
    let ran = Command::new(python).args(["-c", RUNNER]).arg(folder).output().expect("Python runs");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
}

#[test]
#[ignore = "needs Python with onnxruntime"]
fn onnx_runtime_gives_our_logits_for_every_family_with_norms_folded_and_kept() {
    let python = python("onnxruntime");
    let folder = tempfile::tempdir().expect("a folder");
    let mut expected = Vec::new();
    for (i, (name, size, options)) in small_networks().into_iter().enumerate() {
        let network = network(name, size, options);
        for keep_bn in [false, true] {
            // The batch is free; a residual network takes other heights and widths as well.
            let n = if size > 64 || keep_bn { 1 } else { 3 };
            let h = if name.contains("resnet") && keep_bn { size + 8 } else { size };
            let path = folder.path().join(format!("{i}-{name}-{size}-{keep_bn}.onnx"));
            let logits = exported(&path, &network, keep_bn, [n, h, size]);
            expected.push((path, logits));
        }
    }
    run_by_onnx_runtime(&python, folder.path());
    expected.iter().for_each(|(path, logits)| assert_result(path, logits));
}

#[test]
#[ignore = "needs Python with onnxruntime"]
fn onnx_runtime_gives_our_logits_for_every_architecture_at_32_and_224() {
    let python = python("onnxruntime");
    // 1202 layers of noise run out of floats; their blocks are those of 110.
    for entry in registry().into_iter().filter(|entry| !entry.name.ends_with("1202")) {
        // A folder each: VGG's files have half a gigabyte.
        let folder = tempfile::tempdir().expect("a folder");
        let expected = [32, 224].map(|size| {
            let path = folder.path().join(format!("{}-{size}.onnx", entry.name));
            let logits = exported(&path, &network(&entry.name, size, ModelOptions::default()), false, [1, size, size]);
            (path, logits)
        });
        run_by_onnx_runtime(&python, folder.path());
        expected.iter().for_each(|(path, logits)| assert_result(path, logits));
    }
}

#[test]
#[ignore = "needs Python with onnxruntime"]
fn with_preprocessing_onnx_runtime_takes_bytes_and_gives_probabilities() {
    let python = python("onnxruntime");
    let folder = tempfile::tempdir().expect("a folder");
    let (model, metadata) = network("resnet-20", 32, ModelOptions::default());
    let path = folder.path().join("bytes.onnx");
    let options = onnx::OnnxOptions { keep_bn: false, with_preprocessing: true };
    onnx::write(&path, &model, &metadata, options).expect("a fresh folder");
    let bytes: Vec<u8> = noise(2 * 32 * 32 * 3, 1).iter().map(|v| (255.0 * v) as u8).collect();
    std::fs::write(path.with_extension("in"), &bytes).expect("writable");
    std::fs::write(path.with_extension("shape"), "2 32 32 3").expect("writable");
    let mut pixels = vec![0.0; bytes.len()];
    let normalizer = metadata.preprocessing.normalizer().expect("three channels");
    bytes.chunks_exact(3072).zip(pixels.chunks_exact_mut(3072)).for_each(|(b, p)| normalizer.apply(b, p));
    let logits = forward(&model, &pixels, [2, 32, 32, 3]);
    let probabilities: Vec<f32> = logits
        .chunks_exact(10)
        .flat_map(|row| {
            let largest = row.iter().copied().fold(f32::MIN, f32::max);
            let sum: f32 = row.iter().map(|v| (v - largest).exp()).sum();
            row.iter().map(|v| (v - largest).exp() / sum).collect::<Vec<f32>>()
        })
        .collect();
    run_by_onnx_runtime(&python, folder.path());
    assert_result(&path, &probabilities);
}

#[test]
#[ignore = "needs Python with torchvision, safetensors"]
fn torchvision_loads_exported_safetensors_strictly() {
    let python = python("torchvision, safetensors");
    let folder = tempfile::tempdir().expect("a folder");
    let script = "
import sys, torchvision, safetensors.torch
for name in ['resnet18', 'resnet50', 'vgg11_bn']:
    net = getattr(torchvision.models, name)(num_classes=10)
    net.load_state_dict(safetensors.torch.load_file(f'{sys.argv[1]}/{name}.safetensors'), strict=True)
";
    for (name, ours) in [("resnet18", "resnet-18"), ("resnet50", "resnet-50"), ("vgg11_bn", "vgg-a-bn")] {
        let (model, metadata) = network(ours, 224, ModelOptions::default());
        let path = folder.path().join(format!("{name}.safetensors"));
        export::safetensors(&path, &model, &metadata, Preset::Torchvision).expect("a fresh folder");
        let (again, _) = weights::load(&path).expect("ours as well");
        assert_eq!(again.tensors().clone(), model.tensors().clone());
    }
    let ran = Command::new(&python).args(["-c", script]).arg(folder.path()).output().expect("Python runs");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
}

/// github.com/akamaster/pytorch_resnet_cifar10's networks, and their logits for the images beside the weights.
const AKAMASTER: &str = "
import sys, numpy, torch, safetensors.torch
from torch import nn
F = nn.functional

class Block(nn.Module):
    def __init__(self, c, k, stride, option):
        super().__init__()
        self.conv1 = nn.Conv2d(c, k, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(k)
        self.conv2 = nn.Conv2d(k, k, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(k)
        self.shortcut = nn.Sequential()
        self.pad = 0
        if stride != 1 or c != k:
            if option == 'A':
                self.pad = k // 4
            else:
                self.shortcut = nn.Sequential(nn.Conv2d(c, k, 1, stride, bias=False), nn.BatchNorm2d(k))

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        around = self.shortcut(x)
        if self.pad:
            around = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.pad, self.pad))
        return F.relu(y + around)

class ResNet(nn.Module):
    def __init__(self, n, option):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        stage = lambda c, k, stride: nn.Sequential(
            *[Block(c if i == 0 else k, k, stride if i == 0 else 1, option) for i in range(n)])
        self.layer1, self.layer2, self.layer3 = stage(16, 16, 1), stage(16, 32, 2), stage(32, 64, 2)
        self.linear = nn.Linear(64, 10)

    def forward(self, x):
        x = self.layer3(self.layer2(self.layer1(F.relu(self.bn1(self.conv1(x))))))
        return self.linear(F.avg_pool2d(x, x.size()[3]).flatten(1))

folder = sys.argv[1]
x = torch.from_numpy(numpy.fromfile(folder + '/images.in', numpy.float32).reshape(2, 3, 32, 32))
for option in 'AB':
    net = ResNet(3, option)
    net.load_state_dict(safetensors.torch.load_file(f'{folder}/{option}.safetensors'), strict=True)
    net.eval()(x).detach().numpy().tofile(f'{folder}/{option}.out')
";

#[test]
#[ignore = "needs Python with torch, safetensors"]
fn akamaster_s_network_loads_its_names_strictly_and_gives_our_logits() {
    let python = python("torch, safetensors");
    let folder = tempfile::tempdir().expect("a folder");
    let pixels = noise(2 * 32 * 32 * 3, 0);
    write(&folder.path().join("images"), &nchw(&pixels, [2, 32, 32, 3]), [2, 3, 32, 32]);
    let mut expected = Vec::new();
    for shortcut in [Shortcut::A, Shortcut::B] {
        let (model, metadata) =
            network("resnet-20", 32, ModelOptions { shortcut: Some(shortcut), ..ModelOptions::default() });
        let path = folder.path().join(format!("{shortcut:?}.safetensors"));
        export::safetensors(&path, &model, &metadata, Preset::CifarAkamaster).expect("a fresh folder");
        assert!(verify::safetensors(&path, &model, &metadata, Preset::CifarAkamaster).is_ok());
        let error = weights::load(&path).expect_err("not under our names");
        assert!(error.hint().is_some_and(|hint| hint.contains("residual import")), "{error}");
        expected.push((path, forward(&model, &pixels, [2, 32, 32, 3])));
    }
    let ran = Command::new(&python).args(["-c", AKAMASTER]).arg(folder.path()).output().expect("Python runs");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    expected.iter().for_each(|(path, logits)| assert_result(path, logits));
}

#[test]
fn akamaster_s_names_are_for_akamaster_s_networks_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, shortcut) in
        [("resnet-18", None), ("plain-20", None), ("vgg-a-bn", None), ("resnet-20", Some(Shortcut::C))]
    {
        let (model, metadata) = network(name, 32, ModelOptions { shortcut, ..ModelOptions::default() });
        let path = folder.path().join("net.safetensors");
        let error = export::safetensors(&path, &model, &metadata, Preset::CifarAkamaster).expect_err("not theirs");
        assert!(error.to_string().contains("none of akamaster's") && !path.exists(), "{error}");
    }
}
