//! Convolutions are compared with the naive reference on every instruction set, over random shapes.
//!
//! # Tolerances
//! A sum of `L` products in `f32` is off by at most `L u Σ|x||w|`, `u = 2⁻²⁴` (Higham, "Accuracy
//! and stability of numerical algorithms", section 3.1). The direct algorithms add at most [`RUN`]
//! products in a row and then the partial sums.
//!
//! Winograd's outputs are `Aᵀ [Σ_c (G g Gᵀ) ⊙ (Bᵀ d B)] A`; the same analysis bounds their error by
//! `(c + TRANSFORMS) u` times the same expression with absolute values everywhere, which [`Bound`]
//! computes in `f64`. Nothing here is measured.

mod support;

use proptest::prelude::*;
use residual_kernels::plan::{self, Algorithm, Pass};
use residual_kernels::{ConvShape, Epilogue, conv, naive, pool};
use support::{U, assert_same_bits, assert_within, cases, conv_shape, halved, magnitudes, noise, on_every_isa, shapes};

/// Largest number of products that a direct algorithm adds one after the other.
const RUN: usize = 256;

/// Roundings on the way of one value through the transforms of F(4x4): data 2 x 4, filter 2 x 5,
/// output 2 x 5.
const TRANSFORMS: usize = 28;

/// Returns the bound `(L + partial sums) u` for a sum of `length` products.
fn direct(length: usize) -> f64 {
    (length.min(RUN) + length.div_ceil(RUN) + 2) as f64 * U
}

/// Matrices of F(M, 3), Lavin & Gray 2016, in absolute values.
struct Bound {
    side: usize,
    /// `[N, N]`; `filter` is `[N, 3]` and `output` is `[M, N]`.
    data: Vec<Vec<f64>>,
    filter: Vec<Vec<f64>>,
    output: Vec<Vec<f64>>,
}

type Square = Vec<Vec<f64>>;

/// Computes `m x mᵀ`.
fn sandwich(m: &Square, x: &Square) -> Square {
    let product = |a: &Square, b: &dyn Fn(usize, usize) -> f64, columns: usize| -> Square {
        a.iter()
            .map(|row| (0..columns).map(|j| row.iter().enumerate().map(|(l, v)| v * b(l, j)).sum()).collect())
            .collect()
    };
    let half = product(m, &|l, j| x[l][j], x[0].len());
    product(&half, &|l, j| m[j][l], m.len())
}

fn transposed(m: &Square) -> Square {
    (0..m[0].len()).map(|j| m.iter().map(|row| row[j]).collect()).collect()
}

impl Bound {
    fn new(algorithm: Algorithm) -> Option<Self> {
        let rows = |rows: &[&[f64]]| rows.iter().map(|row| row.to_vec()).collect();
        match algorithm {
            Algorithm::Winograd4 => Some(Self {
                side: 4,
                data: rows(&[
                    &[4., 0., 5., 0., 1., 0.],
                    &[0., 4., 4., 1., 1., 0.],
                    &[0., 4., 4., 1., 1., 0.],
                    &[0., 2., 1., 2., 1., 0.],
                    &[0., 2., 1., 2., 1., 0.],
                    &[0., 4., 0., 5., 0., 1.],
                ]),
                filter: rows(&[
                    &[1. / 4., 0., 0.],
                    &[1. / 6., 1. / 6., 1. / 6.],
                    &[1. / 6., 1. / 6., 1. / 6.],
                    &[1. / 24., 1. / 12., 1. / 6.],
                    &[1. / 24., 1. / 12., 1. / 6.],
                    &[0., 0., 1.],
                ]),
                output: rows(&[
                    &[1., 1., 1., 1., 1., 0.],
                    &[0., 1., 1., 2., 2., 0.],
                    &[0., 1., 1., 4., 4., 0.],
                    &[0., 1., 1., 8., 8., 1.],
                ]),
            }),
            Algorithm::Winograd2 => Some(Self {
                side: 2,
                data: rows(&[&[1., 0., 1., 0.], &[0., 1., 1., 0.], &[0., 1., 1., 0.], &[0., 1., 0., 1.]]),
                filter: rows(&[&[1., 0., 0.], &[0.5, 0.5, 0.5], &[0.5, 0.5, 0.5], &[0., 0., 1.]]),
                output: rows(&[&[1., 1., 1., 0.], &[0., 1., 1., 1.]]),
            }),
            _ => None,
        }
    }

