//! Maximum pooling. Nothing is kept for the backward pass: it finds the maxima again in `x`.

use super::{BLOCK, for_blocks};
use crate::PoolShape;
use crate::isa::Isa;
use crate::pieces::Parts;

/// Calls `visit(offset of the tap's pixel in x)` for the taps of window `(oh, ow)` that lie in the picture, in order.
#[inline(always)]
fn each_tap(s: &PoolShape, oh: usize, ow: usize, mut visit: impl FnMut(usize)) {
    let (top, left) = (oh * s.stride, ow * s.stride);
    for ih in top.max(s.pad)..(top + s.kernel).min(s.h + s.pad) {
        for iw in left.max(s.pad)..(left + s.kernel).min(s.w + s.pad) {
            visit(((ih - s.pad) * s.w + iw - s.pad) * s.c);
        }
    }
}

/// `y` = the maximum under each window. A NaN under the window is the result, as in PyTorch.
pub fn max_forward(x: &[f32], s: &PoolShape, y: &mut [f32]) {
    assert!(x.len() == s.x_len() && y.len() == s.y_len(), "x and y must have the sizes of {s:?}");
    let isa = Isa::active();
    let (out_h, out_w) = (s.out_h(), s.out_w());
    let y = Parts::new(y);
    for_blocks(s.n, s.c, x.len(), |picture, first, channels| {
        let x = &x[picture * s.h * s.w * s.c + first..];
        isa.run(|| {
            for (oh, ow) in (0..out_h).flat_map(|oh| (0..out_w).map(move |ow| (oh, ow))) {
                let to = ((picture * out_h + oh) * out_w + ow) * s.c + first;
                // SAFETY: these channels of this picture are this piece's alone.
                let y = unsafe { y.range(to..to + channels) };
                y.fill(f32::NEG_INFINITY);
                each_tap(s, oh, ow, |from| {
                    for (y, &x) in y.iter_mut().zip(&x[from..from + channels]) {
                        // A NaN in y stays: nothing is larger than it.
                        *y = if x > *y || x.is_nan() { x } else { *y };
                    }
                });
            }
        });
    });
}

/// The gradient of [`max_forward`]: `dy` goes to the first maximum of its window (the last NaN where there is one).
pub fn max_backward(x: &[f32], dy: &[f32], s: &PoolShape, dx: &mut [f32]) {
    assert!(x.len() == s.x_len() && dx.len() == s.x_len(), "x and dx must have the size of {s:?}");
    assert!(dy.len() == s.y_len(), "dy must have the size of {s:?}");
    let isa = Isa::active();
    let (out_h, out_w) = (s.out_h(), s.out_w());
    let dx = Parts::new(dx);
    for_blocks(s.n, s.c, x.len(), |picture, first, channels| {
        let start = picture * s.h * s.w * s.c + first;
        let x = &x[start..];
        for pixel in 0..s.h * s.w {
            // SAFETY: these channels of this picture are this piece's alone.
            unsafe { dx.range(start + pixel * s.c..start + pixel * s.c + channels) }.fill(0.0);
        }
        isa.run(|| {
            let (mut best, mut winner) = ([0f32; BLOCK], [0u32; BLOCK]);
            for (oh, ow) in (0..out_h).flat_map(|oh| (0..out_w).map(move |ow| (oh, ow))) {
                let dy = &dy[((picture * out_h + oh) * out_w + ow) * s.c + first..][..channels];
                best.fill(f32::NEG_INFINITY);
                winner.fill(0);
                let mut tap = 0u32;
                each_tap(s, oh, ow, |from| {
                    let state = best[..channels].iter_mut().zip(&mut winner[..channels]);
                    for ((best, winner), &x) in state.zip(&x[from..from + channels]) {
                        let wins = x > *best || x.is_nan();
                        *best = if wins { x } else { *best };
                        *winner = if wins { tap } else { *winner };
                    }
                    tap += 1;
                });
                tap = 0;
                each_tap(s, oh, ow, |from| {
                    // SAFETY: as above; no other slice of dx is alive.
                    let dx = unsafe { dx.range(start + from..start + from + channels) };
                    for ((dx, &dy), &winner) in dx.iter_mut().zip(dy).zip(&winner[..channels]) {
                        *dx += if winner == tap { dy } else { 0.0 };
                    }
                    tap += 1;
                });
            }
        });
    });
}
