//! Prologue of a convolution: what happens to the input values while they are packed.
//!
//! A batch norm and a ReLU stand between one convolution and the next. The normalised map is never
//! written: the next convolution reads the first one's output `[n, h, w, c]` and applies
//! `max(0, scale x + shift)` on the way, with the same two roundings as [`crate::norm::forward`],
//! so that the bits are the same. The padding around an image stays zero.

use pulp::Simd;

use crate::norm::Norm;
use crate::vector::{MAX_LANES, load, relu};

/// Input of a convolution.
#[derive(Clone, Copy)]
pub(crate) struct ConvInput<'a> {
    pub(crate) values: &'a [f32],
    /// Prologue on the values, if any.
    pub(crate) prologue: Option<&'a BnReluPrologue>,
}

impl<'a> From<&'a [f32]> for ConvInput<'a> {
    fn from(values: &'a [f32]) -> Self {
        Self { values, prologue: None }
    }
}

/// Batch norm and ReLU on the input: `max(0, scale x + shift)` by channel.
///
/// Each array ends with a vector of zeros, so that tails can be read as whole vectors.
pub(crate) struct BnReluPrologue {
    scale: Vec<f32>,
    shift: Vec<f32>,
    mean: Vec<f32>,
}

impl BnReluPrologue {
    pub(crate) fn new(norm: &Norm<'_>) -> Self {
        let c = norm.mean.len();
        let padded = |f: &dyn Fn(usize) -> f32| (0..c).map(f).chain([0.0; MAX_LANES]).collect();
        Self {
            scale: padded(&|j| norm.scale(j) as f32),
            shift: padded(&|j| norm.shift(j) as f32),
            mean: padded(&|j| norm.mean[j]),
        }
    }

    /// Loads the means of the channels from `channel` on.
    ///
    /// # Safety
    /// `channel` must be below the number of channels.
    #[inline(always)]
    pub(crate) unsafe fn mean<S: Simd>(&self, simd: S, channel: usize) -> S::f32s {
        // SAFETY: a vector of zeros follows the last channel.
        unsafe { load(simd, self.mean.as_ptr().add(channel)) }
    }

    /// Loads scale and shift of the channels from `channel` on.
    ///
    /// # Safety
    /// `channel` must be below the number of channels.
    #[inline(always)]
    pub(crate) unsafe fn affine<S: Simd>(&self, simd: S, channel: usize) -> AffineRow<S> {
        // SAFETY: a vector of zeros follows the last channel.
        unsafe {
            AffineRow {
                scale: load(simd, self.scale.as_ptr().add(channel)),
                shift: load(simd, self.shift.as_ptr().add(channel)),
            }
        }
    }
}

/// Scale and shift of a vector of channels.
#[derive(Clone, Copy)]
pub(crate) struct AffineRow<S: Simd> {
    scale: S::f32s,
    shift: S::f32s,
}

impl<S: Simd> AffineRow<S> {
    /// Computes `scale x + shift`, in two roundings.
    #[inline(always)]
    pub(crate) fn apply(self, simd: S, x: S::f32s) -> S::f32s {
        simd.add_f32s(simd.mul_f32s(self.scale, x), self.shift)
    }
}

/// Operation on the input values, monomorphised for each variant so that the inner loops are
/// branch-free.
pub(crate) trait Prologue: Copy {
    /// Parameters of a vector of channels.
    type Channels<S: Simd>: Copy;

    /// Whether values are taken unchanged, the padding among them.
    const IS_NONE: bool;

    /// Loads the parameters of the channels from `channel` on.
    ///
    /// # Safety
    /// `channel` must be below the number of channels of the input.
    unsafe fn channels<S: Simd>(self, simd: S, channel: usize) -> Self::Channels<S>;

    /// Applies the operation to a vector of channels.
    fn apply<S: Simd>(simd: S, channels: Self::Channels<S>, values: S::f32s) -> S::f32s;

    /// Applies the operation to one value.
    fn apply_scalar(self, channel: usize, value: f32) -> f32;
}

/// Takes the values unchanged.
#[derive(Clone, Copy)]
pub(crate) struct NoPrologue;

impl Prologue for NoPrologue {
    type Channels<S: Simd> = ();
    const IS_NONE: bool = true;

    #[inline(always)]
    unsafe fn channels<S: Simd>(self, _: S, _: usize) {}

    #[inline(always)]
    fn apply<S: Simd>(_: S, (): (), values: S::f32s) -> S::f32s {
        values
    }

    #[inline(always)]
    fn apply_scalar(self, _: usize, value: f32) -> f32 {
        value
    }
}

impl Prologue for &BnReluPrologue {
    type Channels<S: Simd> = AffineRow<S>;
    const IS_NONE: bool = false;

    #[inline(always)]
    unsafe fn channels<S: Simd>(self, simd: S, channel: usize) -> AffineRow<S> {
        // SAFETY: the caller's channel exists in the input, and the prologue has the input's
        // channels.
        unsafe { self.affine(simd, channel) }
    }

    #[inline(always)]
    fn apply<S: Simd>(simd: S, affine: AffineRow<S>, values: S::f32s) -> S::f32s {
        relu(simd, affine.apply(simd, values))
    }

    #[inline(always)]
    fn apply_scalar(self, channel: usize, value: f32) -> f32 {
        let value = self.scale[channel] * value + self.shift[channel];
        if value < 0.0 { 0.0 } else { value }
    }
}
