//! Image files for tests.

use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};
use std::fs;
use std::path::Path;

/// A JPEG file of 16x8 pixels, the left half blue, the right half red, orientation 6.
pub(super) fn turned_jpeg() -> Vec<u8> {
    include_bytes!("../../../residual/tests/images/turned.jpg").to_vec()
}

/// Encodes `pixels` as a PNG file.
pub(super) fn png(pixels: &[u8], width: u32, height: u32, colour: ExtendedColorType) -> Vec<u8> {
    let mut bytes = Vec::new();
    PngEncoder::new(&mut bytes).write_image(pixels, width, height, colour).expect("an image");
    bytes
}

/// Writes the folder of a class with `n` images of one grey.
pub(super) fn class(root: &Path, name: &str, n: usize, grey: u8) {
    fs::create_dir_all(root.join(name)).expect("writable");
    for i in 0..n {
        let bytes = png(&[grey; 12 * 9], 12, 9, ExtendedColorType::L8);
        fs::write(root.join(name).join(format!("{name}-{i}.png")), bytes).expect("writable");
    }
}
