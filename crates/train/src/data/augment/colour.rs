//! Changes of brightness, contrast, saturation, sharpness and hue, equal to Pillow's
//! (`ImageEnhance`, `ImageOps`), with which torchvision's recipes were trained. Images are `[h, w,
//! c]` of 1 or 3 channels.

use residual::image::{Image, luma};

/// Computes `from + amount · (to − from)` for every value. An amount outside 0..=1 extrapolates and
/// is clamped to bytes.
fn blend(from: impl Iterator<Item = u8>, to: &[u8], amount: f32) -> Vec<u8> {
    let line = |(from, &to): (u8, &u8)| f32::from(from) + amount * (f32::from(to) - f32::from(from));
    // The cast clamps to 0..=255 and truncates.
    from.zip(to).map(|pair| line(pair) as u8).collect()
}

/// Scales brightness: 0 gives black, 1 the image.
pub(super) fn brightness(image: &Image, factor: f64) -> Vec<u8> {
    blend(std::iter::repeat(0), &image.pixels, factor as f32)
}

/// Scales contrast: 0 gives the image's mean grey, 1 the image.
pub(super) fn contrast(image: &Image, factor: f64) -> Vec<u8> {
    let grey = luma(&image.pixels, image.channels);
    let sum: u64 = grey.iter().map(|&v| u64::from(v)).sum();
    let mean = (sum as f64 / grey.len() as f64 + 0.5) as u8;
    blend(std::iter::repeat(mean), &image.pixels, factor as f32)
}

/// Scales saturation: 0 gives grey, 1 the image.
pub(super) fn saturation(image: &Image, factor: f64) -> Vec<u8> {
    let grey = luma(&image.pixels, image.channels);
    let each = grey.iter().flat_map(|&v| std::iter::repeat_n(v, image.channels));
    blend(each, &image.pixels, factor as f32)
}

/// Scales sharpness: 0 gives a smoothed image, 1 the image, 2 a sharpened one.
pub(super) fn sharpness(image: &Image, factor: f64) -> Vec<u8> {
    blend(smooth(image).into_iter(), &image.pixels, factor as f32)
}

/// Averages each value, with weight 5, and its eight neighbours; the edge is kept.
fn smooth(image: &Image) -> Vec<u8> {
    let (h, w, c) = (image.height, image.width, image.channels);
    let mut out = image.pixels.clone();
    if h < 3 || w < 3 {
        return out;
    }
    let (once, five) = (1.0f32 / 13.0, 5.0f32 / 13.0);
    let stride = w * c;
    for y in 1..h - 1 {
        let inner = y * stride + c..(y + 1) * stride - c;
        for (i, out) in inner.clone().zip(&mut out[inner]) {
            let value = |at: usize| f32::from(image.pixels[at]);
            let row = |at: usize, centre: f32| value(at - c) * once + value(at) * centre + value(at + c) * once;
            // From the lower row to the upper one, the order of Pillow's sum.
            let sum = 0.5 + row(i + stride, once) + row(i, five) + row(i - stride, once);
            *out = sum as u8;
        }
    }
    out
}

/// Maps every value through the table of its channel, or through a single table.
fn map_values(image: &Image, tables: &[[u8; 256]]) -> Vec<u8> {
    let c = image.channels;
    image.pixels.iter().enumerate().map(|(i, &value)| tables[i % c % tables.len()][usize::from(value)]).collect()
}

/// Builds the table of a function of one value.
fn table(value: impl Fn(u8) -> u8) -> [u8; 256] {
    std::array::from_fn(|i| value(i as u8))
}

/// Keeps the highest `bits` of each value, 1 to 8.
pub(super) fn posterize(image: &Image, bits: u32) -> Vec<u8> {
    let mask = !(0xffu16 >> bits) as u8;
    map_values(image, &[table(|value| value & mask)])
}

/// Inverts values from `threshold` on.
pub(super) fn solarize(image: &Image, threshold: f64) -> Vec<u8> {
    map_values(image, &[table(|value| if f64::from(value) < threshold { value } else { 255 - value })])
}

