//! The parts of a data set by name.

use residual::named;
use serde::{Deserialize, Serialize};

/// A part of a data set, or all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// Images that the weights are fitted to.
    Train,
    /// Images that choose among weights, learning rates and epochs.
    Validation,
    /// Images that the final weights are tested on, once.
    Test,
    /// The images of all three, in this order.
    All,
}

named!(
    Split,
    "split",
    Split::Train => "train",
    Split::Validation => "validation",
    Split::Test => "test",
    Split::All => "all",
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_split_is_read_back_from_its_name() {
        for split in [Split::Train, Split::Validation, Split::Test, Split::All] {
            assert_eq!(split.to_string().parse::<Split>().expect("its own name"), split);
        }
    }
}
