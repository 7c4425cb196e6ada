//! All operations but convolutions are compared with the naive reference on every instruction set,
//! over random shapes.
//!
//! # Tolerances
//! A kernel that rounds a value `r` times is off by at most `r u` times the sum of the magnitudes
//! of its terms, `u = 2⁻²⁴`. Column sums add at most [`RUN`] values in `f32` before they continue
//! in `f64`. Kernels that copy, choose or round once have the bits of the reference: an `f64` holds
//! any product of two `f32`, so that it is rounded once there, too.

mod support;

use proptest::prelude::*;
use residual_kernels::lrn::Lrn;
use residual_kernels::update::Sgd;
use residual_kernels::{
    PoolDims, PoolShape, activation, linear, loss, lrn, naive, norm, pixels, pool, shortcut, update,
};
use support::{Layer, U, assert_same_bits, assert_within, cases, magnitudes, noise, on_every_isa};

/// Additions in `f32` of one column sum, those of the folded row included: 32 Ki elements in rows
/// of at least 128.
const RUN: f64 = 258.0;

proptest! {
    #![proptest_config(cases(48))]

    #[test]
    fn batch_norm_forward_is_the_formula(rows in 1usize..2000, c in 1usize..70, skip in any::<bool>(), relu in any::<bool>()) {
        let (x, skip_values) = (noise(rows * c, 1), noise(rows * c, 2));
        let layer = Layer::of(&x, c);
        let skip = skip.then_some(&skip_values[..]);
        let mut expected = vec![0f32; x.len()];
        naive::norm::forward(&x, c, &layer.norm(), skip, relu, &mut expected);
        on_every_isa(|| {
            let mut y = vec![f32::NAN; x.len()];
            norm::forward(&x, c, &layer.norm(), skip, relu, &mut y);
            // Scale, shift, product, sum, sum: five roundings.
            assert_within("norm::forward", &y, &expected, |i| {
                let j = i % c;
                let shift = f64::from(layer.beta[j]).abs() + f64::from(layer.mean[j]).abs() * layer.scale(j);
                5.0 * U * (f64::from(x[i]).abs() * layer.scale(j) + shift + skip.map_or(0.0, |s| f64::from(s[i]).abs()))
            });
        });
    }

    #[test]
    fn batch_statistics_are_the_formula(rows in 1usize..4000, c in 1usize..70, far in prop::sample::select(&[0f32, 1000.0][..])) {
        let x: Vec<f32> = noise(rows * c, 1).iter().map(|v| v + far).collect();
        let (mut mean, mut var) = (vec![0f32; c], vec![0f32; c]);
        naive::norm::statistics(&x, c, &mut mean, &mut var);
        on_every_isa(|| {
            let (mut m, mut v) = (vec![f32::NAN; c], vec![f32::NAN; c]);
            norm::statistics(&x, c, &mut m, &mut v);
            // Values differ by at most 2 from the first, and the mean is rounded once.
            assert_within("mean", &m, &mean, |_| RUN * U * 2.0);
            assert_within("var", &v, &var, |_| 3.0 * RUN * U * 4.0);
        });
    }

    #[test]
    fn batch_norm_backward_is_the_formula(
        rows in 1usize..2000, c in 1usize..70, relu in any::<bool>(), skip in any::<bool>(), frozen in any::<bool>(),
    ) {
        let (x, y, dy) = (noise(rows * c, 1), noise(rows * c, 2), noise(rows * c, 3));
        let layer = Layer::of(&x, c);
        let y = relu.then_some(&y[..]);
        let mut expected = [vec![0f32; x.len()], vec![0f32; x.len()], vec![0f32; c], vec![0f32; c]];
        let [dx, dskip, dgamma, dbeta] = &mut expected;
        // In training the gradient of the shortcut is always computed, in place.
        let skip = skip || !frozen;
        let dskip = skip.then_some(&mut dskip[..]);
        if frozen {
            naive::norm::scale_shift_backward(&x, y, &dy, c, &layer.gamma, dx, dskip, dgamma, dbeta);
        } else {
            naive::norm::backward(&x, y, &dy, c, &layer.norm(), dx, dskip, dgamma, dbeta);
        }
        on_every_isa(|| {
            let mut out = [x.clone(), vec![0f32; x.len()], vec![f32::NAN; c], vec![f32::NAN; c]];
            let [dx, dskip, dgamma, dbeta] = &mut out;
            if frozen {
                let dskip = skip.then_some(&mut dskip[..]);
                norm::scale_shift_backward(&x, y, &dy, c, &layer.gamma, dx, dskip, dgamma, dbeta);
            } else {
                dskip.copy_from_slice(&dy);
                norm::backward(dx, y, dskip, c, &layer.norm(), dgamma, dbeta);
            }
            let [dx, dskip, dgamma, dbeta] = &out;
            // All values are at most 1, differences to a mean at most 2: sums are at most `rows`
            // and `2 rows`.
            let n = rows as f64;
            let deviation = |j: usize| 1.0 / (f64::from(layer.var[j]) + 1e-5).sqrt();
            assert_same_bits("dskip", dskip, &expected[1]);
            assert_within("dbeta", dbeta, &expected[3], |_| RUN * U * n);
            assert_within("dgamma", dgamma, &expected[2], |j| {
                (RUN + 3.0) * U * 2.0 * n * if frozen { 1.0 } else { deviation(j) }
            });
            if frozen {
                assert_same_bits("dx", dx, &expected[0]);
                return;
            }
            assert_within("dx", dx, &expected[0], |i| {
                let j = i % c;
                // g, the mean of g, and the normalised value times the mean of their product.
                (RUN + 8.0) * U * layer.scale(j) * (1.0 + 1.0 + 2.0 * deviation(j) * 2.0 * deviation(j))
            });
        });
    }

    #[test]
    fn scale_and_shift_is_the_formula(rows in 1usize..500, c in 1usize..70, skip in any::<bool>(), relu in any::<bool>()) {
        let (x, skip_values, scale, shift) = (noise(rows * c, 1), noise(rows * c, 2), noise(c, 3), noise(c, 4));
        let skip = skip.then_some(&skip_values[..]);
        let mut expected = vec![0f32; x.len()];
        naive::norm::scale_shift(&x, c, &scale, &shift, skip, relu, &mut expected);
        on_every_isa(|| {
            let mut y = vec![f32::NAN; x.len()];
            norm::scale_shift(&x, c, &scale, &shift, skip, relu, &mut y);
            assert_within("scale_shift", &y, &expected, |_| 3.0 * U * 3.0);
        });
    }

    #[test]
    fn relu_dropout_and_their_gradients_are_exact(rows in 1usize..900, k in 1usize..70, p in 0f32..=1.0, key in any::<[u64; 3]>()) {
        let (x, dy) = (noise(rows * k, 1), noise(rows * k, 2));
        on_every_isa(|| {
            let (mut expected, mut out) = (vec![0f32; x.len()], vec![f32::NAN; x.len()]);
            naive::activation::relu(&x, &mut expected);
            activation::relu(&x, &mut out);
            assert_same_bits("relu", &out, &expected);
            naive::activation::relu_backward(&x, &dy, &mut expected);
            activation::relu_backward(&x, &dy, &mut out);
            assert_same_bits("relu_backward", &out, &expected);
            naive::activation::dropout(&x, p, key, &mut expected);
            activation::dropout(&x, p, key, &mut out);
            assert_same_bits("dropout", &out, &expected);
            for y in [None, Some(&x[..])] {
                let (mut dbias, mut dbias_out) = (vec![0f32; k], vec![f32::NAN; k]);
                naive::activation::bias_relu_backward(y, &dy, k, &mut expected, &mut dbias);
                activation::bias_relu_backward(y, &dy, k, &mut out, &mut dbias_out);
                assert_same_bits("dz", &out, &expected);
                assert_within("dbias", &dbias_out, &dbias, |_| RUN * U * rows as f64);
            }
        });
    }

    #[test]
    fn pooling_is_the_definition(
        n in 1usize..=5, h in 1usize..=40, w in 1usize..=40, c in 1usize..=70,
        window in prop::sample::select(&[(2usize, 2usize, 0usize), (3, 2, 1), (3, 1, 1), (7, 7, 0), (2, 1, 1)][..]),
    ) {
        let (kernel, stride, pad) = window;
        let Ok(s) = PoolShape::new(PoolDims { n, h, w, c, kernel, stride, pad }) else { return Ok(()) };
        // Few different values, 0 and -0 among them: ties are common, and the first of them is the
        // maximum.
        let x: Vec<f32> = noise(s.x_len(), 1).iter().map(|v| (v * 4.0).round()).collect();
        let dy = noise(s.y_len(), 2);
        let mut expected = [vec![0f32; s.y_len()], vec![0f32; s.x_len()], vec![0f32; s.y_len()], vec![0f32; s.x_len()]];
        naive::pool::max_forward(&x, &s, &mut expected[0]);
        naive::pool::max_backward(&x, &dy, &s, &mut expected[1]);
        naive::pool::avg_forward(&x, &s, &mut expected[2]);
        naive::pool::avg_backward(&dy, &s, &mut expected[3]);
        let taps = (kernel * kernel) as f64;
        on_every_isa(|| {
            let (mut y, mut dx) = (vec![f32::NAN; s.y_len()], vec![f32::NAN; s.x_len()]);
            pool::max_forward(&x, &s, &mut y);
            assert_same_bits("max_forward", &y, &expected[0]);
            pool::max_backward(&x, &dy, &s, &mut dx);
            // Gradients are multiples of 2^-15, at most 1, and at most nine windows overlap: sums
            // have 19 bits, so none is rounded.
            assert_same_bits("max_backward", &dx, &expected[1]);
            pool::avg_forward(&x, &s, &mut y);
            assert_within("avg_forward", &y, &expected[2], |_| (taps + 2.0) * U * 4.0);
            pool::avg_backward(&dy, &s, &mut dx);
            assert_within("avg_backward", &dx, &expected[3], |_| (taps + 2.0) * U);
        });
    }

    #[test]
    fn global_and_adaptive_averages_are_the_definition(
        n in 1usize..=5, h in 1usize..=40, w in 1usize..=40, c in 1usize..=140, oh in 1usize..=8, ow in 1usize..=8,
    ) {
        let (x, dy, dg) = (noise(n * h * w * c, 1), noise(n * oh * ow * c, 2), noise(n * c, 3));
        let mut expected = [vec![0f32; dy.len()], vec![0f32; x.len()], vec![0f32; dg.len()], vec![0f32; x.len()]];
        naive::pool::adaptive_average(&x, n, h, w, c, oh, ow, &mut expected[0]);
        naive::pool::adaptive_average_backward(&dy, n, h, w, c, oh, ow, &mut expected[1]);
        naive::pool::global_average(&x, n, h * w, c, &mut expected[2]);
        naive::pool::global_average_backward(&dg, n, h * w, c, &mut expected[3]);
        on_every_isa(|| {
            let (mut y, mut dx, mut g) = (vec![f32::NAN; dy.len()], vec![f32::NAN; x.len()], vec![f32::NAN; dg.len()]);
            pool::adaptive_average(&x, n, h, w, c, oh, ow, &mut y);
            assert_within("adaptive_average", &y, &expected[0], |_| ((h * w) as f64 + 2.0) * U);
            pool::adaptive_average_backward(&dy, n, h, w, c, oh, ow, &mut dx);
            assert_within("adaptive_average_backward", &dx, &expected[1], |_| ((oh * ow) as f64 + 2.0) * U * (oh * ow) as f64);
            pool::global_average(&x, n, h * w, c, &mut g);
            assert_within("global_average", &g, &expected[2], |_| ((h * w) as f64 + 2.0) * U);
            pool::global_average_backward(&dg, n, h * w, c, &mut dx);
            assert_within("global_average_backward", &dx, &expected[3], |_| 2.0 * U);
        });
    }

    #[test]
    fn local_response_norm_is_the_formula(
        rows in 1usize..60, c in 1usize..40, size in 1usize..=6, beta in prop::sample::select(&[0.75f32, 0.5, 1.0][..]),
    ) {
        let lrn = Lrn { size, alpha: 0.5, beta, k: 2.0 };
        let (x, dy) = (noise(rows * c, 1), noise(rows * c, 2));
        let (mut y, mut dx) = (vec![0f32; x.len()], vec![0f32; x.len()]);
        naive::lrn::forward(&x, c, &lrn, &mut y);
        naive::lrn::backward(&x, &y, &dy, c, &lrn, &mut dx);
        on_every_isa(|| {
            let (mut out, mut dout) = (vec![f32::NAN; x.len()], vec![f32::NAN; x.len()]);
            lrn::forward(&x, c, &lrn, &mut out);
            // Squares and their sum, the power (4 ulp in a libm), the product; denominators lie
            // between 2 and 2.5.
            assert_within("lrn", &out, &y, |_| (size as f64 + 12.0) * U);
            lrn::backward(&x, &out, &dy, c, &lrn, &mut dout);
            assert_within("lrn backward", &dout, &dx, |_| 2.0 * (size as f64 + 20.0) * U * (1.0 + size as f64 / 2.0));
        });
    }

    #[test]
    fn linear_layers_are_the_definition(n in 1usize..=20, c in 1usize..=300, k in 1usize..=70, relu in any::<bool>()) {
        let (x, w, bias, dy) = (noise(n * c, 1), noise(k * c, 2), noise(k, 3), noise(n * k, 4));
        let mut expected = [vec![0f32; n * k], vec![0f32; n * c], vec![0f32; k * c]];
        let mut sums = [vec![0f32; n * k], vec![0f32; n * c], vec![0f32; k * c]];
        naive::linear::forward(&x, &w, Some(&bias), n, c, k, relu, &mut expected[0]);
        naive::linear::dx(&dy, &w, n, c, k, &mut expected[1]);
        naive::linear::dw(&x, &dy, n, c, k, &mut expected[2]);
        let (ax, aw, ab, ady) = (magnitudes(&x), magnitudes(&w), magnitudes(&bias), magnitudes(&dy));
        naive::linear::forward(&ax, &aw, Some(&ab), n, c, k, false, &mut sums[0]);
        naive::linear::dx(&ady, &aw, n, c, k, &mut sums[1]);
        naive::linear::dw(&ax, &ady, n, c, k, &mut sums[2]);
        on_every_isa(|| {
            let mut out = [vec![f32::NAN; n * k], vec![f32::NAN; n * c], vec![f32::NAN; k * c]];
            linear::forward(&x, &w, Some(&bias), n, c, k, relu, &mut out[0]);
            linear::dx(&dy, &w, n, c, k, &mut out[1]);
            linear::dw(&x, &dy, n, c, k, &mut out[2]);
            for (i, length) in [c, k, n].into_iter().enumerate() {
                assert_within("linear", &out[i], &expected[i], |j| (length as f64 + 2.0) * U * f64::from(sums[i][j]));
            }
        });
    }

    #[test]
    fn softmax_and_cross_entropy_are_the_definition(n in 1usize..=40, k in 1usize..=300, spread in 0f32..60.0) {
        let logits: Vec<f32> = noise(n * k, 1).iter().map(|v| v * spread).collect();
        let mut targets = magnitudes(&noise(n * k, 2));
        targets.chunks_exact_mut(k).for_each(|row| {
            let sum: f32 = row.iter().sum::<f32>() + 1e-6;
            row.iter_mut().for_each(|t| *t /= sum);
        });
        let mut expected = [vec![0f32; n * k], vec![0f32; n], vec![0f32; n * k]];
        naive::loss::softmax(&logits, n, k, &mut expected[0]);
        let [_, losses, dlogits] = &mut expected;
        naive::loss::softmax_cross_entropy(&logits, &targets, n, k, losses, dlogits);
        // A difference of logits is rounded to u of at most 2 spread, the exponential to a few ulp,
        // and so is the sum.
        let relative = (2.0 * f64::from(spread) + 8.0) * 2.0 * U;
        on_every_isa(|| {
            let mut out = [vec![f32::NAN; n * k], vec![f32::NAN; n], vec![f32::NAN; n * k]];
            loss::softmax(&logits, n, k, &mut out[0]);
            assert_within("softmax", &out[0], &expected[0], |i| relative * f64::from(expected[0][i]));
            let [_, losses, dlogits] = &mut out;
            loss::softmax_cross_entropy(&logits, &targets, n, k, losses, dlogits);
            assert_within("losses", losses, &expected[1], |_| relative);
            assert_within("dlogits", dlogits, &expected[2], |i| relative * f64::from(expected[0][i]) + U);
        });
    }

    #[test]
    fn the_parameter_free_shortcut_is_exact(
        n in 1usize..=5, h in 1usize..=40, w in 1usize..=40, c in 1usize..=40, more in 0usize..=41, stride in 1usize..=2,
    ) {
        let (k, x) = (c + more, noise(n * h * w * c, 1));
        let dy = noise(n * h.div_ceil(stride) * w.div_ceil(stride) * k, 2);
        let (mut y, mut expected) = (vec![f32::NAN; dy.len()], vec![0f32; dy.len()]);
        naive::shortcut::subsample_pad(&x, n, h, w, c, stride, k, &mut expected);
        shortcut::subsample_pad(&x, n, h, w, c, stride, k, &mut y);
        assert_same_bits("subsample_pad", &y, &expected);
        let (mut dx, mut expected) = (vec![f32::NAN; x.len()], vec![0f32; x.len()]);
        naive::shortcut::subsample_pad_backward(&dy, n, h, w, c, stride, k, &mut expected);
        shortcut::subsample_pad_backward(&dy, n, h, w, c, stride, k, &mut dx);
        assert_same_bits("subsample_pad_backward", &dx, &expected);
    }

    #[test]
    fn updates_are_the_formula(len in 1usize..70_000, nesterov in any::<bool>(), momentum in prop::sample::select(&[0f32, 0.9][..])) {
        let (w, dw, v) = (noise(len, 1), noise(len, 2), noise(len, 3));
        let step = Sgd { lr: 0.1, momentum, weight_decay: 5e-4, nesterov };
        let (mut w_expected, mut v_expected) = (w.clone(), v.clone());
        naive::update::sgd(&mut w_expected, &dw, &mut v_expected, &step);
        let mut shadow_expected = v.clone();
        naive::update::ema(&mut shadow_expected, &w, 0.999);
        let squares = naive::update::sum_of_squares(&w);
        let (mut sum_expected, mut scaled_expected) = (w.clone(), w.clone());
        naive::update::add(&mut sum_expected, &dw);
        naive::update::scale(&mut scaled_expected, 0.3);
        on_every_isa(|| {
            let (mut w_out, mut v_out, mut shadow) = (w.clone(), v.clone(), v.clone());
            update::sgd(&mut w_out, &dw, &mut v_out, &step);
            assert_within("v", &v_out, &v_expected, |_| 4.0 * U * 3.0);
            assert_within("w", &w_out, &w_expected, |_| 4.0 * U * 2.0);
            update::ema(&mut shadow, &w, 0.999);
            assert_within("ema", &shadow, &shadow_expected, |_| 4.0 * U);
            let relative = (update::sum_of_squares(&w) - squares).abs() / squares.max(1e-9);
            // 16 Ki values in 32 sums: 512 additions each.
            assert!(relative <= 514.0 * U, "sum_of_squares is off by {relative:e}");
            let (mut sum, mut scaled) = (w.clone(), w.clone());
            update::add(&mut sum, &dw);
            update::scale(&mut scaled, 0.3);
            assert_same_bits("add", &sum, &sum_expected);
            assert_same_bits("scale", &scaled, &scaled_expected);
        });
    }

    #[test]
    fn pixels_are_normalised_by_channel(len in 1usize..30_000, c in 1usize..=4) {
        let bytes: Vec<u8> = noise(len * c, 1).iter().map(|v| (v * 128.0 + 128.0) as u8).collect();
        let (scale, shift) = (noise(c, 2), noise(c, 3));
        let mut expected = vec![0f32; bytes.len()];
        naive::pixels::normalize(&bytes, c, &scale, &shift, &mut expected);
        on_every_isa(|| {
            let mut y = vec![f32::NAN; bytes.len()];
            pixels::normalize(&bytes, c, &scale, &shift, &mut y);
            assert_within("pixels", &y, &expected, |_| 2.0 * U * 256.0);
        });
    }
}

