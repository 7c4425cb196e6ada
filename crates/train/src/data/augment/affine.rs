//! Shear, translation and rotation, equal to Pillow's (`libImaging/Geometry.c`, bilinear): a pixel
//! of the result lies at its centre, pixels from outside the image are black, and neighbours
//! outside repeat the edge.

use residual::image::Image;

/// Affine map from a point `(x, y)` of the result to `(a x + b y + c, d x + e y + f)` of the image.
type Matrix = [f64; 6];

/// Shifts each row by `factor` times its distance from the upper edge.
pub(super) fn shear_x(image: &Image, factor: f64) -> Vec<u8> {
    transformed(image, [1.0, factor, 0.0, 0.0, 1.0, 0.0])
}

/// Shifts each column by `factor` times its distance from the left edge.
pub(super) fn shear_y(image: &Image, factor: f64) -> Vec<u8> {
    transformed(image, [1.0, 0.0, 0.0, factor, 1.0, 0.0])
}

/// Shifts the image by whole pixels to the right and downwards.
pub(super) fn translate(image: &Image, right: i32, down: i32) -> Vec<u8> {
    transformed(image, [1.0, 0.0, -f64::from(right), 0.0, 1.0, -f64::from(down)])
}

/// Rotates the image about its centre, counter-clockwise.
pub(super) fn rotate(image: &Image, degrees: f64) -> Vec<u8> {
    // Pillow's `rotate` rounds so that right angles are exact.
    let exact = |value: f64| (value * 1e15).round_ties_even() / 1e15;
    let (sin, cos) = (-degrees.to_radians()).sin_cos();
    let (sin, cos) = (exact(sin), exact(cos));
    let (x, y) = (image.width as f64 / 2.0, image.height as f64 / 2.0);
    transformed(image, [cos, sin, cos * -x + sin * -y + x, -sin, cos, -sin * -x + cos * -y + y])
}

/// Returns `[h, w, c]` with every pixel taken from the position that the matrix gives.
fn transformed(image: &Image, [a, b, c, d, e, f]: Matrix) -> Vec<u8> {
    let (h, w, channels) = (image.height, image.width, image.channels);
    let mut out = vec![0; h * w * channels];
    for (i, pixel) in out.chunks_exact_mut(channels).enumerate() {
        let (x, y) = ((i % w) as f64 + 0.5, (i / w) as f64 + 0.5);
        let (x, y) = (a * x + b * y + c, d * x + e * y + f);
        if x >= 0.0 && x < w as f64 && y >= 0.0 && y < h as f64 {
            interpolate(image, x - 0.5, y - 0.5, pixel);
        }
    }
    out
}

/// Interpolates the pixel at `(x, y)` between its four neighbours.
fn interpolate(image: &Image, x: f64, y: f64, out: &mut [u8]) {
    let (h, w, c) = (image.height, image.width, image.channels);
    let (left, top) = (x.floor(), y.floor());
    let (dx, dy) = (x - left, y - top);
    let near = |at: f64, limit: usize| at.clamp(0.0, (limit - 1) as f64) as usize;
    let (x0, x1) = (near(left, w), near(left + 1.0, w));
    let (y0, y1) = (near(top, h), near(top + 1.0, h));
    let value = |y: usize, x: usize, k: usize| f64::from(image.pixels[(y * w + x) * c + k]);
    for (k, out) in out.iter_mut().enumerate() {
        let across = |y: usize| value(y, x0, k) + (value(y, x1, k) - value(y, x0, k)) * dx;
        let (upper, lower) = (across(y0), across(y1));
        *out = (upper + (lower - upper) * dy) as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> Image {
        Image { height: 3, width: 4, channels: 1, pixels: (1..=12).map(|i| i * 10).collect() }
    }

    #[test]
    fn translation_moves_whole_pixels_and_fills_with_black() {
        let moved = translate(&image(), 1, -1);
        assert_eq!(moved, [0, 50, 60, 70, 0, 90, 100, 110, 0, 0, 0, 0]);
        assert_eq!(translate(&image(), 0, 0), image().pixels);
        assert!(translate(&image(), 4, 0).iter().all(|v| *v == 0));
    }

    #[test]
    fn a_half_turn_reverses_the_image_and_a_quarter_turn_is_counter_clockwise() {
        let reversed: Vec<u8> = image().pixels.into_iter().rev().collect();
        assert_eq!(rotate(&image(), 180.0), reversed);
        let square = Image { height: 2, width: 2, channels: 1, pixels: vec![1, 2, 3, 4] };
        assert_eq!(rotate(&square, 90.0), [2, 4, 1, 3]);
        assert_eq!(rotate(&square, 0.0), square.pixels);
    }

    #[test]
    fn a_shear_keeps_the_edge_that_it_starts_from() {
        // Half a pixel per row; the first row's centre is half a pixel below the edge.
        let flat =
            Image { height: 4, width: 8, channels: 3, pixels: (0..96).map(|i| (i % 24 / 3 * 30) as u8).collect() };
        let sheared = shear_x(&flat, 1.0);
        let row = |y: usize| sheared[y * 24..(y + 1) * 24].iter().step_by(3).copied().collect::<Vec<u8>>();
        assert_eq!(row(0), [15, 45, 75, 105, 135, 165, 195, 0]);
        assert_eq!(row(2), [75, 105, 135, 165, 195, 0, 0, 0]);
        let upright = shear_y(&flat, 0.25);
        assert_eq!(upright[..24], flat.pixels[..24], "columns are constant, so they only lose their lower ends");
        assert_eq!(upright[3 * 24 + 21], 0);
    }
}
