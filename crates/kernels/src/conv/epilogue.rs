//! What is done to the outputs of a convolution while they are in registers or in L2: bias, ReLU, statistics, accumulation.

use crate::pieces::Parts;

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
    /// Mean and biased variance of each output channel over all positions, `[k]` each: what a batch norm needs next.
    Statistics {
        /// Becomes the mean.
        mean: &'a mut [f32],
        /// Becomes the biased variance.
        var: &'a mut [f32],
    },
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
    /// `y = value`, and the sums of each block.
    Statistics(&'a Sums<'a>),
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

    /// Origin, sum and squares of a block, for the channels `first .. first + count`.
    ///
    /// # Safety
    /// No other piece may touch these channels of this block meanwhile.
    #[inline(always)]
    pub(crate) unsafe fn block(&self, block: usize, first: usize, count: usize) -> [&mut [f32]; SUMS] {
        std::array::from_fn(|row| {
            let start = (block * SUMS + row) * self.k + first;
            // SAFETY: the contract; the three rows do not overlap.
            unsafe { self.parts.range(start..start + count) }
        })
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
