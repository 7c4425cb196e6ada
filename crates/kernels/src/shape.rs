//! Shapes of convolutions and poolings, checked once, and the sizes that follow from them.
//!
//! [`ConvDims`] and [`PoolDims`] are plain numbers with names. [`ConvShape::new`] and
//! [`PoolShape::new`] check them: a shape that exists can be computed, so the kernels compute
//! addresses from it without further checks.
//!
//! Activations are contiguous `[n, h, w, c]`, convolution weights `[k, c, kh, kw]`. Padding is
//! zeros on all four sides, the stride is the same in both directions, and output sizes are rounded
//! down, as in PyTorch.

use thiserror::Error;

/// Error of a shape that no kernel can compute.
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
    /// A pooling window can lie entirely in the padding, where it has no maximum.
    #[error("a padding of {pad} is more than half of the pooling window of {kernel}")]
    Padding {
        /// Zeros on each side.
        pad: usize,
        /// Side of the window.
        kernel: usize,
    },
    /// A tensor is too large for the address arithmetic of the kernels.
    #[error("a tensor of this shape has more elements than can be addressed")]
    TooLarge,
}

/// Dimensions of a two-dimensional convolution, not yet checked: see [`ConvShape::new`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConvDims {
    /// Batch size.
    pub n: usize,
    /// Input height.
    pub h: usize,
    /// Input width.
    pub w: usize,
    /// Input channels.
    pub c: usize,
    /// Output channels.
    pub k: usize,
    /// Kernel height.
    pub kh: usize,
    /// Kernel width.
    pub kw: usize,
    /// Stride, the same in both directions.
    pub stride: usize,
    /// Zero padding on each side.
    pub pad: usize,
}

/// Shape of a two-dimensional convolution that can be computed:
/// `x [n, h, w, c]`, `w [k, c, kh, kw]` → `y [n, out_h, out_w, k]`.
///
/// ```
/// use residual_kernels::{ConvDims, ConvShape};
///
/// // The stem of a ResNet on one image of 224x224.
/// let stem = ConvDims { n: 1, h: 224, w: 224, c: 3, k: 64, kh: 7, kw: 7, stride: 2, pad: 3 };
/// let s = ConvShape::new(stem)?;
/// assert_eq!((s.out_h(), s.out_w()), (112, 112));
/// assert_eq!(s.w_len(), 64 * 3 * 7 * 7);
///
/// // A kernel that is larger than the padded image has no output.
/// assert!(ConvShape::new(ConvDims { kh: 999, ..stem }).is_err());
/// # Ok::<(), residual_kernels::ShapeError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConvShape {
    dims: ConvDims,
}

/// Dimensions of a pooling with square windows, not yet checked: see [`PoolShape::new`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PoolDims {
    /// Batch size.
    pub n: usize,
    /// Input height.
    pub h: usize,
    /// Input width.
    pub w: usize,
    /// Channels of the input and of the output.
    pub c: usize,
    /// Side of the window.
    pub kernel: usize,
    /// Stride, the same in both directions.
    pub stride: usize,
    /// Padding on each side: minus infinity for the maximum, zeros that count for the average.
    pub pad: usize,
}

/// Shape of a pooling that can be computed: `x [n, h, w, c]` → `y [n, out_h, out_w, c]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PoolShape {
    dims: PoolDims,
}

/// Defines a method for each named field of `dims`, and those that both kinds of shape have.
macro_rules! accessors {
    ($dims:ty, $kernel_h:ident, $kernel_w:ident, $($name:ident: $doc:literal,)*) => {
        /// Returns the dimensions by name.
        pub const fn dims(&self) -> $dims {
            self.dims
        }
        $(
            #[doc = $doc]
            pub const fn $name(&self) -> usize {
                self.dims.$name
            }
        )*
        /// Returns the output height.
        pub const fn out_h(&self) -> usize {
            out_size(self.dims.h, self.dims.$kernel_h, self.dims.stride, self.dims.pad)
        }
        /// Returns the output width.
        pub const fn out_w(&self) -> usize {
            out_size(self.dims.w, self.dims.$kernel_w, self.dims.stride, self.dims.pad)
        }
        /// Returns the number of output positions, `n * out_h * out_w`: the rows of `y` as a
        /// matrix.
        pub const fn rows(&self) -> usize {
            self.dims.n * self.out_h() * self.out_w()
        }
        /// Returns the number of elements of `x`.
        pub const fn x_len(&self) -> usize {
            self.dims.n * self.dims.h * self.dims.w * self.dims.c
        }
    };
}

impl ConvShape {
    accessors! {
        ConvDims, kh, kw,
        n: "Returns the batch size.",
        h: "Returns the input height.",
        w: "Returns the input width.",
        c: "Returns the number of input channels.",
        k: "Returns the number of output channels.",
        kh: "Returns the kernel height.",
        kw: "Returns the kernel width.",
        stride: "Returns the stride.",
        pad: "Returns the padding on each side.",
    }

