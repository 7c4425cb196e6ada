//! Support for the tests of the kernels: random values and shapes, equality of bits, and bounds on
//! rounding errors.
#![allow(dead_code, reason = "each test binary uses its part")]

use proptest::prelude::*;
use residual_kernels::norm::Norm;
use residual_kernels::{ConvDims, ConvShape, Isa, PoolDims, PoolShape, naive};

/// Relative error of one rounding: half a unit in the last place of 1.
pub const U: f64 = 1.0 / 16_777_216.0;

/// Returns reproducible values between -1 and 1 (PCG, O'Neill 2014).
pub fn noise(len: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let word = (((state >> 18) ^ state) >> 27) as u32;
            f32::from(word.rotate_right((state >> 59) as u32) as u16) / 32_768.0 - 1.0
        })
        .collect()
}

/// Returns the absolute values.
pub fn magnitudes(values: &[f32]) -> Vec<f32> {
    values.iter().map(|v| v.abs()).collect()
}

/// Settings of a property test: `usual` random cases, or `$RESIDUAL_TEST_CASES`.
pub fn cases(usual: u32) -> ProptestConfig {
    let asked = std::env::var("RESIDUAL_TEST_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig { cases: asked.unwrap_or(usual), ..ProptestConfig::default() }
}

/// Fails if a value is further from its reference than the bound and the rounding of the reference
/// allow.
#[track_caller]
pub fn assert_within(what: &str, values: &[f32], reference: &[f32], bound: impl Fn(usize) -> f64) {
    assert_eq!(values.len(), reference.len(), "{what}");
    for (i, (&value, &expected)) in values.iter().zip(reference).enumerate() {
        let error = (f64::from(value) - f64::from(expected)).abs();
        // A flushed denormal is an error too, of at most the smallest normal number.
        let allowed = bound(i) + U * f64::from(expected).abs() + 1.2e-38;
        assert!(
            error <= allowed,
            "{what}: element {i} is {value}, not {expected}: off by {error:e}, allowed {allowed:e}"
        );
    }
}

/// Fails if a value has other bits than its reference, for kernels that copy, choose or round once.
/// 0 and -0 differ.
#[track_caller]
pub fn assert_same_bits(what: &str, values: &[f32], reference: &[f32]) {
    assert_eq!(values.len(), reference.len(), "{what}");
    for (i, (value, expected)) in values.iter().zip(reference).enumerate() {
        assert!(value.to_bits() == expected.to_bits(), "{what}: element {i} is {value}, not exactly {expected}");
    }
}

/// Kernel size, stride and padding of the convolutions of networks, and some others.
const WINDOWS: [(usize, usize, usize); 10] =
    [(3, 1, 1), (3, 1, 1), (3, 1, 1), (3, 2, 1), (1, 1, 0), (1, 2, 0), (7, 2, 3), (3, 1, 0), (3, 1, 2), (5, 3, 2)];

/// Generates random convolutions with up to about `most` products.
///
/// The batch stays as drawn. Height, width and channels are halved in a random order while there
/// are too many products, each to no less than 8, so that the others keep their sizes. With none
/// above 15, five images with 3x3 kernels and a padding of 2 have 2.9 million products: `most` must
/// not be less.
pub fn shapes(most: u64) -> impl Strategy<Value = ConvShape> {
    let sizes = (1usize..=5, 1usize..=40, 1usize..=40, 1usize..=70, 1usize..=70);
    let order = Just([0, 1, 2, 3]).prop_shuffle();
    let draws = (sizes, prop::sample::select(&WINDOWS[..]), order);
    draws.prop_filter_map("a window that fits", move |((n, h, w, c, k), (kernel, stride, pad), order)| {
        let mut dims = ConvDims { n, h, w, c, k, kh: kernel, kw: kernel, stride, pad };
        for size in order {
            while ConvShape::new(dims).ok()?.macs() > most {
                let size = [&mut dims.h, &mut dims.w, &mut dims.c, &mut dims.k].into_iter().nth(size)?;
                if *size < 16 {
                    break;
                }
                *size = size.div_ceil(2);
            }
        }
        ConvShape::new(dims).ok()
    })
}

/// Sizes `n h w c k` and kernel, stride and padding: a row of a table of shapes.
pub type Sizes = (usize, usize, usize, usize, usize, usize, usize, usize);

/// Returns the shape of a convolution with a square kernel.
pub fn conv_shape((n, h, w, c, k, kernel, stride, pad): Sizes) -> ConvShape {
    ConvShape::new(ConvDims { n, h, w, c, k, kh: kernel, kw: kernel, stride, pad }).expect("a valid shape")
}

/// Returns the shape of a 2x2 maximum pooling of the output of a convolution.
pub fn halved(s: &ConvShape) -> PoolShape {
    PoolShape::new(PoolDims { n: s.n(), h: s.out_h(), w: s.out_w(), c: s.k(), kernel: 2, stride: 2, pad: 0 })
        .expect("an output of at least 2x2")
}

/// Runs a check on every instruction set of this machine.
pub fn on_every_isa(check: impl Fn()) {
    for isa in Isa::available() {
        isa.with(&check);
    }
}

/// Batch norm over `c` channels with the statistics of `x`, and scales and shifts of any sign.
pub struct Layer {
    pub mean: Vec<f32>,
    pub var: Vec<f32>,
    pub gamma: Vec<f32>,
    pub beta: Vec<f32>,
}

impl Layer {
    pub fn of(x: &[f32], c: usize) -> Self {
        let (mut mean, mut var) = (vec![0f32; c], vec![0f32; c]);
        naive::norm::statistics(x, c, &mut mean, &mut var);
        Self { mean, var, gamma: noise(c, 21), beta: noise(c, 22) }
    }

    pub fn norm(&self) -> Norm<'_> {
        Norm { mean: &self.mean, var: &self.var, gamma: &self.gamma, beta: &self.beta, eps: 1e-5 }
    }

    /// Returns the factor of a difference of the input.
    pub fn scale(&self, j: usize) -> f64 {
        f64::from(self.gamma[j]).abs() / (f64::from(self.var[j]) + 1e-5).sqrt()
    }
}
