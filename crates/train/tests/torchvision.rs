//! Every VGG and ResNet of torchvision with random weights, saved by PyTorch itself, imported, and compared; and VGG as timm
//! has it. One network after the other: the largest takes 600 MB on the disk.

#[path = "support/forward.rs"]
mod forward_pass;
mod support;

use forward_pass::forward;
use residual::weights::import::{ImportOptions, Preset, import};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

/// Reads `name size` and writes a network of that name with random weights and statistics (net.pt), images (images) and
/// its logits (logits), as often as it is asked to.
const MAKER: &str = "
import sys, numpy, torch
folder, library = sys.argv[1:]
torch.manual_seed(0)
for line in sys.stdin:
    name, size = line.split()
    if library == 'timm':
        import timm
        net = timm.create_model(name)
    else:
        import torchvision
        net = getattr(torchvision.models, name)()
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, 0.1)
    x = torch.randn(2, 3, int(size), int(size))
    with torch.no_grad():
        logits = net.eval()(x)
    # One of them as PyTorch before 1.6 wrote it.
    torch.save(net.state_dict(), folder + '/net.pt', _use_new_zipfile_serialization=name != 'resnet18')
    x.permute(0, 2, 3, 1).contiguous().numpy().tofile(folder + '/images')
    logits.numpy().tofile(folder + '/logits')
    print(name, flush=True)
";

fn floats(path: &Path) -> Vec<f32> {
    let bytes = std::fs::read(path).expect("Python wrote it");
    bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}

/// Has `library` make each network (its name there, ours, the images' size) and compares what is imported.
fn logits_agree(library: &str, preset: Preset, networks: &[(&str, &str, usize)]) {
    let python = support::python(&format!("torch, {library}"));
    let folder = tempfile::tempdir().expect("a folder");
    let mut maker = Command::new(&python)
        .args(["-c", MAKER])
        .arg(folder.path())
        .arg(library)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python runs");
    let (mut ask, told) = (maker.stdin.take().expect("piped"), maker.stdout.take().expect("piped"));
    let mut told = BufReader::new(told).lines();
    for &(theirs, ours, size) in networks {
        writeln!(ask, "{theirs} {size}").expect("Python listens");
        assert_eq!(told.next().and_then(|line| line.ok()).as_deref(), Some(theirs));
        let path = folder.path().join("net.pt");
        let options = ImportOptions { name: ours.into(), input: Some(size), ..ImportOptions::default() };
        let imported = import(&path, &options).expect("a network of theirs");
        assert_eq!((imported.preset, imported.model.spec.classes), (preset, 1000), "{theirs}");
        let images = floats(&folder.path().join("images"));
        let found = forward(&imported.model, &images, [2, size, size, 3]);
        let expected = floats(&folder.path().join("logits"));
        assert_eq!(found.len(), expected.len(), "{theirs}");
        let largest = expected.iter().fold(0f32, |largest, value| largest.max(value.abs()));
        let worst = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
        assert!(worst <= 1e-4 * largest, "{theirs}: {worst} off, with logits up to {largest}");
        std::fs::remove_file(path).expect("a file of ours");
    }
    drop(ask);
    assert!(maker.wait().is_ok_and(|status| status.success()));
}

#[test]
#[ignore = "needs Python with torch, torchvision"]
fn every_resnet_of_torchvision_gives_its_logits() {
    let networks = [
        ("resnet18", "resnet-18", 64),
        ("resnet34", "resnet-34", 64),
        ("resnet50", "resnet-50", 64),
        ("resnet101", "resnet-101", 64),
        ("resnet152", "resnet-152", 64),
    ];
    logits_agree("torchvision", Preset::Torchvision, &networks);
}

#[test]
#[ignore = "needs Python with torch, torchvision"]
fn every_vgg_of_torchvision_gives_its_logits() {
    // At 64 pixels the last map is 2x2, and the pooling in front of the fully connected layers stretches it to 7x7.
    let networks = [
        ("vgg11", "vgg-a", 64),
        ("vgg11_bn", "vgg-a-bn", 224),
        ("vgg13", "vgg-b", 64),
        ("vgg13_bn", "vgg-b-bn", 64),
        ("vgg16", "vgg-d", 64),
        ("vgg16_bn", "vgg-d-bn", 64),
        ("vgg19", "vgg-e", 64),
        ("vgg19_bn", "vgg-e-bn", 64),
    ];
    logits_agree("torchvision", Preset::Torchvision, &networks);
}

#[test]
#[ignore = "needs Python with torch, timm"]
fn timm_s_vgg_with_its_layers_as_convolutions_gives_its_logits() {
    logits_agree("timm", Preset::Timm, &[("vgg11_bn", "vgg-a-bn", 224)]);
}
