//! Epilogues of a convolution: what happens to the outputs while they are in registers or in L1.
//!
//! Bias, ReLU, accumulation, batch statistics, and the backward step of a batch norm and ReLU.

use pulp::Simd;

use super::prologue::BnReluPrologue;
use crate::tasks::DisjointSlice;
use crate::vector::{fma, store_first};
use crate::workspace::Workspace;

/// Operation on the output of a convolution before it is stored.
#[derive(Debug)]
pub enum Epilogue<'a> {
    /// Stores the output unchanged.
    None,
    /// Adds `bias [k]`, then applies a ReLU if `relu`.
    Bias {
        /// One value for each output channel.
        bias: &'a [f32],
        /// Whether negative values become zero.
        relu: bool,
    },
    /// Ends a residual block: `y = max(0, y + value + bias)`, where `y` holds the shortcut before.
    Residual {
        /// One value for each output channel.
        bias: &'a [f32],
    },
    /// Stores the output and computes the batch statistics that a batch norm needs next: mean and
    /// biased variance of each output channel over all positions.
    Statistics {
        /// Receives the mean, `[k]`.
        mean: &'a mut [f32],
        /// Receives the biased variance, `[k]`.
        var: &'a mut [f32],
    },
}

impl<'a> Epilogue<'a> {
    /// Checks the bias and converts to the epilogue of a pass with `k` output channels.
    pub(crate) fn into_pass(self, k: usize) -> PassEpilogue<'a> {
        if let Self::Bias { bias, .. } | Self::Residual { bias } = self {
            assert!(bias.len() == k, "bias must have {k} values");
        }
        match self {
            Self::None => PassEpilogue::Block(BlockEpilogue::Overwrite),
            Self::Bias { bias, relu } => PassEpilogue::Block(BlockEpilogue::Bias { bias, relu }),
            Self::Residual { bias } => PassEpilogue::Block(BlockEpilogue::Residual { bias }),
            Self::Statistics { mean, var } => PassEpilogue::Statistics { mean, var },
        }
    }
}

/// Epilogue of one block of outputs.
#[derive(Clone, Copy)]
pub(crate) enum BlockEpilogue<'a> {
    /// `y = value`.
    Overwrite,
    /// `y += value`: adds to a gradient that is there already.
    Accumulate,
    /// `y = [relu](value + bias)`.
    Bias { bias: &'a [f32], relu: bool },
    /// `y = max(0, y + value + bias)`.
    Residual { bias: &'a [f32] },
    /// `y = max(0, value + bias)` of the maximum of each 2x2 window. Only for Winograd, whose tiles
    /// hold whole windows.
    BiasReluMaxPool { bias: &'a [f32] },
    /// `y = value`, and the sums of each block.
    Statistics(&'a BlockSums<'a>),
    /// `y = value` where the ReLU was active, else zero, and the sums of each block.
    BnReluBackward(&'a BnReluBackward<'a>),
}

/// Backward step of `relu(batch_norm(x))` on the gradient of its output.
///
/// Masks the gradient with the ReLU and sums it, and its product with `x - mean`: the sums that the
/// gradient of the batch norm needs next.
pub(crate) struct BnReluBackward<'a> {
    /// Input of the batch norm, as large as the output of the pass.
    pub(crate) x: &'a [f32],
    pub(crate) prologue: &'a BnReluPrologue,
    pub(crate) sums: BlockSums<'a>,
}

impl BlockEpilogue<'_> {
    /// Returns the extra input of output size, if the variant reads one.
    pub(crate) fn extra_input(&self) -> Option<&[f32]> {
        if let Self::BnReluBackward(backward) = self { Some(backward.x) } else { None }
    }

    /// Returns the memory for the sums of each block, if the variant has any.
    pub(crate) fn block_sums(&self) -> Option<&BlockSums<'_>> {
        match self {
            Self::Statistics(sums) => Some(sums),
            Self::BnReluBackward(backward) => Some(&backward.sums),
            _ => None,
        }
    }
}

/// Epilogue as requested by the caller of a pass.
pub(crate) enum PassEpilogue<'a> {
    /// An epilogue that needs nothing but the outputs of a block.
    Block(BlockEpilogue<'a>),
    /// Mean and biased variance of each channel: see [`Epilogue::Statistics`].
    Statistics { mean: &'a mut [f32], var: &'a mut [f32] },
    /// Backward step of a batch norm and ReLU: see [`BnReluBackward`].
    BnReluBackward {
        x: &'a [f32],
        prologue: &'a BnReluPrologue,
        /// The sums of each channel are added to these: of the gradients, and of them times
        /// `x - mean`.
        totals: &'a mut [Vec<f64>; 2],
    },
}

