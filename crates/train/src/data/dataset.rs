//! A data set: three splits of images, their classes, and what they were read from.

use super::images::Images;
use super::provenance::Provenance;
use super::split::Split;
use crate::error::Result;
use residual::classes::match_classes;
use std::path::PathBuf;
use std::sync::Arc;

/// Three splits of one source of images, as [`open`](super::open) returns them.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// Name of the data set: `cifar10`, `shapes`, or the name of its folder.
    pub name: String,
    /// Path that it was read from; `None` for generated images.
    pub path: Option<PathBuf>,
    /// Class names in label order.
    pub classes: Vec<String>,
    /// Images that the weights are fitted to.
    pub train: Images,
    /// Images that choose among weights; may be empty.
    pub validation: Images,
    /// Images that the final weights are tested on.
    pub test: Images,
    /// Whether the source names its test images. Without that, `test` was held out by file names,
    /// and [`Split::All`] is what to test trained weights on.
    pub has_test_split: bool,
    /// Fingerprint of the images.
    pub provenance: Provenance,
    /// What a user should know about the images: one sentence each.
    pub warnings: Vec<String>,
}

impl Dataset {
    /// Returns the name under which results on these images are reported: `CIFAR-10`, or `CIFAR-10
    /// (not canonical pixels)`.
    pub fn label(&self) -> String {
        self.provenance.label(&self.name)
    }

    /// Returns the same images with the class indices of a network whose classes are `classes` (see
    /// [`match_classes`]).
    ///
    /// # Errors
    /// Fails if the network does not have a class of the data.
    pub fn for_classes(&self, classes: &[String]) -> Result<Self> {
        let labels: Arc<[u32]> = match_classes(&self.classes, classes)?.into();
        let relabelled = |images: &Images| images.relabelled(&labels);
        Ok(Self {
            classes: classes.to_vec(),
            train: relabelled(&self.train),
            validation: relabelled(&self.validation),
            test: relabelled(&self.test),
            ..self.clone()
        })
    }

    /// Returns the images of one split, or of all three in the order training, validation, test.
    /// The pixels are shared, not copied.
    ///
    /// # Errors
    /// Fails if the splits hold images of different sizes, which those of [`open`](super::open)
    /// never do.
    ///
    /// ```
    /// use residual_train::data::{self, DataOptions, Split};
    ///
    /// let data = data::open(&DataOptions::new("shapes"), &mut ())?;
    /// let all = data.split(Split::All)?;
    /// assert_eq!(all.len(), data.train.len() + data.validation.len() + data.test.len());
    /// # Ok::<(), residual_train::Error>(())
    /// ```
    pub fn split(&self, split: Split) -> Result<Images> {
        Ok(match split {
            Split::Train => self.train.clone(),
            Split::Validation => self.validation.clone(),
            Split::Test => self.test.clone(),
            Split::All => return Images::joined(vec![self.train.clone(), self.validation.clone(), self.test.clone()]),
        })
    }
}
