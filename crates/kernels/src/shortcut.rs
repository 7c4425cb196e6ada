//! Parameter-free shortcut of He et al. 2015, option A: downsampling and zero padding of the
//! channels.
//!
//! `x [n, h, w, c]` → `y [n, ⌈h/stride⌉, ⌈w/stride⌉, k]`: `x[:, ::stride, ::stride, :]` with
//! `(k - c) / 2` zero channels in front and the rest behind, `k ≥ c`.

use crate::tasks::{self, DisjointSlice, SERIAL_LEN};

/// Computes the shortcut of `x [n, h, w, c]`. A task is one image.
///
/// # Panics
/// If a slice does not have the size that the arguments name, `stride` is zero, or `k < c`.
pub fn subsample_pad(x: &[f32], n: usize, h: usize, w: usize, c: usize, stride: usize, k: usize, y: &mut [f32]) {
    let (out_h, out_w) = check(x.len(), y.len(), n, h, w, c, stride, k);
    let before = (k - c) / 2;
    let y = DisjointSlice::new(y);
    let image = out_h * out_w * k;
    let run = |i: usize| {
        // SAFETY: image `i` belongs to this task alone.
        let y = unsafe { y.range(i * image..(i + 1) * image) };
        for (p, y) in y.chunks_exact_mut(k).enumerate() {
            let (oh, ow) = (p / out_w, p % out_w);
            let from = ((i * h + oh * stride) * w + ow * stride) * c;
            y[..before].fill(0.0);
            y[before..before + c].copy_from_slice(&x[from..from + c]);
            y[before + c..].fill(0.0);
        }
    };
    if n * image <= SERIAL_LEN { tasks::serial(n, run) } else { tasks::for_each(n, run) }
}

/// Computes the gradient of [`subsample_pad`]: zero at the pixels that were dropped.
///
/// # Panics
/// As [`subsample_pad`].
pub fn subsample_pad_backward(
    dy: &[f32],
    n: usize,
    h: usize,
    w: usize,
    c: usize,
    stride: usize,
    k: usize,
    dx: &mut [f32],
) {
    let (out_h, out_w) = check(dx.len(), dy.len(), n, h, w, c, stride, k);
    let before = (k - c) / 2;
    let dx = DisjointSlice::new(dx);
    let image = h * w * c;
    let run = |i: usize| {
        // SAFETY: image `i` belongs to this task alone.
        let dx = unsafe { dx.range(i * image..(i + 1) * image) };
        dx.fill(0.0);
        for (p, dy) in dy[i * out_h * out_w * k..][..out_h * out_w * k].chunks_exact(k).enumerate() {
            let to = ((p / out_w) * stride * w + (p % out_w) * stride) * c;
            dx[to..to + c].copy_from_slice(&dy[before..before + c]);
        }
    };
    if n * image <= SERIAL_LEN { tasks::serial(n, run) } else { tasks::for_each(n, run) }
}

/// Checks the sizes of both slices and returns the output height and width.
fn check(
    x_len: usize,
    y_len: usize,
    n: usize,
    h: usize,
    w: usize,
    c: usize,
    stride: usize,
    k: usize,
) -> (usize, usize) {
    assert!(stride > 0 && k >= c && c > 0, "a shortcut needs a stride of at least 1 and no fewer channels than before");
    let (out_h, out_w) = (h.div_ceil(stride), w.div_ceil(stride));
    assert!(x_len == n * h * w * c, "x must be [{n}, {h}, {w}, {c}]");
    assert!(y_len == n * out_h * out_w * k, "y must be [{n}, {out_h}, {out_w}, {k}]");
    (out_h, out_w)
}
