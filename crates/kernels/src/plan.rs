//! Which algorithm computes a convolution: one function of shape, pass and precision.

use crate::ConvShape;

/// An algorithm for a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// Winograd F(4x4, 3x3): tiles of 6x6, a quarter of the multiplications (Lavin & Gray 2016).
    Winograd4,
    /// Winograd F(2x2, 3x3): tiles of 4x4, 4/9 of the multiplications.
    Winograd2,
    /// Rows of patches, multiplied by the weights as a matrix.
    Im2row,
    /// A 1x1 convolution: the activations are the matrix already.
    Matrix,
}

/// The three computations of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pass {
    /// `y` from `x` and `w`.
    Forward,
    /// `dx` from `dy` and `w`.
    Dx,
    /// `dw` from `x` and `dy`.
    Dw,
}

/// F(4x4) tiles up to which F(2x2) is taken: the filters are then what is read, 36 values of each pair of channels against 16. 7x7x512,
/// one image: 37 MB against 17; 14x14x256: 9.4 against 4.2, and F(4x4) computes 16x16 of it.
const FEW_TILES: usize = 16;

/// Channels below which, on either side, a transform costs as much as the products that it saves: the stems.
const FEW_CHANNELS: usize = 8;

/// The algorithm for a shape. `precise` excludes the algorithms whose rounding error is larger than the direct one's.
pub fn algorithm(s: &ConvShape, pass: Pass, precise: bool) -> Algorithm {
    if s.kh() == 1 && s.kw() == 1 && s.pad() == 0 {
        return Algorithm::Matrix;
    }
    if precise || s.kh() != 3 || s.kw() != 3 || s.stride() != 1 || s.pad() > 2 || s.c().min(s.k()) < FEW_CHANNELS {
        return Algorithm::Im2row;
    }
    // The input gradient's tiles lie on the input.
    let (height, width) = if pass == Pass::Dx { (s.h(), s.w()) } else { (s.out_h(), s.out_w()) };
    // A map of 2x2 is one tile of F(2x2) and a quarter of one of F(4x4).
    let tiles = s.n() * height.div_ceil(4) * width.div_ceil(4);
    if height <= 2 || width <= 2 || tiles <= FEW_TILES { Algorithm::Winograd2 } else { Algorithm::Winograd4 }
}
