//! What to open, and how images of another size are brought to the net's.

use crate::error::{Error, Result, nearest};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// One of the three parts of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// What the weights are fitted to.
    Train,
    /// What chooses among weights, rates and epochs.
    Validation,
    /// What is looked at once.
    Test,
}

/// How an image that is not square, or not of the net's size, becomes one that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Resize {
    /// The shorter side is brought to the size, then the centre is cut out: shapes keep their proportions, edges are lost.
    #[default]
    Crop,
    /// Both sides are brought to the size: nothing is lost, proportions change.
    Squash,
    /// The longer side is brought to the size, the rest is black: nothing is lost, proportions stay.
    Letterbox,
}

/// The resampling filter; both are antialiased (the support grows with the reduction), as in Pillow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Filter {
    /// A triangle of radius 1.
    #[default]
    Bilinear,
    /// Keys' cubic with a = -0.5, radius 2.
    Bicubic,
}

macro_rules! named {
    ($kind:ty, $what:literal, $($variant:path => $name:literal),+ $(,)?) => {
        impl fmt::Display for $kind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(match self { $($variant => $name),+ })
            }
        }

        impl FromStr for $kind {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self> {
                match text.to_ascii_lowercase().as_str() {
                    $($name => Ok($variant),)+
                    _ => {
                        let known = [$($name),+];
                        let error = Error::usage(format!("unknown {} \"{text}\"", $what));
                        Err(match nearest(text, known) {
                            Some(name) => error.with_hint(format!("did you mean \"{name}\"?")),
                            None => error.with_hint(format!("one of {}", known.join(", "))),
                        })
                    }
                }
            }
        }
    };
}

named!(Split, "split", Split::Train => "train", Split::Validation => "validation", Split::Test => "test");
named!(Resize, "resize mode", Resize::Crop => "crop", Resize::Squash => "squash", Resize::Letterbox => "letterbox");
named!(Filter, "resampling filter", Filter::Bilinear => "bilinear", Filter::Bicubic => "bicubic");

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
        for split in [Split::Train, Split::Validation, Split::Test] {
            assert_eq!(split.to_string().parse::<Split>().expect("its own name"), split);
        }
        let error = "letterbx".parse::<Resize>().expect_err("no such mode");
        assert_eq!(error.hint(), Some("did you mean \"letterbox\"?"));
        assert_eq!(serde_json::to_string(&Filter::Bicubic).expect("serialises"), "\"bicubic\"");
    }
}
