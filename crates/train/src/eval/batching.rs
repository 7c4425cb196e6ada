//! How many images go through a network together.

/// Images per forward pass: enough to keep every core busy, and small beside training's memory.
const BATCH: usize = 128;

/// Pixels per forward pass, 16 images of 224x224: the first feature maps of a VGG take 50 MB per image.
const PIXELS: usize = 16 * 224 * 224;

/// Returns how many images of `h`x`w` go through the network together.
pub fn batch_of(h: usize, w: usize) -> usize {
    (PIXELS / (h * w)).clamp(1, BATCH)
}
