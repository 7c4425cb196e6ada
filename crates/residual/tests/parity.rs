//! Real weights from PyTorch (github.com/akamaster/pytorch_resnet_cifar10) against PyTorch's own logits for them.
//!
//! The files lie beside the repository in `../shared/data` (or where `RESIDUAL_SHARED` points); without them the test
//! says so and passes.

#![expect(clippy::print_stderr, reason = "a skipped test says so")]

use burn::tensor::{Device, Tensor, TensorData};
use residual::layers::Pass;
use residual::ops::Nhwc;
use residual::weights::container;
use residual::weights::import::{ImportOptions, import};
use std::path::PathBuf;

fn shared() -> Option<PathBuf> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let shared = std::env::var_os("RESIDUAL_SHARED").map_or(beside, PathBuf::from).join("data/weights");
    if !shared.is_dir() {
        eprintln!("skipped: {} is not there", shared.display());
        return None;
    }
    Some(shared)
}

/// The first records of a CIFAR-10 test batch, which the reference file carries no pixels of.
fn images(n: usize) -> Option<Vec<f32>> {
    let cifar = std::env::var_os("RESIDUAL_CIFAR10").map(PathBuf::from);
    let cifar =
        cifar.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache/cifar-10/cifar-10-batches-bin")));
    let records = cifar.and_then(|folder| std::fs::read(folder.join("test_batch.bin")).ok());
    let Some(records) = records else {
        eprintln!("skipped: no test_batch.bin in ~/.cache/cifar-10/cifar-10-batches-bin or $RESIDUAL_CIFAR10");
        return None;
    };
    let (mean, std) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
    let mut pixels = Vec::with_capacity(n * 3072);
    for record in records.chunks_exact(3073).take(n) {
        for pixel in 0..1024 {
            for c in 0..3 {
                let value = f64::from(record[1 + c * 1024 + pixel]) / 255.0;
                pixels.push(((value - mean[c]) / std[c]) as f32);
            }
        }
    }
    Some(pixels)
}

fn logits_agree(name: &str, files: [&str; 2]) {
    let (Some(folder), Some(pixels)) = (shared(), images(64)) else { return };
    let device = Device::flex();
    let reference = format!("{}-cifar10-akamaster", files[1]);
    let expected = container::read(&folder.join(format!("{reference}.ref64.safetensors"))).expect("PyTorch's logits");
    let expected = expected.tensors["logits"].clone();
    let x = Nhwc(Tensor::from_data(TensorData::new(pixels, [64, 32, 32, 3]), &device));
    for file in [files[0].to_owned(), format!("{reference}.safetensors")] {
        let options = ImportOptions { name: name.into(), ..ImportOptions::default() };
        let imported = import(&folder.join(&file), &options, &device).expect("the same network");
        let found = imported.model.forward(x.clone(), &Pass::test()).into_data();
        let pairs = found.as_slice::<f32>().expect("f32").iter().zip(expected.as_slice::<f32>().expect("f32"));
        let largest = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(largest < 1e-4, "{file}: logits differ by up to {largest}");
    }
}

#[test]
fn resnet_20_from_pytorch_gives_pytorch_s_logits() {
    logits_agree("resnet-20", ["resnet20-12fca82f.th", "resnet20"]);
}

#[test]
fn resnet_32_from_pytorch_gives_pytorch_s_logits() {
    logits_agree("resnet-32", ["resnet32-d509ac18.th", "resnet32"]);
}