    /// Calls `visit(n, top, left)` for every tile of every image.
    fn each_tile(&self, n: usize, h: usize, w: usize, mut visit: impl FnMut(usize, usize, usize)) {
        for n in 0..n {
            for top in (0..h).step_by(self.side) {
                for left in (0..w).step_by(self.side) {
                    visit(n, top, left);
                }
            }
        }
    }

    /// Returns the sum of absolute values behind each output of a correlation
    /// `[n, h, w, c] → [n, out_h, out_w, k]` with filters `w(k, c, i, j)`.
    fn correlate(
        &self,
        x: &[f32],
        [n, h, w, c]: [usize; 4],
        pad: usize,
        k: usize,
        filter: impl Fn(usize, usize, usize, usize) -> f32,
    ) -> Vec<f64> {
        let (out_h, out_w, points) = (h + 2 * pad - 2, w + 2 * pad - 2, self.side + 2);
        let filters: Vec<Square> = (0..k * c)
            .map(|i| {
                let taps = |a: usize| (0..3).map(|b| f64::from(filter(i / c, i % c, a, b)).abs()).collect();
                sandwich(&self.filter, &(0..3).map(taps).collect())
            })
            .collect();
        let mut sums = vec![0f64; n * out_h * out_w * k];
        self.each_tile(n, out_h, out_w, |n, top, left| {
            let windows: Vec<Square> =
                (0..c).map(|c_i| sandwich(&self.data, &window(x, [n, h, w, c], c_i, top, left, pad, points))).collect();
            for k_i in 0..k {
                let mut products = vec![vec![0f64; points]; points];
                for (c_i, window) in windows.iter().enumerate() {
                    for (i, j) in (0..points).flat_map(|i| (0..points).map(move |j| (i, j))) {
                        products[i][j] += window[i][j] * filters[k_i * c + c_i][i][j];
                    }
                }
                let tile = sandwich(&self.output, &products);
                for (i, j) in (0..self.side).flat_map(|i| (0..self.side).map(move |j| (i, j))) {
                    if top + i < out_h && left + j < out_w {
                        sums[((n * out_h + top + i) * out_w + left + j) * k + k_i] = tile[i][j];
                    }
                }
            }
        });
        sums
    }

    /// Returns the sum of absolute values behind each weight gradient.
    fn dw(&self, x: &[f32], dy: &[f32], s: &ConvShape) -> Vec<f64> {
        let points = self.side + 2;
        let mut products = vec![vec![vec![0f64; points]; points]; s.k() * s.c()];
        let spread = transposed(&self.output);
        self.each_tile(s.n(), s.out_h(), s.out_w(), |n, top, left| {
            let tile = |k_i| window(dy, [n, s.out_h(), s.out_w(), s.k()], k_i, top, left, 0, self.side);
            let gradients: Vec<Square> = (0..s.k()).map(|k_i| sandwich(&spread, &tile(k_i))).collect();
            for c_i in 0..s.c() {
                let data = sandwich(&self.data, &window(x, [n, s.h(), s.w(), s.c()], c_i, top, left, s.pad(), points));
                for (k_i, gradient) in gradients.iter().enumerate() {
                    for (i, j) in (0..points).flat_map(|i| (0..points).map(move |j| (i, j))) {
                        products[k_i * s.c() + c_i][i][j] += data[i][j] * gradient[i][j];
                    }
                }
            }
        });
        let gather = transposed(&self.filter);
        products.iter().flat_map(|products| sandwich(&gather, products).concat()).collect()
    }
}

/// Returns the absolute values of one channel of a window that starts `pad` before `(top, left)`.
fn window(x: &[f32], [n, h, w, c]: [usize; 4], c_i: usize, top: usize, left: usize, pad: usize, size: usize) -> Square {
    let value = |i: usize, j: usize| {
        let (ih, iw) = ((top + i).wrapping_sub(pad), (left + j).wrapping_sub(pad));
        if ih < h && iw < w { f64::from(x[((n * h + ih) * w + iw) * c + c_i]).abs() } else { 0.0 }
    };
    (0..size).map(|i| (0..size).map(|j| value(i, j)).collect()).collect()
}

