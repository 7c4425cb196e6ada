//! Average pooling over windows, whole images and adaptive windows. Padding counts, as in PyTorch's
//! default.

use std::ops::Range;

use super::split::for_blocks;
use crate::isa::Isa;
use crate::shape::PoolShape;
use crate::tasks::DisjointSlice;

/// Returns window `o` along one side, clipped to the image.
fn clipped(o: usize, s: &PoolShape, size: usize) -> Range<usize> {
    let start = o * s.stride();
    start.saturating_sub(s.pad()).min(size)..(start + s.kernel()).saturating_sub(s.pad()).min(size)
}

/// Returns the adaptive window of PyTorch along one side: `⌊o size / out⌋ .. ⌈(o + 1) size / out⌉`.
fn adaptive(o: usize, size: usize, out: usize) -> Range<usize> {
    o * size / out..((o + 1) * size).div_ceil(out)
}

/// Computes the mean under each window, padding included.
///
/// # Panics
/// If `x` or `y` does not have the size that the shape names.
pub fn avg_forward(x: &[f32], s: &PoolShape, y: &mut [f32]) {
    assert!(x.len() == s.x_len() && y.len() == s.y_len(), "x and y must have the sizes of {s:?}");
    let factor = 1.0 / (s.kernel() * s.kernel()) as f32;
    let window = |oh, ow| (clipped(oh, s, s.h()), clipped(ow, s, s.w()), factor);
    gather(x, [s.n(), s.h(), s.w(), s.c()], [s.out_h(), s.out_w()], window, y);
}

/// Computes the gradient of [`avg_forward`].
///
/// # Panics
/// If `dx` or `dy` does not have the size that the shape names.
pub fn avg_backward(dy: &[f32], s: &PoolShape, dx: &mut [f32]) {
    assert!(dx.len() == s.x_len() && dy.len() == s.y_len(), "dx and dy must have the sizes of {s:?}");
    let factor = 1.0 / (s.kernel() * s.kernel()) as f32;
    let window = |oh, ow| (clipped(oh, s, s.h()), clipped(ow, s, s.w()), factor);
    scatter(dy, [s.n(), s.h(), s.w(), s.c()], [s.out_h(), s.out_w()], window, dx);
}

/// Computes the mean of each image and channel: `x [n, hw, c]` → `y [n, c]`.
///
/// # Panics
/// If `x` or `y` does not have these sizes.
pub fn global_average(x: &[f32], n: usize, hw: usize, c: usize, y: &mut [f32]) {
    adaptive_average(x, n, hw, 1, c, 1, 1, y);
}

/// Computes the gradient of [`global_average`], `dx = dy / hw`.
///
/// # Panics
/// If `dy [n, c]` or `dx [n, hw, c]` does not have these sizes.
pub fn global_average_backward(dy: &[f32], n: usize, hw: usize, c: usize, dx: &mut [f32]) {
    adaptive_average_backward(dy, n, hw, 1, c, 1, 1, dx);
}

/// Computes `torch.nn.AdaptiveAvgPool2d`: `x [n, h, w, c]` → `y [n, oh, ow, c]`, also where
/// `oh > h`.
///
/// # Panics
/// If `x` or `y` does not have these sizes.
pub fn adaptive_average(x: &[f32], n: usize, h: usize, w: usize, c: usize, oh: usize, ow: usize, y: &mut [f32]) {
    assert!(x.len() == n * h * w * c, "x must be [{n}, {h}, {w}, {c}]");
    assert!(y.len() == n * oh * ow * c, "y must be [{n}, {oh}, {ow}, {c}]");
    let window = |i, j| with_mean(adaptive(i, h, oh), adaptive(j, w, ow));
    gather(x, [n, h, w, c], [oh, ow], window, y);
}

/// Computes the gradient of [`adaptive_average`].
///
/// # Panics
/// If `dy` or `dx` does not have the sizes of its output and input.
pub fn adaptive_average_backward(
    dy: &[f32],
    n: usize,
    h: usize,
    w: usize,
    c: usize,
    oh: usize,
    ow: usize,
    dx: &mut [f32],
) {
    assert!(dx.len() == n * h * w * c, "dx must be [{n}, {h}, {w}, {c}]");
    assert!(dy.len() == n * oh * ow * c, "dy must be [{n}, {oh}, {ow}, {c}]");
    let window = |i, j| with_mean(adaptive(i, h, oh), adaptive(j, w, ow));
    scatter(dy, [n, h, w, c], [oh, ow], window, dx);
}

/// Returns the window with the factor of its mean.
fn with_mean(rows: Range<usize>, columns: Range<usize>) -> (Range<usize>, Range<usize>, f32) {
    let factor = 1.0 / (rows.len() * columns.len()) as f32;
    (rows, columns, factor)
}

/// Computes `y = factor * sum of x` over each window `(rows, columns, factor)`.
fn gather(
    x: &[f32],
    [n, h, w, c]: [usize; 4],
    [oh, ow]: [usize; 2],
    window: impl Fn(usize, usize) -> (Range<usize>, Range<usize>, f32) + Sync,
    y: &mut [f32],
) {
    let isa = Isa::active();
    let y = DisjointSlice::new(y);
    for_blocks(n, c, x.len(), |image, first, channels| {
        for (i, j) in (0..oh).flat_map(|i| (0..ow).map(move |j| (i, j))) {
            let to = ((image * oh + i) * ow + j) * c + first;
            // SAFETY: these channels of this image belong to this task alone.
            let y = unsafe { y.range(to..to + channels) };
            let (rows, columns, factor) = window(i, j);
            isa.run(|| {
                y.fill(0.0);
                for ih in rows {
                    for iw in columns.clone() {
                        let x = &x[((image * h + ih) * w + iw) * c + first..][..channels];
                        y.iter_mut().zip(x).for_each(|(y, &x)| *y += x);
                    }
                }
                y.iter_mut().for_each(|y| *y *= factor);
            });
        }
    });
}

/// Computes `dx += factor * dy` over each window, starting from zero.
fn scatter(
    dy: &[f32],
    [n, h, w, c]: [usize; 4],
    [oh, ow]: [usize; 2],
    window: impl Fn(usize, usize) -> (Range<usize>, Range<usize>, f32) + Sync,
    dx: &mut [f32],
) {
    let isa = Isa::active();
    let len = dx.len();
    let dx = DisjointSlice::new(dx);
    for_blocks(n, c, len, |image, first, channels| {
        let pixel = |ih: usize, iw: usize| {
            let at = ((image * h + ih) * w + iw) * c + first;
            // SAFETY: these channels of this image belong to this task alone, and one pixel is
            // borrowed at a time.
            unsafe { dx.range(at..at + channels) }
        };
        (0..h * w).for_each(|p| pixel(p / w, p % w).fill(0.0));
        for (i, j) in (0..oh).flat_map(|i| (0..ow).map(move |j| (i, j))) {
            let dy = &dy[((image * oh + i) * ow + j) * c + first..][..channels];
            let (rows, columns, factor) = window(i, j);
            isa.run(|| {
                for ih in rows {
                    for iw in columns.clone() {
                        pixel(ih, iw).iter_mut().zip(dy).for_each(|(dx, &dy)| *dx += factor * dy);
                    }
                }
            });
        }
    });
}
