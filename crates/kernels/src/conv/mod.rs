//! Convolutions: `x [n, h, w, c]`, `w [k, c, kh, kw]`, `y [n, out_h, out_w, k]`; forward, input gradient, weight gradient.
//!
//! `precise` keeps to algorithms whose error is that of the direct sum.

mod epilogue;
mod winograd;

pub use epilogue::Epilogue;

use self::epilogue::Finish;
use self::winograd::{Ending, F2, F4, Filters, Tiles};
use crate::matrix::{Matrix, serial_product};
use crate::pieces::{self, Parts};
use crate::plan::{self, Algorithm, Pass};
use crate::{ConvShape, norm};

/// `y = x * w`, then the epilogue.
pub fn forward(x: &[f32], w: &[f32], s: &ConvShape, precise: bool, epilogue: Epilogue<'_>, y: &mut [f32]) {
    check(x, w, y, s);
    if let Epilogue::Bias { bias, .. } = epilogue {
        assert!(bias.len() == s.k, "bias must have {} values", s.k);
    }
    let algorithm = plan::algorithm(s, Pass::Forward, precise);
    if matches!(algorithm, Algorithm::Winograd4 | Algorithm::Winograd2) {
        let filters = Filters { w, inputs: s.c, outputs: s.k, backward: false };
        let ending = match epilogue {
            Epilogue::None => Ending::Finish(Finish::Store),
            Epilogue::Bias { bias, relu } => Ending::Finish(Finish::Bias { bias, relu }),
            Epilogue::Statistics { mean, var } => Ending::Statistics { mean, var },
        };
        let tiles = |side| Tiles::new(s.n, s.h, s.w, s.pad, side);
        return match algorithm {
            Algorithm::Winograd4 => winograd::correlate(F4, tiles(4), filters, x, ending, y),
            _ => winograd::correlate(F2, tiles(2), filters, x, ending, y),
        };
    }
    let weights = matrix_of(w, s);
    let (picture, out) = (s.h * s.w * s.c, s.out_h() * s.out_w() * s.k);
    let depth = s.kh * s.kw * s.c;
    let bias = if let Epilogue::Bias { bias, relu } = epilogue { Some((bias, relu)) } else { None };
    assert!(bias.is_none_or(|(bias, _)| bias.len() == s.k), "bias must have {} values", s.k);
    let parts = Parts::new(y);
    pieces::for_each(s.n, |i| {
        // SAFETY: picture `i` is this piece's alone.
        let y = unsafe { parts.range(i * out..(i + 1) * out) };
        let rows = patches(&x[i * picture..(i + 1) * picture], s);
        serial_product(Matrix::rows(&rows, out / s.k, depth), Matrix::rows(&weights, depth, s.k), false, y);
        if let Some((bias, relu)) = bias {
            for row in y.chunks_exact_mut(s.k) {
                for (y, &bias) in row.iter_mut().zip(bias) {
                    let v = *y + bias;
                    *y = if relu && v < 0.0 { 0.0 } else { v };
                }
            }
        }
    });
    if let Epilogue::Statistics { mean, var } = epilogue {
        norm::statistics(y, s.k, mean, var);
    }
}

/// The input gradient; added to what is in `dx` if `accumulate`.
pub fn dx(dy: &[f32], w: &[f32], s: &ConvShape, precise: bool, accumulate: bool, dx: &mut [f32]) {
    check(dx, w, dy, s);
    let algorithm = plan::algorithm(s, Pass::Dx, precise);
    if matches!(algorithm, Algorithm::Winograd4 | Algorithm::Winograd2) {
        let filters = Filters { w, inputs: s.k, outputs: s.c, backward: true };
        let ending = Ending::Finish(if accumulate { Finish::Add } else { Finish::Store });
        let tiles = |side| Tiles::new(s.n, s.out_h(), s.out_w(), 2 - s.pad, side);
        return match algorithm {
            Algorithm::Winograd4 => winograd::correlate(F4, tiles(4), filters, dy, ending, dx),
            _ => winograd::correlate(F2, tiles(2), filters, dy, ending, dx),
        };
    }
    let weights = matrix_of(w, s);
    let (picture, out) = (s.h * s.w * s.c, s.out_h() * s.out_w() * s.k);
    let depth = s.kh * s.kw * s.c;
    let parts = Parts::new(dx);
    pieces::for_each(s.n, |i| {
        // SAFETY: picture `i` is this piece's alone.
        let dx = unsafe { parts.range(i * picture..(i + 1) * picture) };
        let mut rows = vec![0f32; out / s.k * depth];
        let dy = Matrix::rows(&dy[i * out..(i + 1) * out], out / s.k, s.k);
        serial_product(dy, Matrix::rows(&weights, depth, s.k).transposed(), false, &mut rows);
        if !accumulate {
            dx.fill(0.0);
        }
        each_run(s, |row, offset, pixel, len| {
            let from = &rows[row * depth + offset..][..len];
            dx[pixel..pixel + len].iter_mut().zip(from).for_each(|(dx, &v)| *dx += v);
        });
    });
}

