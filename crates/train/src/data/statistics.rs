//! Mean and standard deviation of images, for their normalisation.

use super::images::Images;
use super::progress::Progress;
use crate::error::{Error, Result};
use rayon::prelude::*;
use residual::image::Normalize;

/// Computes mean and standard deviation of each channel over `images`, from exact integer sums.
///
/// # Errors
/// Fails if there are no images or one cannot be read.
///
/// ```
/// use residual_train::data::{Images, Normalize, channel_statistics};
///
/// let images = Images::from_memory(1, 2, 1, vec![0, 255, 255, 0], vec![0, 1])?;
/// let expected = Normalize::Channel { mean: vec![0.5], std: vec![0.5] };
/// assert_eq!(channel_statistics(&images, &mut ())?, expected);
/// # Ok::<(), residual_train::Error>(())
/// ```
pub fn channel_statistics(images: &Images, progress: &mut dyn Progress) -> Result<Normalize> {
    let c = images.channels();
    let mut sums = reduce(images, 2 * c, progress, add_channel_sums)?;
    let squares = sums.split_off(c);
    let n = (images.len() * images.height() * images.width()) as f64;
    let mean: Vec<f64> = sums.iter().map(|&sum| sum as f64 / n).collect();
    let std = squares.iter().zip(&mean).map(|(&s, m)| ((s as f64 / n - m * m).max(0.0).sqrt() / 255.0) as f32);
    // A constant channel is only shifted; dividing by its deviation would amplify noise.
    let std = std.map(|s| if s < 1e-4 { 1.0 } else { s }).collect();
    Ok(Normalize::Channel { mean: mean.iter().map(|m| (m / 255.0) as f32).collect(), std })
}

/// Adds the values of `[…, c]` pixels to the first `c` of `sums`, and their squares to the last.
pub(crate) fn add_channel_sums(sums: &mut [u64], pixels: &[u8]) {
    let (sums, squares) = sums.split_at_mut(sums.len() / 2);
    for pixel in pixels.chunks_exact(sums.len()) {
        for ((&value, sum), square) in pixel.iter().zip(&mut *sums).zip(&mut *squares) {
            *sum += u64::from(value);
            *square += u64::from(value) * u64::from(value);
        }
    }
}

/// Computes the mean of each pixel over `images`; the standard deviation is set to one.
///
/// # Errors
/// Fails if there are no images or one cannot be read.
pub fn pixel_statistics(images: &Images, progress: &mut dyn Progress) -> Result<Normalize> {
    let sums = reduce(images, images.stride(), progress, |sums, pixels| {
        for (sum, &value) in sums.iter_mut().zip(pixels) {
            *sum += u64::from(value);
        }
    })?;
    let n = images.len() as f64 * 255.0;
    Ok(Normalize::Pixel {
        mean: sums.iter().map(|&s| (s as f64 / n) as f32).collect(),
        std: vec![1.0; images.channels()],
    })
}

/// Images between two reports of progress: decoding all of ImageNet takes an hour.
const ROUND: usize = 1024;

/// Images that a thread sums at a time.
const CHUNK: usize = 16;

/// Sums `width` integers over all images in parallel; integer sums do not depend on the order.
fn reduce(
    images: &Images,
    width: usize,
    progress: &mut dyn Progress,
    add: impl Fn(&mut [u64], &[u8]) + Sync,
) -> Result<Vec<u64>> {
    if images.is_empty() {
        return Err(Error::data("there are no images to average"));
    }
    progress.start("averaging images", images.len() as u64);
    let plus = |mut a: Vec<u64>, b: Vec<u64>| {
        a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
        a
    };
    let mut sums = vec![0; width];
    for round in (0..images.len()).step_by(ROUND) {
        let end = (round + ROUND).min(images.len());
        let starts: Vec<usize> = (round..end).step_by(CHUNK).collect();
        let chunk = |start: usize| {
            let mut sums = vec![0; width];
            for i in start..(start + CHUNK).min(end) {
                add(&mut sums, &images.pixels(i)?);
            }
            Ok::<_, Error>(sums)
        };
        let more = starts.into_par_iter().map(chunk).try_reduce(|| vec![0; width], |a, b| Ok(plus(a, b)))?;
        sums = plus(sums, more);
        progress.advance((end - round) as u64);
    }
    Ok(sums)
}

#[cfg(test)]
mod tests {
    use super::*;
    use residual::image::Normalizer;

    fn two() -> Images {
        Images::from_memory(1, 2, 3, vec![0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 255], vec![0, 1])
            .expect("lengths agree")
    }

    #[test]
    fn normalised_training_images_have_mean_zero_and_deviation_one() {
        let images = two();
        let normalizer = Normalizer::new(&channel_statistics(&images, &mut ()).expect("two"), 1, 2, 3).expect("fits");
        let mut out = [0.0; 12];
        for i in 0..2 {
            normalizer.apply(&images.pixels(i).expect("in memory"), &mut out[6 * i..6 * i + 6]);
        }
        for channel in 0..3 {
            let values: Vec<f32> = out.iter().skip(channel).step_by(3).copied().collect();
            let mean = values.iter().sum::<f32>() / 4.0;
            let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / 4.0;
            assert!(mean.abs() < 1e-6 && (variance - 1.0).abs() < 1e-5, "channel {channel}: {mean} {variance}");
        }
    }

    #[test]
    fn each_pixels_mean_is_subtracted_at_its_own_position() {
        let normalize = pixel_statistics(&two(), &mut ()).expect("two");
        let normalizer = Normalizer::new(&normalize, 1, 2, 3).expect("fits");
        let mut out = [9.0; 3];
        normalizer.apply_row(0, 1, &[90, 100, 255], &mut out);
        let expected = [30.0, 30.0, 102.5].map(|d: f32| d / 255.0);
        assert!(out.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{out:?}");
    }
}
