//! How images of another size become images of the network's size.

use serde::{Deserialize, Serialize};

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

/// Implements `Display` and `FromStr` by name, with the nearest name as the hint of an error.
#[doc(hidden)]
#[macro_export]
macro_rules! named {
    ($kind:ty, $what:literal, $($variant:path => $name:literal),+ $(,)?) => {
        impl ::std::fmt::Display for $kind {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.pad(match self { $($variant => $name),+ })
            }
        }

        impl ::std::str::FromStr for $kind {
            type Err = $crate::Error;

            fn from_str(text: &str) -> $crate::Result<Self> {
                match text.to_ascii_lowercase().as_str() {
                    $($name => Ok($variant),)+
                    _ => {
                        let known = [$($name),+];
                        let error = $crate::Error::usage(format!("unknown {} \"{text}\"", $what));
                        Err(match $crate::error::nearest(text, known) {
                            Some(name) => error.with_hint(format!("did you mean \"{name}\"?")),
                            None => error.with_hint(format!("one of {}", known.join(", "))),
                        })
                    }
                }
            }
        }
    };
}

named!(Resize, "resize mode", Resize::Crop => "crop", Resize::Squash => "squash", Resize::Letterbox => "letterbox");
named!(Filter, "resampling filter", Filter::Bilinear => "bilinear", Filter::Bicubic => "bicubic");
