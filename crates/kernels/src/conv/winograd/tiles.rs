//! Images cut into tiles, and the transforms of tiles into the panels that are multiplied.
//!
//! Tile `t` of image `n` covers the outputs `[M th .. M th + M) x [M tw .. M tw + M)` and the inputs of a window of `N = M + 2` that starts
//! `pad` before. A block of tiles is transformed into `[⌈c / L⌉, N N, block, L]`: for each point of the transformed tile an operand by
//! lanes (see [`crate::tile`]). The points of a lane block lie together, an odd number of cache lines apart: a tile's 36 stores fall into
//! some 14 pages and into different sets of L1. With all channels of a point together they fell into 36 pages, and the transforms took twice
//! as long with the misses of the 64-entry TLB.

use std::ops::Range;

use pulp::Simd;

use super::transform::{Places, Points, Source, Strided, Transform, square};
use crate::conv::input::Read;
use crate::scratch::odd_lines;
use crate::vector::{load, load_first, prefetch};

/// Floats of a cache line.
const LINE: usize = 16;

/// A 3x3 correlation with stride 1, seen as tiles: `from [n, h, w, c]` → `to [n, out_h, out_w, k]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tiles {
    pub(crate) n: usize,
    pub(crate) h: usize,
    pub(crate) w: usize,
    pub(crate) out_h: usize,
    pub(crate) out_w: usize,
    pub(crate) pad: usize,
    /// Outputs on a tile's side.
    pub(crate) side: usize,
    /// Tiles in a column and in a row of an image.
    rows: usize,
    columns: usize,
}

/// Where a tile lies.
pub(crate) struct Place {
    pub(crate) image: usize,
    /// First output row and column.
    pub(crate) top: usize,
    pub(crate) left: usize,
}

impl Tiles {
    pub(crate) fn new(n: usize, h: usize, w: usize, pad: usize, side: usize) -> Self {
        let (out_h, out_w) = (h + 2 * pad - 2, w + 2 * pad - 2);
        Self { n, h, w, out_h, out_w, pad, side, rows: out_h.div_ceil(side), columns: out_w.div_ceil(side) }
    }

    pub(crate) fn count(&self) -> usize {
        self.n * self.rows * self.columns
    }

    #[inline(always)]
    pub(crate) fn place(&self, tile: usize) -> Place {
        let (row, column) = (tile / self.columns, tile % self.columns);
        Place { image: row / self.rows, top: row % self.rows * self.side, left: column * self.side }
    }
}

impl Tiles {
    /// The elements of `from` from the first that some tiles read to the last, where they are few more than those read.
    pub(crate) fn read(&self, tiles: Range<usize>, c: usize) -> Range<usize> {
        self.rows_of(tiles, self.pad, self.side + 2 - self.pad, [self.h, self.w, c])
    }

    /// The elements of `to` from the first that some tiles write to the last, where they are few more than those written.
    pub(crate) fn written(&self, tiles: Range<usize>, k: usize) -> Range<usize> {
        self.rows_of(tiles, 0, self.side, [self.out_h, self.out_w, k])
    }

    /// Whole rows, from `before` rows above the first tile to `after` below the top of the last.
    fn rows_of(&self, tiles: Range<usize>, before: usize, after: usize, [h, w, c]: [usize; 3]) -> Range<usize> {
        /// How many times as many elements as the tiles have are still few more.
        const FEW: usize = 2;
        if tiles.is_empty() {
            return 0..0;
        }
        let (first, last) = (self.place(tiles.start), self.place(tiles.end - 1));
        let row = w * c;
        let start = (first.image * h + first.top.saturating_sub(before)) * row;
        let end = (last.image * h + h.min(last.top + after)) * row;
        let few = FEW * tiles.len() * self.side * self.side * c;
        if end - start <= few { start..end } else { 0..0 }
    }
}