#[test]
fn dropout_keeps_the_promised_share_and_the_sum() {
    let x = vec![1f32; 1 << 20];
    let mut y = vec![0f32; x.len()];
    activation::dropout(&x, 0.25, [1, 2, 3], &mut y);
    let kept = y.iter().filter(|&&v| v != 0.0).count() as f64 / x.len() as f64;
    // Five standard deviations of a binomial share.
    assert!((kept - 0.75).abs() < 5.0 * (0.75 * 0.25 / x.len() as f64).sqrt(), "kept {kept}");
    assert!(y.iter().all(|&v| v == 0.0 || v == 1.0 / 0.75));
    let mut other = vec![0f32; x.len()];
    activation::dropout(&x, 0.25, [1, 2, 4], &mut other);
    assert_ne!(y, other, "another key, another mask");
}

#[test]
fn nan_survives_relu_and_max_pooling() {
    let mut y = [0f32; 2];
    activation::relu(&[f32::NAN, -1.0], &mut y);
    assert!(y[0].is_nan() && y[1] == 0.0);
    let s = PoolShape::new(PoolDims { n: 1, h: 2, w: 2, c: 1, kernel: 2, stride: 2, pad: 0 }).expect("a valid shape");
    let mut y = [0f32; 1];
    pool::max_forward(&[1.0, f32::NAN, 3.0, 2.0], &s, &mut y);
    assert!(y[0].is_nan());
}
