//! Changes of brightness, contrast, colour and sharpness, with the bytes that Pillow gives (`ImageEnhance`, `ImageOps`),
//! for that is what torchvision's recipes were trained with. Images are `[h, w, c]` of 1 or 3 channels.

use residual::image::Image;
use residual::image::luma;

/// `from + amount · (to − from)` for every value: less than 0 and more than 1 leave the line between the two and are cut
/// off.
fn blended(from: impl Iterator<Item = u8>, to: &[u8], amount: f32) -> Vec<u8> {
    let line = |(from, &to): (u8, &u8)| f32::from(from) + amount * (f32::from(to) - f32::from(from));
    // Casting cuts off at 0 and 255, and truncates.
    from.zip(to).map(|pair| line(pair) as u8).collect()
}

/// 0 is black, 1 the image.
pub(super) fn brightness(image: &Image, factor: f64) -> Vec<u8> {
    blended(std::iter::repeat(0), &image.pixels, factor as f32)
}

/// 0 is the image's mean grey, 1 the image.
pub(super) fn contrast(image: &Image, factor: f64) -> Vec<u8> {
    let grey = luma(&image.pixels, image.channels);
    let sum: u64 = grey.iter().map(|&v| u64::from(v)).sum();
    let mean = (sum as f64 / grey.len() as f64 + 0.5) as u8;
    blended(std::iter::repeat(mean), &image.pixels, factor as f32)
}

/// 0 is grey, 1 the image.
pub(super) fn saturation(image: &Image, factor: f64) -> Vec<u8> {
    let grey = luma(&image.pixels, image.channels);
    let each = grey.iter().flat_map(|&v| std::iter::repeat_n(v, image.channels));
    blended(each, &image.pixels, factor as f32)
}

/// 0 is smoothed, 1 the image, 2 sharpened.
pub(super) fn sharpness(image: &Image, factor: f64) -> Vec<u8> {
    blended(smoothed(image).into_iter(), &image.pixels, factor as f32)
}

/// Each value averaged with its eight neighbours, itself counting five times; the edge stays as it is.
fn smoothed(image: &Image) -> Vec<u8> {
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
            // From the lower row to the upper one, as Pillow adds them up.
            let sum = 0.5 + row(i + stride, once) + row(i, five) + row(i - stride, once);
            *out = sum as u8;
        }
    }
    out
}

/// Every value through a table, one for each channel.
fn looked_up(image: &Image, tables: &[[u8; 256]]) -> Vec<u8> {
    let c = image.channels;
    image.pixels.iter().enumerate().map(|(i, &value)| tables[i % c % tables.len()][usize::from(value)]).collect()
}

fn table(value: impl Fn(u8) -> u8) -> [u8; 256] {
    std::array::from_fn(|i| value(i as u8))
}

/// Only the highest `bits` of each value, 1 to 8.
pub(super) fn posterize(image: &Image, bits: u32) -> Vec<u8> {
    let mask = !(0xffu16 >> bits) as u8;
    looked_up(image, &[table(|value| value & mask)])
}

/// Values from `threshold` on are reversed.
pub(super) fn solarize(image: &Image, threshold: f64) -> Vec<u8> {
    looked_up(image, &[table(|value| if f64::from(value) < threshold { value } else { 255 - value })])
}

/// How often each value occurs in a channel.
fn histogram(image: &Image, channel: usize) -> [u32; 256] {
    let mut counts = [0; 256];
    image.pixels.iter().skip(channel).step_by(image.channels).for_each(|&v| counts[usize::from(v)] += 1);
    counts
}

/// Each channel's darkest value becomes 0, its lightest 255, what is between is stretched.
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
    looked_up(image, &(0..image.channels).map(stretch).collect::<Vec<_>>())
}

/// Each channel's values are spread so that all are about equally frequent.
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
    looked_up(image, &(0..image.channels).map(spread).collect::<Vec<_>>())
}

/// Turns every colour by a share of the colour circle, −0.5 to 0.5, in Pillow's HSV of bytes. Grey stays.
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
    fn a_factor_of_one_changes_nothing_and_zero_leaves_what_is_named() {
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
    fn tables_do_what_they_are_called() {
        assert_eq!(posterize(&grey(&[0, 17, 200, 255]), 3), [0, 0, 192, 224]);
        assert_eq!(posterize(&grey(&[0, 17, 255]), 8), [0, 17, 255]);
        assert_eq!(solarize(&grey(&[0, 99, 100, 255]), 100.0), [0, 99, 155, 0]);
        assert_eq!(auto_contrast(&grey(&[50, 100, 150])), [0, 127, 255]);
        assert_eq!(auto_contrast(&grey(&[50, 50])), [50, 50]);
        // Each of 256 values as often as the others: they are where they belong.
        let ramp: Vec<u8> = (0..2560).map(|i| (i / 10) as u8).collect();
        assert_eq!(equalize(&grey(&ramp)), ramp);
        let dark: Vec<u8> = (0..2560).map(|i| (i / 80) as u8).collect();
        let spread = equalize(&grey(&dark));
        assert!(spread[2559] == 255 && spread.is_sorted(), "thirty-two values over the whole range");
    }

    #[test]
    fn hue_goes_around_the_circle_and_leaves_grey_alone() {
        let image = colour(&[255, 0, 0, 77, 77, 77]);
        assert_eq!(hue(&image, 0.0), image.pixels);
        let third = hue(&image, 1.0 / 3.0);
        assert_eq!(third, [0, 255, 0, 77, 77, 77]);
        // Pillow's circle has 255 steps, so a third back is no more exact than a byte.
        let back = hue(&Image { pixels: third, ..image }, -1.0 / 3.0);
        assert!(back[0] == 255 && back[1] <= 6 && back[2] <= 6, "{back:?}");
    }

    #[test]
    fn turned_hues_are_pillows() {
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
    fn smoothing_keeps_the_edge_and_averages_the_rest() {
        let mut pixels = vec![0; 25];
        pixels[12] = 130;
        let image = Image { height: 5, width: 5, channels: 1, pixels };
        let smooth = sharpness(&image, 0.0);
        assert_eq!((smooth[12], smooth[6], smooth[0]), (50, 10, 0));
        assert_eq!(sharpness(&image, 2.0)[12], 210);
    }
}
