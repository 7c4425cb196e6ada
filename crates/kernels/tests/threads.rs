//! Results have the same bits with any number of threads: every kernel that is split into tasks
//! runs on 1, 2, 3 and 20 threads, at sizes with several tasks.
//!
//! One task would prove nothing, so the sizes follow from the blocking: element-wise kernels have
//! several tasks from 32 Ki elements on, column sums have tasks of 32 Ki, matrix products blocks of
//! 256 x 1024, and the blocks of convolutions are given at each shape. The numbers depend on lanes
//! and registers; there are at least two tasks on every instruction set.

mod support;

use residual_kernels::lrn::Lrn;
use residual_kernels::norm::Norm;
use residual_kernels::update::Sgd;
use residual_kernels::{
    ConvShape, Epilogue, PoolDims, PoolShape, activation, conv, linear, loss, lrn, norm, pixels, pool, shortcut, update,
};
use support::{Sizes, conv_shape, noise, on_every_isa};

/// Runs `f` on thread pools of 1, 2, 3 and 20 threads, more than a single image has tasks, and
/// compares the results.
fn same_bits(what: &str, f: impl Fn() -> Vec<f32> + Sync) {
    on_every_isa(|| {
        let isa = residual_kernels::Isa::active();
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads can be started");
            let values = pool.install(|| isa.with(&f));
            values.iter().map(|v| v.to_bits()).collect::<Vec<u32>>()
        };
        let one = on(1);
        for threads in [2, 3, 20] {
            assert!(one == on(threads), "{what} on {isa}: {threads} threads give other bits than one");
        }
    });
}

/// Shapes for every loop order, with several tasks and as few products as possible.
const SHAPES: [Sizes; 10] = [
    // F(4x4), 49 tiles: two blocks, and for more threads than that six chunks, where the filters
    // are packed.
    (1, 28, 28, 24, 96, 3, 1, 1),
    // F(4x4) by tiles: 96 in six blocks; the weight gradient in two groups.
    (6, 16, 16, 32, 32, 3, 1, 1),
    // F(4x4) by channels, 66 tiles and 4.2 MB of filters: two blocks or more, six chunks or more;
    // the weight gradient in nine.
    (66, 4, 4, 172, 170, 3, 1, 1),
    // F(2x2) by tiles: 70 in four blocks; the weight gradient in two groups.
    (70, 2, 2, 96, 80, 3, 1, 1),
    // F(2x2) by channels: 16 tiles and 4.3 MB of filters, eight chunks.
    (1, 7, 7, 264, 256, 3, 1, 1),
    // A weight gradient in two rounds, 14 MB of transformed tiles in each, and 36 chunks.
    (5, 16, 16, 8, 2280, 3, 1, 1),
    // Patches in blocks of 96, four phases backward; 1280 positions of the weight gradient in two
    // groups.
    (20, 16, 16, 24, 40, 3, 2, 1),
    // Three of four pixels of the input gradient are zero; 1176 positions in two groups.
    (24, 14, 14, 64, 48, 1, 2, 0),
    // More than 16 Ki weights, packed in tasks; 2500 positions in two groups and, with 10 MB to
    // read, two rounds.
    (4, 25, 25, 17, 1000, 1, 1, 0),
    // The stem: 1280 positions in two groups.
    (5, 32, 32, 3, 16, 7, 2, 3),
];