    /// Checks that the kernel fits into the padded image and that all tensors can be addressed.
    ///
    /// # Errors
    /// [`ShapeError`] if a size is zero, the kernel is larger than the padded image, or a tensor is
    /// too large.
    pub fn new(dims: ConvDims) -> Result<Self, ShapeError> {
        let ConvDims { n, h, w, c, k, kh, kw, stride, pad } = dims;
        not_zero(&[
            (n, "batch"),
            (h, "height"),
            (w, "width"),
            (c, "number of input channels"),
            (k, "number of output channels"),
            (kh, "filter height"),
            (kw, "filter width"),
            (stride, "stride"),
        ])?;
        fits([h, w], [kh, kw], pad)?;
        let shape = Self { dims };
        addressable(&[n, h, w, c])?;
        addressable(&[n, shape.out_h(), shape.out_w(), k])?;
        addressable(&[k, c, kh, kw])?;
        Ok(shape)
    }

    /// Returns the shape of the same layer on `n` images of `h x w`.
    ///
    /// # Errors
    /// [`ShapeError`] as [`ConvShape::new`].
    pub fn with_input(&self, n: usize, h: usize, w: usize) -> Result<Self, ShapeError> {
        Self::new(ConvDims { n, h, w, ..self.dims })
    }

    /// Tells whether both shapes have the same weights, stride and padding: all but `n`, `h` and
    /// `w`.
    pub(crate) fn is_same_layer(&self, other: &Self) -> bool {
        let ConvDims { n, h, w, .. } = self.dims;
        self.dims == ConvDims { n, h, w, ..other.dims }
    }

    /// Returns the number of multiply-adds of the direct convolution, whatever the algorithm does.
    pub fn macs(&self) -> u64 {
        self.rows() as u64 * self.dims.k as u64 * (self.dims.c * self.dims.kh * self.dims.kw) as u64
    }

    /// Returns the number of elements of `y`.
    pub const fn y_len(&self) -> usize {
        self.rows() * self.dims.k
    }

    /// Returns the number of elements of the weights.
    pub const fn w_len(&self) -> usize {
        self.dims.k * self.dims.c * self.dims.kh * self.dims.kw
    }
}

/// Largest side of a pooling window: a float numbers the elements of 4096x4096 exactly.
const MAX_POOL_KERNEL: usize = 4096;

impl PoolShape {
    accessors! {
        PoolDims, kernel, kernel,
        n: "Returns the batch size.",
        h: "Returns the input height.",
        w: "Returns the input width.",
        c: "Returns the number of channels.",
        kernel: "Returns the side of the window.",
        stride: "Returns the stride.",
        pad: "Returns the padding on each side.",
    }

    /// Checks that the window fits and that the padding is at most half of it, as PyTorch demands.
    ///
    /// # Errors
    /// [`ShapeError`] if a size is zero, the window does not fit or is larger than 4096, the
    /// padding is too large, or a tensor is too large.
    pub fn new(dims: PoolDims) -> Result<Self, ShapeError> {
        let PoolDims { n, h, w, c, kernel, stride, pad } = dims;
        not_zero(&[
            (n, "batch"),
            (h, "height"),
            (w, "width"),
            (c, "number of channels"),
            (kernel, "window"),
            (stride, "stride"),
        ])?;
        if pad > kernel / 2 {
            return Err(ShapeError::Padding { pad, kernel });
        }
        if kernel > MAX_POOL_KERNEL {
            return Err(ShapeError::Window { kernel_h: kernel, kernel_w: kernel, h, w, pad });
        }
        fits([h, w], [kernel; 2], pad)?;
        addressable(&[n, h, w, c])?;
        Ok(Self { dims })
    }

    /// Returns the number of elements of `y`.
    pub const fn y_len(&self) -> usize {
        self.rows() * self.dims.c
    }
}

/// Returns the number of positions of a window along one side of an image.
const fn out_size(size: usize, kernel: usize, stride: usize, pad: usize) -> usize {
    (size + 2 * pad - kernel) / stride + 1
}

/// Refuses the first size that is zero, by its name.
fn not_zero(sizes: &[(usize, &'static str)]) -> Result<(), ShapeError> {
    match sizes.iter().find(|(size, _)| *size == 0) {
        Some((_, name)) => Err(ShapeError::Zero(name)),
        None => Ok(()),
    }
}

/// Refuses a window that is larger than the padded image.
fn fits([h, w]: [usize; 2], [kernel_h, kernel_w]: [usize; 2], pad: usize) -> Result<(), ShapeError> {
    let padded = |side: usize| pad.checked_mul(2)?.checked_add(side);
    let (Some(padded_h), Some(padded_w)) = (padded(h), padded(w)) else { return Err(ShapeError::TooLarge) };
    if kernel_h > padded_h || kernel_w > padded_w {
        return Err(ShapeError::Window { kernel_h, kernel_w, h, w, pad });
    }
    Ok(())
}

/// Refuses a tensor of these sizes if it has more than `isize::MAX / 8` elements of four bytes.
fn addressable(sizes: &[usize]) -> Result<(), ShapeError> {
    let elements = sizes.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
    match elements {
        Some(elements) if elements <= isize::MAX as usize / 8 => Ok(()),
        _ => Err(ShapeError::TooLarge),
    }
}
