//! The test protocols of the papers: which parts of an image a network is tested on.

use crate::error::{Error, Result, nearest};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A test protocol. The probabilities of an image's crops are averaged after the softmax.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TestProtocol {
    /// The centre crop.
    #[default]
    Center,
    /// The centre crop and its mirror image.
    Flip,
    /// The four corners and the centre, each also mirrored (Krizhevsky et al. 2012, §4.1;
    /// ResNet Tables 2 and 3).
    TenCrop,
    /// The whole image, also mirrored: the network is applied fully convolutionally and its scores
    /// are averaged over the feature map (VGG §3.2; ResNet Table 4).
    Dense,
    /// A regular grid of 5x5 crops, each also mirrored (VGG §3.2, after Szegedy et al. 2014).
    MultiCrop,
}

impl TestProtocol {
    /// All protocols, in the order of the command line's help.
    pub const ALL: [Self; 5] = [Self::Center, Self::Flip, Self::TenCrop, Self::Dense, Self::MultiCrop];

    /// Returns the protocol's name on the command line and in recipes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Center => "center",
            Self::Flip => "flip",
            Self::TenCrop => "ten-crop",
            Self::Dense => "dense",
            Self::MultiCrop => "multi-crop",
        }
    }
}

impl fmt::Display for TestProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for TestProtocol {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let names = Self::ALL.map(Self::name);
        if let Some(protocol) = Self::ALL.into_iter().find(|protocol| protocol.name() == text) {
            return Ok(protocol);
        }
        let error = Error::usage(format!("unknown protocol \"{text}\""));
        Err(match nearest(text, names) {
            Some(name) => error.with_hint(format!("did you mean \"{name}\"?")),
            None => error.with_hint(format!("one of {}", names.join(", "))),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols_are_read_by_name_and_misspelt_names_get_a_hint() {
        for protocol in TestProtocol::ALL {
            assert_eq!(protocol.to_string().parse::<TestProtocol>().ok(), Some(protocol));
        }
        let error = "tencrop".parse::<TestProtocol>().expect_err("a missing hyphen");
        assert_eq!(error.hint(), Some("did you mean \"ten-crop\"?"));
    }
}
