//! Which images a result was measured on.

use serde::{Deserialize, Serialize};

/// Fingerprint of a data set's images, so that a result can say what it was measured on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// Number of images in all splits.
    pub images: usize,
    /// MD5 of the image files, uncompressed, one after the other in the data set's own order.
    pub md5: String,
    /// Result of the fingerprint check: whether these are the published pixels. `None` where there
    /// is no published fingerprint to compare with.
    pub canonical: Option<bool>,
}

impl Provenance {
    /// Returns the name under which results on these images of the data set `name` are reported.
    pub fn label(&self, name: &str) -> String {
        let title = match name {
            "cifar10" => "CIFAR-10",
            "cifar100" => "CIFAR-100",
            "mnist" => "MNIST",
            "fashion-mnist" => "Fashion-MNIST",
            other => return other.to_string(),
        };
        match self.canonical {
            Some(true) => title.to_string(),
            Some(false) => format!("{title} (not canonical pixels)"),
            // For example, a part of the data set.
            None => format!("{title} (pixels not verified)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_say_whether_pixels_are_the_published_ones() {
        let mut provenance = Provenance { images: 60_000, md5: String::new(), canonical: Some(false) };
        assert_eq!(provenance.label("cifar10"), "CIFAR-10 (not canonical pixels)");
        provenance.canonical = Some(true);
        assert_eq!(provenance.label("cifar10"), "CIFAR-10");
        provenance.canonical = None;
        assert_eq!(provenance.label("cifar10"), "CIFAR-10 (pixels not verified)");
        assert_eq!(provenance.label("birds"), "birds");
    }
}
