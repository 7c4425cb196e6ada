//! The last thing that is done to each vector of outputs, and where it goes: a type for each [`Finish`], so that nothing is decided in the loops.

use pulp::Simd;

use super::epilogue::{Finish, Masked, Moments};
use super::input::Line;
use crate::vector::{load_first, relu, store, store_first};

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
    /// Writes row `i` of the values; rows below the rectangle are left out. `channels` is what `end` needs of these channels.
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
        channels: E::Channels<S>,
        moments: &mut Moments<S::f32s>,
    ) {
        if i >= self.height {
            return;
        }
        let place = |j: usize, count: usize| {
            let step = i * self.row + j * self.column;
            Place { to: self.to.wrapping_add(step), at: self.at + step, count }
        };
        // SAFETY: the contract.
        unsafe {
            if self.width == W && self.count >= S::F32_LANES {
                for j in 0..W {
                    let place = place(j, S::F32_LANES);
                    store(simd, place.to, end.apply(simd, channels, values[j], place, moments));
                }
            } else {
                for (j, &value) in values.iter().enumerate().take(self.width) {
                    let place = place(j, self.count);
                    store_first(simd, place.to, end.apply(simd, channels, value, place, moments), self.count);
                }
            }
        }
    }
}

/// A vector of outputs.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    /// Where it is written.
    to: *mut f32,
    /// Which element of the output that is.
    at: usize,
    /// Values, if not a whole vector.
    count: usize,
}

/// What is done to a vector of outputs before it is stored. A type for each, so that nothing is decided in the loops.
pub(crate) trait End: Copy {
    /// What a vector of channels needs, for all of its outputs: stores may change any memory, so that a compiler would read it anew for each.
    type Channels<S: Simd>: Copy;

    /// What `count` channels from `channel` on need.
    ///
    /// # Safety
    /// The channels must exist.
    unsafe fn channels<S: Simd>(self, simd: S, channel: usize, count: usize) -> Self::Channels<S>;

    /// The values to store.
    ///
    /// # Safety
    /// The place must be readable, and of these channels.
    unsafe fn apply<S: Simd>(
        self,
        simd: S,
        channels: Self::Channels<S>,
        value: S::f32s,
        place: Place,
        moments: &mut Moments<S::f32s>,
    ) -> S::f32s;
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
                Self::Bias { bias, relu: false } => work.run(simd, Biased::<false, false>::new(bias)),
                Self::Bias { bias, relu: true } | Self::Pooled { bias } => work.run(simd, Relu::new(bias)),
                Self::Residual { bias } => work.run(simd, Biased::<true, true>::new(bias)),
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

/// Adds a bias, what is there already if `AROUND`, and clamps at zero if `RELU`.
#[derive(Clone, Copy)]
pub(crate) struct Biased<'a, const AROUND: bool, const RELU: bool>(&'a [f32]);

/// Bias and ReLU.
pub(crate) type Relu<'a> = Biased<'a, false, true>;

impl<'a, const AROUND: bool, const RELU: bool> Biased<'a, AROUND, RELU> {
    /// One value for each output channel.
    pub(crate) fn new(bias: &'a [f32]) -> Self {
        Self(bias)
    }
}

impl End for Plain {
    type Channels<S: Simd> = ();

    #[inline(always)]
    unsafe fn channels<S: Simd>(self, _: S, _: usize, _: usize) {}

    #[inline(always)]
    unsafe fn apply<S: Simd>(self, _: S, (): (), value: S::f32s, _: Place, _: &mut Moments<S::f32s>) -> S::f32s {
        value
    }
}

impl End for Counted {
    type Channels<S: Simd> = ();

    #[inline(always)]
    unsafe fn channels<S: Simd>(self, _: S, _: usize, _: usize) {}

    #[inline(always)]
    unsafe fn apply<S: Simd>(
        self,
        simd: S,
        (): (),
        value: S::f32s,
        _: Place,
        moments: &mut Moments<S::f32s>,
    ) -> S::f32s {
        moments.add(simd, value);
        value
    }
}

impl End for &Masked<'_> {
    /// The normalisation and its mean.
    type Channels<S: Simd> = (Line<S>, S::f32s);

    #[inline(always)]
    unsafe fn channels<S: Simd>(self, simd: S, channel: usize, _: usize) -> Self::Channels<S> {
        // SAFETY: the contract.
        unsafe { (self.rectifier.line(simd, channel), self.rectifier.mean(simd, channel)) }
    }

    #[inline(always)]
    unsafe fn apply<S: Simd>(
        self,
        simd: S,
        (line, mean): (Line<S>, S::f32s),
        value: S::f32s,
        place: Place,
        moments: &mut Moments<S::f32s>,
    ) -> S::f32s {
        let zero = simd.splat_f32s(0.0);
        // SAFETY: `x` is as large as the output.
        let x = unsafe { load_first(simd, self.x.as_ptr().add(place.at), place.count) };
        let passed = simd.less_than_f32s(zero, line.at(simd, x));
        let value = simd.select_f32s(passed, value, zero);
        moments.add_gradient(simd, value, simd.sub_f32s(x, mean));
        value
    }
}

impl End for Accumulate {
    type Channels<S: Simd> = ();

    #[inline(always)]
    unsafe fn channels<S: Simd>(self, _: S, _: usize, _: usize) {}

    #[inline(always)]
    unsafe fn apply<S: Simd>(self, simd: S, (): (), value: S::f32s, place: Place, _: &mut Moments<S::f32s>) -> S::f32s {
        // SAFETY: the contract.
        simd.add_f32s(unsafe { load_first(simd, place.to, place.count) }, value)
    }
}

impl<const AROUND: bool, const RELU: bool> End for Biased<'_, AROUND, RELU> {
    /// The bias.
    type Channels<S: Simd> = S::f32s;

    #[inline(always)]
    unsafe fn channels<S: Simd>(self, simd: S, channel: usize, count: usize) -> S::f32s {
        // SAFETY: the contract; there is a bias for each channel.
        unsafe { load_first(simd, self.0.as_ptr().add(channel), count) }
    }

    #[inline(always)]
    unsafe fn apply<S: Simd>(
        self,
        simd: S,
        bias: S::f32s,
        value: S::f32s,
        place: Place,
        _: &mut Moments<S::f32s>,
    ) -> S::f32s {
        let mut sum = simd.add_f32s(value, bias);
        if AROUND {
            // SAFETY: the contract.
            sum = simd.add_f32s(sum, unsafe { load_first(simd, place.to, place.count) });
        }
        if RELU { relu(simd, sum) } else { sum }
    }
}
