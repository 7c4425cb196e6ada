//! Shifts along the principal components of ImageNet's colours (Krizhevsky, Sutskever, Hinton 2012,
//! section 4.1).

use super::super::sample::normal;
use super::rng::{AugmentRng, Stream};
use residual::image::Normalizer;

/// Standard deviations along the principal components of ImageNet's colours on the 0 to 1 scale, as
/// published by fb.resnet.torch.
const SPREAD: [f32; 3] = [0.2175, 0.0188, 0.0045];
/// Principal components, a row per channel.
const AXES: [[f32; 3]; 3] = [[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]];

/// Shifts the channels of a normalised image, `[…, 3]`, with standard deviation `deviation` (0.1 in
/// the papers) times that of each component.
pub(super) fn shift(out: &mut [f32], normalizer: &Normalizer, deviation: f32, rng: AugmentRng) {
    let mut rng = rng.stream(Stream::Lighting);
    let amounts = SPREAD.map(|spread| spread * deviation * normal(&mut rng));
    let shift: [f32; 3] = std::array::from_fn(|channel| {
        let shift: f32 = AXES[channel].iter().zip(amounts).map(|(axis, amount)| axis * amount).sum();
        shift * 255.0 * normalizer.scale_of(channel)
    });
    for pixel in out.chunks_exact_mut(3) {
        pixel.iter_mut().zip(shift).for_each(|(value, shift)| *value += shift);
    }
}
