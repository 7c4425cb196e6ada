//! Counter-based randomness: every draw is a pure function of (seed, purpose, epoch, index).
//!
//! Nothing draws from a global generator, so the order in which threads ask does not matter and a resumed run draws
//! what the uninterrupted one would have drawn.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// What a stream is for; streams of different purposes are independent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum Purpose {
    /// Initial weights; `index` numbers the parameters.
    Init = 1,
    /// The order of an epoch's images.
    Shuffle = 2,
    /// Crop, flip and the like; `index` numbers the images.
    Augment = 3,
    /// Dropout masks; `epoch` is the step, `index` numbers the layers.
    Dropout = 4,
    /// The fixed split into training and validation images.
    Split = 5,
    /// Generated images (`shapes`); `index` numbers the images.
    Shapes = 6,
    /// Mixup and CutMix; `epoch` is the step.
    Mix = 7,
    /// Images of noise that an exported file is run on.
    Verify = 8,
}

/// The stream for one purpose at one place. Cheap to make: keys, not states, tell streams apart.
pub fn stream(seed: u64, purpose: Purpose, epoch: u64, index: u64) -> ChaCha8Rng {
    let mut key = [0u8; 32];
    for (slot, word) in key.chunks_exact_mut(8).zip([seed, purpose as u64, epoch, index]) {
        slot.copy_from_slice(&word.to_le_bytes());
    }
    ChaCha8Rng::from_seed(key)
}
