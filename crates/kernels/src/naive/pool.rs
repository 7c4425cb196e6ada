//! Pooling by its definition. `x [n, h, w, c]`, `y [n, out_h, out_w, c]`.

use crate::shape::PoolShape;

/// Calls `visit(y index, x index)` for every image element under every window, row by row.
fn each_pair(s: &PoolShape, mut visit: impl FnMut(usize, usize)) {
    for n in 0..s.n() {
        for oh in 0..s.out_h() {
            for ow in 0..s.out_w() {
                for (i, j) in (0..s.kernel()).flat_map(|i| (0..s.kernel()).map(move |j| (i, j))) {
                    let (ih, iw) = (oh * s.stride() + i, ow * s.stride() + j);
                    if ih < s.pad() || iw < s.pad() || ih >= s.h() + s.pad() || iw >= s.w() + s.pad() {
                        continue;
                    }
                    let from = ((n * s.h() + ih - s.pad()) * s.w() + iw - s.pad()) * s.c();
                    let to = ((n * s.out_h() + oh) * s.out_w() + ow) * s.c();
                    (0..s.c()).for_each(|c| visit(to + c, from + c));
                }
            }
        }
    }
}

/// Returns the index of the maximum of each window: the first one, or the last NaN, as in PyTorch.
fn winners(x: &[f32], s: &PoolShape) -> Vec<usize> {
    let mut best = vec![usize::MAX; s.y_len()];
    each_pair(s, |to, from| {
        if best[to] == usize::MAX || x[from] > x[best[to]] || x[from].is_nan() {
            best[to] = from;
        }
    });
    best
}

/// Computes [`crate::pool::max_forward`] by its definition.
pub fn max_forward(x: &[f32], s: &PoolShape, y: &mut [f32]) {
    for (y, from) in y.iter_mut().zip(winners(x, s)) {
        *y = x[from];
    }
}

/// Computes [`crate::pool::max_backward`] by its definition.
pub fn max_backward(x: &[f32], dy: &[f32], s: &PoolShape, dx: &mut [f32]) {
    let mut sums = vec![0f64; dx.len()];
    for (dy, from) in dy.iter().zip(winners(x, s)) {
        sums[from] += f64::from(*dy);
    }
    store(&sums, dx);
}

/// Computes [`crate::pool::avg_forward`] by its definition.
pub fn avg_forward(x: &[f32], s: &PoolShape, y: &mut [f32]) {
    let mut sums = vec![0f64; y.len()];
    each_pair(s, |to, from| sums[to] += f64::from(x[from]));
    sums.iter_mut().for_each(|sum| *sum /= (s.kernel() * s.kernel()) as f64);
    store(&sums, y);
}

/// Computes [`crate::pool::avg_backward`] by its definition.
pub fn avg_backward(dy: &[f32], s: &PoolShape, dx: &mut [f32]) {
    let mut sums = vec![0f64; dx.len()];
    each_pair(s, |to, from| sums[from] += f64::from(dy[to]) / (s.kernel() * s.kernel()) as f64);
    store(&sums, dx);
}

/// Computes [`crate::pool::global_average`] by its definition.
pub fn global_average(x: &[f32], n: usize, hw: usize, c: usize, y: &mut [f32]) {
    adaptive_average(x, n, hw, 1, c, 1, 1, y);
}

/// Computes [`crate::pool::global_average_backward`] by its definition.
pub fn global_average_backward(dy: &[f32], n: usize, hw: usize, c: usize, dx: &mut [f32]) {
    adaptive_average_backward(dy, n, hw, 1, c, 1, 1, dx);
}

/// Calls `visit(y index, x index, window size)` for every element of every adaptive window.
fn each_adaptive(
    n: usize,
    h: usize,
    w: usize,
    c: usize,
    oh: usize,
    ow: usize,
    mut visit: impl FnMut(usize, usize, usize),
) {
    for n in 0..n {
        for (i, j) in (0..oh).flat_map(|i| (0..ow).map(move |j| (i, j))) {
            let (top, bottom) = (i * h / oh, ((i + 1) * h).div_ceil(oh));
            let (left, right) = (j * w / ow, ((j + 1) * w).div_ceil(ow));
            for (ih, iw) in (top..bottom).flat_map(|ih| (left..right).map(move |iw| (ih, iw))) {
                for c_i in 0..c {
                    let to = ((n * oh + i) * ow + j) * c + c_i;
                    visit(to, ((n * h + ih) * w + iw) * c + c_i, (bottom - top) * (right - left));
                }
            }
        }
    }
}

/// Computes [`crate::pool::adaptive_average`] by its definition.
pub fn adaptive_average(x: &[f32], n: usize, h: usize, w: usize, c: usize, oh: usize, ow: usize, y: &mut [f32]) {
    let mut sums = vec![0f64; y.len()];
    each_adaptive(n, h, w, c, oh, ow, |to, from, size| sums[to] += f64::from(x[from]) / size as f64);
    store(&sums, y);
}

/// Computes [`crate::pool::adaptive_average_backward`] by its definition.
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
    let mut sums = vec![0f64; dx.len()];
    each_adaptive(n, h, w, c, oh, ow, |to, from, size| sums[from] += f64::from(dy[to]) / size as f64);
    store(&sums, dx);
}

fn store(sums: &[f64], out: &mut [f32]) {
    for (out, sum) in out.iter_mut().zip(sums) {
        *out = *sum as f32;
    }
}
