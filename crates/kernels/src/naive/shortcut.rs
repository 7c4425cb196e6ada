//! The parameter-free shortcut by its definition. `x [n, h, w, c]`,
//! `y [n, ⌈h/stride⌉, ⌈w/stride⌉, k]`.

/// Calls `visit(y index, x index)` for every element that is copied.
fn each_pair(n: usize, h: usize, w: usize, c: usize, stride: usize, k: usize, mut visit: impl FnMut(usize, usize)) {
    let (out_h, out_w, before) = (h.div_ceil(stride), w.div_ceil(stride), (k - c) / 2);
    for n in 0..n {
        for (oh, ow) in (0..out_h).flat_map(|oh| (0..out_w).map(move |ow| (oh, ow))) {
            for j in 0..c {
                let from = ((n * h + oh * stride) * w + ow * stride) * c + j;
                visit(((n * out_h + oh) * out_w + ow) * k + before + j, from);
            }
        }
    }
}

/// Computes [`crate::shortcut::subsample_pad`] by its definition.
pub fn subsample_pad(x: &[f32], n: usize, h: usize, w: usize, c: usize, stride: usize, k: usize, y: &mut [f32]) {
    y.fill(0.0);
    each_pair(n, h, w, c, stride, k, |to, from| y[to] = x[from]);
}

/// Computes [`crate::shortcut::subsample_pad_backward`] by its definition.
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
    dx.fill(0.0);
    each_pair(n, h, w, c, stride, k, |to, from| dx[from] = dy[to]);
}
