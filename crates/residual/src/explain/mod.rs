//! Where a network looked: Grad-CAM (Selvaraju et al. 2017), and its heat map laid over the image.
//!
//! A feature map `[n, h, w, c]` behind the last convolutions is weighted by the mean gradient of one class's score with
//! respect to each of its channels, summed over channels, and what speaks against the class is cut off. A ResNet's map
//! is its last; a VGG's is the one before its last pooling, or an earlier one where images are so small that the last
//! is a pixel or two. The gradient of what lies behind that map is computed on the kernels.

mod head;

use crate::error::{Error, Result};
use crate::image::Image;
use crate::plan::{InferenceSession, check_pixels, check_sides};
use head::Head;

/// How much each place of an image spoke for a class.
#[derive(Debug, Clone, PartialEq)]
pub struct HeatMap {
    /// Rows of the map that is explained.
    pub height: usize,
    /// Columns of the map that is explained.
    pub width: usize,
    /// Row by row; the hottest place is 1, what does not speak for the class is 0.
    pub values: Vec<f32>,
}

/// Computes the heat map of `classes[i]` in image `i` of normalised `pixels`, `[n, h, w, c]`.
///
/// # Errors
/// Fails if the network has no such class, or if there are not as many classes as images.
pub fn grad_cam(
    session: &InferenceSession,
    pixels: &[f32],
    dims @ [n, height, width, _]: [usize; 4],
    classes: &[usize],
) -> Result<Vec<HeatMap>> {
    let known = session.classes();
    if classes.len() != n {
        return Err(Error::usage(format!("{} classes were given for {n} images", classes.len())));
    }
    check_pixels(pixels.len(), dims)?;
    check_sides(dims, session.smallest_input())?;
    if let Some(class) = classes.iter().find(|class| **class >= known) {
        return Err(Error::usage(format!("there is no class {class}: the network has {known}")));
    }
    let head = Head::new(session, [height, width])?;
    let (map, gradient) = head.gradient(pixels, dims, classes);
    Ok(heat(&map, &gradient, head.map_shape()))
}

/// `relu(Σ_c map_c · mean gradient_c)` of each image (Selvaraju et al. 2017, eq. 2), scaled to 0 … 1.
fn heat(map: &[f32], gradient: &[f32], [height, width, c]: [usize; 3]) -> Vec<HeatMap> {
    let places = height * width;
    let image = |(map, gradient): (&[f32], &[f32])| {
        let mut weights = vec![0.0f32; c];
        for row in gradient.chunks_exact(c) {
            weights.iter_mut().zip(row).for_each(|(sum, value)| *sum += value / places as f32);
        }
        let place = |row: &[f32]| row.iter().zip(&weights).map(|(a, b)| a * b).sum::<f32>().max(0.0);
        let sums: Vec<f32> = map.chunks_exact(c).map(place).collect();
        let largest = sums.iter().copied().fold(0.0f32, f32::max);
        let scale = if largest > 0.0 { 1.0 / largest } else { 0.0 };
        HeatMap { height, width, values: sums.iter().map(|sum| sum * scale).collect() }
    };
    map.chunks_exact(places * c).zip(gradient.chunks_exact(places * c)).map(image).collect()
}

impl HeatMap {
    /// The heat at a place given in shares of height and width, interpolated between the centres of the map's places.
    fn at(&self, y: f32, x: f32) -> f32 {
        let axis = |share: f32, n: usize| {
            let place = (share * n as f32 - 0.5).clamp(0.0, (n - 1) as f32);
            let low = place as usize;
            (low, (low + 1).min(n - 1), place - low as f32)
        };
        let ((top, bottom, down), (left, right, across)) = (axis(y, self.height), axis(x, self.width));
        let value = |row: usize, column: usize| self.values[row * self.width + column];
        let mix = |a: f32, b: f32, share: f32| a + (b - a) * share;
        mix(
            mix(value(top, left), value(top, right), across),
            mix(value(bottom, left), value(bottom, right), across),
            down,
        )
    }
}

/// Sides below this are enlarged: nobody can see anything on 32 pixels.
const VISIBLE: usize = 224;

/// Share of the colour where the heat is greatest.
const STRENGTH: f32 = 0.65;

/// Colours of heat from 0 to 1: blue, cyan, yellow, red.
const COLOURS: [[f32; 3]; 4] = [[30.0, 60.0, 200.0], [40.0, 200.0, 210.0], [250.0, 220.0, 40.0], [220.0, 30.0, 25.0]];

/// `image` (as the network saw it) with `heat` over it, the stronger the hotter. Small images are enlarged by a whole
/// factor. Always in colour.
pub fn overlay(image: &Image, heat: &HeatMap) -> Image {
    let factor = VISIBLE.div_ceil(image.height.min(image.width));
    let (height, width) = (image.height * factor, image.width * factor);
    let mut pixels = Vec::with_capacity(height * width * 3);
    for y in 0..height {
        for x in 0..width {
            let at = (y / factor * image.width + x / factor) * image.channels;
            let value = heat.at((y as f32 + 0.5) / height as f32, (x as f32 + 0.5) / width as f32);
            let (colour, share) = (colour(value), STRENGTH * value.sqrt());
            pixels.extend((0..3).map(|channel| {
                let below = f32::from(image.pixels[at + channel.min(image.channels - 1)]);
                (below + (colour[channel] - below) * share).round() as u8
            }));
        }
    }
    Image { height, width, channels: 3, pixels }
}

