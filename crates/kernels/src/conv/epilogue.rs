//! What is done to the outputs of a convolution while they are in registers or in L2: bias, ReLU, statistics, accumulation.

use pulp::Simd;

use crate::pieces::Parts;
use crate::vector::{fma, load_first, relu, store, store_first};

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
    /// As the algorithms take it.
    pub(crate) fn ending(self) -> Ending<'a> {
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
    /// `y = value`, and the sums of each block.
    Statistics(&'a Sums<'a>),
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

/// A rectangle of pixels of which `count` channels are written.
#[derive(Clone, Copy)]
pub(crate) struct Area {
    /// The first channel of the first pixel.
    pub(crate) to: *mut f32,
    /// Floats from a row to the next, and from a pixel to the next.
    pub(crate) row: usize,
    pub(crate) column: usize,
    /// Rows and columns that are inside the output.
    pub(crate) height: usize,
    pub(crate) width: usize,
    /// Channels: at most a vector.
    pub(crate) count: usize,
}

impl Area {
    /// Writes the values as `finish` says; `channel` is the first of the channels.
    ///
    /// # Safety
    /// The rectangle must be writable.
    #[inline(always)]
    pub(crate) unsafe fn finish<S: Simd, const H: usize, const W: usize>(
        self,
        simd: S,
        values: &[[S::f32s; W]; H],
        finish: Finish<'_>,
        channel: usize,
        moments: &mut Moments<S::f32s>,
    ) {
        // SAFETY: the contract.
        unsafe {
            match finish {
                Finish::Store => self.write(simd, values, Plain),
                Finish::Add => self.write(simd, values, Accumulate),
                Finish::Bias { bias, relu } => {
                    let bias = load_first(simd, bias[channel..].as_ptr(), self.count);
                    if relu { self.write(simd, values, Relu(bias)) } else { self.write(simd, values, Bias(bias)) }
                }
                Finish::Residual { bias } => {
                    let bias = load_first(simd, bias[channel..].as_ptr(), self.count);
                    self.write(simd, values, Residual(bias));
                }
                Finish::Statistics(_) => {
                    self.write(simd, values, Plain);
                    moments.add(simd, values, self.height, self.width);
                }
            }
        }
    }

    /// # Safety
    /// The rectangle must be writable.
    #[inline(always)]
    unsafe fn write<S: Simd, const H: usize, const W: usize>(
        self,
        simd: S,
        values: &[[S::f32s; W]; H],
        ending: impl End<S>,
    ) {
        // SAFETY: the contract.
        unsafe {
            if self.height == H && self.width == W && self.count >= S::F32_LANES {
                for i in 0..H {
                    for j in 0..W {
                        let to = self.to.add(i * self.row + j * self.column);
                        store(simd, to, ending.apply(simd, values[i][j], to, S::F32_LANES));
                    }
                }
            } else {
                for (i, row) in values.iter().enumerate().take(self.height) {
                    for (j, &value) in row.iter().enumerate().take(self.width) {
                        let to = self.to.add(i * self.row + j * self.column);
                        store_first(simd, to, ending.apply(simd, value, to, self.count), self.count);
                    }
                }
            }
        }
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

    /// Adds an area: its own sums first, sixteen terms, so that a block adds at most a hundred numbers of like size.
    #[inline(always)]
    fn add<S: Simd<f32s = V>, const H: usize, const W: usize>(
        &mut self,
        simd: S,
        values: &[[V; W]; H],
        height: usize,
        width: usize,
    ) {
        let origin = *self.origin.get_or_insert(values[0][0]);
        let (mut sum, mut squares) = (simd.splat_f32s(0.0), simd.splat_f32s(0.0));
        for (i, row) in values.iter().enumerate() {
            for (j, &value) in row.iter().enumerate() {
                if i < height && j < width {
                    let difference = simd.sub_f32s(value, origin);
                    sum = simd.add_f32s(sum, difference);
                    squares = fma(simd, difference, difference, squares);
                }
            }
        }
        self.sum = simd.add_f32s(self.sum, sum);
        self.squares = simd.add_f32s(self.squares, squares);
    }
}

/// What is done to a vector of outputs before it is stored.
trait End<S: Simd>: Copy {
    /// # Safety
    /// `to` must be readable for `count` values.
    unsafe fn apply(self, simd: S, value: S::f32s, to: *const f32, count: usize) -> S::f32s;
}

/// Nothing.
#[derive(Clone, Copy)]
struct Plain;

/// Adds what is there.
#[derive(Clone, Copy)]
struct Accumulate;

/// Adds a bias.
#[derive(Clone, Copy)]
struct Bias<V>(V);

/// Adds a bias and clamps at zero.
#[derive(Clone, Copy)]
struct Relu<V>(V);

/// Adds a bias and what is there, and clamps at zero.
#[derive(Clone, Copy)]
struct Residual<V>(V);

impl<S: Simd> End<S> for Plain {
    #[inline(always)]
    unsafe fn apply(self, _: S, value: S::f32s, _: *const f32, _: usize) -> S::f32s {
        value
    }
}

impl<S: Simd> End<S> for Accumulate {
    #[inline(always)]
    unsafe fn apply(self, simd: S, value: S::f32s, to: *const f32, count: usize) -> S::f32s {
        // SAFETY: the contract.
        simd.add_f32s(unsafe { load_first(simd, to, count) }, value)
    }
}

impl<S: Simd> End<S> for Bias<S::f32s> {
    #[inline(always)]
    unsafe fn apply(self, simd: S, value: S::f32s, _: *const f32, _: usize) -> S::f32s {
        simd.add_f32s(value, self.0)
    }
}

impl<S: Simd> End<S> for Relu<S::f32s> {
    #[inline(always)]
    unsafe fn apply(self, simd: S, value: S::f32s, _: *const f32, _: usize) -> S::f32s {
        relu(simd, simd.add_f32s(value, self.0))
    }
}

impl<S: Simd> End<S> for Residual<S::f32s> {
    #[inline(always)]
    unsafe fn apply(self, simd: S, value: S::f32s, to: *const f32, count: usize) -> S::f32s {
        // SAFETY: the contract.
        let skip = unsafe { load_first(simd, to, count) };
        relu(simd, simd.add_f32s(simd.add_f32s(value, self.0), skip))
    }
}
