//! Pictures cut into tiles, and the transforms of tiles into the panels that are multiplied.
//!
//! Tile `t` of picture `n` covers the outputs `[M th .. M th + M) x [M tw .. M tw + M)` and the inputs of a window of `N = M + 2` that starts
//! `pad` before. A block of tiles is transformed into `[⌈c / L⌉, N N, block, L]`: for each point of the transformed tile an operand by
//! lanes (see [`crate::tile`]). The points of a lane block lie together, an odd number of cache lines apart: a tile's 36 stores fall into
//! some 14 pages and into different sets of L1. With all channels of a point together they fell into 36 pages, and the transforms took twice
//! as long with the misses of the 64-entry TLB.

use pulp::Simd;

use super::transform::{Source, Transform, store_square};
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
    /// Tiles in a column and in a row of a picture.
    rows: usize,
    columns: usize,
}

/// Where a tile lies.
pub(crate) struct Place {
    pub(crate) picture: usize,
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
        Place { picture: row / self.rows, top: row % self.rows * self.side, left: column * self.side }
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

/// The pixels of a window of `E x E` that starts at `(top, left)` of a picture `[h, w, c]`; those outside are `zeros`.
#[inline(always)]
fn window<const E: usize>(
    picture: *const f32,
    top: isize,
    left: isize,
    h: usize,
    w: usize,
    c: usize,
    zeros: *const f32,
) -> [[*const f32; E]; E] {
    let mut pixels = [[zeros; E]; E];
    for (i, row) in pixels.iter_mut().enumerate() {
        let ih = top + i as isize;
        if ih < 0 || ih >= h as isize {
            continue;
        }
        for (j, pixel) in row.iter_mut().enumerate() {
            let iw = left + j as isize;
            if iw >= 0 && iw < w as isize {
                *pixel = picture.wrapping_add((ih as usize * w + iw as usize) * c);
            }
        }
    }
    pixels
}

/// A tensor `[n, h, w, c]` of which windows are read.
#[derive(Clone, Copy)]
pub(crate) struct Picture {
    pub(crate) from: *const f32,
    pub(crate) h: usize,
    pub(crate) w: usize,
    pub(crate) c: usize,
    /// Rows and columns that a window starts before its tile.
    pub(crate) before: usize,
    /// `c` zeros.
    pub(crate) zeros: *const f32,
}

impl Picture {
    #[inline(always)]
    fn window<const E: usize>(&self, tiles: &Tiles, tile: usize) -> [[*const f32; E]; E] {
        let place = tiles.place(tile);
        let picture = self.from.wrapping_add(place.picture * self.h * self.w * self.c);
        let (top, left) = (place.top as isize - self.before as isize, place.left as isize - self.before as isize);
        window::<E>(picture, top, left, self.h, self.w, self.c, self.zeros)
    }

    /// The windows of up to [`GROUP`] tiles.
    #[inline(always)]
    fn windows<const E: usize>(&self, tiles: &Tiles, group: std::ops::Range<usize>) -> [[[*const f32; E]; E]; GROUP] {
        let mut windows = [[[self.zeros; E]; E]; GROUP];
        for (window, tile) in windows.iter_mut().zip(group) {
            *window = self.window::<E>(tiles, tile);
        }
        windows
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
        range: std::ops::Range<usize>,
        block: usize,
        to: *mut f32,
    ) {
        let lanes = S::F32_LANES;
        let step = point_step(block, lanes);
        let group_of = |start: usize| start.min(range.end)..(start + GROUP).min(range.end);
        let mut ahead = self.windows::<E>(tiles, group_of(range.start));
        for start in range.clone().step_by(GROUP) {
            let windows = ahead;
            ahead = self.windows::<E>(tiles, group_of(start + GROUP));
            let group = group_of(start);
            for channel in (0..self.c).step_by(lanes) {
                let to = to.wrapping_add(channel / lanes * N * N * step + (start - range.start) * lanes);
                for (i, pixels) in windows.iter().enumerate().take(group.len()) {
                    if (channel / lanes).is_multiple_of(LINE / lanes) {
                        for pixel in ahead[i].as_flattened() {
                            prefetch(pixel.wrapping_add(channel));
                        }
                    }
                    let count = self.c - channel;
                    // SAFETY: pixels are inside the tensor or `zeros`, and hold `count` more channels.
                    unsafe {
                        let to = to.add(i * lanes);
                        if count >= lanes {
                            let source = Pixels::<'_, E, true> { pixels, channel, count };
                            store_square::<S, T, E, N>(simd, &source, to, step);
                        } else {
                            let source = Pixels::<'_, E, false> { pixels, channel, count };
                            store_square::<S, T, E, N>(simd, &source, to, step);
                        }
                    }
                }
            }
        }
    }
}

/// A vector of channels of each pixel of a window.
struct Pixels<'a, const E: usize, const WHOLE: bool> {
    pixels: &'a [[*const f32; E]; E],
    channel: usize,
    /// Channels from there, where they are not a whole vector.
    count: usize,
}

impl<S: Simd, const E: usize, const WHOLE: bool> Source<S> for Pixels<'_, E, WHOLE> {
    #[inline(always)]
    unsafe fn at(&self, simd: S, i: usize, j: usize) -> S::f32s {
        // SAFETY: the contract.
        unsafe {
            let from = self.pixels[i][j].add(self.channel);
            if WHOLE { load(simd, from) } else { load_first(simd, from, self.count) }
        }
    }
}
