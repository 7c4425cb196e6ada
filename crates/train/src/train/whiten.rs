//! Whitening filters for the first layer of the speedrun network, from patches of the training images.

use crate::data::{Images, Normalizer};
use crate::error::Result;
use nalgebra::{DMatrix, SymmetricEigen};
use residual::models::Model;
use residual::models::speedrun::{WHITENING_FILTERS, WHITENING_WEIGHT};
use residual::tensor::HostTensor;

/// Images whose patches are looked at.
const SAMPLE: usize = 2000;

/// Added to the variance along each direction (airbench): the last ones hold little but noise, and would be blown up.
const FLOOR: f64 = 5e-4;

/// Returns the speedrun network `model` with filters in its first layer that whiten the patches of `images`: half of
/// them the directions in which patches vary most, each divided by its standard deviation, the other half their
/// negatives, since ReLU keeps one side only.
///
/// # Errors
/// Fails if an image cannot be read.
pub(super) fn whitened(model: Model, images: &Images, normalizer: &Normalizer) -> Result<Model> {
    let filters = filters(&covariance(images, normalizer)?, WHITENING_FILTERS);
    let filters = HostTensor::new([WHITENING_FILTERS, images.channels(), 3, 3], filters);
    let mut tensors = model.tensors().clone();
    tensors.insert(WHITENING_WEIGHT.to_owned(), filters);
    Model::new(model.spec, tensors)
}

/// The mean of p pᵀ over the 3x3 patches p of normalised images, values in the order of filters, `[c, 3, 3]`.
fn covariance(images: &Images, normalizer: &Normalizer) -> Result<DMatrix<f64>> {
    let (h, w, c) = (images.height(), images.width(), images.channels());
    let len = 9 * c;
    let (mut sum, mut patches) = (DMatrix::zeros(len, len), 0);
    let mut pixels = vec![0.0; h * w * c];
    let images = images.spread(SAMPLE);
    for i in 0..images.len() {
        normalizer.apply(&images.pixels(i)?, &mut pixels);
        // Every second row and column: neighbours share most of their pixels.
        let rows = DMatrix::from_row_iterator(
            (h - 2).div_ceil(2) * (w - 2).div_ceil(2),
            len,
            (0..h - 2).step_by(2).flat_map(|y| (0..w - 2).step_by(2).map(move |x| (y, x))).flat_map(|(y, x)| {
                let pixels = &pixels;
                (0..len).map(move |i| f64::from(pixels[((y + i / 3 % 3) * w + x + i % 3) * c + i / 9]))
            }),
        );
        sum += rows.transpose() * &rows;
        patches += rows.nrows();
    }
    Ok(sum / patches.max(1) as f64)
}

/// `k` filters, `[k, c, 3, 3]`, from the covariance of patches.
fn filters(covariance: &DMatrix<f64>, k: usize) -> Vec<f32> {
    let eigen = SymmetricEigen::new(covariance.clone());
    let mut order: Vec<usize> = (0..eigen.eigenvalues.len()).collect();
    order.sort_by(|&a, &b| eigen.eigenvalues[b].total_cmp(&eigen.eigenvalues[a]));
    let directions = k.div_ceil(2);
    let filter = |i: usize| {
        let at = order[i % directions % order.len()];
        let sign = if i < directions { 1.0 } else { -1.0 };
        let scale = sign / (eigen.eigenvalues[at].max(0.0) + FLOOR).sqrt();
        eigen.eigenvectors.column(at).iter().map(|v| (v * scale) as f32).collect::<Vec<_>>()
    };
    (0..k).flat_map(filter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Normalize;
    use crate::random::{Purpose, stream};
    use rand::Rng;

    /// Images whose neighbouring pixels and channels go together, as in photographs.
    fn images() -> (Images, Normalizer) {
        let (n, side) = (60, 12);
        let mut draws = stream(1, Purpose::Init, 0, 0);
        let mut pixels = Vec::new();
        for _ in 0..n {
            let mut row = vec![0.0f64; side * 3];
            for _ in 0..side {
                let mut left = [0.0f64; 3];
                for (x, above) in row.chunks_exact_mut(3).enumerate() {
                    let light: f64 = draws.random::<f64>() - 0.5;
                    for c in 0..3 {
                        let own = light + 0.6 * (draws.random::<f64>() - 0.5);
                        above[c] = 0.45 * above[c] + 0.45 * if x > 0 { left[c] } else { 0.0 } + own;
                        left[c] = above[c];
                    }
                }
                pixels.extend(row.iter().map(|v| (128.0 + 60.0 * v).clamp(0.0, 255.0) as u8));
            }
        }
        let normalize = Normalize::Channel { mean: vec![0.5; 3], std: vec![0.25; 3] };
        let normalizer = Normalizer::new(&normalize, side, side, 3).expect("sizes agree");
        (Images::from_memory(side, side, 3, pixels, vec![0; n]).expect("sizes agree"), normalizer)
    }

    #[test]
    fn what_the_first_layer_sees_has_variance_one_and_does_not_go_together() {
        let (images, normalizer) = images();
        let covariance = covariance(&images, &normalizer).expect("in memory");
        assert!(covariance[(0, 1)] > 0.3 * covariance[(0, 0)], "the pixels themselves do go together");
        let k = 32;
        let filters: Vec<f64> = filters(&covariance, k).into_iter().map(f64::from).collect();
        let filters = DMatrix::from_row_slice(k, 27, &filters);
        let seen = &filters * covariance * filters.transpose();
        for i in 0..k / 2 {
            for j in 0..k / 2 {
                let wanted = if i == j { 1.0 } else { 0.0 };
                // The floor takes a little off the last directions' variance.
                assert!((seen[(i, j)] - wanted).abs() < 0.1, "{i} {j}: {}", seen[(i, j)]);
            }
        }
        assert_eq!(filters.rows(0, k / 2), -filters.rows(k / 2, k / 2), "the other half are the negatives");
    }

    #[test]
    fn patches_are_counted_as_filters_count_them() {
        let (images, normalizer) = images();
        let mean = covariance(&images, &normalizer).expect("in memory");
        // Channel 2, row 1, column 0 with itself.
        let at = 2 * 9 + 3;
        let (mut sum, mut n) = (0.0, 0);
        for i in 0..images.len() {
            let bytes = images.pixels(i).expect("in memory");
            for y in (0..10).step_by(2) {
                for x in (0..10).step_by(2) {
                    let v = f64::from(bytes[((y + 1) * 12 + x) * 3 + 2]) / 255.0;
                    sum += ((v - 0.5) / 0.25).powi(2);
                    n += 1;
                }
            }
        }
        assert!((mean[(at, at)] - sum / f64::from(n)).abs() < 1e-4);
    }
}
