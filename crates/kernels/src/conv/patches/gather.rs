//! Patches of an image as rows of an operand by lanes.
//!
//! A row belongs to a position `(n, u, v)` of a grid; its values are the channels of the pixels under the taps, `[taps, c]` flat. The pixel
//! of a tap is `(u step + dh, v step + dw)`, zero outside of the image. A forward pass has one grid; an input gradient has one for each
//! phase of the stride.

use std::sync::Arc;

use pulp::Simd;

use super::windows::{MOST_OF_WINDOW, Rectangle};
use crate::ConvShape;
use crate::conv::input::{Input, Plain, Read};
use crate::scratch::odd_lines;
use crate::vector::{MAX_LANES, load, store};

/// A tap: which element of the filter, and where its pixel lies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tap {
    /// `i * kw + j`.
    pub(crate) index: usize,
    pub(super) dh: isize,
    pub(super) dw: isize,
}

impl Tap {
    /// All taps of the forward pass.
    pub(crate) fn all(s: &ConvShape) -> impl Iterator<Item = Self> {
        let ConvShape { kh, kw, pad, .. } = *s;
        (0..kh * kw).map(move |index| {
            let (i, j) = ((index / kw) as isize, (index % kw) as isize);
            Self { index, dh: i - pad as isize, dw: j - pad as isize }
        })
    }
}

/// Positions of which each has a patch in `from [n, h, w, c]` and a pixel in `to [n, to_h, to_w, ·]`.
#[derive(Clone, Debug)]
pub(crate) struct Grid {
    pub(crate) n: usize,
    pub(super) h: usize,
    pub(super) w: usize,
    pub(crate) c: usize,
    /// Positions in an image.
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) step: usize,
    pub(crate) taps: Arc<[Tap]>,
    to_h: usize,
    to_w: usize,
    to_step: usize,
    to_top: usize,
    to_left: usize,
}

impl Grid {
    /// The grid of the forward pass: a position is an output. Taps that reach no pixel are left out.
    pub(crate) fn forward(s: &ConvShape) -> Self {
        let (rows, columns) = (s.out_h(), s.out_w());
        Self::outputs(s, Self::useful(Tap::all(s), s.h, s.w, rows, columns, s.stride))
    }

    /// [`Grid::forward`] with these taps. With all of them, weights that are packed for it suit any size of image.
    pub(crate) fn outputs(s: &ConvShape, taps: Arc<[Tap]>) -> Self {
        let (rows, columns) = (s.out_h(), s.out_w());
        Self {
            n: s.n,
            h: s.h,
            w: s.w,
            c: s.c,
            rows,
            columns,
            step: s.stride,
            taps,
            to_h: rows,
            to_w: columns,
            to_step: 1,
            to_top: 0,
            to_left: 0,
        }
    }

    /// The rows of a matrix `[n, c]`.
    pub(crate) fn rows(n: usize, c: usize) -> Self {
        Self::forward(&ConvShape { n, h: 1, w: 1, c, k: 1, kh: 1, kw: 1, stride: 1, pad: 0 })
    }

    /// The grids of the input gradient: a position is an input pixel, a patch is of `dy`. Output row `oh` reaches input row `ih` through
    /// filter row `i` where `oh stride + i = ih + pad`, so the rows `ih = phase + stride u` share their taps.
    pub(crate) fn backward(s: &ConvShape) -> Vec<Self> {
        let along = |phase: usize, kernel: usize| -> Vec<(usize, isize)> {
            let reach = |i: usize| (phase + s.pad) as isize - i as isize;
            let stride = s.stride as isize;
            (0..kernel).filter(|&i| reach(i) % stride == 0).map(|i| (i, reach(i) / stride)).collect()
        };
        let phases = (0..s.stride.min(s.h)).flat_map(|a| (0..s.stride.min(s.w)).map(move |b| (a, b)));
        phases
            .map(|(top, left)| {
                let (vertical, horizontal) = (along(top, s.kh), along(left, s.kw));
                let pairs = vertical.iter().flat_map(|&v| horizontal.iter().map(move |&h| (v, h)));
                let taps = pairs.map(|((i, dh), (j, dw))| Tap { index: i * s.kw + j, dh, dw });
                let (rows, columns) = ((s.h - top).div_ceil(s.stride), (s.w - left).div_ceil(s.stride));
                Self {
                    n: s.n,
                    h: s.out_h(),
                    w: s.out_w(),
                    c: s.k,
                    rows,
                    columns,
                    step: 1,
                    taps: Self::useful(taps, s.out_h(), s.out_w(), rows, columns, 1),
                    to_h: s.h,
                    to_w: s.w,
                    to_step: s.stride,
                    to_top: top,
                    to_left: left,
                }
            })
            .collect()
    }

