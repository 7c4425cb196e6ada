//! RandAugment's and TrivialAugment's operations beside torchvision's own, on the same bytes.
//!
//! The test is ignored unless it is asked for: it needs Python.

mod support;

use residual_train::data::{Image, MAGNITUDE_BINS, Operation, Policy};
use std::process::Command;

/// Writes every operation of both lists at every strength with both signs, in the order of `Policy::list`.
const SCRIPT: &str = "
import sys, pathlib
from PIL import Image
from torchvision.transforms import InterpolationMode, autoaugment as a
folder = pathlib.Path(sys.argv[1])
for channels, mode in ((3, 'RGB'), (1, 'L')):
    height, width = 45, 64
    image = Image.frombytes(mode, (width, height), (folder / f'{channels}.in').read_bytes())
    spaces = [a.TrivialAugmentWide()._augmentation_space(31), a.RandAugment()._augmentation_space(31, (height, width))]
    with open(folder / f'{channels}.out', 'wb') as out:
        for space in spaces:
            for strength in range(31):
                for name, (magnitudes, signed) in space.items():
                    magnitude = float(magnitudes[strength]) if magnitudes.ndim > 0 else 0.0
                    for sign in (1.0, -1.0):
                        signed_magnitude = magnitude * sign if signed else magnitude
                        result = a._apply_op(image, name, signed_magnitude, InterpolationMode.BILINEAR, None)
                        out.write(result.tobytes())
";

/// A gradient, edges and noise: what sharpening, equalising and turning each do something to.
fn image(channels: usize) -> Image {
    let (height, width) = (45, 64);
    let value = |i: usize| {
        let (y, x, c) = (i / (width * channels), i / channels % width, i % channels);
        let noise = ((i as u32).wrapping_mul(2_654_435_761) >> 24) as usize / 4;
        let edge = if (x / 16 + y / 9) % 2 == 0 { 90 } else { 0 };
        (20 + edge + x + y / 2 + 11 * c + noise).min(250) as u8
    };
    Image { height, width, channels, pixels: (0..height * width * channels).map(value).collect() }
}

/// The same operation the other way around, where it has a sign.
fn reversed(operation: Operation) -> Operation {
    match operation {
        Operation::ShearX(v) => Operation::ShearX(-v),
        Operation::ShearY(v) => Operation::ShearY(-v),
        Operation::TranslateX(v) => Operation::TranslateX(-v),
        Operation::TranslateY(v) => Operation::TranslateY(-v),
        Operation::Rotate(v) => Operation::Rotate(-v),
        Operation::Brightness(v) => Operation::Brightness(-v),
        Operation::Color(v) => Operation::Color(-v),
        Operation::Contrast(v) => Operation::Contrast(-v),
        Operation::Sharpness(v) => Operation::Sharpness(-v),
        unsigned => unsigned,
    }
}

#[test]
#[ignore = "needs Python with torchvision, Pillow"]
fn every_operation_at_every_strength_gives_torchvisions_bytes() {
    let python = support::python("torchvision, PIL");
    let folder = tempfile::tempdir().expect("a folder");
    for channels in [3, 1] {
        std::fs::write(folder.path().join(format!("{channels}.in")), image(channels).pixels).expect("writable");
    }
    let ran = Command::new(&python).args(["-c", SCRIPT]).arg(folder.path()).output().expect("Python runs");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    for channels in [3, 1] {
        let image = image(channels);
        let theirs = std::fs::read(folder.path().join(format!("{channels}.out"))).expect("written");
        let mut theirs = theirs.chunks_exact(image.pixels.len());
        for policy in [Policy::TrivialAugmentWide, Policy::RandAugment { operations: 2, magnitude: 9 }] {
            for strength in 0..MAGNITUDE_BINS {
                for operation in policy.list(image.height, image.width, strength) {
                    for operation in [operation, reversed(operation)] {
                        let (ours, theirs) = (operation.apply(&image), theirs.next().expect("as many"));
                        let worst = ours.iter().zip(theirs).map(|(a, b)| a.abs_diff(*b)).max();
                        let differ = ours.iter().zip(theirs).filter(|(a, b)| a != b).count();
                        // Pillow turns and shears by fixed-point positions or by sums in another order: a value that lies within
                        // rounding of a half may fall to its other side. Everything else is exact.
                        let moved =
                            matches!(operation, Operation::Rotate(_) | Operation::ShearX(_) | Operation::ShearY(_));
                        let (most, few) = if moved { (1, ours.len() / 1000) } else { (0, 0) };
                        assert!(
                            worst.is_some_and(|worst| worst <= most) && differ <= few,
                            "{operation} in {channels} channels: {differ} values, by up to {worst:?}"
                        );
                    }
                }
            }
        }
        assert!(theirs.next().is_none(), "as many");
    }
}
