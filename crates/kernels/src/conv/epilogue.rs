//! What is done to the outputs of a convolution while they are in registers or in L2: bias, ReLU, statistics, accumulation.

use pulp::Simd;

use super::input::Rectifier;
use crate::pieces::Parts;
use crate::vector::{fma, store_first};

/// What happens to the output of a convolution before it is done.
#[derive(Debug)]
pub enum Epilogue<'a> {
    /// Nothing.
    None,
    /// `+ bias [k]`, then a ReLU if `relu`.
    Bias {
        /// One value for each output channel.
        bias: &'a [f32],
        /// Whether negative values become zero.
        relu: bool,
    },
    /// `max(0, y + value + bias)`: the way around a residual block is in `y` already, and the end of the block takes its place.
    Residual {
        /// One value for each output channel.
        bias: &'a [f32],
    },
    /// Mean and biased variance of each output channel over all positions, `[k]` each: what a batch norm needs next.
    Statistics {
        /// Becomes the mean.
        mean: &'a mut [f32],
        /// Becomes the biased variance.
        var: &'a mut [f32],
    },
}

impl<'a> Epilogue<'a> {
    /// As the algorithms take it, for `k` output channels.
    pub(crate) fn ending(self, k: usize) -> Ending<'a> {
        if let Self::Bias { bias, .. } | Self::Residual { bias } = self {
            assert!(bias.len() == k, "bias must have {k} values");
        }
        match self {
            Self::None => Ending::Finish(Finish::Store),
            Self::Bias { bias, relu } => Ending::Finish(Finish::Bias { bias, relu }),
            Self::Residual { bias } => Ending::Finish(Finish::Residual { bias }),
            Self::Statistics { mean, var } => Ending::Statistics { mean, var },
        }
    }
}

/// How a block of outputs is finished.
#[derive(Clone, Copy)]
pub(crate) enum Finish<'a> {
    /// `y = value`.
    Store,
    /// `y += value`: the other gradient of a fork is there already.
    Add,
    /// `y = [relu](value + bias)`.
    Bias { bias: &'a [f32], relu: bool },
    /// `y = max(0, y + value + bias)`.
    Residual { bias: &'a [f32] },
    /// `y = max(0, value + bias)` of the largest value of each 2x2 window. Only where a tile holds whole windows: Winograd's.
    Pooled { bias: &'a [f32] },
    /// `y = value`, and the sums of each block.
    Statistics(&'a Sums<'a>),
    /// `y = value` where the ReLU behind a normalisation let its input pass, else zero, and the sums of each block.
    Masked(&'a Masked<'a>),
}

/// The output is the gradient of a normalised and rectified `x`. What a ReLU stopped has none; the sums of the others, and of them times
/// `x - mean`, are what the gradient of the normalisation needs next.
pub(crate) struct Masked<'a> {
    /// The input of the normalisation, as large as the output.
    pub(crate) x: &'a [f32],
    pub(crate) rectifier: &'a Rectifier,
    pub(crate) sums: Sums<'a>,
}

impl Finish<'_> {
    /// What is read, as large as the output, where there is anything but the output itself.
    pub(crate) fn reads(&self) -> Option<&[f32]> {
        if let Self::Masked(masked) = self { Some(masked.x) } else { None }
    }

    /// Where the sums of each block go, where there are any.
    pub(crate) fn sums(&self) -> Option<&Sums<'_>> {
        match self {
            Self::Statistics(sums) => Some(sums),
            Self::Masked(masked) => Some(&masked.sums),
            _ => None,
        }
    }
}

/// Which of the two epilogues a pass has: most need nothing but the outputs in hand.
pub(crate) enum Ending<'a> {
    /// Everything that needs no sums.
    Finish(Finish<'a>),
    /// Mean and biased variance of each channel.
    Statistics {
        /// Becomes the mean.
        mean: &'a mut [f32],
        /// Becomes the biased variance.
        var: &'a mut [f32],
    },
    /// The output is masked as by [`Masked`].
    Masked {
        /// See [`Masked`].
        x: &'a [f32],
        rectifier: &'a Rectifier,
        /// To these the sums of each channel are added: of the gradients, and of them times `x - mean`.
        totals: &'a mut [Vec<f64>; 2],
    },
}

impl Ending<'_> {
    /// The same, for one more correlation of the pass.
    pub(crate) fn again(&mut self) -> Ending<'_> {
        match self {
            Self::Finish(finish) => Ending::Finish(*finish),
            Self::Statistics { mean, var } => Ending::Statistics { mean, var },
            Self::Masked { x, rectifier, totals } => Ending::Masked { x, rectifier, totals },
        }
    }
}