/// Returns the bound on the error of every output of the forward pass.
fn forward_bounds(x: &[f32], w: &[f32], s: &ConvShape, precise: bool) -> Vec<f64> {
    match Bound::new(plan::algorithm(s, Pass::Forward, precise)) {
        Some(bound) => {
            let filter = |k: usize, c: usize, i: usize, j: usize| w[((k * s.c() + c) * 3 + i) * 3 + j];
            let sums = bound.correlate(x, [s.n(), s.h(), s.w(), s.c()], s.pad(), s.k(), filter);
            sums.iter().map(|sum| (s.c() + TRANSFORMS) as f64 * U * sum).collect()
        }
        None => {
            let mut sums = vec![0f32; s.y_len()];
            naive::conv::forward(&magnitudes(x), &magnitudes(w), s, true, Epilogue::None, &mut sums);
            sums.iter().map(|&sum| direct(s.c() * s.kh() * s.kw()) * f64::from(sum)).collect()
        }
    }
}

fn dx_bounds(dy: &[f32], w: &[f32], s: &ConvShape, precise: bool) -> Vec<f64> {
    match Bound::new(plan::algorithm(s, Pass::Dx, precise)) {
        Some(bound) => {
            let filter = |c: usize, k: usize, i: usize, j: usize| w[((k * s.c() + c) * 3 + 2 - i) * 3 + 2 - j];
            let sums = bound.correlate(dy, [s.n(), s.out_h(), s.out_w(), s.k()], 2 - s.pad(), s.c(), filter);
            sums.iter().map(|sum| (s.k() + TRANSFORMS) as f64 * U * sum).collect()
        }
        None => {
            let mut sums = vec![0f32; s.x_len()];
            naive::conv::dx(&magnitudes(dy), &magnitudes(w), s, true, false, &mut sums);
            sums.iter().map(|&sum| direct(s.k() * s.kh() * s.kw()) * f64::from(sum)).collect()
        }
    }
}

fn dw_bounds(x: &[f32], dy: &[f32], s: &ConvShape, precise: bool) -> Vec<f64> {
    match Bound::new(plan::algorithm(s, Pass::Dw, precise)) {
        Some(bound) => {
            let tiles = s.n() * s.out_h().div_ceil(bound.side) * s.out_w().div_ceil(bound.side);
            bound.dw(x, dy, s).iter().map(|sum| (tiles + TRANSFORMS) as f64 * U * sum).collect()
        }
        None => {
            let mut sums = vec![0f32; s.w_len()];
            naive::conv::dw(&magnitudes(x), &magnitudes(dy), s, true, &mut sums);
            sums.iter().map(|&sum| direct(s.rows()) * f64::from(sum)).collect()
        }
    }
}

