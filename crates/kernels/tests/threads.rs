//! The number of threads does not change a bit: every kernel, large enough to be cut into several pieces, on 1, 2 and 3 threads.

mod support;

use residual_kernels::lrn::Lrn;
use residual_kernels::norm::Norm;
use residual_kernels::update::Sgd;
use residual_kernels::{
    ConvShape, Epilogue, PoolShape, activation, conv, linear, loss, lrn, norm, pixels, pool, shortcut, update,
};
use support::{noise, on_every_isa};

/// Runs `f` on pools of 1, 2 and 3 threads and compares what it returns.
fn same_bits(what: &str, f: impl Fn() -> Vec<f32> + Sync) {
    on_every_isa(|| {
        let isa = residual_kernels::Isa::active();
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads can be started");
            let values = pool.install(|| isa.with(&f));
            values.iter().map(|v| v.to_bits()).collect::<Vec<u32>>()
        };
        let one = on(1);
        assert!(one == on(2), "{what} on {isa}: two threads give other bits than one");
        assert!(one == on(3), "{what} on {isa}: three threads give other bits than one");
    });
}

#[test]
fn convolutions_give_the_same_bits_on_any_number_of_threads() {
    // Winograd by tiles, by channels and on 2x2 maps; strides; 1x1; the stem.
    let shapes = [
        (6, 16, 16, 32, 32, 3, 1, 1),
        (30, 4, 4, 192, 200, 3, 1, 1),
        (4, 2, 2, 96, 80, 3, 1, 1),
        (4, 16, 16, 24, 40, 3, 2, 1),
        (8, 14, 14, 64, 48, 1, 1, 0),
        (4, 32, 32, 3, 16, 7, 2, 3),
    ];
    for (n, h, w, c, k, kernel, stride, pad) in shapes {
        let s = ConvShape::new(n, h, w, c, k, kernel, kernel, stride, pad).expect("a valid shape");
        let (x, weights, dy) = (noise(s.x_len(), 1), noise(s.w_len(), 2), noise(s.y_len(), 3));
        same_bits(&format!("forward of {s:?}"), || {
            let (mut y, mut mean, mut var) = (vec![0f32; s.y_len()], vec![0f32; k], vec![0f32; k]);
            let statistics = Epilogue::Statistics { mean: &mut mean, var: &mut var };
            conv::forward(&x, &weights, &s, false, statistics, &mut y);
            [y, mean, var].concat()
        });
        if kernel == 3 && stride == 1 {
            same_bits(&format!("pooled forward of {s:?}"), || {
                let mut y = vec![0f32; s.y_len() / 4];
                conv::Packed::new(&weights, &s, false).forward_pooled(&x, &s, &vec![0.5; k], &mut y);
                y
            });
        }
        same_bits(&format!("dx of {s:?}"), || {
            let mut dx = x.clone();
            conv::dx(&dy, &weights, &s, false, true, &mut dx);
            dx
        });
        same_bits(&format!("dw of {s:?}"), || {
            let mut dw = vec![0f32; s.w_len()];
            conv::dw(&x, &dy, &s, false, &mut dw);
            dw
        });
        let (mean, var, gamma, beta) = (noise(c, 4), vec![0.5f32; c], noise(c, 5), noise(c, 6));
        let layer = Norm { mean: &mean, var: &var, gamma: &gamma, beta: &beta, eps: 1e-5 };
        same_bits(&format!("gradients through a normalised input of {s:?}"), || {
            let (mut dx, mut dgamma, mut dbeta) = (x.clone(), gamma.clone(), beta.clone());
            conv::dx_normed(&dy, &weights, &s, false, &x, &layer, &mut dx, &mut dgamma, &mut dbeta);
            [dx, dgamma, dbeta].concat()
        });
    }
}

