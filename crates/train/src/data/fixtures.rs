//! Files of images for tests.

use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};

/// 16x8, the left half blue, the right half red, orientation 6.
pub(super) fn turned_jpeg() -> Vec<u8> {
    include_bytes!("../../../residual/tests/images/turned.jpg").to_vec()
}

/// `pixels` as a PNG file.
pub(super) fn png(pixels: &[u8], width: u32, height: u32, colour: ExtendedColorType) -> Vec<u8> {
    let mut bytes = Vec::new();
    PngEncoder::new(&mut bytes).write_image(pixels, width, height, colour).expect("an image");
    bytes
}