impl PassEpilogue<'_> {
    /// Reborrows the epilogue for one more correlation of the pass.
    pub(crate) fn reborrow(&mut self) -> PassEpilogue<'_> {
        match self {
            Self::Block(epilogue) => PassEpilogue::Block(*epilogue),
            Self::Statistics { mean, var } => PassEpilogue::Statistics { mean, var },
            Self::BnReluBackward { x, prologue, totals } => PassEpilogue::BnReluBackward { x, prologue, totals },
        }
    }

    /// Runs `pass` with the epilogue of its `blocks`, then combines the sums of the blocks for `k`
    /// output channels. `outputs_per_block` counts the outputs of each block.
    pub(crate) fn run(
        self,
        k: usize,
        blocks: usize,
        outputs_per_block: impl FnOnce() -> Vec<usize>,
        pass: impl FnOnce(BlockEpilogue<'_>),
    ) {
        if let Self::Block(epilogue) = self {
            return pass(epilogue);
        }
        let mut memory = Workspace::take(blocks * SUM_ROWS * k);
        let sums = BlockSums::new(&mut memory, k);
        match self {
            Self::Block(_) => unreachable!("returned above"),
            Self::Statistics { mean, var } => {
                pass(BlockEpilogue::Statistics(&sums));
                merge_statistics(&memory, &outputs_per_block(), k, mean, var);
            }
            Self::BnReluBackward { x, prologue, totals } => {
                pass(BlockEpilogue::BnReluBackward(&BnReluBackward { x, prologue, sums }));
                add_block_sums(&memory, k, totals);
            }
        }
    }
}

/// Adds the sums of all blocks to `totals`, in order.
fn add_block_sums(sums: &[f32], k: usize, totals: &mut [Vec<f64>; 2]) {
    for block in sums.chunks_exact(SUM_ROWS * k) {
        for (total, sums) in totals.iter_mut().zip(block.chunks_exact(k).skip(1)) {
            total.iter_mut().zip(sums).for_each(|(total, &sum)| *total += f64::from(sum));
        }
    }
}

/// Partial sums of every block of outputs, `[blocks, 3, k]`: an origin, and the sum and the sum of
/// squares of the differences to it.
///
/// The origin is a value of the block itself, so that no digits are lost to a mean far from zero.
pub(crate) struct BlockSums<'a> {
    sums: DisjointSlice<'a, f32>,
    k: usize,
}

/// Rows of [`BlockSums`].
const SUM_ROWS: usize = 3;

impl<'a> BlockSums<'a> {
    /// Takes memory for `[blocks, 3, k]`, whose contents are ignored.
    fn new(memory: &'a mut [f32], k: usize) -> Self {
        Self { sums: DisjointSlice::new(memory), k }
    }

    /// Stores the statistics of a block for `count` channels from `channel`.
    ///
    /// # Safety
    /// No other task may access these channels of this block at the same time.
    #[inline(always)]
    pub(crate) unsafe fn put<S: Simd>(
        &self,
        simd: S,
        block: usize,
        channel: usize,
        count: usize,
        stats: &RunningStats<S::f32s>,
    ) {
        let origin = stats.origin.unwrap_or(simd.splat_f32s(0.0));
        for (row, value) in [origin, stats.sum, stats.squares].into_iter().enumerate() {
            let start = (block * SUM_ROWS + row) * self.k + channel;
            // SAFETY: `pointer` checks the bounds; the caller has these channels alone.
            unsafe { store_first(simd, self.sums.pointer(start, count), value, count) };
        }
    }
}

/// Computes mean and biased variance from the sums of blocks with `counts[block]` values, merged in
/// order (Chan, Golub & LeVeque 1979).
fn merge_statistics(sums: &[f32], counts: &[usize], k: usize, mean: &mut [f32], var: &mut [f32]) {
    assert!(mean.len() == k && var.len() == k, "mean and var must have {k} values");
    let mut total = 0f64;
    let mut means = vec![0f64; k];
    let mut squares = vec![0f64; k];
    for (block, &count) in sums.chunks_exact(SUM_ROWS * k).zip(counts) {
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

/// Running statistics of one vector of channels over the outputs of a block: see [`BlockSums`].
#[derive(Clone, Copy)]
pub(crate) struct RunningStats<V> {
    origin: Option<V>,
    sum: V,
    squares: V,
}

impl<V: Copy> RunningStats<V> {
    #[inline(always)]
    pub(crate) fn new<S: Simd<f32s = V>>(simd: S) -> Self {
        Self { origin: None, sum: simd.splat_f32s(0.0), squares: simd.splat_f32s(0.0) }
    }

    /// Starts a subtotal with the same origin.
    ///
    /// A subtotal adds at most sixteen values and stays in registers; a block then adds at most a
    /// hundred subtotals of like size.
    #[inline(always)]
    pub(crate) fn subtotal<S: Simd<f32s = V>>(&self, simd: S) -> Self {
        Self { origin: self.origin, ..Self::new(simd) }
    }

    /// Adds a subtotal.
    #[inline(always)]
    pub(crate) fn merge<S: Simd<f32s = V>>(&mut self, simd: S, subtotal: Self) {
        self.origin = subtotal.origin;
        self.sum = simd.add_f32s(self.sum, subtotal.sum);
        self.squares = simd.add_f32s(self.squares, subtotal.squares);
    }

    /// Adds a gradient to one sum, and its product with `centred` to the other.
    #[inline(always)]
    pub(crate) fn add_gradient<S: Simd<f32s = V>>(&mut self, simd: S, value: V, centred: V) {
        self.sum = simd.add_f32s(self.sum, value);
        self.squares = fma(simd, value, centred, self.squares);
    }

    /// Adds a value; the first one becomes the origin.
    #[inline(always)]
    pub(crate) fn add<S: Simd<f32s = V>>(&mut self, simd: S, value: V) {
        let origin = *self.origin.get_or_insert(value);
        let difference = simd.sub_f32s(value, origin);
        self.sum = simd.add_f32s(self.sum, difference);
        self.squares = fma(simd, difference, difference, self.squares);
    }
}
