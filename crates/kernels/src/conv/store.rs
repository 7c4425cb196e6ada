//! Store step of the convolution epilogue, monomorphised for each variant so that the inner loops
//! are branch-free.

use pulp::Simd;

use super::epilogue::{BlockEpilogue, BnReluBackward, RunningStats};
use super::prologue::AffineRow;
use crate::vector::{load_first, relu, store as store_vector, store_first};

/// Rectangle of output pixels of which `count` channels are written.
#[derive(Clone, Copy)]
pub(crate) struct OutputRegion {
    /// Address of the first channel of the first pixel.
    pub(crate) to: *mut f32,
    /// Index of that element in the output.
    pub(crate) at: usize,
    /// Floats from a row to the next.
    pub(crate) row: usize,
    /// Floats from a pixel to the next.
    pub(crate) column: usize,
    /// Rows inside the output.
    pub(crate) height: usize,
    /// Columns inside the output.
    pub(crate) width: usize,
    /// Channels, at most a vector.
    pub(crate) count: usize,
}

impl OutputRegion {
    /// Stores row `i` of the values; rows below the rectangle are skipped. `channels` are the
    /// parameters of `store` for these channels.
    ///
    /// # Safety
    /// - the pixels of the rectangle must be readable and writable for `count` channels,
    /// - no other task may access them at the same time,
    /// - an extra input of `store` must be as large as the output.
    #[inline(always)]
    pub(crate) unsafe fn store_row<S: Simd, E: Store, const W: usize>(
        self,
        simd: S,
        i: usize,
        values: [S::f32s; W],
        store: E,
        channels: E::Channels<S>,
        stats: &mut RunningStats<S::f32s>,
    ) {
        if i >= self.height {
            return;
        }
        let output = |j: usize, count: usize| {
            let step = i * self.row + j * self.column;
            OutputVector { to: self.to.wrapping_add(step), at: self.at + step, count }
        };
        // SAFETY: row `i` and the columns `j` below `width` are inside the rectangle, which the
        // caller lets be accessed.
        unsafe {
            if self.width == W && self.count >= S::F32_LANES {
                for j in 0..W {
                    let output = output(j, S::F32_LANES);
                    store_vector(simd, output.to, store.apply(simd, channels, values[j], output, stats));
                }
            } else {
                for (j, &value) in values.iter().enumerate().take(self.width) {
                    let output = output(j, self.count);
                    store_first(simd, output.to, store.apply(simd, channels, value, output, stats), self.count);
                }
            }
        }
    }
}

/// Destination of one vector of outputs.
#[derive(Clone, Copy)]
pub(crate) struct OutputVector {
    /// Address of the first output.
    to: *mut f32,
    /// Index in the output.
    at: usize,
    /// Number of values, at most a vector.
    count: usize,
}

/// Operation on a vector of outputs before it is stored.
pub(crate) trait Store: Copy {
    /// Parameters of a vector of channels, loaded once for all of its outputs. A store may change
    /// any memory as far as the compiler knows, so that it would reload them for each.
    type Channels<S: Simd>: Copy;

    /// Loads the parameters of `count` channels from `channel` on.
    ///
    /// # Safety
    /// The output must have these channels.
    unsafe fn channels<S: Simd>(self, simd: S, channel: usize, count: usize) -> Self::Channels<S>;

    /// Returns the values to store.
    ///
    /// # Safety
    /// - `output` must be readable for its `count` values and inside the output,
    /// - `channels` must be the parameters of its channels.
    unsafe fn apply<S: Simd>(
        self,
        simd: S,
        channels: Self::Channels<S>,
        value: S::f32s,
        output: OutputVector,
        stats: &mut RunningStats<S::f32s>,
    ) -> S::f32s;
}

/// Operation that is generic over the store step.
pub(crate) trait WithStore {
    /// Runs the operation with a store step.
    ///
    /// # Safety
    /// - all channels that the operation writes must exist in the parameters of `store`,
    /// - no other task may access the outputs that the operation writes at the same time.
    unsafe fn run<S: Simd, E: Store>(self, simd: S, store: E);
}

impl BlockEpilogue<'_> {
    /// Runs `operation` with the store step of this epilogue.
    ///
    /// # Safety
    /// - a bias must have a value for each output channel, an extra input must be as large as the
    ///   output,
    /// - no other task may access the outputs that the operation writes at the same time.
    #[inline(always)]
    pub(crate) unsafe fn with_store<S: Simd>(self, simd: S, operation: impl WithStore) {
        // SAFETY: the caller's obligations are those of `run`.
        unsafe {
            match self {
                Self::Overwrite => operation.run(simd, Overwrite),
                Self::Accumulate => operation.run(simd, Accumulate),
                Self::Bias { bias, relu: false } => operation.run(simd, AddBias::<false, false>::new(bias)),
                Self::Bias { bias, relu: true } | Self::BiasReluMaxPool { bias } => {
                    operation.run(simd, AddBiasRelu::new(bias));
                }
                Self::Residual { bias } => operation.run(simd, AddBias::<true, true>::new(bias)),
                Self::Statistics(_) => operation.run(simd, WithStatistics),
                Self::BnReluBackward(backward) => operation.run(simd, backward),
            }
        }
    }
}

