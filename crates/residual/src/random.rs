//! Counter-based random numbers: each is a pure function of (seed, purpose, epoch, index).
//!
//! There is no global generator, so that neither the order of threads nor resuming a run changes
//! the numbers.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// Purpose of a stream of random numbers. Streams of different purposes are independent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum Purpose {
    /// Initial weights; `index` numbers the parameters.
    Init = 1,
    /// The order of an epoch's images.
    Shuffle = 2,
    /// Augmentation; `index` numbers the images.
    Augment = 3,
    /// Dropout masks; `epoch` is the step, `index` numbers the layers.
    Dropout = 4,
    /// The fixed split into training and validation images.
    Split = 5,
    /// Generated images (`shapes`); `index` numbers the images.
    Shapes = 6,
    /// Mixup and CutMix; `epoch` is the step.
    Mix = 7,
}

/// Returns the stream for one purpose, epoch and index. It is cheap, since streams differ by key
/// and have no state to advance.
///
/// ```
/// use residual::random::{Purpose, stream};
/// assert_eq!(stream(1, Purpose::Init, 0, 7), stream(1, Purpose::Init, 0, 7));
/// assert_ne!(stream(1, Purpose::Init, 0, 7), stream(1, Purpose::Init, 0, 8));
/// ```
pub fn stream(seed: u64, purpose: Purpose, epoch: u64, index: u64) -> ChaCha8Rng {
    let mut key = [0u8; 32];
    for (slot, word) in key.chunks_exact_mut(8).zip([seed, purpose as u64, epoch, index]) {
        slot.copy_from_slice(&word.to_le_bytes());
    }
    ChaCha8Rng::from_seed(key)
}