/// Counts how often each value occurs in a channel.
fn histogram(image: &Image, channel: usize) -> [u32; 256] {
    let mut counts = [0; 256];
    image.pixels.iter().skip(channel).step_by(image.channels).for_each(|&v| counts[usize::from(v)] += 1);
    counts
}

/// Stretches each channel so that its darkest value becomes 0 and its lightest 255.
pub(super) fn auto_contrast(image: &Image) -> Vec<u8> {
    let stretch = |channel| {
        let counts = histogram(image, channel);
        let low = counts.iter().position(|n| *n > 0).unwrap_or(0);
        let high = counts.iter().rposition(|n| *n > 0).unwrap_or(0);
        if high <= low {
            return table(|value| value);
        }
        let scale = 255.0 / (high - low) as f64;
        let offset = -(low as f64) * scale;
        table(|value| (f64::from(value) * scale + offset) as u8)
    };
    map_values(image, &(0..image.channels).map(stretch).collect::<Vec<_>>())
}

/// Equalises the histogram of each channel.
pub(super) fn equalize(image: &Image) -> Vec<u8> {
    let spread = |channel| {
        let counts = histogram(image, channel);
        let last = counts.iter().rfind(|n| **n > 0).copied().unwrap_or(0);
        let step = (counts.iter().sum::<u32>() - last) / 255;
        if step == 0 {
            return table(|value| value);
        }
        let mut below = step / 2;
        counts.map(|count| {
            let value = below / step;
            below += count;
            value.min(255) as u8
        })
    };
    map_values(image, &(0..image.channels).map(spread).collect::<Vec<_>>())
}

/// Shifts hue by a share of the colour circle, −0.5 to 0.5, in Pillow's 8-bit HSV. Grey is
/// unchanged.
pub(super) fn hue(image: &Image, turn: f64) -> Vec<u8> {
    if image.channels != 3 {
        return image.pixels.clone();
    }
    let turn = (turn * 255.0) as i32 as u8;
    let turned = |pixel: &[u8]| {
        let [h, s, v] = to_hsv([pixel[0], pixel[1], pixel[2]]);
        from_hsv([h.wrapping_add(turn), s, v])
    };
    image.pixels.chunks_exact(3).flat_map(turned).collect()
}

fn to_hsv([r, g, b]: [u8; 3]) -> [u8; 3] {
    let (high, low) = (r.max(g).max(b), r.min(g).min(b));
    if high == low {
        return [0, 0, high];
    }
    let span = f32::from(high - low);
    let share = |value: u8| f32::from(high - value) / span;
    let sixth = match high {
        _ if r == high => share(b) - share(g),
        _ if g == high => (2.0 + f64::from(share(r)) - f64::from(share(b))) as f32,
        _ => (4.0 + f64::from(share(g)) - f64::from(share(r))) as f32,
    };
    let h = (f64::from(sixth) / 6.0 + 1.0) % 1.0;
    [(h as f32 * 255.0) as u8, (span / f32::from(high) * 255.0) as u8, high]
}

