//! Shapes of convolutions and poolings, and the sizes that follow from them.
//!
//! Activations are contiguous `[n, h, w, c]`, convolution weights `[k, c, kh, kw]`. Padding is zeros on all four sides,
//! the stride is the same in both directions, and output sizes are rounded down, as in PyTorch.

use thiserror::Error;

/// A shape that no kernel can compute.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ShapeError {
    /// A size that must be at least one is zero.
    #[error("the {0} of a convolution or pooling must be at least 1")]
    Zero(&'static str),
    /// The window does not fit into the padded image.
    #[error("a {kernel_h}x{kernel_w} window does not fit into a {h}x{w} image with padding {pad}")]
    Window {
        /// Height of the window.
        kernel_h: usize,
        /// Width of the window.
        kernel_w: usize,
        /// Height of the image.
        h: usize,
        /// Width of the image.
        w: usize,
        /// Zeros on each side.
        pad: usize,
    },
    /// A window that may lie entirely in the padding: the maximum of nothing.
    #[error("a padding of {pad} is more than half of the pooling window of {kernel}")]
    Padding {
        /// Zeros on each side.
        pad: usize,
        /// Side of the window.
        kernel: usize,
    },
    /// A tensor too large for the address arithmetic of the kernels.
    #[error("a tensor of this shape has more elements than can be addressed")]
    TooLarge,
}

/// A two-dimensional convolution: `x [n, h, w, c]`, `w [k, c, kh, kw]` → `y [n, out_h, out_w, k]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConvShape {
    /// Images.
    pub n: usize,
    /// Input height.
    pub h: usize,
    /// Input width.
    pub w: usize,
    /// Input channels.
    pub c: usize,
    /// Output channels.
    pub k: usize,
    /// Filter height.
    pub kh: usize,
    /// Filter width.
    pub kw: usize,
    /// Step of the window, in both directions.
    pub stride: usize,
    /// Zeros on each side.
    pub pad: usize,
}

impl ConvShape {
    /// Checks that the filter fits and that all tensors can be addressed.
    ///
    /// # Errors
    /// [`ShapeError`] when a size is zero, the filter is larger than the padded image, or a tensor is too large.
    pub fn new(
        n: usize,
        h: usize,
        w: usize,
        c: usize,
        k: usize,
        kh: usize,
        kw: usize,
        stride: usize,
        pad: usize,
    ) -> Result<Self, ShapeError> {
        let named = [
            (n, "batch"),
            (h, "height"),
            (w, "width"),
            (c, "number of input channels"),
            (k, "number of output channels"),
            (kh, "filter height"),
            (kw, "filter width"),
            (stride, "stride"),
        ];
        if let Some((_, name)) = named.iter().find(|(size, _)| *size == 0) {
            return Err(ShapeError::Zero(name));
        }
        let padded = |side: usize| pad.checked_mul(2)?.checked_add(side);
        let (Some(padded_h), Some(padded_w)) = (padded(h), padded(w)) else { return Err(ShapeError::TooLarge) };
        if kh > padded_h || kw > padded_w {
            return Err(ShapeError::Window { kernel_h: kh, kernel_w: kw, h, w, pad });
        }
        let shape = Self { n, h, w, c, k, kh, kw, stride, pad };
        addressable(&[n, h, w, c])?;
        addressable(&[n, shape.out_h(), shape.out_w(), k])?;
        addressable(&[k, c, kh, kw])?;
        Ok(shape)
    }

    /// Whether [`ConvShape::new`] makes this: its fields can be written by anyone, and kernels compute addresses from them.
    pub(crate) fn is_valid(&self) -> bool {
        let Self { n, h, w, c, k, kh, kw, stride, pad } = *self;
        Self::new(n, h, w, c, k, kh, kw, stride, pad).is_ok()
    }

    /// Output height.
    pub fn out_h(&self) -> usize {
        (self.h + 2 * self.pad - self.kh) / self.stride + 1
    }

    /// Output width.
    pub fn out_w(&self) -> usize {
        (self.w + 2 * self.pad - self.kw) / self.stride + 1
    }