/// Stores the value unchanged.
#[derive(Clone, Copy)]
struct Overwrite;

/// Stores the value unchanged and accumulates the sums of its channel.
#[derive(Clone, Copy)]
struct WithStatistics;

/// Adds the value to the existing output.
#[derive(Clone, Copy)]
struct Accumulate;

/// Adds a bias, the existing output if `RESIDUAL`, and applies a ReLU if `RELU`.
#[derive(Clone, Copy)]
pub(crate) struct AddBias<'a, const RESIDUAL: bool, const RELU: bool>(&'a [f32]);

/// Adds a bias and applies a ReLU.
pub(crate) type AddBiasRelu<'a> = AddBias<'a, false, true>;

impl<'a, const RESIDUAL: bool, const RELU: bool> AddBias<'a, RESIDUAL, RELU> {
    /// Takes one value for each output channel.
    pub(crate) fn new(bias: &'a [f32]) -> Self {
        Self(bias)
    }
}

impl Store for Overwrite {
    type Channels<S: Simd> = ();

    #[inline(always)]
    unsafe fn channels<S: Simd>(self, _: S, _: usize, _: usize) {}

    #[inline(always)]
    unsafe fn apply<S: Simd>(
        self,
        _: S,
        (): (),
        value: S::f32s,
        _: OutputVector,
        _: &mut RunningStats<S::f32s>,
    ) -> S::f32s {
        value
    }
}

impl Store for WithStatistics {
    type Channels<S: Simd> = ();

    #[inline(always)]
    unsafe fn channels<S: Simd>(self, _: S, _: usize, _: usize) {}

    #[inline(always)]
    unsafe fn apply<S: Simd>(
        self,
        simd: S,
        (): (),
        value: S::f32s,
        _: OutputVector,
        stats: &mut RunningStats<S::f32s>,
    ) -> S::f32s {
        stats.add(simd, value);
        value
    }
}

impl Store for &BnReluBackward<'_> {
    /// Scale and shift of the batch norm, and its mean.
    type Channels<S: Simd> = (AffineRow<S>, S::f32s);

    #[inline(always)]
    unsafe fn channels<S: Simd>(self, simd: S, channel: usize, _: usize) -> Self::Channels<S> {
        // SAFETY: the caller's channels exist, and the prologue has the channels of the output.
        unsafe { (self.prologue.affine(simd, channel), self.prologue.mean(simd, channel)) }
    }

    #[inline(always)]
    unsafe fn apply<S: Simd>(
        self,
        simd: S,
        (affine, mean): (AffineRow<S>, S::f32s),
        value: S::f32s,
        output: OutputVector,
        stats: &mut RunningStats<S::f32s>,
    ) -> S::f32s {
        let zero = simd.splat_f32s(0.0);
        // SAFETY: `x` is as large as the output, and `output` is inside of it.
        let x = unsafe { load_first(simd, self.x.as_ptr().add(output.at), output.count) };
        let active = simd.less_than_f32s(zero, affine.apply(simd, x));
        let value = simd.select_f32s(active, value, zero);
        stats.add_gradient(simd, value, simd.sub_f32s(x, mean));
        value
    }
}

impl Store for Accumulate {
    type Channels<S: Simd> = ();

    #[inline(always)]
    unsafe fn channels<S: Simd>(self, _: S, _: usize, _: usize) {}

    #[inline(always)]
    unsafe fn apply<S: Simd>(
        self,
        simd: S,
        (): (),
        value: S::f32s,
        output: OutputVector,
        _: &mut RunningStats<S::f32s>,
    ) -> S::f32s {
        // SAFETY: the caller lets `count` values be read.
        simd.add_f32s(unsafe { load_first(simd, output.to, output.count) }, value)
    }
}

impl<const RESIDUAL: bool, const RELU: bool> Store for AddBias<'_, RESIDUAL, RELU> {
    /// The bias.
    type Channels<S: Simd> = S::f32s;

    #[inline(always)]
    unsafe fn channels<S: Simd>(self, simd: S, channel: usize, count: usize) -> S::f32s {
        // SAFETY: the caller's channels exist, and there is a bias for each channel.
        unsafe { load_first(simd, self.0.as_ptr().add(channel), count) }
    }

    #[inline(always)]
    unsafe fn apply<S: Simd>(
        self,
        simd: S,
        bias: S::f32s,
        value: S::f32s,
        output: OutputVector,
        _: &mut RunningStats<S::f32s>,
    ) -> S::f32s {
        let mut sum = simd.add_f32s(value, bias);
        if RESIDUAL {
            // SAFETY: the caller lets `count` values be read.
            sum = simd.add_f32s(sum, unsafe { load_first(simd, output.to, output.count) });
        }
        if RELU { relu(simd, sum) } else { sum }
    }
}
