//! What happens to the values of a tensor on their way into a convolution: nothing, or what the layer before it left undone.
//!
//! Behind a convolution stand a batch norm and a ReLU, and behind those the next convolution. The normalised map is never written:
//! whoever reads the first convolution's output `[n, h, w, c]` applies `max(0, scale x + shift)` on the way, with the two roundings that
//! [`crate::norm::forward`] has, so that the bits are the same. Zeros around an image stay zeros.

use pulp::Simd;

use crate::norm::Norm;
use crate::vector::{MAX_LANES, load, relu};

/// A tensor as a convolution reads it.
#[derive(Clone, Copy)]
pub(crate) struct Input<'a> {
    pub(crate) values: &'a [f32],
    /// What is done to them, if anything.
    pub(crate) rectified: Option<&'a Rectifier>,
}

impl<'a> From<&'a [f32]> for Input<'a> {
    fn from(values: &'a [f32]) -> Self {
        Self { values, rectified: None }
    }
}

/// A normalisation and the ReLU behind it: `max(0, scale x + shift)` by channel. Followed by a vector of zeros, so that tails can be
/// read as whole vectors.
pub(crate) struct Rectifier {
    scale: Vec<f32>,
    shift: Vec<f32>,
    mean: Vec<f32>,
}

impl Rectifier {
    pub(crate) fn new(norm: &Norm<'_>) -> Self {
        let c = norm.mean.len();
        let padded = |f: &dyn Fn(usize) -> f32| (0..c).map(f).chain([0.0; MAX_LANES]).collect();
        Self {
            scale: padded(&|j| norm.scale(j) as f32),
            shift: padded(&|j| norm.shift(j) as f32),
            mean: padded(&|j| norm.mean[j]),
        }
    }

    /// The means of the channels from `channel` on.
    ///
    /// # Safety
    /// The channel must exist.
    #[inline(always)]
    pub(crate) unsafe fn mean<S: Simd>(&self, simd: S, channel: usize) -> S::f32s {
        // SAFETY: a vector of zeros follows the last channel.
        unsafe { load(simd, self.mean.as_ptr().add(channel)) }
    }

    /// Scale and shift of the channels from `channel` on.
    ///
    /// # Safety
    /// The channel must exist.
    #[inline(always)]
    pub(crate) unsafe fn line<S: Simd>(&self, simd: S, channel: usize) -> Line<S> {
        // SAFETY: as above.
        unsafe {
            Line {
                scale: load(simd, self.scale.as_ptr().add(channel)),
                shift: load(simd, self.shift.as_ptr().add(channel)),
            }
        }
    }
}

/// Scale and shift of a vector of channels.
#[derive(Clone, Copy)]
pub(crate) struct Line<S: Simd> {
    scale: S::f32s,
    shift: S::f32s,
}

impl<S: Simd> Line<S> {
    /// `scale x + shift`, in two roundings.
    #[inline(always)]
    pub(crate) fn at(self, simd: S, x: S::f32s) -> S::f32s {
        simd.add_f32s(simd.mul_f32s(self.scale, x), self.shift)
    }
}

/// How values are read: a type for each way, so that nothing is decided in the loops.
pub(crate) trait Read: Copy {
    /// What a vector of channels needs.
    type Channels<S: Simd>: Copy;

    /// Whether values are taken as they are, zeros around the image among them.
    const PLAIN: bool;

    /// What the channels from `channel` on need.
    ///
    /// # Safety
    /// The channel must exist.
    unsafe fn channels<S: Simd>(self, simd: S, channel: usize) -> Self::Channels<S>;

    /// The values to go on with.
    fn vector<S: Simd>(simd: S, channels: Self::Channels<S>, values: S::f32s) -> S::f32s;

    /// One value to go on with.
    fn single(self, channel: usize, value: f32) -> f32;
}

/// As they are.
#[derive(Clone, Copy)]
pub(crate) struct Plain;

impl Read for Plain {
    type Channels<S: Simd> = ();
    const PLAIN: bool = true;

    #[inline(always)]
    unsafe fn channels<S: Simd>(self, _: S, _: usize) {}

    #[inline(always)]
    fn vector<S: Simd>(_: S, (): (), values: S::f32s) -> S::f32s {
        values
    }

    #[inline(always)]
    fn single(self, _: usize, value: f32) -> f32 {
        value
    }
}

impl Read for &Rectifier {
    type Channels<S: Simd> = Line<S>;
    const PLAIN: bool = false;

    #[inline(always)]
    unsafe fn channels<S: Simd>(self, simd: S, channel: usize) -> Line<S> {
        // SAFETY: the contract.
        unsafe { self.line(simd, channel) }
    }

    #[inline(always)]
    fn vector<S: Simd>(simd: S, line: Line<S>, values: S::f32s) -> S::f32s {
        relu(simd, line.at(simd, values))
    }

    #[inline(always)]
    fn single(self, channel: usize, value: f32) -> f32 {
        let value = self.scale[channel] * value + self.shift[channel];
        if value < 0.0 { 0.0 } else { value }
    }
}