#[test]
fn other_kernels_give_the_same_bits_on_any_number_of_threads() {
    let (rows, c) = (6000, 24);
    let (x, y, dy) = (noise(rows * c, 1), noise(rows * c, 2), noise(rows * c, 3));
    let (mean, var, gamma, beta) = (noise(c, 4), vec![0.5f32; c], noise(c, 5), noise(c, 6));
    let layer = Norm { mean: &mean, var: &var, gamma: &gamma, beta: &beta, eps: 1e-5 };
    let empty = || vec![0f32; x.len()];
    same_bits("norm", || {
        let (mut out, mut dx, mut dskip) = (empty(), x.clone(), dy.clone());
        let mut sums = [vec![0f32; c], vec![0f32; c], vec![0f32; c], vec![0f32; c]];
        let [m, v, dgamma, dbeta] = &mut sums;
        norm::statistics(&x, c, m, v);
        norm::forward(&x, c, &layer, Some(&y), true, &mut out);
        norm::backward(&mut dx, Some(&y), &mut dskip, c, &layer, dgamma, dbeta);
        [out, dx, dskip, sums.concat()].concat()
    });
    same_bits("activations", || {
        let (mut a, mut b, mut d, mut dz, mut dbias) = (empty(), empty(), empty(), empty(), vec![0f32; c]);
        activation::relu(&x, &mut a);
        activation::relu_backward(&y, &dy, &mut b);
        activation::dropout(&x, 0.5, [7, 8, 9], &mut d);
        activation::bias_relu_backward(Some(&y), &dy, c, &mut dz, &mut dbias);
        [a, b, d, dz, dbias].concat()
    });
    same_bits("pooling, shortcut and lrn", || {
        let s = PoolShape::new(60, 10, 10, c, 3, 2, 1).expect("a valid shape");
        let (mut p, mut dx, mut g, mut l, mut dl) =
            (vec![0f32; s.y_len()], empty(), vec![0f32; 60 * c], empty(), empty());
        pool::max_forward(&x, &s, &mut p);
        pool::max_backward(&x, &p, &s, &mut dx);
        pool::global_average(&x, 60, 100, c, &mut g);
        let mut short = vec![0f32; 60 * 5 * 5 * 2 * c];
        shortcut::subsample_pad(&x, 60, 10, 10, c, 2, 2 * c, &mut short);
        let constants = Lrn { size: 5, alpha: 1e-4, beta: 0.75, k: 2.0 };
        lrn::forward(&x, c, &constants, &mut l);
        lrn::backward(&x, &l, &dy, c, &constants, &mut dl);
        [p, dx, g, short, l, dl].concat()
    });
    same_bits("linear, loss and updates", || {
        let (n, inputs, k) = (300, 480, 70);
        let w = noise(k * inputs, 8);
        let (mut out, mut dx, mut dw) = (vec![0f32; n * k], vec![0f32; n * inputs], vec![0f32; k * inputs]);
        linear::forward(&x[..n * inputs], &w, None, n, inputs, k, true, &mut out);
        linear::dx(&out, &w, n, inputs, k, &mut dx);
        linear::dw(&x[..n * inputs], &out, n, inputs, k, &mut dw);
        let (mut losses, mut dlogits) = (vec![0f32; n], vec![0f32; n * k]);
        let targets = vec![1.0 / k as f32; n * k];
        loss::softmax_cross_entropy(&out, &targets, n, k, &mut losses, &mut dlogits);
        let (mut weights, mut v) = (x.clone(), y.clone());
        update::sgd(&mut weights, &dy, &mut v, &Sgd { lr: 0.1, momentum: 0.9, weight_decay: 1e-4, nesterov: true });
        update::ema(&mut v, &weights, 0.9);
        let bytes: Vec<u8> = x.iter().map(|v| (v * 100.0 + 110.0) as u8).collect();
        let mut normal = empty();
        pixels::normalize(&bytes, 3, &[0.1, 0.2, 0.3], &[0.0, 0.1, 0.2], &mut normal);
        let squares = update::sum_of_squares(&x).to_bits();
        let halves = vec![f32::from_bits(squares as u32), f32::from_bits((squares >> 32) as u32)];
        [out, dx, dw, losses, dlogits, weights, v, normal, halves].concat()
    });
}
