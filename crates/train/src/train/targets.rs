//! Target distributions: labels after label smoothing and mixup or CutMix.

use crate::data::Batch;
use crate::random::{Purpose, stream};
use crate::recipe::LossOptions;
use rand::Rng;
use rand_distr::{Beta, Distribution};
use rayon::prelude::*;

/// Returns smoothed targets `[n, classes]`: `1 − ε + ε/classes` at the label, `ε/classes` elsewhere
/// (Szegedy et al. 2016, §7).
pub fn smoothed(labels: &[u32], classes: usize, smoothing: f64) -> Vec<f32> {
    let off = (smoothing / classes as f64) as f32;
    let on = (1.0 - smoothing + smoothing / classes as f64) as f32;
    let mut targets = vec![off; labels.len() * classes];
    for (row, &label) in targets.chunks_exact_mut(classes).zip(labels) {
        row[label as usize] = on;
    }
    targets
}

/// Returns the targets of a training batch, `[n, classes]`. With mixup or CutMix its images are
/// mixed in place with those of the batch in reverse order, by a share drawn from (seed, step);
/// with both, each is applied half of the time. From the epoch `mix_off_epoch` on nothing is mixed.
pub fn mixed(batch: &mut Batch, classes: usize, options: &LossOptions, seed: u64, step: u64) -> Vec<f32> {
    let [h, w, c] = batch.size;
    let mut targets = smoothed(&batch.labels, classes, options.label_smoothing);
    let over = options.mix_off_epoch.is_some_and(|epoch| batch.epoch >= epoch);
    if over || (options.mixup == 0.0 && options.cutmix == 0.0) {
        return targets;
    }
    let mut draws = stream(seed, Purpose::Mix, step, 0);
    let cut = options.mixup == 0.0 || (options.cutmix > 0.0 && draws.random_bool(0.5));
    let alpha = if cut { options.cutmix } else { options.mixup };
    let share = Beta::new(alpha, alpha).map_or(1.0, |beta| beta.sample(&mut draws));
    let share = if cut {
        paste(&mut batch.pixels, [h, w, c], share, &mut draws)
    } else {
        blend(&mut batch.pixels, h * w * c, share as f32);
        share
    };
    blend(&mut targets, classes, share as f32);
    targets
}

/// Mixes each row `i` to `share · row i + (1 − share) · row n−1−i` (Zhang et al. 2018).
fn blend(rows: &mut [f32], len: usize, share: f32) {
    for_each_pair(rows, len, |a, b| {
        for (a, b) in a.iter_mut().zip(b) {
            (*a, *b) = (share * *a + (1.0 - share) * *b, share * *b + (1.0 - share) * *a);
        }
    });
}

/// Swaps a rectangle of about `1 − share` of the area between images `i` and `n−1−i` (Yun et al.
/// 2019). Returns the share of pixels that each image keeps.
fn paste(pixels: &mut [f32], [h, w, c]: [usize; 3], share: f64, draws: &mut impl Rng) -> f64 {
    let side = (1.0 - share).sqrt();
    let span = |size: usize, draws: &mut dyn rand::RngCore| {
        let half = (size as f64 * side / 2.0) as usize;
        let centre = draws.random_range(0..size);
        (centre.saturating_sub(half), (centre + half).min(size))
    };
    let (top, bottom) = span(h, draws);
    let (left, right) = span(w, draws);
    for_each_pair(pixels, h * w * c, |a, b| {
        for y in top..bottom {
            let row = (y * w + left) * c..(y * w + right) * c;
            a[row.clone()].swap_with_slice(&mut b[row]);
        }
    });
    1.0 - ((bottom - top) * (right - left)) as f64 / (h * w) as f64
}