    /// Output positions, `n * out_h * out_w`: the rows of `y` as a matrix `[rows, k]`.
    pub fn rows(&self) -> usize {
        self.n * self.out_h() * self.out_w()
    }

    /// Multiply-adds of the direct convolution, whatever the algorithm does.
    pub fn macs(&self) -> u64 {
        self.rows() as u64 * self.k as u64 * (self.c * self.kh * self.kw) as u64
    }

    /// Elements of `x`.
    pub fn x_len(&self) -> usize {
        self.n * self.h * self.w * self.c
    }

    /// Elements of `y`.
    pub fn y_len(&self) -> usize {
        self.rows() * self.k
    }

    /// Elements of the weights.
    pub fn w_len(&self) -> usize {
        self.k * self.c * self.kh * self.kw
    }
}

/// A pooling: `x [n, h, w, c]` → `y [n, out_h, out_w, c]`, square windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PoolShape {
    /// Images.
    pub n: usize,
    /// Input height.
    pub h: usize,
    /// Input width.
    pub w: usize,
    /// Channels.
    pub c: usize,
    /// Side of the window.
    pub kernel: usize,
    /// Step of the window.
    pub stride: usize,
    /// Padding on each side: minus infinity for the maximum, zeros that count for the average.
    pub pad: usize,
}

/// The largest side of a pooling's window.
const MOST_WINDOW: usize = 4096;

impl PoolShape {
    /// Checks that the window fits and that the padding is at most half of it, as PyTorch demands.
    ///
    /// # Errors
    /// [`ShapeError`] when a size is zero, the window does not fit, the padding is too large, or a tensor is too large.
    pub fn new(
        n: usize,
        h: usize,
        w: usize,
        c: usize,
        kernel: usize,
        stride: usize,
        pad: usize,
    ) -> Result<Self, ShapeError> {
        let named = [
            (n, "batch"),
            (h, "height"),
            (w, "width"),
            (c, "number of channels"),
            (kernel, "window"),
            (stride, "stride"),
        ];
        if let Some((_, name)) = named.iter().find(|(size, _)| *size == 0) {
            return Err(ShapeError::Zero(name));
        }
        if pad > kernel / 2 {
            return Err(ShapeError::Padding { pad, kernel });
        }
        // Windows of more than 4096x4096 have places that a float cannot number.
        if kernel > h.saturating_add(2 * pad) || kernel > w.saturating_add(2 * pad) || kernel > MOST_WINDOW {
            return Err(ShapeError::Window { kernel_h: kernel, kernel_w: kernel, h, w, pad });
        }
        addressable(&[n, h, w, c])?;
        Ok(Self { n, h, w, c, kernel, stride, pad })
    }

    /// Whether [`PoolShape::new`] makes this: its fields can be written by anyone, and kernels compute addresses from them.
    pub(crate) fn is_valid(&self) -> bool {
        let Self { n, h, w, c, kernel, stride, pad } = *self;
        Self::new(n, h, w, c, kernel, stride, pad).is_ok()
    }

    /// Output height, rounded down.
    pub fn out_h(&self) -> usize {
        (self.h + 2 * self.pad - self.kernel) / self.stride + 1
    }

    /// Output width, rounded down.
    pub fn out_w(&self) -> usize {
        (self.w + 2 * self.pad - self.kernel) / self.stride + 1
    }

    /// Elements of `x`.
    pub fn x_len(&self) -> usize {
        self.n * self.h * self.w * self.c
    }

    /// Elements of `y`.
    pub fn y_len(&self) -> usize {
        self.n * self.out_h() * self.out_w() * self.c
    }
}

/// Whether a tensor of these sizes has fewer than `isize::MAX / 4` elements of four bytes.
fn addressable(sizes: &[usize]) -> Result<(), ShapeError> {
    let elements = sizes.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
    match elements {
        Some(elements) if elements <= isize::MAX as usize / 8 => Ok(()),
        _ => Err(ShapeError::TooLarge),
    }
}
