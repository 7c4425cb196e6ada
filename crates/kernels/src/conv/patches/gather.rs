//! Patches of a picture as rows of an operand by lanes.
//!
//! A row belongs to a position `(n, u, v)` of a grid; its values are the channels of the pixels under the taps, `[taps, c]` flat. The pixel
//! of a tap is `(u step + dh, v step + dw)`, zero outside of the picture. A forward pass has one grid; an input gradient has one for each
//! phase of the stride.

use pulp::Simd;

use crate::ConvShape;
use crate::scratch::odd_lines;
use crate::vector::{load, store};

/// A tap: which element of the filter, and where its pixel lies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tap {
    /// `i * kw + j`.
    pub(crate) index: usize,
    dh: isize,
    dw: isize,
}

/// Positions of which each has a patch in `from [n, h, w, c]` and a pixel in `to [n, to_h, to_w, ·]`.
#[derive(Clone, Debug)]
pub(crate) struct Grid {
    pub(crate) n: usize,
    h: usize,
    w: usize,
    pub(crate) c: usize,
    /// Positions in a picture.
    rows: usize,
    columns: usize,
    step: usize,
    pub(crate) taps: Vec<Tap>,
    to_h: usize,
    to_w: usize,
    to_step: usize,
    to_top: usize,
    to_left: usize,
}

impl Grid {
    /// The grid of the forward pass: a position is an output.
    pub(crate) fn forward(s: &ConvShape) -> Self {
        let tap = |index: usize| {
            let (i, j) = ((index / s.kw) as isize, (index % s.kw) as isize);
            Tap { index, dh: i - s.pad as isize, dw: j - s.pad as isize }
        };
        let (rows, columns) = (s.out_h(), s.out_w());
        Self {
            n: s.n,
            h: s.h,
            w: s.w,
            c: s.c,
            rows,
            columns,
            step: s.stride,
            taps: Self::useful((0..s.kh * s.kw).map(tap), s.h, s.w, rows, columns, s.stride),
            to_h: rows,
            to_w: columns,
            to_step: 1,
            to_top: 0,
            to_left: 0,
        }
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

    /// The taps that touch the picture from some position: on a 1x1 map only the middle of a 3x3 filter does.
    fn useful(
        taps: impl Iterator<Item = Tap>,
        h: usize,
        w: usize,
        rows: usize,
        columns: usize,
        step: usize,
    ) -> Vec<Tap> {
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
        let (picture, u) = (line / self.rows, line % self.rows);
        (picture * self.to_h + self.to_top + u * self.to_step) * self.to_w + self.to_left + v * self.to_step
    }

    /// Whether the positions are the pixels of `to`, in order.
    pub(crate) fn is_identity(&self) -> bool {
        self.to_step == 1
    }

    /// Offset of the pixel under a tap at position `row`, in floats, if it is inside the picture.
    #[inline(always)]
    fn pixel(&self, row: usize, tap: &Tap) -> Option<usize> {
        let (line, v) = (row / self.columns, row % self.columns);
        let (picture, u) = (line / self.rows, line % self.rows);
        let ih = ((u * self.step) as isize + tap.dh) as usize;
        let iw = ((v * self.step) as isize + tap.dw) as usize;
        // A negative row or column has become a huge one.
        (ih < self.h && iw < self.w).then(|| ((picture * self.h + ih) * self.w + iw) * self.c)
    }
}

/// Floats between two lane blocks of `rows` rows.
pub(crate) fn block_step(rows: usize, lanes: usize) -> usize {
    odd_lines(rows * lanes)
}

/// Most rows that are gathered at once.
pub(crate) const MAX_ROWS: usize = 128;

/// Gathers the values `depth` of the patches of `count` positions from `first`, lane block `i` at `to + i step`. `depth` starts at a
/// multiple of the lanes.
///
/// # Safety
/// `from` must be readable for the whole tensor, `to` writable for all lane blocks.
#[inline(always)]
pub(crate) unsafe fn gather<S: Simd>(
    simd: S,
    grid: &Grid,
    from: *const f32,
    first: usize,
    count: usize,
    depth: std::ops::Range<usize>,
    to: *mut f32,
    step: usize,
) {
    let lanes = S::F32_LANES;
    let mut pixels = [None; MAX_ROWS];
    let mut at = depth.start;
    while at < depth.end {
        let (tap, channel) = (at / grid.c, at % grid.c);
        let end = depth.end.min((tap + 1) * grid.c);
        for (i, pixel) in pixels[..count].iter_mut().enumerate() {
            *pixel = grid.pixel(first + i, &grid.taps[tap]);
        }
        // SAFETY: channels of pixels inside the tensor, and lane blocks inside `to`.
        unsafe {
            if at.is_multiple_of(lanes) && (end - at).is_multiple_of(lanes) {
                whole(
                    simd,
                    from.wrapping_add(channel),
                    &pixels[..count],
                    end - at,
                    to.add((at - depth.start) / lanes * step),
                    step,
                );
            } else {
                single(from.wrapping_add(channel), &pixels[..count], at - depth.start, end - at, lanes, to, step);
            }
        }
        at = end;
    }
}

/// Copies whole vectors: `channels` channels of each pixel.
///
/// # Safety
/// As [`gather`].
#[inline(always)]
unsafe fn whole<S: Simd>(
    simd: S,
    from: *const f32,
    pixels: &[Option<usize>],
    channels: usize,
    to: *mut f32,
    step: usize,
) {
    let lanes = S::F32_LANES;
    let zero = simd.splat_f32s(0.0);
    for (i, pixel) in pixels.iter().enumerate() {
        let to = to.wrapping_add(i * lanes);
        // SAFETY: the contract.
        unsafe {
            match pixel {
                Some(offset) => {
                    let from = from.add(*offset);
                    for block in 0..channels / lanes {
                        store(simd, to.add(block * step), load(simd, from.add(block * lanes)));
                    }
                }
                None => (0..channels / lanes).for_each(|block| store(simd, to.add(block * step), zero)),
            }
        }
    }
}

/// Copies value by value, where channels do not fill vectors: the stems.
///
/// # Safety
/// As [`gather`].
#[inline(always)]
unsafe fn single(
    from: *const f32,
    pixels: &[Option<usize>],
    start: usize,
    channels: usize,
    lanes: usize,
    to: *mut f32,
    step: usize,
) {
    for c in 0..channels {
        let to = to.wrapping_add((start + c) / lanes * step + (start + c) % lanes);
        for (i, pixel) in pixels.iter().enumerate() {
            // SAFETY: the contract.
            unsafe { *to.add(i * lanes) = pixel.map_or(0.0, |offset| *from.add(offset + c)) };
        }
    }
}
