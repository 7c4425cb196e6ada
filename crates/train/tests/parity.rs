//! Real weights from PyTorch (github.com/akamaster/pytorch_resnet_cifar10) against PyTorch's own logits for them.
//!
//! `$RESIDUAL_TEST_DATA` is a folder with the files in `weights/`: the published `.th` files, the same as safetensors,
//! and `*.ref64.safetensors` with PyTorch's logits for the first 64 images of CIFAR-10's test batch. `$RESIDUAL_CIFAR10`
//! is a folder with that batch. The tests are ignored unless they are asked for.

#[path = "support/forward.rs"]
mod forward_pass;

use forward_pass::forward;
use residual::weights::container;
use residual::weights::import::{ImportOptions, import};
use std::path::PathBuf;

/// Returns the folder that an environment variable names.
fn folder(variable: &str) -> PathBuf {
    PathBuf::from(std::env::var_os(variable).unwrap_or_else(|| panic!("${variable} is not set")))
}

/// Returns the first images of a CIFAR-10 test batch: the reference files have no pixels.
fn images(n: usize) -> Vec<f32> {
    let records = std::fs::read(folder("RESIDUAL_CIFAR10").join("test_batch.bin")).expect("CIFAR-10's test batch");
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
    pixels
}

fn logits_agree(name: &str, files: [&str; 2]) {
    let (folder, pixels) = (folder("RESIDUAL_TEST_DATA").join("weights"), images(64));
    let reference = format!("{}-cifar10-akamaster", files[1]);
    let expected = container::read(&folder.join(format!("{reference}.ref64.safetensors"))).expect("PyTorch's logits");
    let expected = expected.tensors["logits"].clone();
    for file in [files[0].to_owned(), format!("{reference}.safetensors")] {
        let options = ImportOptions { name: name.into(), ..ImportOptions::default() };
        let imported = import(&folder.join(&file), &options).expect("the same network");
        let found = forward(&imported.model, &pixels, [64, 32, 32, 3]);
        let pairs = found.iter().zip(expected.values());
        let largest = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(largest < 1e-4, "{file}: logits differ by up to {largest}");
    }
}

#[test]
#[ignore = "needs test data and CIFAR-10"]
fn resnet_20_from_pytorch_gives_pytorch_s_logits() {
    logits_agree("resnet-20", ["resnet20-12fca82f.th", "resnet20"]);
}

#[test]
#[ignore = "needs test data and CIFAR-10"]
fn resnet_32_from_pytorch_gives_pytorch_s_logits() {
    logits_agree("resnet-32", ["resnet32-d509ac18.th", "resnet32"]);
}
