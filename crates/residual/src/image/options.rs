//! How images are brought to the size of a network's input: [`Resize`] modes and resampling
//! [`Filter`]s.

use crate::named;
use serde::{Deserialize, Serialize};

/// How an image of any shape and size is brought to the size of a network's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Resize {
    /// Scales the shorter side to the size, then crops the centre: keeps proportions, loses edges.
    #[default]
    Crop,
    /// Scales both sides to the size: loses nothing, changes proportions.
    Squash,
    /// Scales the longer side to the size and fills the rest with black: loses nothing, keeps
    /// proportions.
    Letterbox,
}

/// Resampling filter; both are antialiased as in Pillow (the support grows with the reduction).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Filter {
    /// Triangle of radius 1.
    #[default]
    Bilinear,
    /// Keys' cubic with a = -0.5 and radius 2.
    Bicubic,
}

named!(Resize, "resize mode", Resize::Crop => "crop", Resize::Squash => "squash", Resize::Letterbox => "letterbox");
named!(Filter, "resampling filter", Filter::Bilinear => "bilinear", Filter::Bicubic => "bicubic");