/// Adds the partial sums of all blocks to `totals`, in order.
pub(crate) fn add_up(sums: &[f32], k: usize, totals: &mut [Vec<f64>; 2]) {
    for block in sums.chunks_exact(SUMS * k) {
        for (total, sums) in totals.iter_mut().zip(block.chunks_exact(k).skip(1)) {
            total.iter_mut().zip(sums).for_each(|(total, &sum)| *total += f64::from(sum));
        }
    }
}

/// Partial sums of every block of outputs, `[blocks, 3, k]`: a first value, and the sum and the sum of squares of the differences
/// to it. With a value of the block itself as origin no digits are lost to a mean far from zero.
pub(crate) struct Sums<'a> {
    parts: Parts<'a, f32>,
    k: usize,
}

/// Rows of [`Sums`].
pub(crate) const SUMS: usize = 3;

impl<'a> Sums<'a> {
    /// `memory` holds `[blocks, 3, k]`; its contents do not matter.
    pub(crate) fn new(memory: &'a mut [f32], k: usize) -> Self {
        Self { parts: Parts::new(memory), k }
    }

    /// Stores the moments of a block for `count` channels from `channel`.
    ///
    /// # Safety
    /// No other piece may touch these channels of this block meanwhile.
    #[inline(always)]
    pub(crate) unsafe fn put<S: Simd>(
        &self,
        simd: S,
        block: usize,
        channel: usize,
        count: usize,
        moments: &Moments<S::f32s>,
    ) {
        let origin = moments.origin.unwrap_or(simd.splat_f32s(0.0));
        for (row, value) in [origin, moments.sum, moments.squares].into_iter().enumerate() {
            let start = (block * SUMS + row) * self.k + channel;
            // SAFETY: the contract.
            unsafe { store_first(simd, self.parts.pointer(start, count), value, count) };
        }
    }
}

/// Mean and biased variance from the partial sums of blocks with `counts[block]` values, merged in order (Chan, Golub & LeVeque 1979).
pub(crate) fn merge(sums: &[f32], counts: &[usize], k: usize, mean: &mut [f32], var: &mut [f32]) {
    assert!(mean.len() == k && var.len() == k, "mean and var must have {k} values");
    let mut total = 0f64;
    let mut means = vec![0f64; k];
    let mut squares = vec![0f64; k];
    for (block, &count) in sums.chunks_exact(SUMS * k).zip(counts) {
        let count = count as f64;
        let (weight, joint) = (count / (total + count), total * count / (total + count));
        let (origin, rest) = block.split_at(k);
        let (sum, square) = rest.split_at(k);
        for j in 0..k {
            let sum = f64::from(sum[j]);
            let delta = f64::from(origin[j]) + sum / count - means[j];
            means[j] += delta * weight;
            squares[j] += f64::from(square[j]) - sum * sum / count + delta * delta * joint;
        }
        total += count;
    }
    for j in 0..k {
        mean[j] = means[j] as f32;
        var[j] = (squares[j] / total).max(0.0) as f32;
    }
}

/// The sums of one vector of channels over the areas of a block, as they grow: see [`Sums`].
#[derive(Clone, Copy)]
pub(crate) struct Moments<V> {
    origin: Option<V>,
    sum: V,
    squares: V,
}

impl<V: Copy> Moments<V> {
    #[inline(always)]
    pub(crate) fn new<S: Simd<f32s = V>>(simd: S) -> Self {
        Self { origin: None, sum: simd.splat_f32s(0.0), squares: simd.splat_f32s(0.0) }
    }

    /// Those of an area of its own, with the same origin: sixteen terms first, so that a block adds at most a hundred numbers of like
    /// size. The caller keeps them in registers.
    #[inline(always)]
    pub(crate) fn area<S: Simd<f32s = V>>(&self, simd: S) -> Self {
        Self { origin: self.origin, ..Self::new(simd) }
    }

    /// Adds the moments of an area.
    #[inline(always)]
    pub(crate) fn merge<S: Simd<f32s = V>>(&mut self, simd: S, area: Self) {
        self.origin = area.origin;
        self.sum = simd.add_f32s(self.sum, area.sum);
        self.squares = simd.add_f32s(self.squares, area.squares);
    }

    /// Adds a gradient, and to the other sum that times `centred`.
    #[inline(always)]
    pub(crate) fn add_gradient<S: Simd<f32s = V>>(&mut self, simd: S, value: V, centred: V) {
        self.sum = simd.add_f32s(self.sum, value);
        self.squares = fma(simd, value, centred, self.squares);
    }

    /// Adds a value.
    #[inline(always)]
    pub(crate) fn add<S: Simd<f32s = V>>(&mut self, simd: S, value: V) {
        let origin = *self.origin.get_or_insert(value);
        let difference = simd.sub_f32s(value, origin);
        self.sum = simd.add_f32s(self.sum, difference);
        self.squares = fma(simd, difference, difference, self.squares);
    }
}
