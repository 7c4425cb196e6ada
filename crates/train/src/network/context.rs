//! What a forward pass is for: training or testing, and the key of its randomness.

/// The mode of a forward pass. Training uses batch statistics and dropout; testing uses neither.
#[derive(Debug)]
pub struct ForwardContext {
    training: bool,
    winograd: bool,
    /// Seed and step: with the number of the layer, the key of a dropout mask.
    key: [u64; 2],
    dropouts: u64,
}

impl ForwardContext {
    /// A training pass: `seed` and `step` decide its dropout masks. `winograd` allows Winograd's algorithm.
    pub fn train(seed: u64, step: u64, winograd: bool) -> Self {
        Self { training: true, winograd, key: [seed, step], dropouts: 0 }
    }

    /// A test pass: running statistics, no dropout.
    pub fn test() -> Self {
        Self { training: false, winograd: true, key: [0; 2], dropouts: 0 }
    }

    /// Returns the same pass without Winograd's algorithm.
    pub fn without_winograd(self) -> Self {
        Self { winograd: false, ..self }
    }

    /// Returns whether this pass trains.
    pub fn is_training(&self) -> bool {
        self.training
    }

    /// Returns whether Winograd's algorithm is allowed.
    pub fn winograd(&self) -> bool {
        self.winograd
    }

    /// Returns the key of the next dropout layer's mask.
    pub(super) fn next_dropout_key(&mut self) -> [u64; 3] {
        let layer = self.dropouts;
        self.dropouts += 1;
        [self.key[0], self.key[1], layer]
    }
}
