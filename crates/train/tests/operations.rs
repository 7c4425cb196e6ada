//! Every operation with kernels against its twin composed of plain Burn operations: values and all gradients.
//!
//! The kernels' own crate holds them against f64 references shape by shape; here the whole way through the backend
//! extension and autodiff is under test, so the tolerance is a plain one for float32 sums of up to a few thousand terms.

use burn::tensor::{Device, Tensor, TensorData};
use proptest::prelude::*;
use rand::Rng;
use residual_train::ops::{self, Affine, ConvMode, Lrn, Nhwc, Statistics, Window, composed};
use residual_train::random::{Purpose, stream};

fn device() -> Device {
    Device::flex().autodiff()
}

/// Values in [-1, 1) by seed.
fn tensor<const D: usize>(dims: [usize; D], seed: u64) -> Tensor<D> {
    let mut draws = stream(seed, Purpose::Init, 0, 0);
    let values: Vec<f32> = (0..dims.iter().product()).map(|_| draws.random_range(-1.0..1.0)).collect();
    Tensor::from_data(TensorData::new(values, dims), &device()).require_grad()
}

fn values<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    x.into_data().try_to_vec::<f32>().expect("f32")
}

/// Equal to `1e-4` of the larger of 1 and the largest value.
fn assert_close(what: &str, ours: &[f32], theirs: &[f32]) {
    assert_eq!(ours.len(), theirs.len(), "{what}");
    let scale = theirs.iter().fold(1.0f32, |m, v| m.max(v.abs()));
    for (i, (a, b)) in ours.iter().zip(theirs).enumerate() {
        assert!((a - b).abs() <= 1e-4 * scale, "{what}[{i}]: {a} instead of {b}");
    }
}

/// Runs both versions on the same inputs, weighs the outputs with fixed random numbers, and compares outputs and the
/// gradients of all inputs.
fn compare<const D: usize>(
    name: &str,
    inputs4: &[&Tensor<4>],
    inputs2: &[&Tensor<2>],
    inputs1: &[&Tensor<1>],
    ours: impl Fn() -> Tensor<D>,
    theirs: impl Fn() -> Tensor<D>,
) {
    let (ours, theirs) = (ours(), theirs());
    let weight: Tensor<D> = tensor(ours.dims(), 99).detach();
    assert_close(name, &values(ours.clone()), &values(theirs.clone()));
    let ours = (ours * weight.clone()).sum().backward();
    let theirs = (theirs * weight).sum().backward();
    for (i, x) in inputs4.iter().enumerate() {
        let gradient = |g| values(x.grad(g).expect("a gradient"));
        assert_close(&format!("{name}: gradient of map {i}"), &gradient(&ours), &gradient(&theirs));
    }
    for (i, x) in inputs2.iter().enumerate() {
        let gradient = |g| values(x.grad(g).expect("a gradient"));
        assert_close(&format!("{name}: gradient of matrix {i}"), &gradient(&ours), &gradient(&theirs));
    }
    for (i, x) in inputs1.iter().enumerate() {
        let gradient = |g| values(x.grad(g).expect("a gradient"));
        assert_close(&format!("{name}: gradient of vector {i}"), &gradient(&ours), &gradient(&theirs));
    }
}

#[derive(Debug, Clone, Copy)]
struct Conv {
    n: usize,
    h: usize,
    w: usize,
    c: usize,
    k: usize,
    kernel: usize,
    window: Window,
}