/// Checks all passes and epilogues of a convolution on every instruction set.
fn check(s: &ConvShape, precise: bool) {
    let (x, w, dy) = (noise(s.x_len(), 1), noise(s.w_len(), 2), noise(s.y_len(), 3));
    let (bias, before) = (noise(s.k(), 4), noise(s.x_len(), 5));
    let what = format!("{s:?}, precise: {precise}");

    let mut y = vec![0f32; s.y_len()];
    naive::conv::forward(&x, &w, s, precise, Epilogue::None, &mut y);
    let mut biased = y.clone();
    naive::conv::forward(&x, &w, s, precise, Epilogue::Bias { bias: &bias, relu: true }, &mut biased);
    let mut joined = dy.clone();
    naive::conv::forward(&x, &w, s, precise, Epilogue::Residual { bias: &bias }, &mut joined);
    let bounds = forward_bounds(&x, &w, s, precise);
    on_every_isa(|| {
        let mut out = vec![f32::NAN; s.y_len()];
        conv::forward(&x, &w, s, precise, Epilogue::None, &mut out);
        assert_within(&format!("y of {what}"), &out, &y, |i| bounds[i]);

        let packed = conv::PackedConv::new(&w, s, precise);
        let mut prepared = vec![f32::NAN; s.y_len()];
        packed.forward(&x, s, Epilogue::None, &mut prepared);
        assert_within(&format!("y of packed weights of {what}"), &prepared, &y, |i| bounds[i]);

        let (mut mean, mut var) = (vec![f32::NAN; s.k()], vec![f32::NAN; s.k()]);
        let statistics = Epilogue::Statistics { mean: &mut mean, var: &mut var };
        let mut again = vec![f32::NAN; s.y_len()];
        conv::forward(&x, &w, s, precise, statistics, &mut again);
        assert_same_bits(&format!("y of {what} with statistics"), &again, &out);
        check_statistics(&what, &out, s.k(), &mean, &var);

        conv::forward(&x, &w, s, precise, Epilogue::Bias { bias: &bias, relu: true }, &mut out);
        assert_within(&format!("biased y of {what}"), &out, &biased, |i| {
            bounds[i] + U * (f64::from(y[i]).abs() + f64::from(bias[i % s.k()]).abs())
        });

        if packed.can_fuse_max_pool() && s.out_h() > 1 && s.out_w() > 1 {
            packed.forward(&x, s, Epilogue::Bias { bias: &bias, relu: true }, &mut out);
            let windows = halved(s);
            let mut largest = vec![f32::NAN; windows.y_len()];
            pool::max_forward(&out, &windows, &mut largest);
            let mut pooled = vec![f32::NAN; windows.y_len()];
            packed.forward_max_pool(&x, s, &bias, &mut pooled);
            assert_same_bits(&format!("pooled y of {what}"), &pooled, &largest);
        }

        let mut out = dy.clone();
        packed.forward(&x, s, Epilogue::Residual { bias: &bias }, &mut out);
        assert_within(&format!("y of {what} with the way around it"), &out, &joined, |i| {
            bounds[i] + 2.0 * U * (f64::from(y[i]).abs() + f64::from(bias[i % s.k()]).abs() + f64::from(dy[i]).abs())
        });
    });

    for accumulate in [false, true] {
        let mut dx = if accumulate { before.clone() } else { vec![0.0; s.x_len()] };
        naive::conv::dx(&dy, &w, s, precise, accumulate, &mut dx);
        let bounds = dx_bounds(&dy, &w, s, precise);
        on_every_isa(|| {
            let mut out = if accumulate { before.clone() } else { vec![f32::NAN; s.x_len()] };
            conv::dx(&dy, &w, s, precise, accumulate, &mut out);
            assert_within(&format!("dx of {what}"), &out, &dx, |i| bounds[i] + U * f64::from(before[i]).abs());
        });
    }

    let mut dw = vec![0f32; s.w_len()];
    naive::conv::dw(&x, &dy, s, precise, &mut dw);
    let bounds = dw_bounds(&x, &dy, s, precise);
    on_every_isa(|| {
        let mut out = vec![f32::NAN; s.w_len()];
        conv::dw(&x, &dy, s, precise, &mut out);
        assert_within(&format!("dw of {what}"), &out, &dw, |i| bounds[i]);
    });
}

/// Checks mean and variance of the stored outputs: at most 16 + 112 additions of differences to a
/// first value, then `f64`.
fn check_statistics(what: &str, y: &[f32], k: usize, mean: &[f32], var: &[f32]) {
    const ADDITIONS: f64 = 130.0;
    let (mut means, mut vars) = (vec![0f32; k], vec![0f32; k]);
    naive::norm::statistics(y, k, &mut means, &mut vars);
    let column = |j: usize| y[j..].iter().step_by(k).map(|&v| f64::from(v));
    // A difference to any value of the column is at most its span.
    let span = |j: usize| column(j).fold(f64::MIN, f64::max) - column(j).fold(f64::MAX, f64::min);
    assert_within(&format!("mean of {what}"), mean, &means, |j| ADDITIONS * U * span(j));
    assert_within(&format!("variance of {what}"), var, &vars, |j| 4.0 * ADDITIONS * U * span(j).powi(2));
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn convolutions_are_within_the_rounding_bound_of_the_definition(s in shapes(2_000_000), precise in any::<bool>()) {
        check(&s, precise);
    }
}