/// Calls `check` with every shape, its input, weights and output gradient, and a batch norm of the
/// input.
fn on_every_shape(check: impl Fn(&ConvShape, &[f32], &[f32], &[f32], &Norm<'_>)) {
    for sizes in SHAPES {
        let s = conv_shape(sizes);
        let c = s.c();
        let (x, weights, dy) = (noise(s.x_len(), 1), noise(s.w_len(), 2), noise(s.y_len(), 3));
        let (mean, var, gamma, beta) = (noise(c, 4), vec![0.5f32; c], noise(c, 5), noise(c, 6));
        check(&s, &x, &weights, &dy, &Norm { mean: &mean, var: &var, gamma: &gamma, beta: &beta, eps: 1e-5 });
    }
}

#[test]
fn convolutions_give_the_same_bits_on_any_number_of_threads() {
    on_every_shape(|s, x, w, dy, _| {
        let bias = noise(s.k(), 7);
        same_bits(&format!("forward of {s:?}"), || {
            let (mut y, mut mean, mut var) = (vec![0f32; s.y_len()], vec![0f32; s.k()], vec![0f32; s.k()]);
            let statistics = Epilogue::Statistics { mean: &mut mean, var: &mut var };
            conv::forward(x, w, s, false, statistics, &mut y);
            [y, mean, var].concat()
        });
        same_bits(&format!("forward of {s:?} with packed weights"), || {
            let (packed, mut y) = (conv::PackedConv::new(w, s, false), dy.to_vec());
            packed.forward(x, s, Epilogue::Residual { bias: &bias }, &mut y);
            let windows = if packed.can_fuse_max_pool() { s.n() * (s.out_h() / 2) * (s.out_w() / 2) } else { 0 };
            let mut pooled = vec![0f32; windows * s.k()];
            if packed.can_fuse_max_pool() {
                packed.forward_max_pool(x, s, &bias, &mut pooled);
            }
            [y, pooled].concat()
        });
        same_bits(&format!("gradients of {s:?}"), || {
            let (mut dx, mut sum, mut dw) = (vec![f32::NAN; s.x_len()], x.to_vec(), vec![0f32; s.w_len()]);
            conv::dx(dy, w, s, false, false, &mut dx);
            conv::dx(dy, w, s, false, true, &mut sum);
            conv::dw(x, dy, s, false, &mut dw);
            [dx, sum, dw].concat()
        });
    });
}

#[test]
fn convolutions_of_a_normalised_input_give_the_same_bits_on_any_number_of_threads() {
    on_every_shape(|s, x, w, dy, layer| {
        same_bits(&format!("forward of a normalised input of {s:?}"), || {
            let (mut y, mut mean, mut var) = (vec![0f32; s.y_len()], vec![0f32; s.k()], vec![0f32; s.k()]);
            let statistics = Epilogue::Statistics { mean: &mut mean, var: &mut var };
            conv::forward_bn_relu(x, layer, w, s, false, statistics, &mut y);
            [y, mean, var].concat()
        });
        same_bits(&format!("gradients through a normalised input of {s:?}"), || {
            let (mut dx, mut dgamma, mut dbeta) = (vec![f32::NAN; s.x_len()], vec![0f32; s.c()], vec![0f32; s.c()]);
            let mut dw = vec![0f32; s.w_len()];
            conv::dx_bn_relu(dy, w, s, false, x, layer, &mut dx, &mut dgamma, &mut dbeta);
            conv::dw_bn_relu(x, layer, dy, s, false, &mut dw);
            [dx, dgamma, dbeta, dw].concat()
        });
    });
}

#[test]
fn normalisations_give_the_same_bits_on_any_number_of_threads() {
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
    same_bits("scale and shift", || {
        let (mut out, mut dx, mut dskip) = (empty(), empty(), empty());
        let (mut dgamma, mut dbeta) = (vec![0f32; c], vec![0f32; c]);
        norm::scale_shift(&x, c, &gamma, &beta, Some(&y), true, &mut out);
        norm::scale_shift_backward(&x, Some(&y), &dy, c, &gamma, &mut dx, Some(&mut dskip), &mut dgamma, &mut dbeta);
        [out, dx, dskip, dgamma, dbeta].concat()
    });
    let constants = Lrn { size: 5, alpha: 1e-4, beta: 0.75, k: 2.0 };
    same_bits("local response norm", || {
        let (mut out, mut dx) = (empty(), empty());
        lrn::forward(&x, c, &constants, &mut out);
        lrn::backward(&x, &out, &dy, c, &constants, &mut dx);
        [out, dx].concat()
    });
}

#[test]
fn pools_and_shortcuts_give_the_same_bits_on_any_number_of_threads() {
    // Three images, each in three blocks of channels.
    let (n, h, w, c) = (3, 20, 20, 130);
    let s = PoolShape::new(PoolDims { n, h, w, c, kernel: 3, stride: 2, pad: 1 }).expect("a valid shape");
    let (x, dy) = (noise(s.x_len(), 1), noise(s.y_len(), 2));
    let (inputs, outputs) = (|| vec![0f32; s.x_len()], || vec![0f32; s.y_len()]);
    same_bits("pooling", || {
        let (mut largest, mut dx, mut average, mut dx_average) = (outputs(), inputs(), outputs(), inputs());
        pool::max_forward(&x, &s, &mut largest);
        pool::max_backward(&x, &dy, &s, &mut dx);
        pool::avg_forward(&x, &s, &mut average);
        pool::avg_backward(&dy, &s, &mut dx_average);
        [largest, dx, average, dx_average].concat()
    });
    same_bits("global and adaptive averages", || {
        let (mut y, mut dx, mut adaptive, mut dx_adaptive) =
            (vec![0f32; n * c], inputs(), vec![0f32; n * 7 * 6 * c], inputs());
        pool::global_average(&x, n, h * w, c, &mut y);
        pool::global_average_backward(&y, n, h * w, c, &mut dx);
        pool::adaptive_average(&x, n, h, w, c, 7, 6, &mut adaptive);
        pool::adaptive_average_backward(&adaptive, n, h, w, c, 7, 6, &mut dx_adaptive);
        [y, dx, adaptive, dx_adaptive].concat()
    });
    same_bits("the shortcut", || {
        let (mut y, mut dx) = (vec![0f32; n * (h / 2) * (w / 2) * 2 * c], inputs());
        shortcut::subsample_pad(&x, n, h, w, c, 2, 2 * c, &mut y);
        shortcut::subsample_pad_backward(&y, n, h, w, c, 2, 2 * c, &mut dx);
        [y, dx].concat()
    });
}

#[test]
fn linear_layers_give_the_same_bits_on_any_number_of_threads() {
    // Two blocks of rows and two of columns in both gradients; dot products in 19 tasks of 16 rows.
    let (c, k) = (1100, 300);
    let (w, bias) = (noise(k * c, 1), noise(k, 2));
    for n in [300, 3, 1] {
        let (x, dy) = (noise(n * c, 3), noise(n * k, 4));
        same_bits(&format!("linear layer of {n} images"), || {
            let (mut y, mut dx, mut dw) = (vec![0f32; n * k], vec![0f32; n * c], vec![0f32; k * c]);
            linear::forward(&x, &w, Some(&bias), n, c, k, true, &mut y);
            linear::dx(&dy, &w, n, c, k, &mut dx);
            linear::dw(&x, &dy, n, c, k, &mut dw);
            [y, dx, dw].concat()
        });
    }
}

#[test]
fn elementwise_kernels_give_the_same_bits_on_any_number_of_threads() {
    let (rows, c) = (6000, 24);
    let (x, y, dy) = (noise(rows * c, 1), noise(rows * c, 2), noise(rows * c, 3));
    let empty = || vec![0f32; x.len()];
    same_bits("activations", || {
        let (mut a, mut b, mut d, mut dz, mut dbias) = (empty(), empty(), empty(), empty(), vec![0f32; c]);
        activation::relu(&x, &mut a);
        activation::relu_backward(&y, &dy, &mut b);
        activation::dropout(&x, 0.5, [7, 8, 9], &mut d);
        activation::bias_relu_backward(Some(&y), &dy, c, &mut dz, &mut dbias);
        [a, b, d, dz, dbias].concat()
    });
    same_bits("softmax and its loss", || {
        // 31 rows of 130 logits in a task.
        let (n, k) = (1000, 130);
        let (logits, targets) = (&x[..n * k], vec![1.0 / k as f32; n * k]);
        let (mut shares, mut losses, mut dlogits) = (vec![0f32; n * k], vec![0f32; n], vec![0f32; n * k]);
        loss::softmax(logits, n, k, &mut shares);
        loss::softmax_cross_entropy(logits, &targets, n, k, &mut losses, &mut dlogits);
        [shares, losses, dlogits].concat()
    });
    same_bits("updates", || {
        let (mut weights, mut v, mut sum, mut scaled) = (x.clone(), y.clone(), x.clone(), x.clone());
        update::sgd(&mut weights, &dy, &mut v, &Sgd { lr: 0.1, momentum: 0.9, weight_decay: 1e-4, nesterov: true });
        update::ema(&mut v, &weights, 0.9);
        update::add(&mut sum, &dy);
        update::scale(&mut scaled, 0.3);
        let squares = update::sum_of_squares(&x).to_bits();
        let halves = vec![f32::from_bits(squares as u32), f32::from_bits((squares >> 32) as u32)];
        [weights, v, sum, scaled, halves].concat()
    });
    same_bits("pixels", || {
        let bytes: Vec<u8> = x.iter().map(|v| (v * 100.0 + 110.0) as u8).collect();
        let mut normal = empty();
        pixels::normalize(&bytes, 3, &[0.1, 0.2, 0.3], &[0.0, 0.1, 0.2], &mut normal);
        normal
    });
}
