//! What to open, and how images of another size are brought to the net's.

use residual::image::{Filter, Resize};
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

/// What to open and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataOptions {
    /// A name (`shapes cifar10 cifar100 mnist fashion-mnist`), a folder or an archive.
    pub source: String,
    /// Only the first so many of the fixed shuffle of the training images; 0 takes all.
    pub train_size: usize,
    /// Validation images taken from those; `None` takes a tenth.
    pub validation: Option<usize>,
    /// Height and width that the net takes; `None` keeps the data set's own (224 for a folder of images).
    pub input: Option<usize>,
    /// Channels that the net takes, 1 or 3; `None` keeps the data set's own (3 for a folder of images).
    pub channels: Option<usize>,
    /// With [`Resize::Crop`]: the shorter side before the centre is cut out; `input` where absent.
    pub scale: Option<usize>,
    /// How images are brought to that size.
    pub resize: Resize,
    /// The filter that does it.
    pub filter: Filter,
    /// Leave images as they are in their files: whoever asks for them by [`Images::original`](super::Images)
    /// resizes or augments them himself.
    pub originals: bool,
    /// Leave images out that do not decode, rather than stop.
    pub skip_bad: bool,
    /// Never use the network, even where a data set is not in the cache.
    pub offline: bool,
}

impl Default for DataOptions {
    fn default() -> Self {
        Self {
            source: "shapes".into(),
            train_size: 0,
            validation: None,
            input: None,
            channels: None,
            scale: None,
            resize: Resize::default(),
            filter: Filter::default(),
            originals: false,
            skip_bad: false,
            offline: false,
        }
    }
}

impl DataOptions {
    /// The defaults for one source.
    pub fn new(source: impl Into<String>) -> Self {
        Self { source: source.into(), ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_slips_are_recognised() {
        for split in [Split::Train, Split::Validation, Split::Test, Split::All] {
            assert_eq!(split.to_string().parse::<Split>().expect("its own name"), split);
        }
        let error = "letterbx".parse::<Resize>().expect_err("no such mode");
        assert_eq!(error.hint(), Some("did you mean \"letterbox\"?"));
        assert_eq!(serde_json::to_string(&Filter::Bicubic).expect("serialises"), "\"bicubic\"");
    }
}
