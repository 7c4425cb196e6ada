//! One pass through a network: for training or for testing, and the key of its randomness.

use std::cell::Cell;

/// What a forward pass is for. Training uses batch statistics and dropout; testing uses neither.
#[derive(Debug)]
pub struct Pass {
    training: bool,
    precise: bool,
    /// Seed and step: with the number of the layer, the key of a dropout mask.
    key: [u64; 2],
    drops: Cell<u64>,
}

impl Pass {
    /// A training pass: `step` and `seed` decide its dropout masks. `precise` turns Winograd off.
    pub fn train(seed: u64, step: u64, precise: bool) -> Self {
        Self { training: true, precise, key: [seed, step], drops: Cell::new(0) }
    }

    /// A pass that tests: running statistics, no dropout.
    pub fn test() -> Self {
        Self { training: false, precise: false, key: [0; 2], drops: Cell::new(0) }
    }

    /// The same pass without Winograd.
    pub fn precisely(self) -> Self {
        Self { precise: true, ..self }
    }

    /// Whether this pass trains.
    pub fn is_training(&self) -> bool {
        self.training
    }

    /// Whether Winograd is off.
    pub fn is_precise(&self) -> bool {
        self.precise
    }

    /// The key of the next dropout layer's mask.
    pub(super) fn dropout_key(&self) -> [u64; 3] {
        let layer = self.drops.get();
        self.drops.set(layer + 1);
        [self.key[0], self.key[1], layer]
    }
}
