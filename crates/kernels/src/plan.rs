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

/// The algorithm for a shape. `precise` excludes the algorithms whose rounding error is larger than the direct one's.
pub fn algorithm(s: &ConvShape, pass: Pass, precise: bool) -> Algorithm {
    if s.kh == 1 && s.kw == 1 && s.pad == 0 {
        return Algorithm::Matrix;
    }
    if precise || s.kh != 3 || s.kw != 3 || s.stride != 1 || s.pad > 2 {
        return Algorithm::Im2row;
    }
    // A transform costs as much as the products it saves where there are few channels on one side: the stems.
    if s.c < 8 || s.k < 8 {
        return Algorithm::Im2row;
    }
    // The input gradient's tiles lie on the input.
    let (height, width) = if pass == Pass::Dx { (s.h, s.w) } else { (s.out_h(), s.out_w()) };
    if height <= 2 || width <= 2 { Algorithm::Winograd2 } else { Algorithm::Winograd4 }
}

/// Temporary.
pub fn tune(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}