#[test]
fn every_order_of_work_is_within_the_bound() {
    // Few tiles and large filters; gradients in chunks; several blocks and groups; several chunks
    // of outputs and depth.
    let shapes = [
        (30, 4, 4, 192, 200, 3, 1, 1),
        (1, 7, 7, 200, 192, 3, 1, 1),
        (1, 2, 2, 264, 256, 3, 1, 1),
        (3, 40, 40, 16, 16, 3, 1, 1),
        (2, 9, 9, 70, 600, 1, 1, 0),
        (2, 9, 9, 300, 70, 1, 2, 0),
        (2, 5, 6, 130, 140, 3, 2, 1),
        // The weight gradient takes two rounds.
        (2, 66, 65, 128, 130, 1, 1, 0),
    ];
    for sizes in shapes {
        check(&conv_shape(sizes), false);
    }
}

#[test]
fn a_filter_that_reaches_no_pixel_gives_zeros() {
    on_every_isa(|| {
        // One pixel in the middle of a padding of three, 3x3 kernels with stride five: none touches
        // it.
        let s = conv_shape((1, 1, 1, 5, 7, 3, 5, 3));
        assert_eq!((s.out_h(), s.out_w()), (1, 1));
        let (x, w, dy) = (noise(s.c(), 1), noise(s.k() * s.c() * 9, 2), noise(s.k(), 3));
        let (mut y, mut dx, mut dw) = (vec![1.0; s.k()], vec![1.0; s.c()], vec![1.0; w.len()]);
        conv::forward(&x, &w, &s, false, Epilogue::None, &mut y);
        conv::dx(&dy, &w, &s, false, false, &mut dx);
        conv::dw(&x, &dy, &s, false, &mut dw);
        assert!(y.iter().chain(&dx).chain(&dw).all(|&value| value == 0.0));
    });
}

#[test]
fn nan_survives_the_relu_of_an_epilogue() {
    for kernel in [1, 3] {
        let s = conv_shape((1, 6, 6, 16, 20, kernel, 1, kernel / 2));
        let (x, mut w) = (noise(s.x_len(), 1), noise(s.w_len(), 2));
        w[0] = f32::NAN;
        on_every_isa(|| {
            let mut y = vec![0f32; s.y_len()];
            conv::forward(&x, &w, &s, false, Epilogue::Bias { bias: &vec![0.0; s.k()], relu: true }, &mut y);
            // Only the first output channel is NaN, with any algorithm.
            assert!(y.iter().step_by(s.k()).all(|y| y.is_nan()), "{kernel}x{kernel}");
            assert!(y.iter().skip(1).step_by(s.k()).all(|y| *y >= 0.0), "{kernel}x{kernel}");
            let packed = conv::PackedConv::new(&w, &s, false);
            if packed.can_fuse_max_pool() {
                let mut y = vec![0f32; s.y_len() / 4];
                packed.forward_max_pool(&x, &s, &vec![0.0; s.k()], &mut y);
                assert!(y.iter().step_by(s.k()).all(|y| y.is_nan()), "pooled");
            }
        });
    }
}

#[test]
fn a_mean_far_from_zero_costs_the_variance_no_digits() {
    // One input channel of ones and a filter of 1000 plus noise from a second channel.
    let s = conv_shape((4, 16, 16, 2, 16, 1, 1, 0));
    let x: Vec<f32> = noise(s.x_len(), 1).iter().enumerate().map(|(i, v)| if i % 2 == 0 { 1.0 } else { *v }).collect();
    let w: Vec<f32> = (0..s.w_len()).map(|i| if i % 2 == 0 { 1000.0 } else { 1.0 }).collect();
    on_every_isa(|| {
        let (mut y, mut mean, mut var) = (vec![0f32; s.y_len()], vec![0f32; s.k()], vec![0f32; s.k()]);
        conv::forward(&x, &w, &s, false, Epilogue::Statistics { mean: &mut mean, var: &mut var }, &mut y);
        check_statistics("far mean", &y, s.k(), &mean, &var);
    });
}