fn convs() -> impl Strategy<Value = Conv> {
    let kernels = prop_oneof![Just(1usize), Just(3), Just(7)];
    (1..4usize, 1..14usize, 1..14usize, 1..20usize, 1..20usize, kernels, 1..3usize).prop_map(
        |(n, h, w, c, k, kernel, stride)| Conv { n, h, w, c, k, kernel, window: Window { stride, pad: kernel / 2 } },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn convolutions_agree(s in convs(), seed in 0..1000u64, precise: bool, relu: bool) {
        let (x, w) = (tensor([s.n, s.h, s.w, s.c], seed), tensor([s.k, s.c, s.kernel, s.kernel], seed + 1));
        let bias = tensor([s.k], seed + 2);
        let mode = ConvMode { precise, shares_gradient: false };
        compare(
            "conv", &[&x, &w], &[], &[],
            || ops::conv(Nhwc(x.clone()), w.clone(), s.window, mode).0,
            || composed::conv(Nhwc(x.clone()), w.clone(), s.window).0,
        );
        // A value within rounding of zero may fall on either side of the ReLU: its mask is not compared.
        let relu = relu && values(composed::conv_bias(Nhwc(x.clone()), w.clone(), bias.clone(), s.window, false).0)
            .iter().all(|v| v.abs() > 1e-4);
        compare(
            "conv_bias", &[&x, &w], &[], &[&bias],
            || ops::conv_bias(Nhwc(x.clone()), w.clone(), bias.clone(), s.window, mode, relu).0,
            || composed::conv_bias(Nhwc(x.clone()), w.clone(), bias.clone(), s.window, relu).0,
        );
    }

    #[test]
    fn convolution_and_batch_norm_agree(s in convs(), seed in 0..1000u64, skip: bool) {
        prop_assume!(s.n * s.h.div_ceil(s.window.stride) * s.w.div_ceil(s.window.stride) > 3);
        let (x, w) = (tensor([s.n, s.h, s.w, s.c], seed), tensor([s.k, s.c, s.kernel, s.kernel], seed + 1));
        let affine = || Affine { gamma: tensor([s.k], seed + 2), beta: tensor([s.k], seed + 3), eps: 1e-5 };
        let affine = affine();
        let mode = ConvMode::default();
        let (y, _) = composed::conv_statistics(Nhwc(x.clone()), w.clone(), s.window);
        let around: Tensor<4> = tensor(y.dims(), seed + 4);
        let skip = || skip.then(|| Nhwc(around.clone()));
        let mut maps = vec![x.clone(), w.clone()];
        maps.extend(skip().map(|skip| skip.0));
        compare(
            "norm", &maps.iter().collect::<Vec<_>>(), &[], &[&affine.gamma, &affine.beta],
            || {
                let (y, statistics) = ops::conv_statistics(Nhwc(x.clone()), w.clone(), s.window, mode);
                ops::norm(y, statistics, affine.clone(), skip(), false).0
            },
            || {
                let (y, _) = composed::conv_statistics(Nhwc(x.clone()), w.clone(), s.window);
                composed::norm(y, affine.clone(), skip(), false).0
            },
        );
        let (scale, shift) = (affine.gamma.clone(), affine.beta.clone());
        compare(
            "scale_shift", &[&x], &[], &[&scale, &shift],
            || {
                let y = ops::conv(Nhwc(x.clone()), w.clone(), s.window, mode);
                ops::scale_shift(y, scale.clone(), shift.clone(), skip(), false).0
            },
            || {
                let y = composed::conv(Nhwc(x.clone()), w.clone(), s.window);
                composed::scale_shift(y, scale.clone(), shift.clone(), skip(), false).0
            },
        );
    }

    #[test]
    fn a_convolution_of_a_normalised_map_agrees(s in convs(), seed in 0..1000u64, precise: bool) {
        prop_assume!(s.n * s.h * s.w > 3);
        let (x, w) = (tensor([s.n, s.h, s.w, s.c], seed), tensor([s.k, s.c, s.kernel, s.kernel], seed + 1));
        // Far from zero, so that no value is within rounding of the ReLU's edge: its mask would not be compared.
        let beta: Vec<f32> = values(tensor::<1>([s.c], seed + 3)).iter().map(|beta| beta + 6.0).collect();
        let beta = Tensor::from_data(TensorData::new(beta, [s.c]), &device()).require_grad();
        let affine = Affine { gamma: tensor([s.c], seed + 2), beta, eps: 1e-5 };
        let statistics = || {
            let mean = x.clone().detach().mean_dims(&[0, 1, 2]);
            let centred = x.clone().detach() - mean.clone();
            let var = (centred.clone() * centred).mean_dims(&[0, 1, 2]);
            Statistics { mean: mean.reshape([s.c]), var: var.reshape([s.c]) }
        };
        let mode = ConvMode { precise, shares_gradient: false };
        compare(
            "normed_conv", &[&x, &w], &[], &[&affine.gamma, &affine.beta],
            || ops::normed_conv(Nhwc(x.clone()), statistics(), affine.clone(), w.clone(), s.window, mode).0.0,
            || composed::conv(composed::norm(Nhwc(x.clone()), affine.clone(), None, true), w.clone(), s.window).0,
        );
    }

    #[test]
    fn poolings_and_shortcuts_agree(n in 1..4usize, h in 3..12usize, w in 3..12usize, c in 1..20usize, seed in 0..1000u64) {
        let x = tensor([n, h, w, c], seed);
        let map = || Nhwc(x.clone());
        for (kernel, window) in [(2, Window { stride: 2, pad: 0 }), (3, Window { stride: 2, pad: 1 })] {
            compare("max_pool", &[&x], &[], &[],
                || ops::max_pool(map(), kernel, window).0, || composed::max_pool(map(), kernel, window).0);
            compare("avg_pool", &[&x], &[], &[],
                || ops::avg_pool(map(), kernel, window).0, || composed::avg_pool(map(), kernel, window).0);
        }
        compare("global_average", &[&x], &[], &[],
            || ops::global_average(map()), || composed::global_average(map()));
        compare("adaptive_average", &[&x], &[], &[],
            || ops::adaptive_average(map(), [7, 7]).0, || composed::adaptive_average(map(), [7, 7]).0);
        for (stride, k) in [(1, c), (2, 2 * c), (2, c + 3)] {
            compare("subsample_pad", &[&x], &[], &[],
                || ops::subsample_pad(map(), stride, k).0, || composed::subsample_pad(map(), stride, k).0);
        }
        let rule = Lrn { size: 5, alpha: 0.3, beta: 0.75, k: 2.0 };
        compare("lrn", &[&x], &[], &[], || ops::lrn(map(), rule).0, || composed::lrn(map(), rule).0);
    }

    #[test]
    fn fully_connected_layers_and_losses_agree(n in 1..9usize, c in 1..70usize, k in 2..30usize, seed in 0..1000u64) {
        let (x, w, bias) = (tensor([n, c], seed), tensor([k, c], seed + 1), tensor([k], seed + 2));
        compare("linear", &[], &[&x, &w], &[&bias],
            || ops::linear(x.clone(), w.clone(), bias.clone(), false),
            || composed::linear(x.clone(), w.clone(), bias.clone(), false));
        let logits = tensor([n, k], seed + 3);
        let targets = burn::tensor::activation::softmax(tensor::<2>([n, k], seed + 4).detach(), 1);
        compare("cross_entropy", &[], &[&logits], &[],
            || ops::cross_entropy(logits.clone(), targets.clone()),
            || composed::cross_entropy(logits.clone(), targets.clone()));
    }
}

#[test]
fn relu_passes_gradients_where_its_output_is_positive() {
    let x = tensor([2, 3, 5, 7], 5);
    let y = ops::relu(Nhwc(x.clone())).0;
    let gradients = y.clone().sum().backward();
    let mask: Vec<f32> = values(x.clone()).iter().map(|&v| f32::from(u8::from(v > 0.0))).collect();
    assert_eq!(values(x.grad(&gradients).expect("a gradient")), mask);
    assert_eq!(values(y), values(x).iter().map(|v| v.max(0.0)).collect::<Vec<_>>());
}

#[test]
fn dropout_keeps_the_mean_and_repeats_its_mask_backwards() {
    let x = Tensor::<2>::ones([64, 1000], &device()).require_grad();
    let y = ops::dropout(x.clone(), 0.3, [1, 2, 3]);
    let kept = values(y.clone());
    let zeros = kept.iter().filter(|v| **v == 0.0).count() as f64 / kept.len() as f64;
    // 64,000 draws: the share of zeros has a standard deviation of 0.0018.
    assert!((zeros - 0.3).abs() < 0.01, "{zeros}");
    assert!(kept.iter().all(|v| *v == 0.0 || (v - 1.0 / 0.7).abs() < 1e-6));
    let gradients = y.sum().backward();
    assert_eq!(values(x.grad(&gradients).expect("a gradient")), kept);
    assert_ne!(values(ops::dropout(x.clone(), 0.3, [1, 3, 3])), kept, "another step, another mask");
    assert_eq!(values(ops::dropout(x, 0.3, [1, 2, 3])), kept, "the same key, the same mask");
}

#[test]
fn a_residual_fork_adds_both_gradients() {
    let (x, w) = (tensor([2, 6, 6, 4], 1), tensor([4, 4, 3, 3], 2));
    let window = Window { stride: 1, pad: 1 };
    let block = |fork| {
        // The input is not a leaf, as in a network: there the gradient is taken out and added to.
        let x = Nhwc(x.clone() * 1.0);
        let skip = x.clone();
        let y = ops::conv(x, w.clone(), window, ConvMode { precise: true, shares_gradient: fork });
        let (mean, var) = (Tensor::zeros([4], &device()), Tensor::ones([4], &device()));
        let affine = Affine { gamma: Tensor::ones([4], &device()), beta: Tensor::zeros([4], &device()), eps: 0.0 };
        ops::norm(y, Statistics { mean, var }, affine, Some(skip), false).0
    };
    let gradient = |fork| values(x.grad(&block(fork).sum().backward()).expect("a gradient"));
    assert_close("fork", &gradient(true), &gradient(false));
}
