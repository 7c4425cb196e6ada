//! Fingerprint check: whether pixels are the published ones.
//!
//! There are two proofs. If the digest of every file is the published one, so is the whole data
//! set. Otherwise statistics are compared: the mean of every channel over the training images is
//! published to eight or more digits, and times the number of values it is an integer, so the
//! digits pin the exact sum. If all sums and standard deviations agree, the training pixels are, as
//! a set, the published ones in any order or layout: a lossy copy (JPEG), a resize or a changed
//! byte moves a sum. That says nothing about the order and little about the test images, whose
//! statistics are not published as precisely.

use super::block::Block;
use super::provenance::Provenance;
use super::statistics::add_channel_sums;
use md5::{Digest, Md5};
use rayon::prelude::*;
use residual::classes::cifar::{CLASSES_10, CLASSES_100};
use residual::numbers::hex;
use sha2::Sha256;

/// MD5 (32 digits) or SHA-256 (64 digits) of published files, uncompressed: the Python layouts' as
/// torchvision checks them, the binary layouts' from torchvision's port to Ruby, MNIST's from many
/// mirrors.
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
struct PublishedStatistics {
    name: &'static str,
    /// Numbers of training and test images.
    counts: (usize, usize),
    /// Height, width and channels.
    shape: (usize, usize, usize),
    /// Sum of each channel's values over all training images.
    sums: &'static [u64],
    /// Standard deviation of each channel, in 0..255.
    deviations: &'static [f64],
}

/// The published means are 125.306918046875 122.950394140625 113.86538318359375 for CIFAR-10 (times
/// 51.2 million values: the sums below), 129.30416561 124.0699627 112.43405006 for CIFAR-100,
/// 33.318421449829934 for MNIST and 72.94035223214286 for Fashion-MNIST (times 47.04 million
/// values).
const PUBLISHED: [PublishedStatistics; 4] = [
    PublishedStatistics {
        name: "cifar10",
        counts: (50_000, 10_000),
        shape: (32, 32, 3),
        sums: &[6_415_714_204, 6_295_060_180, 5_829_907_619],
        deviations: &[62.993_219_28, 62.088_707_64, 66.704_899_64],
    },
    PublishedStatistics {
        name: "cifar100",
        counts: (50_000, 10_000),
        shape: (32, 32, 3),
        sums: &[6_620_373_279, 6_352_382_090, 5_756_623_363],
        deviations: &[68.170_242_9, 65.391_808_04, 70.418_370_19],
    },
    PublishedStatistics {
        name: "mnist",
        counts: (60_000, 10_000),
        shape: (28, 28, 1),
        sums: &[1_567_298_545],
        deviations: &[78.567_489_98],
    },
    PublishedStatistics {
        name: "fashion-mnist",
        counts: (60_000, 10_000),
        shape: (28, 28, 1),
        sums: &[3_431_114_169],
        deviations: &[90.021_182_35],
    },
];

/// Digests of a data set's files, gathered while they are read.
#[derive(Default)]
pub(crate) struct Fingerprints {
    md5: Md5,
    /// Whether every file so far is the published one of its name; `None` before the first.
    published: Option<bool>,
}

impl Fingerprints {
    /// Adds a file by its published name.
    pub fn add(&mut self, file: &str, bytes: &[u8]) {
        // MD5 is the slower digest by far.
        let (_, published) = rayon::join(|| self.md5.update(bytes), || is_published_file(file, bytes) == Some(true));
        self.published = Some(self.published.unwrap_or(true) && published);
    }

    /// Returns the MD5 of all files, one after the other.
    pub fn md5(self) -> String {
        hex(&self.md5.finalize())
    }

    /// Returns whether every file is the published one of its name.
    pub fn all_published(&self) -> bool {
        self.published == Some(true)
    }

    /// Checks images that have the classes and counts of a CIFAR data set against its published
    /// fingerprints: digests of the files, else statistics. Other images have none.
    pub fn provenance(self, name: &str, classes: &[String], train: &Block, test: &Block) -> Provenance {
        let canonical = match claims_cifar(name, classes, train, test) {
            true => Some(self.all_published() || by_statistics(train, test) == Some(name)),
            false => None,
        };
        Provenance { images: train.labels.len() + test.labels.len(), md5: self.md5(), canonical }
    }
}

/// Returns whether a file is the published one of its name; `None` if that name has no digest here.
fn is_published_file(name: &str, bytes: &[u8]) -> Option<bool> {
    let (_, published) = FILES.iter().find(|(file, _)| *file == name)?;
    let digest = match published.len() {
        32 => hex(&Md5::digest(bytes)),
        _ => hex(&Sha256::digest(bytes)),
    };
    Some(digest == *published)
}

/// Returns whether classes and numbers of images are those of the CIFAR data set `name`.
fn claims_cifar(name: &str, classes: &[String], train: &Block, test: &Block) -> bool {
    let named = match name {
        "cifar10" => classes == CLASSES_10,
        _ => classes.iter().map(String::as_str).eq(CLASSES_100.split_whitespace()),
    };
    named && PUBLISHED.iter().any(|p| p.name == name && p.counts == (train.labels.len(), test.labels.len()))
}

/// Returns the published data set whose statistics these training images have.
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
    let agrees = |p: &&PublishedStatistics| {
        (p.counts, p.shape) == (counts, shape)
            && p.sums == sums
            && found.iter().zip(p.deviations).all(|(a, b)| (a - b).abs() < 1e-6)
    };
    PUBLISHED.iter().find(agrees).map(|p| p.name)
}

/// Computes the exact sum of each channel's values and of their squares.
fn sums(block: &Block) -> (Vec<u64>, Vec<u64>) {
    let zero = || vec![0; 2 * block.channels];
    let add = |mut sums: Vec<u64>, pixels: &[u8]| {
        add_channel_sums(&mut sums, pixels);
        sums
    };
    let plus = |mut a: Vec<u64>, b: Vec<u64>| {
        a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
        a
    };
    let mut sums = block.pixels.par_chunks(block.stride().max(1) * 64).fold(zero, add).reduce(zero, plus);
    let squares = sums.split_off(block.channels);
    (sums, squares)
}

#[cfg(test)]
mod tests {
    use super::super::block::Names;
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
    fn a_file_with_a_published_name_and_other_bytes_fails_the_check() {
        assert_eq!(is_published_file("test_batch.bin", b"other"), Some(false));
        assert_eq!(is_published_file("data_batch_1", b"other"), Some(false));
        assert_eq!(is_published_file("images.bin", b"other"), None);
    }
}
