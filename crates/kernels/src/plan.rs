//! Choice of the algorithm of a convolution, by shape, pass and precision.

use crate::shape::ConvShape;

/// Algorithm of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// Winograd F(4x4, 3x3): tiles of 6x6, a quarter of the multiplications (Lavin & Gray 2016).
    Winograd4,
    /// Winograd F(2x2, 3x3): tiles of 4x4, 4/9 of the multiplications.
    Winograd2,
    /// Patches packed as rows (im2col for channels-last tensors), multiplied by the weights as a
    /// matrix.
    Im2row,
    /// A 1x1 convolution, whose activations already are the matrix.
    Matrix,
}

/// Pass of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pass {
    /// Computes `y` from `x` and `w`.
    Forward,
    /// Computes `dx` from `dy` and `w`.
    Dx,
    /// Computes `dw` from `x` and `dy`.
    Dw,
}

/// Number of F(4x4) tiles up to which F(2x2) is chosen.
///
/// With few tiles the filters dominate the memory traffic, 36 values for each pair of channels
/// against 16. One image of 7x7x512: 37 MB against 17; of 14x14x256: 9.4 against 4.2, and F(4x4)
/// computes 16x16 of it.
const FEW_TILES: usize = 16;

/// Channels on either side below which a transform costs as much as the products that it saves:
/// stems.
const FEW_CHANNELS: usize = 8;

/// Returns the algorithm for a shape. `precise` excludes algorithms whose rounding error is larger
/// than that of the direct sum.
///
/// ```
/// use residual_kernels::plan::{Algorithm, Pass, algorithm};
/// use residual_kernels::{ConvDims, ConvShape};
///
/// let dims = ConvDims { n: 1, h: 56, w: 56, c: 64, k: 64, kh: 3, kw: 3, stride: 1, pad: 1 };
/// let s = ConvShape::new(dims)?;
/// assert_eq!(algorithm(&s, Pass::Forward, false), Algorithm::Winograd4);
/// assert_eq!(algorithm(&s, Pass::Forward, true), Algorithm::Im2row);
/// # Ok::<(), residual_kernels::ShapeError>(())
/// ```
pub fn algorithm(s: &ConvShape, pass: Pass, precise: bool) -> Algorithm {
    if s.kh() == 1 && s.kw() == 1 && s.pad() == 0 {
        return Algorithm::Matrix;
    }
    if precise || s.kh() != 3 || s.kw() != 3 || s.stride() != 1 || s.pad() > 2 || s.c().min(s.k()) < FEW_CHANNELS {
        return Algorithm::Im2row;
    }
    // The tiles of the input gradient cover the input.
    let (height, width) = if pass == Pass::Dx { (s.h(), s.w()) } else { (s.out_h(), s.out_w()) };
    // A map of 2x2 is one tile of F(2x2) and a quarter of a tile of F(4x4).
    let tiles = s.n() * height.div_ceil(4) * width.div_ceil(4);
    if height <= 2 || width <= 2 || tiles <= FEW_TILES { Algorithm::Winograd2 } else { Algorithm::Winograd4 }
}
