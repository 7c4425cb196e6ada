//! Where a network looked: Grad-CAM (Selvaraju et al. 2017), and its heat laid over the image.
//!
//! The map behind the last convolutions (`[n, h, w, c]`) is weighted by the mean gradient of one class's score with
//! respect to each of its channels, summed over channels, and what speaks against the class is cut off. A ResNet's map
//! is its last; a VGG's is the one before its last pooling, or an earlier one where images are so small that the last
//! is a pixel or two.

use crate::data::Image;
use crate::error::{Error, Result};
use crate::infer::{check_pixels, check_sides};
use crate::layers::Pass;
use crate::models::Model;
use crate::ops::Nhwc;
use burn::tensor::{Device, Tensor, TensorData};

/// How much each place of an image spoke for a class.
#[derive(Debug, Clone, PartialEq)]
pub struct HeatMap {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Row by row; the hottest place is 1, what does not speak for the class is 0.
    pub values: Vec<f32>,
}

/// The heat of `classes[i]` in image `i` of normalised `pixels`, `[n, h, w, c]`.
///
/// # Errors
/// A class that the network does not know; another number of classes than of images.
pub fn grad_cam(model: &Model, pixels: Vec<f32>, dims: [usize; 4], classes: &[usize]) -> Result<Vec<HeatMap>> {
    let (known, [n, height, ..]) = (model.spec.classes, dims);
    if classes.len() != n {
        return Err(Error::usage(format!("{} classes do not belong to {n} images", classes.len())));
    }
    check_pixels(pixels.len(), dims)?;
    check_sides(dims, model.spec.smallest_input())?;
    if let Some(class) = classes.iter().find(|class| **class >= known) {
        return Err(Error::usage(format!("there is no class {class}: the network tells {known} apart")));
    }
    let (model, device, pass) = (model.valid(), Device::flex(), Pass::test());
    let x = Nhwc(Tensor::from_data(TensorData::new(pixels, dims), &device));
    // Gradients are wanted for the map alone: what is below it is a constant, the weights above it as well.
    let map = model.trunk(x, &pass).0.autodiff().require_grad();
    let logits = model.crown(Nhwc(map.clone()), height, &pass);
    let mut chosen = vec![0.0; n * known];
    classes.iter().enumerate().for_each(|(i, class)| chosen[i * known + class] = 1.0);
    let chosen = Tensor::<2>::from_data(TensorData::new(chosen, [n, known]), &device.autodiff());
    let gradients = (logits * chosen).sum().backward();
    let missing = || Error::weights("the network's scores do not depend on its last map");
    let gradient = map.grad(&gradients).ok_or_else(missing)?;
    heat(map.inner(), gradient)
}

/// `relu(Σ_c map_c · mean gradient_c)` of each image (Selvaraju et al. 2017, eq. 2), brought to 0 … 1.
fn heat(map: Tensor<4>, gradient: Tensor<4>) -> Result<Vec<HeatMap>> {
    let [_, height, width, _] = map.dims();
    let sums = (map * gradient.mean_dims(&[1, 2])).sum_dim(3).into_data();
    let sums = sums.try_to_vec::<f32>().map_err(|error| Error::weights(format!("no heat: {error:?}")))?;
    let brought = |sums: &[f32]| {
        let largest = sums.iter().copied().fold(0.0f32, f32::max);
        let scale = if largest > 0.0 { 1.0 / largest } else { 0.0 };
        let values = sums.iter().map(|sum| sum.max(0.0) * scale).collect();
        HeatMap { height, width, values }
    };
    Ok(sums.chunks_exact(height * width).map(brought).collect())
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
    use crate::models::{ModelOptions, Net, Spec};

    fn model(name: &str, input: usize) -> Model {
        let options =
            ModelOptions { name: name.into(), input: Some(input), classes: Some(3), ..ModelOptions::default() };
        let device = Device::flex();
        Model::new(Spec::resolve(&options).expect("a network"), &device).initialised(5, &device)
    }

    fn pixels(n: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * 7919 % 1000) as f32 - 500.0) / 250.0).collect()
    }

    #[test]
    fn in_front_of_a_global_average_heat_is_the_map_weighted_by_the_class_s_own_weights() {
        let model = model("resnet-cifar-8", 32);
        let (device, pass) = (Device::flex(), Pass::test());
        let dims = [2, 32, 32, 3];
        let pixels = pixels(2 * 32 * 32 * 3);
        let found = grad_cam(&model, pixels.clone(), dims, &[2, 0]).expect("heat");
        let Net::ResNet(net) = &model.net else { panic!("a ResNet") };
        let map = net.features(Nhwc(Tensor::from_data(TensorData::new(pixels, dims), &device)), &pass).0.into_data();
        let (map, weights) = (map.as_slice::<f32>().expect("f32"), net.fc.weight.val().into_data());
        let weights = weights.as_slice::<f32>().expect("f32");
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
    fn trunk_and_crown_are_the_network_and_the_map_has_places() {
        for (name, input, side) in [("vgg-a", 32, 4), ("vgg-a-bn", 64, 4), ("resnet-20", 32, 8), ("plain-18", 32, 4)] {
            let (model, pass) = (model(name, input), Pass::test());
            let x = || {
                let data = TensorData::new(pixels(input * input * 3), [1, input, input, 3]);
                Nhwc(Tensor::from_data(data, &Device::flex()))
            };
            let map = model.trunk(x(), &pass);
            assert_eq!(map.dims()[1], side, "{name}");
            let (parted, whole) = (model.crown(map, input, &pass), model.forward(x(), &pass));
            assert_eq!(parted.into_data(), whole.into_data(), "{name}");
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
        assert!(grad_cam(&model, pixels(3072), [1, 32, 32, 3], &[3]).is_err());
        assert!(grad_cam(&model, pixels(3072), [1, 32, 32, 3], &[0, 1]).is_err());
    }
}
