//! Measures the memory-bound kernels, in GB/s of the tensors that they must read and write at least
//! once.
//!
//! `cargo bench -p residual-kernels --bench memory`; the least of the times is shown, beside that
//! of a copy.
#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

use residual_kernels::lrn::{self, Lrn};
use residual_kernels::norm::Norm;
use residual_kernels::update::Sgd;
use residual_kernels::{PoolDims, PoolShape, activation, linear, loss, norm, pixels, pool, update};

/// Prints the rate of a kernel that reads and writes `floats` values.
fn rate(name: &str, floats: usize, mut f: impl FnMut()) {
    f();
    let mut best = f64::INFINITY;
    for _ in 0..12 {
        let start = clock();
        f();
        best = best.min(clock() - start);
    }
    println!("{name:>44} {:>9.3} ms {:>7.1} GB/s", 1e3 * best, 4e-9 * floats as f64 / best);
}

/// Returns the time in seconds: wall time with several threads, CPU time of the process with one,
/// which other programs on the machine disturb less.
fn clock() -> f64 {
    let id = if rayon::current_num_threads() == 1 { libc::CLOCK_PROCESS_CPUTIME_ID } else { libc::CLOCK_MONOTONIC };
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes to a local.
    unsafe { libc::clock_gettime(id, &mut time) };
    time.tv_sec as f64 + 1e-9 * time.tv_nsec as f64
}

fn main() {
    println!("{} threads", rayon::current_num_threads());
    // Maps of ResNet-20 and of ResNet-18, batch 128: one that fits a 32 MB cache with its copy, one
    // that does not.
    for (rows, c) in [(128 * 32 * 32, 16), (128 * 32 * 32, 64), (128 * 16, 512)] {
        let len = rows * c;
        println!("[{rows}, {c}]");
        let (x, y, dy) = (vec![0.5f32; len], vec![1f32; len], vec![0.25f32; len]);
        let (mut dx, mut dskip) = (vec![0f32; len], vec![0f32; len]);
        let per = || vec![1f32; c];
        let (mean, var, gamma, beta, mut a, mut b) = (per(), per(), per(), per(), per(), per());
        let layer = Norm { mean: &mean, var: &var, gamma: &gamma, beta: &beta, eps: 1e-5 };
        rate("one thread, copy_from_slice", 2 * len, || dx.copy_from_slice(&x));
        rate("statistics", len, || norm::statistics(&x, c, &mut a, &mut b));
        rate("norm forward, relu", 2 * len, || norm::forward(&x, c, &layer, None, true, &mut dx));
        rate("norm forward, skip, relu", 3 * len, || norm::forward(&x, c, &layer, Some(&dy), true, &mut dx));
        rate("norm backward, relu (two passes, in place)", 7 * len, || {
            norm::backward(&mut dx, Some(&y), &mut dskip, c, &layer, &mut a, &mut b);
        });
        rate("relu", 2 * len, || activation::relu(&x, &mut dx));
        rate("bias and relu backward", 3 * len, || {
            activation::bias_relu_backward(Some(&y), &dy, c, &mut dx, &mut a);
        });
        rate("add", 3 * len, || update::add(&mut dx, &dy));
        rate("sgd", 5 * len, || {
            let step = Sgd { lr: 0.1, momentum: 0.9, weight_decay: 5e-4, nesterov: false };
            update::sgd(&mut dx, &dy, &mut dskip, &step);
        });
        // VGG's A-LRN (Krizhevsky 2012).
        let local = Lrn { size: 5, alpha: 1e-4, beta: 0.75, k: 2.0 };
        rate("lrn forward", 2 * len, || lrn::forward(&x, c, &local, &mut dx));
        rate("lrn backward", 4 * len, || lrn::backward(&x, &y, &dy, c, &local, &mut dx));
        rate("dropout", 2 * len, || activation::dropout(&x, 0.5, [1, 2, 3], &mut dx));
        let side = (rows / 128).isqrt();
        let s = PoolShape::new(PoolDims { n: 128, h: side, w: side, c, kernel: 2, stride: 2, pad: 0 })
            .expect("a valid shape");
        let quarter = vec![0f32; s.y_len()];
        rate("max pool 2x2", len + s.y_len(), || pool::max_forward(&x, &s, &mut dx[..s.y_len()]));
        rate("max pool 2x2 backward", 2 * len + s.y_len(), || pool::max_backward(&x, &quarter, &s, &mut dx));
        rate("global average", len, || pool::global_average(&x, 128, rows / 128, c, &mut dx[..128 * c]));
        rate("global average backward", len, || {
            pool::global_average_backward(&quarter[..128 * c], 128, rows / 128, c, &mut dx);
        });
    }
    let bytes = vec![7u8; 128 * 224 * 224 * 3];
    let mut y = vec![0f32; bytes.len()];
    rate("pixels [128, 224, 224, 3]", bytes.len() * 5 / 4, || {
        pixels::normalize(&bytes, 3, &[0.1, 0.2, 0.3], &[0.5, 0.6, 0.7], &mut y);
    });
    for (n, k) in [(128, 10), (256, 1000)] {
        let (z, t) = (vec![0.5f32; n * k], vec![0.1f32; n * k]);
        let (mut losses, mut d) = (vec![0f32; n], vec![0f32; n * k]);
        rate(&format!("cross-entropy [{n}, {k}]"), 3 * n * k, || {
            loss::softmax_cross_entropy(&z, &t, n, k, &mut losses, &mut d);
        });
    }
    for (n, c, k) in [(1, 25088, 4096), (16, 25088, 4096), (128, 512, 10), (256, 4096, 4096)] {
        let (x, w, dy) = (vec![0.5f32; n * c], vec![0.1f32; k * c], vec![0.2f32; n * k]);
        let (mut y, mut dx, mut dw) = (vec![0f32; n * k], vec![0f32; n * c], vec![0f32; k * c]);
        rate(&format!("linear [{n}, {c}] -> {k}"), k * c + n * (c + k), || {
            linear::forward(&x, &w, None, n, c, k, true, &mut y);
        });
        rate("dx", k * c + n * (c + k), || linear::dx(&dy, &w, n, c, k, &mut dx));
        rate("dw", k * c + n * (c + k), || linear::dw(&x, &dy, n, c, k, &mut dw));
    }
}
