//! Random streams of augmentation.

use crate::random::{Purpose, stream};
use rand_chacha::ChaCha8Rng;

/// Random numbers for one image in one epoch. They depend on these three numbers and on what they
/// are for, and on nothing else, so that neither threads nor a resumed run change them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AugmentRng {
    /// Seed of the run.
    pub seed: u64,
    /// Epoch, counted from 0.
    pub epoch: u64,
    /// Index of the image among the training images.
    pub image: u64,
}

/// What random numbers are for. Each has its own stream, so that switching one augmentation on does
/// not change the others.
#[derive(Debug, Clone, Copy)]
#[repr(u64)]
pub(super) enum Stream {
    /// Shift, flip and cutout.
    Geometry = 0,
    /// The window that is cropped from a large image.
    Window = 1 << 63,
    /// Shifts along the principal components of colours.
    Lighting = 1 << 62,
    /// RandAugment and TrivialAugment.
    Policy = 1 << 61,
    /// Brightness, contrast, saturation and hue.
    Jitter = 1 << 60,
    /// Random erasing.
    Erase = 1 << 59,
}

impl AugmentRng {
    /// Returns the stream for one purpose. No epoch is so large that it has a purpose's bit.
    pub(super) fn stream(self, purpose: Stream) -> ChaCha8Rng {
        stream(self.seed, Purpose::Augment, self.epoch | purpose as u64, self.image)
    }

    /// Returns a stream that is the same in all epochs. No epoch has its number.
    pub(super) fn for_all_epochs(self) -> ChaCha8Rng {
        stream(self.seed, Purpose::Augment, u64::MAX, self.image)
    }
}
