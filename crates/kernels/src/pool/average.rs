//! Average pooling: windows (padding counts, as PyTorch's default), the whole image, and adaptive windows.

use std::ops::Range;

use super::for_blocks;
use crate::PoolShape;
use crate::isa::Isa;
use crate::tasks::DisjointSlice;

/// The window of `PoolShape` along one side, clipped to the image.
fn clipped(o: usize, s: &PoolShape, size: usize) -> Range<usize> {
    let start = o * s.stride();
    start.saturating_sub(s.pad()).min(size)..(start + s.kernel()).saturating_sub(s.pad()).min(size)
}

/// The adaptive window of PyTorch along one side: `⌊o size / out⌋ .. ⌈(o + 1) size / out⌉`.
fn adaptive(o: usize, size: usize, out: usize) -> Range<usize> {
    o * size / out..((o + 1) * size).div_ceil(out)
}

/// `y` = the sum under each window over its size, padding included.
pub fn avg_forward(x: &[f32], s: &PoolShape, y: &mut [f32]) {
    assert!(x.len() == s.x_len() && y.len() == s.y_len(), "x and y must have the sizes of {s:?}");
    let factor = 1.0 / (s.kernel() * s.kernel()) as f32;
    let window = |oh, ow| (clipped(oh, s, s.h()), clipped(ow, s, s.w()), factor);
    gather(x, [s.n(), s.h(), s.w(), s.c()], [s.out_h(), s.out_w()], window, y);
}

/// The gradient of [`avg_forward`].
pub fn avg_backward(dy: &[f32], s: &PoolShape, dx: &mut [f32]) {
    assert!(dx.len() == s.x_len() && dy.len() == s.y_len(), "dx and dy must have the sizes of {s:?}");
    let factor = 1.0 / (s.kernel() * s.kernel()) as f32;
    let window = |oh, ow| (clipped(oh, s, s.h()), clipped(ow, s, s.w()), factor);
    scatter(dy, [s.n(), s.h(), s.w(), s.c()], [s.out_h(), s.out_w()], window, dx);
}

/// The mean of each image: `x [n, hw, c]` → `y [n, c]`.
pub fn global_average(x: &[f32], n: usize, hw: usize, c: usize, y: &mut [f32]) {
    adaptive_average(x, n, hw, 1, c, 1, 1, y);
}

/// The gradient of [`global_average`]: `dx = dy / hw` everywhere.
pub fn global_average_backward(dy: &[f32], n: usize, hw: usize, c: usize, dx: &mut [f32]) {
    adaptive_average_backward(dy, n, hw, 1, c, 1, 1, dx);
}

/// `torch.nn.AdaptiveAvgPool2d`: `x [n, h, w, c]` → `y [n, oh, ow, c]`, also where `oh > h`.
pub fn adaptive_average(x: &[f32], n: usize, h: usize, w: usize, c: usize, oh: usize, ow: usize, y: &mut [f32]) {
    assert!(x.len() == n * h * w * c, "x must be [{n}, {h}, {w}, {c}]");
    assert!(y.len() == n * oh * ow * c, "y must be [{n}, {oh}, {ow}, {c}]");
    let window = |i, j| with_mean(adaptive(i, h, oh), adaptive(j, w, ow));
    gather(x, [n, h, w, c], [oh, ow], window, y);
}

/// The gradient of [`adaptive_average`].
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

fn with_mean(rows: Range<usize>, columns: Range<usize>) -> (Range<usize>, Range<usize>, f32) {
    let factor = 1.0 / (rows.len() * columns.len()) as f32;
    (rows, columns, factor)
}

/// `y = factor * sum of x` over each window `(rows, columns, factor)`.
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
            // SAFETY: these channels of this image are this task's alone.
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

/// `dx += factor * dy` over each window, from zero.
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
            // SAFETY: these channels of this image are this task's alone, and one pixel is borrowed at a time.
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
