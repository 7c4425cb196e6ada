//! Convolution by its definition. `x [n, h, w, c]`, `w [k, c, kh, kw]`, `y [n, out_h, out_w, k]`.

use crate::conv::Epilogue;
use crate::shape::ConvShape;

/// Calls `visit(x index, w index, y index)` for every product of the convolution.
fn each_product(s: &ConvShape, mut visit: impl FnMut(usize, usize, usize)) {
    let (out_h, out_w) = (s.out_h(), s.out_w());
    for n in 0..s.n() {
        for oh in 0..out_h {
            for ow in 0..out_w {
                for i in 0..s.kh() {
                    for j in 0..s.kw() {
                        let (ih, iw) = (oh * s.stride() + i, ow * s.stride() + j);
                        if ih < s.pad() || iw < s.pad() || ih >= s.h() + s.pad() || iw >= s.w() + s.pad() {
                            continue;
                        }
                        let pixel = ((n * s.h() + ih - s.pad()) * s.w() + iw - s.pad()) * s.c();
                        let row = ((n * out_h + oh) * out_w + ow) * s.k();
                        for c in 0..s.c() {
                            for k in 0..s.k() {
                                visit(pixel + c, ((k * s.c() + c) * s.kh() + i) * s.kw() + j, row + k);
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Computes [`crate::conv::forward`] by its definition. `precise` is ignored.
pub fn forward(x: &[f32], w: &[f32], s: &ConvShape, _precise: bool, epilogue: Epilogue<'_>, y: &mut [f32]) {
    let mut sums = vec![0f64; s.y_len()];
    each_product(s, |xi, wi, yi| sums[yi] += f64::from(x[xi]) * f64::from(w[wi]));
    if let Epilogue::Bias { bias, relu } = &epilogue {
        for (i, sum) in sums.iter_mut().enumerate() {
            *sum += f64::from(bias[i % s.k()]);
            if *relu && *sum < 0.0 {
                *sum = 0.0;
            }
        }
    }
    if let Epilogue::Residual { bias } = &epilogue {
        for (i, (sum, y)) in sums.iter_mut().zip(&*y).enumerate() {
            *sum = (*sum + f64::from(bias[i % s.k()]) + f64::from(*y)).max(0.0);
        }
    }
    for (y, sum) in y.iter_mut().zip(&sums) {
        *y = *sum as f32;
    }
    if let Epilogue::Statistics { mean, var } = epilogue {
        super::norm::statistics(y, s.k(), mean, var);
    }
}

/// Computes [`crate::conv::dx`] by its definition.
pub fn dx(dy: &[f32], w: &[f32], s: &ConvShape, _precise: bool, accumulate: bool, dx: &mut [f32]) {
    let mut sums = vec![0f64; s.x_len()];
    if accumulate {
        for (sum, dx) in sums.iter_mut().zip(&*dx) {
            *sum = f64::from(*dx);
        }
    }
    each_product(s, |xi, wi, yi| sums[xi] += f64::from(dy[yi]) * f64::from(w[wi]));
    for (dx, sum) in dx.iter_mut().zip(&sums) {
        *dx = *sum as f32;
    }
}

/// Computes [`crate::conv::dw`] by its definition.
pub fn dw(x: &[f32], dy: &[f32], s: &ConvShape, _precise: bool, dw: &mut [f32]) {
    let mut sums = vec![0f64; s.w_len()];
    each_product(s, |xi, wi, yi| sums[wi] += f64::from(x[xi]) * f64::from(dy[yi]));
    for (dw, sum) in dw.iter_mut().zip(&sums) {
        *dw = *sum as f32;
    }
}