/// Calls `f` with rows `i` and `n−1−i`, on all threads. The middle row of an odd number is skipped.
fn for_each_pair(rows: &mut [f32], len: usize, f: impl Fn(&mut [f32], &mut [f32]) + Sync) {
    let n = rows.len() / len;
    let (front, back) = rows.split_at_mut(n.div_ceil(2) * len);
    let back = back.par_chunks_exact_mut(len).rev();
    front.par_chunks_exact_mut(len).zip(back).for_each(|(a, b)| f(a, b));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smoothing_spreads_its_share_over_all_classes() {
        let targets = smoothed(&[1], 4, 0.2);
        assert!(targets.iter().zip([0.05, 0.85, 0.05, 0.05]).all(|(a, b): (&f32, f32)| (a - b).abs() < 1e-6));
    }

    #[test]
    fn targets_of_mixed_batches_are_distributions_that_equal_the_shares_of_the_pixels() {
        for (mixup, cutmix) in [(0.4, 0.0), (0.0, 1.0), (0.4, 1.0)] {
            for step in 0..50 {
                let labels = vec![0, 1, 2, 3];
                let pixels = labels.iter().flat_map(|&l| vec![l as f32; 8 * 8 * 3]).collect();
                let mut batch = Batch { pixels, size: [8, 8, 3], labels, ..Batch::default() };
                let options = LossOptions { mixup, cutmix, ..LossOptions::default() };
                let targets = mixed(&mut batch, 4, &options, 7, step);
                for (row, image) in targets.chunks(4).zip(batch.pixels.chunks(8 * 8 * 3)) {
                    assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-5);
                    // Every pixel holds its label: the mean over pixels is the mean over targets.
                    let by_target: f32 = row.iter().enumerate().map(|(k, p)| k as f32 * p).sum();
                    let by_pixel = image.iter().sum::<f32>() / image.len() as f32;
                    assert!((by_target - by_pixel).abs() < 1e-4, "{by_target} {by_pixel}");
                }
            }
        }
    }
    #[test]
    fn shares_follow_a_beta_distribution_and_mixup_and_cutmix_are_equally_frequent() {
        let share = |mixup, cutmix, step| {
            let pixels = [0.0, 1.0].iter().flat_map(|v| vec![*v; 16 * 16]).collect();
            let mut batch = Batch { pixels, size: [16, 16, 1], labels: vec![0, 1], ..Batch::default() };
            let targets = mixed(&mut batch, 2, &LossOptions { mixup, cutmix, ..LossOptions::default() }, 1, step);
            let blended = batch.pixels.iter().any(|v| *v != 0.0 && *v != 1.0);
            (f64::from(targets[0]), blended)
        };
        let shares: Vec<f64> = (0..4000).map(|step| share(0.2, 0.0, step).0).collect();
        let mean = shares.iter().sum::<f64>() / 4000.0;
        let variance = shares.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / 4000.0;
        // Beta(α, α) has mean 1/2 and variance 1 / (4 (2α + 1)).
        assert!((mean - 0.5).abs() < 0.03 && (variance - 1.0 / 5.6).abs() < 0.01, "{mean} {variance}");
        let blended = (0..2000).filter(|step| share(1.0, 1.0, *step).1).count();
        assert!((900..1100).contains(&blended), "{blended} of 2000 by mixup, the rest by CutMix");
    }

    #[test]
    fn from_mix_off_epoch_on_nothing_is_mixed() {
        let options = LossOptions { mixup: 0.2, cutmix: 1.0, mix_off_epoch: Some(3), ..LossOptions::default() };
        let pixels: Vec<f32> = (0..2 * 16).map(|i| (i / 16) as f32).collect();
        let mixed_in = |epoch| {
            let batch =
                Batch { pixels: pixels.clone(), size: [4, 4, 1], labels: vec![0, 1], epoch, ..Batch::default() };
            (0..20).any(|step| {
                let mut batch = batch.clone();
                let targets = mixed(&mut batch, 2, &options, 7, step);
                batch.pixels != pixels || targets != [1.0, 0.0, 0.0, 1.0]
            })
        };
        assert_eq!([0, 2, 3, 4].map(mixed_in), [true, true, false, false]);
    }
}
