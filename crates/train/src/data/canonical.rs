//! Whether pixels are the published ones.
//!
//! Two proofs. The digests of the published files, where every file of a data set matches: that proves all of it.
//! Otherwise published statistics: the mean of every channel over the training images is known to eight or more
//! digits, and times the number of values it is an integer, so the digits pin the exact sum. All sums and the standard
//! deviations agreeing means that the training pixels are, as a set, the published ones, in whatever order or layout: a
//! lossy copy (JPEG), a resizing or a changed byte moves a sum. It says nothing about the order and little about the
//! test images, of which nothing that fine is published.

use super::cifar::{CLASSES_10, CLASSES_100, hex};
use super::images::Block;
use md5::{Digest, Md5};
use rayon::prelude::*;
use sha2::Sha256;

/// MD5 or SHA-256 (told apart by length) of published files, uncompressed. The python layouts' are those that
/// torchvision checks, the binary layouts' those of torchvision's port to Ruby, MNIST's those of many mirrors.
const FILES: [(&str, &str); 20] = [
    ("data_batch_1.bin", "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5"),
    ("data_batch_2.bin", "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed"),
    ("data_batch_3.bin", "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67"),
    ("data_batch_4.bin", "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48"),
    ("data_batch_5.bin", "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add"),
    ("test_batch.bin", "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b"),
    ("train.bin", "f31298fc616915fa142368359df1c4ca2ae984d6915ca468b998a5ec6aeebf29"),
    ("test.bin", "d8b1e6b7b3bee4020055f0699b111f60b1af1e262aeb93a0b659061746f8224a"),
    ("data_batch_1", "c99cafc152244af753f735de768cd75f"),
    ("data_batch_2", "d4bba439e000b95fd0a9bffe97cbabec"),
    ("data_batch_3", "54ebc095f3ab1f0389bbae665268c751"),
    ("data_batch_4", "634d18415352ddfa80567beed471001a"),
    ("data_batch_5", "482c414d41f54cd18b22e5b47cb7c3cb"),
    ("test_batch", "40351d587109b95175f43aff81a1287e"),
    ("train", "16019d7e3df5f24257cddd939b257f8d"),
    ("test", "f0ef6b0ae62326f3e7ffdfab6717acfc"),
    ("train-images-idx3-ubyte", "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
    ("train-labels-idx1-ubyte", "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
    ("t10k-images-idx3-ubyte", "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
    ("t10k-labels-idx1-ubyte", "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
];

/// Statistics of a published training set.
struct Published {
    name: &'static str,
    /// Images: training, test.
    counts: (usize, usize),
    /// Height, width, channels.
    shape: (usize, usize, usize),
    /// Sum of each channel's values over all training images.
    sums: &'static [u64],
    /// Standard deviation of each channel, in 0..255.
    deviations: &'static [f64],
}

/// CIFAR-10's mean is published as 125.306918046875 122.950394140625 113.86538318359375 (times 51.2 million values: the
/// sums below), CIFAR-100's as 129.30416561 124.0699627 112.43405006, MNIST's as 33.318421449829934 and
/// Fashion-MNIST's as 72.94035223214286 (times 47.04 million values).
const PUBLISHED: [Published; 4] = [
    Published {
        name: "cifar10",
        counts: (50_000, 10_000),
        shape: (32, 32, 3),
        sums: &[6_415_714_204, 6_295_060_180, 5_829_907_619],
        deviations: &[62.993_219_28, 62.088_707_64, 66.704_899_64],
    },
    Published {
        name: "cifar100",
        counts: (50_000, 10_000),
        shape: (32, 32, 3),
        sums: &[6_620_373_279, 6_352_382_090, 5_756_623_363],
        deviations: &[68.170_242_9, 65.391_808_04, 70.418_370_19],
    },
    Published {
        name: "mnist",
        counts: (60_000, 10_000),
        shape: (28, 28, 1),
        sums: &[1_567_298_545],
        deviations: &[78.567_489_98],
    },
    Published {
        name: "fashion-mnist",
        counts: (60_000, 10_000),
        shape: (28, 28, 1),
        sums: &[3_431_114_169],
        deviations: &[90.021_182_35],
    },
];

/// Whether a file is the published one of that name; `None` where none of that name has a published digest.
pub(crate) fn is_published_file(name: &str, bytes: &[u8]) -> Option<bool> {
    let (_, published) = FILES.iter().find(|(file, _)| *file == name)?;
    let digest = match published.len() {
        32 => hex(&Md5::digest(bytes)),
        _ => hex(&Sha256::digest(bytes)),
    };
    Some(digest == *published)
}

/// Whether classes and numbers of images claim that these are CIFAR's.
pub(crate) fn claims_cifar(name: &str, classes: &[String], train: &Block, test: &Block) -> bool {
    let named = match name {
        "cifar10" => classes == CLASSES_10,
        _ => classes.iter().map(String::as_str).eq(CLASSES_100.split_whitespace()),
    };
    named && PUBLISHED.iter().any(|p| p.name == name && p.counts == (train.labels.len(), test.labels.len()))
}

/// The published data set whose training pixels these are, as far as statistics can tell.
pub(crate) fn by_statistics(train: &Block, test: &Block) -> Option<&'static str> {
    let counts = (train.labels.len(), test.labels.len());
    let shape = (train.height, train.width, train.channels);
    if !PUBLISHED.iter().any(|p| (p.counts, p.shape) == (counts, shape)) {
        return None;
    }
    let (sums, squares) = sums(train);
    let n = (counts.0 * shape.0 * shape.1) as f64;
    let deviation = |(&sum, &squares): (&u64, &u64)| (squares as f64 / n - (sum as f64 / n).powi(2)).sqrt();
    let found: Vec<f64> = sums.iter().zip(&squares).map(deviation).collect();
    let agrees = |p: &&Published| {
        (p.counts, p.shape) == (counts, shape)
            && p.sums == sums
            && found.iter().zip(p.deviations).all(|(a, b)| (a - b).abs() < 1e-6)
    };
    PUBLISHED.iter().find(agrees).map(|p| p.name)
}

/// Per channel, the sum of values and of their squares: exact.
fn sums(block: &Block) -> (Vec<u64>, Vec<u64>) {
    let c = block.channels;
    let zero = || (vec![0u64; c], vec![0u64; c]);
    let add = |(mut sums, mut squares): (Vec<u64>, Vec<u64>), pixels: &[u8]| {
        for pixel in pixels.chunks_exact(c) {
            for (channel, &value) in pixel.iter().enumerate() {
                sums[channel] += u64::from(value);
                squares[channel] += u64::from(value) * u64::from(value);
            }
        }
        (sums, squares)
    };
    block.pixels.par_chunks(block.stride().max(1) * 64).fold(zero, add).reduce(zero, |mut a, b| {
        let pairs = a.0.iter_mut().zip(&b.0).chain(a.1.iter_mut().zip(&b.1));
        pairs.for_each(|(a, b)| *a += b);
        a
    })
}

#[cfg(test)]
mod tests {
    use super::super::images::Names;
    use super::*;

    #[test]
    fn sums_are_exact_per_channel() {
        let pixels = vec![1, 10, 100, 2, 20, 200, 3, 30, 255, 4, 40, 0];
        let names = Names::Records(Vec::new());
        let block = Block { height: 1, width: 2, channels: 3, pixels, labels: vec![0, 1], names };
        assert_eq!(sums(&block), (vec![10, 100, 555], vec![30, 3000, 115_025]));
    }

    #[test]
    fn published_means_times_values_are_the_pinned_sums() {
        let means = [125.306_918_046_875, 122.950_394_140_625, 113.865_383_183_593_75];
        assert!(PUBLISHED[0].sums.iter().zip(means).all(|(&s, m): (_, f64)| s as f64 == m * 51.2e6));
        let means = [129.304_165_61, 124.069_962_7, 112.434_050_06];
        assert!(PUBLISHED[1].sums.iter().zip(means).all(|(&s, m): (_, f64)| (s as f64 - m * 51.2e6).abs() < 0.26));
        assert_eq!(PUBLISHED[2].sums[0] as f64, 33.318_421_449_829_934f64 * 47.04e6);
        assert_eq!(PUBLISHED[3].sums[0] as f64, 72.940_352_232_142_86f64 * 47.04e6);
    }

    #[test]
    fn a_file_of_a_published_name_with_other_bytes_is_not_the_published_one() {
        assert_eq!(is_published_file("test_batch.bin", b"other"), Some(false));
        assert_eq!(is_published_file("data_batch_1", b"other"), Some(false));
        assert_eq!(is_published_file("images.bin", b"other"), None);
    }
}