    /// The taps that touch the image from some position: on a 1x1 map only the middle of a 3x3 filter does.
    fn useful(
        taps: impl Iterator<Item = Tap>,
        h: usize,
        w: usize,
        rows: usize,
        columns: usize,
        step: usize,
    ) -> Arc<[Tap]> {
        let touches = |d: isize, size: usize, count: usize| d < size as isize && d + ((count - 1) * step) as isize >= 0;
        taps.filter(|tap| touches(tap.dh, h, rows) && touches(tap.dw, w, columns)).collect()
    }

    /// Positions: the rows of the operand.
    pub(crate) fn count(&self) -> usize {
        self.n * self.rows * self.columns
    }

    /// Values of a patch.
    pub(crate) fn depth(&self) -> usize {
        self.taps.len() * self.c
    }

    /// Pixel of `to` that position `row` stands for.
    #[inline(always)]
    pub(crate) fn target(&self, row: usize) -> usize {
        let (line, v) = (row / self.columns, row % self.columns);
        let (image, u) = (line / self.rows, line % self.rows);
        (image * self.to_h + self.to_top + u * self.to_step) * self.to_w + self.to_left + v * self.to_step
    }

    /// Pixels of `to` from a position to the next, and how many positions are certain to be so far apart from one another: all of them
    /// where the positions are the pixels of `to`, those of a row otherwise.
    pub(crate) fn stride(&self) -> (usize, usize) {
        (self.to_step, if self.to_step == 1 { usize::MAX } else { self.columns })
    }

    /// Where the first tap's origin lies for `count` positions from `first`: found by counting, since a division for each position and tap
    /// takes as long as fifty products.
    #[inline(always)]
    fn places(&self, first: usize, places: &mut [Place]) {
        let (line, mut v) = (first / self.columns, first % self.columns);
        let (mut image, mut u) = (line / self.rows, line % self.rows);
        for place in places {
            let (top, left) = (u * self.step, v * self.step);
            *place = Place { pixel: ((image * self.h + top) * self.w + left) * self.c, top, left };
            v += 1;
            if v == self.columns {
                v = 0;
                u += 1;
            }
            if u == self.rows {
                u = 0;
                image += 1;
            }
        }
    }
}

/// A position of a grid, without its taps.
#[derive(Clone, Copy, Default)]
struct Place {
    /// Offset of the pixel `(top, left)` in floats.
    pixel: usize,
    top: usize,
    left: usize,
}

impl Place {
    /// Offset of the pixel under a tap, if it is inside the image.
    #[inline(always)]
    fn under(&self, grid: &Grid, tap: &Tap) -> Option<usize> {
        // A negative row or column becomes a huge one.
        let inside = self.top.wrapping_add_signed(tap.dh) < grid.h && self.left.wrapping_add_signed(tap.dw) < grid.w;
        let offset = (tap.dh * grid.w as isize + tap.dw) * grid.c as isize;
        inside.then(|| self.pixel.wrapping_add_signed(offset))
    }
}

/// Floats between two lane blocks of `rows` rows.
pub(crate) fn block_step(rows: usize, lanes: usize) -> usize {
    odd_lines(rows * lanes)
}

/// Most rows that are gathered at once.
pub(crate) const MAX_ROWS: usize = 128;

/// Gathers the values `depth` of the patches of `count` positions from `first`, lane block `i` at `to + i step`. `depth` starts at a
/// multiple of the lanes. Lanes beyond the depth get arbitrary numbers.
///
/// # Safety
/// `to` must be writable for all lane blocks.
#[inline(always)]
pub(crate) unsafe fn gather<S: Simd>(
    simd: S,
    grid: &Grid,
    from: Input<'_>,
    first: usize,
    count: usize,
    depth: std::ops::Range<usize>,
    to: *mut f32,
    step: usize,
) {
    let rectangle = Rectangle::of(grid, &from, S::F32_LANES).filter(|_| depth == (0..grid.depth()));
    let Input { values: from, rectified } = from;
    assert!(from.len() >= grid.n * grid.h * grid.w * grid.c, "a tensor is smaller than its grid");
    let lanes = S::F32_LANES;
    let mut places = [Place::default(); MAX_ROWS];
    let places = &mut places[..count];
    grid.places(first, places);
    // SAFETY: channels of pixels inside the tensor, and lane blocks inside `to`.
    unsafe {
        if let Some(rectangle) = rectangle {
            return windows(simd, grid, rectangle, from, places, to, step);
        }
        match (rectified, grid.c.is_multiple_of(lanes)) {
            (None, true) => taps(simd, grid, from.as_ptr(), Plain, places, depth, to, step),
            (Some(read), true) => taps(simd, grid, from.as_ptr(), read, places, depth, to, step),
            (None, false) => singles(grid, from.as_ptr(), Plain, places, depth, lanes, to, step),
            (Some(read), false) => singles(grid, from.as_ptr(), read, places, depth, lanes, to, step),
        }
    }
}

