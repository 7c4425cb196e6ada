//! What is done to the outputs of a convolution while they are in registers or in L2: bias, ReLU, statistics, accumulation.

use pulp::Simd;

use super::input::Rectifier;
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

/// A rectangle of pixels of which `count` channels are written.
#[derive(Clone, Copy)]
pub(crate) struct Area {
    /// The first channel of the first pixel, and its place in the output.
    pub(crate) to: *mut f32,
    pub(crate) at: usize,
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
    /// Writes row `i` of the values; rows below the rectangle are left out. `channel` is the first of the channels.
    ///
    /// # Safety
    /// The rectangle must be writable.
    #[inline(always)]
    pub(crate) unsafe fn row<S: Simd, E: End, const W: usize>(
        self,
        simd: S,
        i: usize,
        values: [S::f32s; W],
        end: E,
        channel: usize,
        moments: &mut Moments<S::f32s>,
    ) {
        if i >= self.height {
            return;
        }
        let place = |j: usize, count: usize| {
            let step = i * self.row + j * self.column;
            Place { to: self.to.wrapping_add(step), at: self.at + step, channel, count }
        };
        // SAFETY: the contract.
        unsafe {
            if self.width == W && self.count >= S::F32_LANES {
                for j in 0..W {
                    let place = place(j, S::F32_LANES);
                    store(simd, place.to, end.apply(simd, values[j], place, moments));
                }
            } else {
                for (j, &value) in values.iter().enumerate().take(self.width) {
                    let place = place(j, self.count);
                    store_first(simd, place.to, end.apply(simd, value, place, moments), self.count);
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

    /// Adds a value.
    #[inline(always)]
    fn add<S: Simd<f32s = V>>(&mut self, simd: S, value: V) {
        let origin = *self.origin.get_or_insert(value);
        let difference = simd.sub_f32s(value, origin);
        self.sum = simd.add_f32s(self.sum, difference);
        self.squares = fma(simd, difference, difference, self.squares);
    }
}

/// A vector of outputs.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    /// Where it is written.
    to: *mut f32,
    /// Which element of the output that is, and which channel.
    at: usize,
    channel: usize,
    /// Values, if not a whole vector.
    count: usize,
}

/// What is done to a vector of outputs before it is stored. A type for each, so that nothing is decided in the loops.
pub(crate) trait End: Copy {
    /// The values to store.
    ///
    /// # Safety
    /// The place must be readable, and its channels must exist.
    unsafe fn apply<S: Simd>(self, simd: S, value: S::f32s, place: Place, moments: &mut Moments<S::f32s>) -> S::f32s;
}

/// Work that is compiled for each [`End`].
pub(crate) trait Ended {
    /// Does it.
    ///
    /// # Safety
    /// That of the implementation.
    unsafe fn run<S: Simd, E: End>(self, simd: S, end: E);
}

impl Finish<'_> {
    /// Runs `work` with the end that this is.
    ///
    /// # Safety
    /// That of the work.
    #[inline(always)]
    pub(crate) unsafe fn with<S: Simd>(self, simd: S, work: impl Ended) {
        // SAFETY: the contract.
        unsafe {
            match self {
                Self::Store => work.run(simd, Plain),
                Self::Add => work.run(simd, Accumulate),
                Self::Bias { bias, relu: false } => work.run(simd, Bias(bias)),
                Self::Bias { bias, relu: true } | Self::Pooled { bias } => work.run(simd, Relu(bias)),
                Self::Residual { bias } => work.run(simd, Residual(bias)),
                Self::Statistics(_) => work.run(simd, Counted),
                Self::Masked(masked) => work.run(simd, masked),
            }
        }
    }
}

/// Nothing.
#[derive(Clone, Copy)]
struct Plain;

/// Nothing, but the moments are wanted.
#[derive(Clone, Copy)]
struct Counted;

/// Adds what is there.
#[derive(Clone, Copy)]
struct Accumulate;

/// Adds a bias.
#[derive(Clone, Copy)]
struct Bias<'a>(&'a [f32]);

/// Adds a bias and clamps at zero.
#[derive(Clone, Copy)]
pub(crate) struct Relu<'a>(pub(crate) &'a [f32]);

/// Adds a bias and what is there, and clamps at zero.
#[derive(Clone, Copy)]
struct Residual<'a>(&'a [f32]);

impl End for Plain {
    #[inline(always)]
    unsafe fn apply<S: Simd>(self, _: S, value: S::f32s, _: Place, _: &mut Moments<S::f32s>) -> S::f32s {
        value
    }
}

impl End for Counted {
    #[inline(always)]
    unsafe fn apply<S: Simd>(self, simd: S, value: S::f32s, _: Place, moments: &mut Moments<S::f32s>) -> S::f32s {
        moments.add(simd, value);
        value
    }
}

impl End for &Masked<'_> {
    #[inline(always)]
    unsafe fn apply<S: Simd>(self, simd: S, value: S::f32s, place: Place, moments: &mut Moments<S::f32s>) -> S::f32s {
        let zero = simd.splat_f32s(0.0);
        let Place { at, channel, count, .. } = place;
        // SAFETY: `x` is as large as the output; the channels exist.
        unsafe {
            let x = load_first(simd, self.x.as_ptr().add(at), count);
            let passed = simd.less_than_f32s(zero, self.rectifier.line(simd, channel).at(simd, x));
            let value = simd.select_f32s(passed, value, zero);
            let centred = simd.sub_f32s(x, self.rectifier.mean(simd, channel));
            moments.sum = simd.add_f32s(moments.sum, value);
            moments.squares = fma(simd, value, centred, moments.squares);
            value
        }
    }
}

impl End for Accumulate {
    #[inline(always)]
    unsafe fn apply<S: Simd>(self, simd: S, value: S::f32s, place: Place, _: &mut Moments<S::f32s>) -> S::f32s {
        // SAFETY: the contract.
        simd.add_f32s(unsafe { load_first(simd, place.to, place.count) }, value)
    }
}

impl End for Bias<'_> {
    #[inline(always)]
    unsafe fn apply<S: Simd>(self, simd: S, value: S::f32s, place: Place, _: &mut Moments<S::f32s>) -> S::f32s {
        // SAFETY: the contract; there is a bias for each channel.
        simd.add_f32s(value, unsafe { load_first(simd, self.0.as_ptr().add(place.channel), place.count) })
    }
}

impl End for Relu<'_> {
    #[inline(always)]
    unsafe fn apply<S: Simd>(self, simd: S, value: S::f32s, place: Place, moments: &mut Moments<S::f32s>) -> S::f32s {
        // SAFETY: the contract.
        relu(simd, unsafe { Bias(self.0).apply(simd, value, place, moments) })
    }
}

impl End for Residual<'_> {
    #[inline(always)]
    unsafe fn apply<S: Simd>(self, simd: S, value: S::f32s, place: Place, moments: &mut Moments<S::f32s>) -> S::f32s {
        // SAFETY: the contract.
        unsafe {
            let value = Bias(self.0).apply(simd, value, place, moments);
            relu(simd, simd.add_f32s(value, load_first(simd, place.to, place.count)))
        }
    }
}
