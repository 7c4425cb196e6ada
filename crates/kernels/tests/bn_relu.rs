//! Fused batch norm, ReLU and convolution are compared with the three operations one after the
//! other, each of which is compared with the naive reference elsewhere.
//!
//! # Tolerances
//! The prologue rounds a value as if it were stored, so that outputs and weight gradients have the
//! same bits. The sums of the batch norm's gradient are added in another order: a block adds at
//! most [`ADDITIONS`] values in `f32`, then `f64`, and so does [`norm::backward`].

mod support;

use proptest::prelude::*;
use residual_kernels::norm::{self, Norm};
use residual_kernels::{ConvShape, Epilogue, Isa, conv};
use support::{Layer, U, assert_same_bits, assert_within, cases, conv_shape, noise, on_every_isa, shapes};

/// Additions of a column in `f32` in both orders together: 16 + 112 of a block of tiles, 256 of a
/// task of [`norm::backward`].
const ADDITIONS: f64 = 400.0;

fn check(s: &ConvShape, precise: bool) {
    let (x, w, dy) = (noise(s.x_len(), 1), noise(s.w_len(), 2), noise(s.y_len(), 3));
    let what = format!("{s:?}, precise: {precise}");
    on_every_isa(|| {
        let layer = Layer::of(&x, s.c());
        let norm = layer.norm();
        let mut z = vec![f32::NAN; s.x_len()];
        norm::forward(&x, s.c(), &norm, None, true, &mut z);

        let pass = |normed: bool| {
            let (mut y, mut mean, mut var) = (vec![f32::NAN; s.y_len()], vec![f32::NAN; s.k()], vec![f32::NAN; s.k()]);
            let statistics = Epilogue::Statistics { mean: &mut mean, var: &mut var };
            if normed {
                conv::forward_bn_relu(&x, &norm, &w, s, precise, statistics, &mut y);
            } else {
                conv::forward(&z, &w, s, precise, statistics, &mut y);
            }
            [y, mean, var].concat()
        };
        assert_same_bits(&format!("y of {what}, {}", Isa::active()), &pass(true), &pass(false));

        let (mut dw, mut expected) = (vec![f32::NAN; s.w_len()], vec![f32::NAN; s.w_len()]);
        conv::dw_bn_relu(&x, &norm, &dy, s, precise, &mut dw);
        conv::dw(&z, &dy, s, precise, &mut expected);
        assert_same_bits(&format!("dw of {what}, {}", Isa::active()), &dw, &expected);

        check_backward(&what, &x, &z, &w, &dy, s, precise, &norm);
    });
}

fn check_backward(
    what: &str,
    x: &[f32],
    z: &[f32],
    w: &[f32],
    dy: &[f32],
    s: &ConvShape,
    precise: bool,
    norm: &Norm<'_>,
) {
    let (mut dx, mut dgamma, mut dbeta) = (vec![f32::NAN; s.x_len()], vec![f32::NAN; s.c()], vec![f32::NAN; s.c()]);
    let (mut dx_apart, mut dgamma_apart, mut dbeta_apart) = (x.to_vec(), dgamma.clone(), dbeta.clone());
    conv::dx_bn_relu(dy, w, s, precise, x, norm, &mut dx, &mut dgamma, &mut dbeta);
    let mut dz = vec![f32::NAN; s.x_len()];
    conv::dx(dy, w, s, precise, false, &mut dz);
    norm::backward(&mut dx_apart, Some(z), &mut dz, s.c(), norm, &mut dgamma_apart, &mut dbeta_apart);

    let rows = (s.x_len() / s.c()) as f64;
    let inverse_std = |j: usize| 1.0 / (f64::from(norm.var[j]) + f64::from(norm.eps)).sqrt();
    let centred = |i: usize| f64::from(x[i]) - f64::from(norm.mean[i % s.c()]);
    let column = |j: usize| (j..x.len()).step_by(s.c()).filter(|&i| z[i] > 0.0);
    let sum: Vec<f64> = (0..s.c()).map(|j| column(j).map(|i| f64::from(dz[i]).abs()).sum()).collect();
    let product: Vec<f64> =
        (0..s.c()).map(|j| column(j).map(|i| f64::from(dz[i]).abs() * centred(i).abs()).sum()).collect();
    assert_within(&format!("dbeta of {what}"), &dbeta, &dbeta_apart, |j| ADDITIONS * U * sum[j]);
    assert_within(&format!("dgamma of {what}"), &dgamma, &dgamma_apart, |j| {
        (ADDITIONS + 2.0) * U * product[j] * inverse_std(j)
    });
    assert_within(&format!("dx of {what}"), &dx, &dx_apart, |i| {
        let j = i % s.c();
        let scale = f64::from(norm.gamma[j]).abs() * inverse_std(j);
        let through = (sum[j] + centred(i).abs() * inverse_std(j).powi(2) * product[j]) / rows;
        // Errors of the sums, and the roundings of the last pass on both sides.
        scale * ((ADDITIONS + 8.0) * U * through + 8.0 * U * f64::from(dz[i]).abs())
    });
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn a_normalised_input_need_not_be_written(s in shapes(4_000_000), precise in any::<bool>()) {
        check(&s, precise);
    }
}

#[test]
fn every_order_of_work_reads_a_normalised_input_alike() {
    // Winograd by tiles, by channels and on 2x2 maps; weight gradients by groups and by chunks;
    // strides; 1x1.
    let shapes = [
        (6, 16, 16, 32, 32, 3, 1, 1),
        (30, 4, 4, 192, 200, 3, 1, 1),
        (1, 2, 2, 264, 256, 3, 1, 1),
        (2, 9, 9, 300, 70, 1, 1, 0),
        (2, 5, 6, 130, 140, 3, 2, 1),
    ];
    for sizes in shapes {
        check(&conv_shape(sizes), false);
    }
}