/// Copies whole vectors, tap by tap.
///
/// # Safety
/// As [`gather`].
#[inline(always)]
unsafe fn taps<S: Simd, R: Read>(
    simd: S,
    grid: &Grid,
    from: *const f32,
    read: R,
    places: &[Place],
    depth: std::ops::Range<usize>,
    to: *mut f32,
    step: usize,
) {
    let lanes = S::F32_LANES;
    let zero = simd.splat_f32s(0.0);
    let mut at = depth.start;
    while at < depth.end {
        let (tap, channel) = (at / grid.c, at % grid.c);
        let end = depth.end.min((tap + 1) * grid.c);
        let blocks = (end - at) / lanes;
        let to = to.wrapping_add((at - depth.start) / lanes * step);
        for (i, place) in places.iter().enumerate() {
            let to = to.wrapping_add(i * lanes);
            // SAFETY: the contract.
            unsafe {
                match place.under(grid, &grid.taps[tap]) {
                    Some(offset) => {
                        let from = from.add(offset + channel);
                        for block in 0..blocks {
                            let channels = read.channels(simd, channel + block * lanes);
                            let values = R::vector(simd, channels, load(simd, from.add(block * lanes)));
                            store(simd, to.add(block * step), values);
                        }
                    }
                    None => (0..blocks).for_each(|block| store(simd, to.add(block * step), zero)),
                }
            }
        }
        at = end;
    }
}

/// Copies whole patches of few channels: a run of `kw c` values for each filter row into a buffer, and that into lane blocks.
///
/// # Safety
/// As [`gather`].
#[inline(always)]
unsafe fn windows<S: Simd>(
    simd: S,
    grid: &Grid,
    rectangle: Rectangle,
    from: &[f32],
    places: &[Place],
    to: *mut f32,
    step: usize,
) {
    let lanes = S::F32_LANES;
    let (kernel_w, run) = (rectangle.kw, rectangle.run(grid));
    let mut patch = [0f32; MOST_OF_WINDOW + 2 * MAX_LANES];
    for (i, place) in places.iter().enumerate() {
        for (row, taps) in grid.taps.chunks_exact(kernel_w).enumerate() {
            let values = &mut patch[row * run..];
            let (start, end) = (place.under(grid, &taps[0]), place.under(grid, &taps[kernel_w - 1]));
            match (start, end) {
                // The whole run is inside; reading up to a vector more is harmless while that is in the tensor.
                (Some(start), Some(_)) if start + run + lanes <= from.len() => {
                    for at in (0..run).step_by(lanes) {
                        // SAFETY: just checked; `patch` has room for a vector more than the longest patch.
                        unsafe { store(simd, values[at..].as_mut_ptr(), load(simd, from.as_ptr().add(start + at))) };
                    }
                }
                _ => {
                    for (tap, values) in taps.iter().zip(values.chunks_exact_mut(grid.c)) {
                        match place.under(grid, tap) {
                            Some(offset) => values.copy_from_slice(&from[offset..offset + grid.c]),
                            None => values.fill(0.0),
                        }
                    }
                }
            }
        }
        for block in 0..grid.depth().div_ceil(lanes) {
            // SAFETY: the contract; `patch` ends with a vector of numbers.
            unsafe { store(simd, to.add(block * step + i * lanes), load(simd, patch[block * lanes..].as_ptr())) };
        }
    }
}

/// Copies value by value: everything else.
///
/// # Safety
/// As [`gather`].
#[inline(always)]
unsafe fn singles(
    grid: &Grid,
    from: *const f32,
    read: impl Read,
    places: &[Place],
    depth: std::ops::Range<usize>,
    lanes: usize,
    to: *mut f32,
    step: usize,
) {
    for (row, at) in depth.enumerate() {
        let (tap, channel) = (&grid.taps[at / grid.c], at % grid.c);
        let to = to.wrapping_add(row / lanes * step + row % lanes);
        for (i, place) in places.iter().enumerate() {
            // SAFETY: the contract.
            unsafe {
                let value = |offset| read.single(channel, *from.add(offset + channel));
                *to.add(i * lanes) = place.under(grid, tap).map_or(0.0, value);
            }
        }
    }
}
