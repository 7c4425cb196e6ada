//! Whether pixels are the published ones, from published facts about them.
//!
//! The files of a binary layout have no published checksum of their own (the archives do, and the files of the python
//! layout), but the mean of every channel over the training pictures is published to eight or more digits. Times the
//! number of values that is an integer, so the digits pin the exact sum. All three sums and the standard deviations
//! agreeing means that the training pixels are, as a set, the published ones: a lossy copy (JPEG), another resizing or
//! a changed byte moves at least one sum. It does not prove the order, nor, for the test pictures, more than their
//! number: no digits that fine are published for those. A match of the MD5 of an archive or a python file proves all.

use super::cifar::{CLASSES_10, CLASSES_100};
use super::pictures::Block;

/// Published statistics of a training set.
struct Published {
    classes: fn(&[String]) -> bool,
    train: usize,
    test: usize,
    /// Sum of each channel's values over all training pictures.
    sums: &'static [u64],
    /// Standard deviation of each channel, in 0..255, and how closely it is published.
    deviations: &'static [f64],
}

/// CIFAR-10's mean is published as 125.306918046875 122.950394140625 113.86538318359375 (times 51.2 million values: the
/// sums below), CIFAR-100's as 129.30416561 124.0699627 112.43405006.
const PUBLISHED: [Published; 2] = [
    Published {
        classes: |names| names == CLASSES_10,
        train: 50_000,
        test: 10_000,
        sums: &[6_415_714_204, 6_295_060_180, 5_829_907_619],
        deviations: &[62.993_219_28, 62.088_707_64, 66.704_899_64],
    },
    Published {
        classes: |names| names.iter().map(String::as_str).eq(CLASSES_100.split_whitespace()),
        train: 50_000,
        test: 10_000,
        sums: &[6_620_373_279, 6_352_382_090, 5_756_623_363],
        deviations: &[68.170_242_9, 65.391_808_04, 70.418_370_19],
    },
];

/// Whether pixels that claim to be a published data set (by their classes and numbers) are; `None` where they do not.
pub(crate) fn by_statistics(train: &Block, test: &Block, classes: &[String]) -> Option<bool> {
    let counts = (train.labels.len(), test.labels.len());
    let published = PUBLISHED.iter().find(|p| (p.train, p.test) == counts && (p.classes)(classes))?;
    let (sums, squares) = sums(train);
    if sums != published.sums {
        return Some(false);
    }
    let n = (train.pixels.len() / train.channels) as f64;
    Some(sums.iter().zip(&squares).zip(published.deviations).all(|((&sum, &squares), &published)| {
        let mean = sum as f64 / n;
        let deviation = (squares as f64 / n - mean * mean).sqrt();
        (deviation - published).abs() < 1e-6
    }))
}

/// Per channel, the sum of values and of their squares: exact.
pub(crate) fn sums(block: &Block) -> (Vec<u64>, Vec<u64>) {
    use rayon::prelude::*;
    let c = block.channels;
    let zero = || (vec![0u64; c], vec![0u64; c]);
    block
        .pixels
        .par_chunks(block.stride().max(1) * 64)
        .fold(zero, |(mut sums, mut squares), pixels| {
            for pixel in pixels.chunks_exact(c) {
                for (channel, &value) in pixel.iter().enumerate() {
                    sums[channel] += u64::from(value);
                    squares[channel] += u64::from(value) * u64::from(value);
                }
            }
            (sums, squares)
        })
        .reduce(zero, |mut a, b| {
            for (a, b) in a.0.iter_mut().zip(&b.0).chain(a.1.iter_mut().zip(&b.1)) {
                *a += b;
            }
            a
        })
}
