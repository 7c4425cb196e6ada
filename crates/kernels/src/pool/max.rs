//! Maximum pooling. The backward pass finds the maxima again in `x`, so that nothing has to be
//! kept.
//!
//! The maximum of a vector of channels, and the tap that it came from, stay in registers while the
//! taps of a window pass.

use pulp::{Simd, WithSimd};

use super::split::{for_blocks, for_rows};
use crate::isa::Isa;
use crate::shape::PoolShape;
use crate::tasks::DisjointSlice;
use crate::vector::{load_first, store_first};

/// Runs `$body` for the taps of window `(oh, ow)` that lie in the image, in order, with the offset
/// of the pixel in `x`.
macro_rules! each_tap {
    ($s:expr, $oh:expr, $ow:expr, $offset:ident => $body:block) => {
        let (top, left) = ($oh * $s.stride(), $ow * $s.stride());
        for ih in top.max($s.pad())..(top + $s.kernel()).min($s.h() + $s.pad()) {
            for iw in left.max($s.pad())..(left + $s.kernel()).min($s.w() + $s.pad()) {
                let $offset = ((ih - $s.pad()) * $s.w() + iw - $s.pad()) * $s.c();
                $body
            }
        }
    };
}

/// Computes the maximum under each window. A NaN under a window is its result, as in PyTorch.
///
/// # Panics
/// If `x` or `y` does not have the size that the shape names.
///
/// ```
/// use residual_kernels::{PoolDims, PoolShape, pool};
///
/// let s = PoolShape::new(PoolDims { n: 1, h: 2, w: 4, c: 1, kernel: 2, stride: 2, pad: 0 })?;
/// let mut y = [0.; 2];
/// pool::max_forward(&[1., 2., 5., 4., 3., 0., 7., 6.], &s, &mut y);
/// assert_eq!(y, [3., 7.]);
/// # Ok::<(), residual_kernels::ShapeError>(())
/// ```
pub fn max_forward(x: &[f32], s: &PoolShape, y: &mut [f32]) {
    check(x, s);
    assert!(y.len() == s.y_len(), "y must have the size of {s:?}");
    let isa = Isa::active();
    let y = DisjointSlice::new(y);
    for_rows(s.n(), s.out_h(), x.len(), |image, oh| isa.run(Forward { x, s, y: &y, image, oh }));
}

/// Computes the gradient of [`max_forward`]: `dy` goes to the first maximum of its window, or to
/// the last NaN.
///
/// # Panics
/// If `x`, `dy` or `dx` does not have the size that the shape names.
pub fn max_backward(x: &[f32], dy: &[f32], s: &PoolShape, dx: &mut [f32]) {
    check(x, s);
    assert!(dx.len() == s.x_len() && dy.len() == s.y_len(), "dx and dy must have the sizes of {s:?}");
    let isa = Isa::active();
    let dx = DisjointSlice::new(dx);
    for_blocks(s.n(), s.c(), x.len(), |image, first, channels| {
        isa.run(Backward { x, dy, s, dx: &dx, image, first, channels });
    });
}

/// Checks the size of the input: the kernels read through pointers.
fn check(x: &[f32], s: &PoolShape) {
    assert!(x.len() == s.x_len(), "x must have the size of {s:?}");
}

/// Computes one row of the output of one image.
struct Forward<'a> {
    x: &'a [f32],
    s: &'a PoolShape,
    y: &'a DisjointSlice<'a, f32>,
    image: usize,
    oh: usize,
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { x, s, y, image, oh } = self;
        let x = x[image * s.h() * s.w() * s.c()..].as_ptr();
        let (out_h, out_w) = (s.out_h(), s.out_w());
        for ow in 0..out_w {
            let to = ((image * out_h + oh) * out_w + ow) * s.c();
            // SAFETY: taps lie in the image, and this row of it belongs to this task alone.
            unsafe {
                let to = y.pointer(to, s.c());
                for channel in (0..s.c()).step_by(S::F32_LANES) {
                    let count = S::F32_LANES.min(s.c() - channel);
                    let mut best = simd.splat_f32s(f32::NEG_INFINITY);
                    each_tap!(s, oh, ow, offset => {
                        let value = load_first(simd, x.add(offset + channel), count);
                        best = larger(simd, value, best);
                    });
                    store_first(simd, to.add(channel), best, count);
                }
            }
        }
    }
}

/// Returns the value, or the best so far, whichever wins.
#[inline(always)]
pub(crate) fn larger<S: Simd>(simd: S, value: S::f32s, best: S::f32s) -> S::f32s {
    simd.select_f32s(wins(simd, value, best), value, best)
}

/// Tells whether a value replaces the best so far: it is larger, or NaN. No value is larger than a
/// NaN.
#[inline(always)]
fn wins<S: Simd>(simd: S, value: S::f32s, best: S::f32s) -> S::m32s {
    simd.or_m32s(simd.greater_than_f32s(value, best), simd.not_m32s(simd.equal_f32s(value, value)))
}

/// Computes the gradient of some channels of one image.
struct Backward<'a> {
    x: &'a [f32],
    dy: &'a [f32],
    s: &'a PoolShape,
    dx: &'a DisjointSlice<'a, f32>,
    image: usize,
    first: usize,
    channels: usize,
}

impl WithSimd for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { x, dy, s, dx, image, first, channels } = self;
        let start = image * s.h() * s.w() * s.c() + first;
        let x = x[start..].as_ptr();
        let (out_h, out_w) = (s.out_h(), s.out_w());
        // Windows that tile the image write each pixel once, so that zeros and sums are not needed.
        let tiles =
            s.stride() == s.kernel() && s.pad() == 0 && out_h * s.stride() == s.h() && out_w * s.stride() == s.w();
        // SAFETY: pixels lie in the image, and these channels of this image belong to this task
        // alone.
        unsafe {
            let dx = dx.pointer(start, (s.h() * s.w() - 1) * s.c() + channels);
            if !tiles {
                for pixel in 0..s.h() * s.w() {
                    std::slice::from_raw_parts_mut(dx.add(pixel * s.c()), channels).fill(0.0);
                }
            }
            for oh in 0..out_h {
                for ow in 0..out_w {
                    let from = dy[((image * out_h + oh) * out_w + ow) * s.c() + first..][..channels].as_ptr();
                    for channel in (0..channels).step_by(S::F32_LANES) {
                        let count = S::F32_LANES.min(channels - channel);
                        let mut best = simd.splat_f32s(f32::NEG_INFINITY);
                        // Taps are numbered in floats: exact up to 16 million.
                        let (mut winner, mut tap) = (simd.splat_f32s(0.0), 0.0);
                        each_tap!(s, oh, ow, offset => {
                            let value = load_first(simd, x.add(offset + channel), count);
                            let wins = wins(simd, value, best);
                            best = simd.select_f32s(wins, value, best);
                            winner = simd.select_f32s(wins, simd.splat_f32s(tap), winner);
                            tap += 1.0;
                        });
                        let gradient = load_first(simd, from.add(channel), count);
                        let zero = simd.splat_f32s(0.0);
                        tap = 0.0;
                        each_tap!(s, oh, ow, offset => {
                            let to = dx.add(offset + channel);
                            let won = simd.equal_f32s(winner, simd.splat_f32s(tap));
                            let part = simd.select_f32s(won, gradient, zero);
                            let sum = if tiles { part } else { simd.add_f32s(load_first(simd, to, count), part) };
                            store_first(simd, to, sum, count);
                            tap += 1.0;
                        });
                    }
                }
            }
        }
    }
}