fn from_hsv([h, s, v]: [u8; 3]) -> [u8; 3] {
    if s == 0 {
        return [v; 3];
    }
    let sixth = f64::from(h) * 6.0 / 255.0;
    let (i, share, s) = (sixth.floor(), sixth - sixth.floor(), f64::from(s) / 255.0);
    let part = |share: f64| (f64::from(v) * (1.0 - share)).round() as u8;
    let (p, q, t) = (part(s), part(s * share), part(s * (1.0 - share)));
    match i as u32 % 6 {
        0 => [v, t, p],
        1 => [q, v, p],
        2 => [p, v, t],
        3 => [p, q, v],
        4 => [t, p, v],
        _ => [v, p, q],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grey(pixels: &[u8]) -> Image {
        Image { height: 1, width: pixels.len(), channels: 1, pixels: pixels.to_vec() }
    }

    fn colour(pixels: &[u8]) -> Image {
        Image { height: 1, width: pixels.len() / 3, channels: 3, pixels: pixels.to_vec() }
    }

    #[test]
    fn a_factor_of_one_keeps_the_image_and_zero_gives_the_named_extreme() {
        let image = colour(&[200, 30, 40, 10, 250, 90]);
        for change in [brightness, contrast, saturation, sharpness] {
            assert_eq!(change(&image, 1.0), image.pixels);
        }
        assert_eq!(brightness(&image, 0.0), [0; 6]);
        // Greys by ITU-R 601-2: 82 and 160.
        assert_eq!(saturation(&image, 0.0), [82, 82, 82, 160, 160, 160]);
        assert_eq!(contrast(&image, 0.0), [121; 6]);
        assert_eq!(brightness(&image, 2.0), [255, 60, 80, 20, 255, 180]);
    }

    #[test]
    fn posterize_solarize_autocontrast_and_equalize_map_values_as_named() {
        assert_eq!(posterize(&grey(&[0, 17, 200, 255]), 3), [0, 0, 192, 224]);
        assert_eq!(posterize(&grey(&[0, 17, 255]), 8), [0, 17, 255]);
        assert_eq!(solarize(&grey(&[0, 99, 100, 255]), 100.0), [0, 99, 155, 0]);
        assert_eq!(auto_contrast(&grey(&[50, 100, 150])), [0, 127, 255]);
        assert_eq!(auto_contrast(&grey(&[50, 50])), [50, 50]);
        // All 256 values are equally frequent already.
        let ramp: Vec<u8> = (0..2560).map(|i| (i / 10) as u8).collect();
        assert_eq!(equalize(&grey(&ramp)), ramp);
        let dark: Vec<u8> = (0..2560).map(|i| (i / 80) as u8).collect();
        let spread = equalize(&grey(&dark));
        assert!(spread[2559] == 255 && spread.is_sorted(), "thirty-two values over the whole range");
    }

    #[test]
    fn a_hue_shift_goes_around_the_circle_and_keeps_grey() {
        let image = colour(&[255, 0, 0, 77, 77, 77]);
        assert_eq!(hue(&image, 0.0), image.pixels);
        let third = hue(&image, 1.0 / 3.0);
        assert_eq!(third, [0, 255, 0, 77, 77, 77]);
        // Pillow's circle has 255 steps, so that shifting back is exact to a byte only.
        let back = hue(&Image { pixels: third, ..image }, -1.0 / 3.0);
        assert!(back[0] == 255 && back[1] <= 6 && back[2] <= 6, "{back:?}");
    }

    #[test]
    fn shifted_hues_equal_pillows() {
        let image = colour(&[200, 30, 40, 10, 250, 90, 20, 60, 220, 255, 255, 0, 77, 77, 77, 3, 2, 1, 120, 119, 121]);
        // torchvision's `adjust_hue` on Pillow 13.0.
        let cases: [(f64, [u8; 21]); 3] = [
            (0.1, [200, 114, 31, 11, 250, 230, 96, 21, 220, 108, 255, 0, 77, 77, 77, 3, 3, 1, 121, 119, 121]),
            (-0.37, [31, 78, 200, 250, 39, 11, 105, 220, 21, 204, 0, 255, 77, 77, 77, 2, 1, 3, 119, 121, 120]),
            (0.5, [31, 200, 182, 250, 11, 174, 220, 171, 21, 0, 6, 255, 77, 77, 77, 1, 2, 3, 120, 121, 119]),
        ];
        for (turn, expected) in cases {
            assert_eq!(hue(&image, turn), expected, "{turn}");
        }
    }

    #[test]
    fn smoothing_keeps_the_edge_and_averages_the_inside() {
        let mut pixels = vec![0; 25];
        pixels[12] = 130;
        let image = Image { height: 5, width: 5, channels: 1, pixels };
        let smooth = sharpness(&image, 0.0);
        assert_eq!((smooth[12], smooth[6], smooth[0]), (50, 10, 0));
        assert_eq!(sharpness(&image, 2.0)[12], 210);
    }
}