/// Floats between two points of a lane block of `block` transformed tiles.
pub(crate) fn point_step(block: usize, lanes: usize) -> usize {
    odd_lines(block * lanes)
}

/// Floats of a block of `block` transformed tiles with `c` channels.
pub(crate) fn block_len(points: usize, c: usize, block: usize, lanes: usize) -> usize {
    c.div_ceil(lanes) * points * point_step(block, lanes)
}

/// Tiles that are transformed channel by channel, one group after the other: their pixels and a lane block of their points stay in L1.
const GROUP: usize = 8;

/// The windows of a group of tiles.
struct Windows<const E: usize> {
    /// The first pixel of each window that lies inside its image, null for the others.
    inside: [*const f32; GROUP],
    /// The pixels of each window that does not; those outside are zeros.
    edge: [[[*const f32; E]; E]; GROUP],
}

/// A tensor `[n, h, w, c]` of which windows are read.
#[derive(Clone, Copy)]
pub(crate) struct Image<R> {
    pub(crate) from: *const f32,
    pub(crate) read: R,
    pub(crate) h: usize,
    pub(crate) w: usize,
    pub(crate) c: usize,
    /// Rows and columns that a window starts before its tile.
    pub(crate) before: usize,
    /// `c` zeros.
    pub(crate) zeros: *const f32,
}

impl<R: Read> Image<R> {
    /// Finds the windows of the tiles `group`.
    #[inline(always)]
    fn find<const E: usize>(&self, tiles: &Tiles, group: Range<usize>, windows: &mut Windows<E>) {
        let Self { h, w, c, before, .. } = *self;
        for (i, tile) in group.enumerate() {
            let place = tiles.place(tile);
            let image = self.from.wrapping_add(place.image * h * w * c);
            // A negative row or column becomes a huge one.
            let (top, left) = (place.top.wrapping_sub(before), place.left.wrapping_sub(before));
            if top < h && left < w && top + E <= h && left + E <= w {
                windows.inside[i] = image.wrapping_add((top * w + left) * c);
                continue;
            }
            windows.inside[i] = std::ptr::null();
            for (y, row) in windows.edge[i].iter_mut().enumerate() {
                for (x, pixel) in row.iter_mut().enumerate() {
                    let (y, x) = (top.wrapping_add(y), left.wrapping_add(x));
                    *pixel = if y < h && x < w { image.wrapping_add((y * w + x) * c) } else { self.zeros };
                }
            }
        }
    }

    /// Asks for the pixels of a window, from a channel on.
    #[inline(always)]
    fn prefetch<const E: usize>(&self, windows: &Windows<E>, i: usize, channel: usize) {
        let first = windows.inside[i];
        if first.is_null() {
            windows.edge[i].as_flattened().iter().for_each(|pixel| prefetch(pixel.wrapping_add(channel)));
        } else {
            for (y, x) in (0..E).flat_map(|y| (0..E).map(move |x| (y, x))) {
                prefetch(first.wrapping_add((y * self.w + x) * self.c + channel));
            }
        }
    }

    /// Transforms the windows of the tiles `first .. first + count` into a block at `to`: `Bᵀ d B` or `A dy Aᵀ`.
    ///
    /// # Safety
    /// The tensor must be readable, and `to` writable for a block.
    #[inline(always)]
    pub(crate) unsafe fn transform<S: Simd, T: Transform<E, N>, const E: usize, const N: usize>(
        &self,
        simd: S,
        tiles: &Tiles,
        range: Range<usize>,
        block: usize,
        to: *mut f32,
    ) {
        let lanes = S::F32_LANES;
        let step = point_step(block, lanes);
        let group_of = |start: usize| start.min(range.end)..(start + GROUP).min(range.end);
        let nowhere = || Windows { inside: [self.zeros; GROUP], edge: [[[self.zeros; E]; E]; GROUP] };
        let (mut here, mut ahead) = (&mut nowhere(), &mut nowhere());
        self.find(tiles, group_of(range.start), here);
        for start in range.clone().step_by(GROUP) {
            let (group, next) = (group_of(start), group_of(start + GROUP));
            self.find(tiles, next.clone(), ahead);
            for channel in (0..self.c).step_by(lanes) {
                let to = to.wrapping_add(channel / lanes * N * N * step + (start - range.start) * lanes);
                for i in 0..group.len() {
                    if (channel / lanes).is_multiple_of(LINE / lanes) && i < next.len() {
                        self.prefetch(ahead, i, channel);
                    }
                    // SAFETY: pixels are inside the tensor or `zeros`, and hold the channels from `channel` on; `to` by the contract.
                    unsafe { self.tile::<S, T, E, N>(simd, here, i, channel, to.add(i * lanes), step) };
                }
            }
            std::mem::swap(&mut here, &mut ahead);
        }
    }