fn colour(heat: f32) -> [f32; 3] {
    let place = heat.clamp(0.0, 1.0) * (COLOURS.len() - 1) as f32;
    let low = (place as usize).min(COLOURS.len() - 2);
    let share = place - low as f32;
    std::array::from_fn(|channel| COLOURS[low][channel] + (COLOURS[low + 1][channel] - COLOURS[low][channel]) * share)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::{Model, ModelOptions, Spec};

    fn model(name: &str, input: usize) -> InferenceSession {
        let options =
            ModelOptions { name: name.into(), input: Some(input), classes: Some(3), ..ModelOptions::default() };
        InferenceSession::new(&Model::initialised(Spec::resolve(&options).expect("a network"), 5), 2, true)
    }

    fn pixels(n: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * 7919 % 1000) as f32 - 500.0) / 250.0).collect()
    }

    #[test]
    fn in_front_of_a_global_average_heat_is_the_map_weighted_by_the_class_s_own_weights() {
        let session = model("resnet-cifar-8", 32);
        let (dims, pixels) = ([2, 32, 32, 3], pixels(2 * 32 * 32 * 3));
        let found = grad_cam(&session, &pixels, dims, &[2, 0]).expect("heat");
        let (map, _) = Head::new(&session, [32, 32]).expect("a head").gradient(&pixels, dims, &[2, 0]);
        let weights = session.tensors()["fc.weight"].values();
        for (i, class) in [2, 0].into_iter().enumerate() {
            let place = |p: usize| &map[(i * 64 + p) * 64..(i * 64 + p + 1) * 64];
            let sum = |p: usize| {
                let pairs = place(p).iter().zip(&weights[class * 64..(class + 1) * 64]);
                pairs.map(|(a, b)| a * b).sum::<f32>().max(0.0)
            };
            let expected: Vec<f32> = (0..64).map(sum).collect();
            let largest = expected.iter().copied().fold(0.0, f32::max);
            assert_eq!((found[i].height, found[i].width), (8, 8));
            for (a, b) in found[i].values.iter().zip(&expected) {
                assert!((a - b / largest).abs() < 1e-4, "{a} {b} {largest}");
            }
        }
    }

    #[test]
    fn the_gradient_of_the_head_is_the_slope_of_the_score() {
        for (name, input, side) in [("vgg-a", 32, 4), ("vgg-a-bn", 64, 4), ("vgg-a-lrn", 32, 4), ("plain-18", 32, 4)] {
            let session = model(name, input);
            let (dims, pixels) = ([1, input, input, 3], pixels(input * input * 3));
            let head = Head::new(&session, [input, input]).expect("a head");
            assert_eq!(head.map_shape()[0], side, "{name}");
            let (map, gradient) = head.gradient(&pixels, dims, &[1]);
            let score = |map: &[f32]| f64::from(head.scores(map, 1)[1]);
            // Along the gradient, where the map is above zero: at zero, pooling has a kink.
            let direction: Vec<f32> = gradient.iter().zip(&map).map(|(g, m)| if *m > 0.0 { *g } else { 0.0 }).collect();
            let norm = direction.iter().map(|g| f64::from(g * g)).sum::<f64>();
            assert!(norm > 0.0, "{name}");
            let step = 1e-3 * map.iter().map(|m| f64::from(m * m)).sum::<f64>().sqrt() / norm.sqrt();
            let moved = |sign: f64| -> Vec<f32> {
                map.iter().zip(&direction).map(|(m, d)| m + (sign * step) as f32 * d).collect()
            };
            let slope = (score(&moved(1.0)) - score(&moved(-1.0))) / (2.0 * step);
            assert!((slope - norm).abs() < 0.05 * norm, "{name}: {slope} {norm}");
            let logits = session.logits(&pixels, [1, input, input]).expect("logits");
            let parted = head.scores(&map, 1);
            let largest = logits.iter().fold(0f32, |a, b| a.max(b.abs()));
            assert!(logits.iter().zip(&parted).all(|(a, b)| (a - b).abs() <= 1e-4 * largest), "{name}");
        }
    }

    #[test]
    fn heat_is_interpolated_between_places_and_laid_over_the_image() {
        let heat = HeatMap { height: 1, width: 2, values: vec![0.0, 1.0] };
        assert_eq!([heat.at(0.5, 0.0), heat.at(0.5, 0.5), heat.at(0.5, 1.0)], [0.0, 0.5, 1.0]);
        let image = Image { height: 2, width: 2, channels: 1, pixels: vec![100; 4] };
        let shown = overlay(&image, &heat);
        assert_eq!((shown.height, shown.width, shown.channels), (224, 224, 3));
        assert_eq!(shown.pixels[..3], [100; 3], "where there is no heat the image shows");
        let last = &shown.pixels[223 * 3..224 * 3];
        assert!(last[0] > 150 && last[2] < 80, "red where it is hottest: {last:?}");
    }

    #[test]
    fn classes_that_do_not_fit_are_refused() {
        let model = model("resnet-cifar-8", 32);
        assert!(grad_cam(&model, &pixels(3072), [1, 32, 32, 3], &[3]).is_err());
        assert!(grad_cam(&model, &pixels(3072), [1, 32, 32, 3], &[0, 1]).is_err());
    }
}
