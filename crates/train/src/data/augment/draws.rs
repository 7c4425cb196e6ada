//! What chance decides for one image in one epoch.

use crate::random::{Purpose, stream};
use rand_chacha::ChaCha8Rng;

/// Where draws come from: they depend on these three numbers and on what is drawn, on nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Draws {
    /// The run's seed.
    pub seed: u64,
    /// Counted from 0.
    pub epoch: u64,
    /// The image's number among the training images.
    pub image: u64,
}

/// What is drawn. Each has a stream of its own, so that switching one augmentation on leaves the others' numbers alone.
#[derive(Debug, Clone, Copy)]
#[repr(u64)]
pub(super) enum What {
    /// Shift, flip, cutout.
    Place = 0,
    /// The window that is cut from a large image.
    Window = 1 << 63,
    /// Shifts along the principal components.
    Lighting = 1 << 62,
    /// RandAugment, TrivialAugment.
    Policy = 1 << 61,
    /// Brightness, contrast, saturation, hue.
    Jitter = 1 << 60,
    /// Random erasing.
    Erase = 1 << 59,
}

impl Draws {
    /// No epoch has `what`'s bit.
    pub(super) fn of(self, what: What) -> ChaCha8Rng {
        stream(self.seed, Purpose::Augment, self.epoch | what as u64, self.image)
    }

    /// The draw that an image keeps for all epochs: none has this number.
    pub(super) fn once(self) -> ChaCha8Rng {
        stream(self.seed, Purpose::Augment, u64::MAX, self.image)
    }
}