    /// Transforms a vector of channels of one window.
    ///
    /// # Safety
    /// As [`Image::transform`], for this window.
    #[inline(always)]
    unsafe fn tile<S: Simd, T: Transform<E, N>, const E: usize, const N: usize>(
        &self,
        simd: S,
        windows: &Windows<E>,
        i: usize,
        channel: usize,
        to: *mut f32,
        step: usize,
    ) {
        let count = self.c - channel;
        let whole = count >= S::F32_LANES;
        let inside = Strided { from: windows.inside[i].wrapping_add(channel), row: self.w * self.c, column: self.c };
        let edge = Pixels { pixels: &windows.edge[i], channel };
        let outside = self.zeros.wrapping_add(channel);
        let mut sink = Points { to, step };
        // SAFETY: the contract.
        unsafe {
            let channels = self.read.channels(simd, channel);
            match (windows.inside[i].is_null(), whole) {
                (false, true) => {
                    let source = Values::<S, R, _, true, false> { places: inside, channels, outside, count };
                    square::<S, T, E, N>(simd, &source, &mut sink);
                }
                (true, true) => {
                    let source = Values::<S, R, _, true, true> { places: edge, channels, outside, count };
                    square::<S, T, E, N>(simd, &source, &mut sink);
                }
                (false, false) => {
                    let source = Values::<S, R, _, false, false> { places: inside, channels, outside, count };
                    square::<S, T, E, N>(simd, &source, &mut sink);
                }
                (true, false) => {
                    let source = Values::<S, R, _, false, true> { places: edge, channels, outside, count };
                    square::<S, T, E, N>(simd, &source, &mut sink);
                }
            }
        }
    }
}

/// The values of a window as they are to be read. `WHOLE`: a vector of channels, not only the first `count`. `EDGE`: some places are
/// `outside` of the image.
struct Values<S: Simd, R: Read, P, const WHOLE: bool, const EDGE: bool> {
    places: P,
    channels: R::Channels<S>,
    outside: *const f32,
    count: usize,
}

impl<S: Simd, R: Read, P: Places, const WHOLE: bool, const EDGE: bool> Source<S> for Values<S, R, P, WHOLE, EDGE> {
    #[inline(always)]
    unsafe fn at(&self, simd: S, i: usize, j: usize) -> S::f32s {
        let place = self.places.place(i, j);
        // SAFETY: the contract.
        let values = unsafe { if WHOLE { load(simd, place) } else { load_first(simd, place, self.count) } };
        if EDGE && !R::PLAIN && place == self.outside { values } else { R::vector(simd, self.channels, values) }
    }
}

/// The pixels of a window at an edge, from a channel on.
struct Pixels<'a, const E: usize> {
    pixels: &'a [[*const f32; E]; E],
    channel: usize,
}

impl<const E: usize> Places for Pixels<'_, E> {
    #[inline(always)]
    fn place(&self, i: usize, j: usize) -> *const f32 {
        self.pixels[i][j].wrapping_add(self.channel)
    }
}