/// The weight gradient.
pub fn dw(x: &[f32], dy: &[f32], s: &ConvShape, precise: bool, dw: &mut [f32]) {
    check(x, dw, dy, s);
    let tiles = |side| Tiles::new(s.n, s.h, s.w, s.pad, side);
    match plan::algorithm(s, Pass::Dw, precise) {
        Algorithm::Winograd4 => return winograd::dw(F4, tiles(4), x, dy, s.c, s.k, dw),
        Algorithm::Winograd2 => return winograd::dw(F2, tiles(2), x, dy, s.c, s.k, dw),
        _ => {}
    }
    let (picture, out) = (s.h * s.w * s.c, s.out_h() * s.out_w() * s.k);
    let depth = s.kh * s.kw * s.c;
    // At most sixteen partial sums, however many threads there are.
    let pictures = s.n.div_ceil(16);
    let groups = s.n.div_ceil(pictures);
    let mut partial = vec![0f32; groups * depth * s.k];
    let parts = Parts::new(&mut partial);
    pieces::for_each(groups, |group| {
        // SAFETY: partial sum `group` is this piece's alone.
        let sum = unsafe { parts.range(group * depth * s.k..(group + 1) * depth * s.k) };
        for i in group * pictures..s.n.min((group + 1) * pictures) {
            let rows = patches(&x[i * picture..(i + 1) * picture], s);
            let dy = Matrix::rows(&dy[i * out..(i + 1) * out], out / s.k, s.k);
            serial_product(Matrix::rows(&rows, out / s.k, depth).transposed(), dy, true, sum);
        }
    });
    let taps = s.kh * s.kw;
    for (i, dw) in dw.iter_mut().enumerate() {
        let (k, c, tap) = (i / (s.c * taps), i / taps % s.c, i % taps);
        *dw = partial.chunks_exact(depth * s.k).map(|sum| sum[(tap * s.c + c) * s.k + k]).sum();
    }
}

/// The weights as a matrix `[kh * kw * c, k]`.
fn matrix_of(w: &[f32], s: &ConvShape) -> Vec<f32> {
    let taps = s.kh * s.kw;
    let mut out = vec![0f32; w.len()];
    for (i, &w) in w.iter().enumerate() {
        let (k, c, tap) = (i / (s.c * taps), i / taps % s.c, i % taps);
        out[(tap * s.c + c) * s.k + k] = w;
    }
    out
}

/// The patches of one picture as a matrix `[out_h * out_w, kh * kw * c]`.
fn patches(x: &[f32], s: &ConvShape) -> Vec<f32> {
    let depth = s.kh * s.kw * s.c;
    let mut rows = vec![0f32; s.out_h() * s.out_w() * depth];
    each_run(s, |row, offset, pixel, len| {
        rows[row * depth + offset..][..len].copy_from_slice(&x[pixel..pixel + len]);
    });
    rows
}

/// Calls `visit(row, offset in the patch, offset in the picture, length)` for each contiguous run of a patch.
fn each_run(s: &ConvShape, mut visit: impl FnMut(usize, usize, usize, usize)) {
    for row in 0..s.out_h() * s.out_w() {
        let (top, left) = (row / s.out_w() * s.stride, row % s.out_w() * s.stride);
        let first = s.pad.saturating_sub(left);
        let last = s.kw.min((s.w + s.pad).saturating_sub(left));
        if first >= last {
            continue;
        }
        for i in 0..s.kh {
            if (s.pad..s.h + s.pad).contains(&(top + i)) {
                let pixel = ((top + i - s.pad) * s.w + left + first - s.pad) * s.c;
                visit(row, (i * s.kw + first) * s.c, pixel, (last - first) * s.c);
            }
        }
    }
}

fn check(x: &[f32], w: &[f32], y: &[f32], s: &ConvShape) {
    assert!(x.len() == s.x_len(), "the input of {s:?} must have {} elements, not {}", s.x_len(), x.len());
    assert!(w.len() == s.w_len(), "the weights of {s:?} must have {} elements, not {}", s.w_len(), w.len());
    assert!(y.len() == s.y_len(), "the output of {s:?} must have {} elements, not {}", s.y_len(), y.len());
}
