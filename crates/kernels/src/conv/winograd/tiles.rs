//! Pictures cut into tiles, and the transforms of tiles into the panels that are multiplied.
//!
//! Tile `t` of picture `n` covers the outputs `[M th .. M th + M) x [M tw .. M tw + M)` and the inputs of a window of `N = M + 2` that starts
//! `pad` before. A block of tiles is transformed into `[N N, ⌈c / L⌉, block, L]`: for each point of the transformed tile an operand by
//! lanes (see [`crate::tile`]). The points are an odd number of cache lines apart.

use pulp::Simd;

use super::transform::{Data, Gradient, Minimal, Source, store_square};
use crate::scratch::odd_lines;
use crate::vector::{load, load_first};

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

/// Floats between two points of a transformed block of tiles with `c` channels.
pub(crate) fn point_step(c: usize, block: usize, lanes: usize) -> usize {
    odd_lines(c.div_ceil(lanes) * block * lanes)
}

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

/// `Bᵀ d B` of the tiles `first .. first + count` of `from [n, h, w, c]`, into a block at `to`.
///
/// # Safety
/// `from` must be readable for the whole tensor, `zeros` for `c` floats, `to` writable for `N N` points.
#[inline(always)]
pub(crate) unsafe fn data_block<S: Simd, W: Minimal<M, N>, const M: usize, const N: usize>(
    simd: S,
    tiles: &Tiles,
    from: *const f32,
    c: usize,
    zeros: *const f32,
    first: usize,
    count: usize,
    block: usize,
    to: *mut f32,
) {
    let lanes = S::F32_LANES;
    let step = point_step(c, block, lanes);
    for t in 0..count {
        let place = tiles.place(first + t);
        let picture = from.wrapping_add(place.picture * tiles.h * tiles.w * c);
        let (top, left) = (place.top as isize - tiles.pad as isize, place.left as isize - tiles.pad as isize);
        let pixels = window::<N>(picture, top, left, tiles.h, tiles.w, c, zeros);
        for channel in (0..c).step_by(lanes) {
            let to = to.wrapping_add((channel / lanes * block + t) * lanes);
            // SAFETY: pixels are inside the tensor or `zeros`, and hold `c - channel` more channels.
            unsafe {
                let (pixels, count) = (&pixels, c - channel);
                if count >= lanes {
                    let source = Pixels::<'_, N, true> { pixels, channel, count };
                    store_square::<S, Data<W, M, N>, N, N>(simd, &source, to, step);
                } else {
                    let source = Pixels::<'_, N, false> { pixels, channel, count };
                    store_square::<S, Data<W, M, N>, N, N>(simd, &source, to, step);
                }
            }
        }
    }
}

/// `A dy Aᵀ` of the tiles `first .. first + count` of `dy [n, out_h, out_w, k]`, into a block at `to`.
///
/// # Safety
/// As [`data_block`], with `dy` and `k` channels.
#[inline(always)]
pub(crate) unsafe fn gradient_block<S: Simd, W: Minimal<M, N>, const M: usize, const N: usize>(
    simd: S,
    tiles: &Tiles,
    dy: *const f32,
    k: usize,
    zeros: *const f32,
    first: usize,
    count: usize,
    block: usize,
    to: *mut f32,
) {
    let lanes = S::F32_LANES;
    let step = point_step(k, block, lanes);
    for t in 0..count {
        let place = tiles.place(first + t);
        let picture = dy.wrapping_add(place.picture * tiles.out_h * tiles.out_w * k);
        let (top, left) = (place.top as isize, place.left as isize);
        let pixels = window::<M>(picture, top, left, tiles.out_h, tiles.out_w, k, zeros);
        for channel in (0..k).step_by(lanes) {
            let to = to.wrapping_add((channel / lanes * block + t) * lanes);
            // SAFETY: as in `data_block`.
            unsafe {
                let (pixels, count) = (&pixels, k - channel);
                if count >= lanes {
                    let source = Pixels::<'_, M, true> { pixels, channel, count };
                    store_square::<S, Gradient<W, M, N>, M, N>(simd, &source, to, step);
                } else {
                    let source = Pixels::<'_, M, false> { pixels, channel, count };
                    store_square::<S, Gradient<W, M, N>, M, N>(simd, &source, to, step);
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
