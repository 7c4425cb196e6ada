//! Grid of output tiles over a batch of images, and the transform of their input windows into
//! packed operands.
//!
//! Tile `(th, tw)` of an image covers the outputs `[M th .. M th + M) x [M tw .. M tw + M)` and
//! reads a window of `N = M + 2` inputs a side that starts `pad` before. A block of tiles is
//! transformed into `[⌈c / L⌉, N N, block, L]`: for each point of the transformed tile an operand
//! in lane blocks (see [`crate::micro_kernel`]).
//!
//! The points of a lane block lie together, an odd number of cache lines apart: the 36 stores of a
//! tile fall into some 14 pages and into different sets of L1. With all channels of a point
//! together they fell into 36 pages, and misses of the 64-entry TLB doubled the time of the
//! transforms.

use std::ops::Range;

use pulp::Simd;

use super::transform::{Addresses, PointSink, Strided, TileSource, Transform, transform_2d};
use crate::conv::prologue::{ConvInput, NoPrologue, Prologue};
use crate::prefetch::LINE_FLOATS;
use crate::vector::{load, load_first, prefetch};
use crate::workspace::odd_lines;

/// Tiles of a 3x3 correlation with stride 1: `from [n, h, w, c]` → `to [n, out_h, out_w, k]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TileGrid {
    pub(crate) n: usize,
    pub(crate) h: usize,
    pub(crate) w: usize,
    pub(crate) out_h: usize,
    pub(crate) out_w: usize,
    pub(crate) pad: usize,
    /// Side of a tile in outputs.
    pub(crate) side: usize,
    /// Rows of tiles in an image.
    rows: usize,
    /// Tiles in a row.
    columns: usize,
}

/// Image of a tile, and its first output row and column.
pub(crate) struct TileOrigin {
    pub(crate) image: usize,
    pub(crate) top: usize,
    pub(crate) left: usize,
}

impl TileGrid {
    pub(crate) fn new(n: usize, h: usize, w: usize, pad: usize, side: usize) -> Self {
        let (out_h, out_w) = (h + 2 * pad - 2, w + 2 * pad - 2);
        Self { n, h, w, out_h, out_w, pad, side, rows: out_h.div_ceil(side), columns: out_w.div_ceil(side) }
    }

    /// Returns the number of tiles of all images.
    pub(crate) fn count(&self) -> usize {
        self.n * self.rows * self.columns
    }

    /// Returns the origin of a tile.
    #[inline(always)]
    pub(crate) fn origin(&self, tile: usize) -> TileOrigin {
        let (row, column) = (tile / self.columns, tile % self.columns);
        TileOrigin { image: row / self.rows, top: row % self.rows * self.side, left: column * self.side }
    }

    /// Returns the range of `from` that some tiles read; empty if much of that range is not read.
    pub(crate) fn read(&self, tiles: Range<usize>, c: usize) -> Range<usize> {
        self.rows_of(tiles, self.pad, self.side + 2 - self.pad, [self.h, self.w, c])
    }

    /// Returns the range of `to` that some tiles write; empty if much of that range is not written.
    pub(crate) fn written(&self, tiles: Range<usize>, k: usize) -> Range<usize> {
        self.rows_of(tiles, 0, self.side, [self.out_h, self.out_w, k])
    }

    /// Returns whole rows, from `before` rows above the first tile to `after` below the top of the
    /// last.
    fn rows_of(&self, tiles: Range<usize>, before: usize, after: usize, [h, w, c]: [usize; 3]) -> Range<usize> {
        /// A range is worth a prefetch up to this many times the elements of the tiles.
        const MAX_RATIO: usize = 2;
        if tiles.is_empty() {
            return 0..0;
        }
        let (first, last) = (self.origin(tiles.start), self.origin(tiles.end - 1));
        let row = w * c;
        let start = (first.image * h + first.top.saturating_sub(before)) * row;
        let end = (last.image * h + h.min(last.top + after)) * row;
        let most = MAX_RATIO * tiles.len() * self.side * self.side * c;
        if end - start <= most { start..end } else { 0..0 }
    }
}

/// Returns the floats between two points of a lane block of `block` transformed tiles.
pub(crate) fn point_step(block: usize, lanes: usize) -> usize {
    odd_lines(block * lanes)
}

/// Returns the floats of a block of `block` transformed tiles with `c` channels.
pub(crate) fn block_len(points: usize, c: usize, block: usize, lanes: usize) -> usize {
    c.div_ceil(lanes) * points * point_step(block, lanes)
}

/// Tiles that are transformed together, channel by channel: their pixels and a lane block of their
/// points stay in L1.
const GROUP: usize = 8;

/// Windows of a group of tiles.
struct TileWindows<const E: usize> {
    /// First pixel of each window that lies inside its image, null for the others.
    inside: [*const f32; GROUP],
    /// Pixels of each window that crosses an edge; those outside of the image are zeros.
    edge: [[[*const f32; E]; E]; GROUP],
}

/// Tensor `[n, h, w, c]` whose windows are transformed.
#[derive(Clone, Copy)]
pub(crate) struct WindowReader<P> {
    pub(crate) from: *const f32,
    pub(crate) prologue: P,
    pub(crate) h: usize,
    pub(crate) w: usize,
    pub(crate) c: usize,
    /// Rows and columns by which a window starts before its tile.
    pub(crate) before: usize,
    /// `c` zeros in whole vectors.
    pub(crate) zeros: *const f32,
}

/// Transforms the input windows of the tiles of `range` into a block of `block` tiles at `to`, with
/// the prologue of the input.
///
/// # Safety
/// - `input.values` must hold `tiles.n * tiles.h * tiles.w * c` values,
/// - `zeros` must point to `c` zeros in whole vectors,
/// - `to` must be writable for `block_len(N * N, c, block, lanes)` floats, and `range` at most
///   `block` long.
#[inline(always)]
pub(crate) unsafe fn transform_input<S: Simd, T: Transform<N, N>, const N: usize>(
    simd: S,
    tiles: &TileGrid,
    input: ConvInput<'_>,
    c: usize,
    zeros: *const f32,
    range: Range<usize>,
    block: usize,
    to: *mut f32,
) {
    let TileGrid { h, w, pad, .. } = *tiles;
    let from = input.values.as_ptr();
    // SAFETY: the caller's obligations are those of `WindowReader::transform`.
    unsafe {
        match input.prologue {
            None => WindowReader { from, prologue: NoPrologue, h, w, c, before: pad, zeros }
                .transform::<S, T, N, N>(simd, tiles, range, block, to),
            Some(prologue) => WindowReader { from, prologue, h, w, c, before: pad, zeros }
                .transform::<S, T, N, N>(simd, tiles, range, block, to),
        }
    }
}

impl<P: Prologue> WindowReader<P> {
    /// Finds the windows of the tiles of `group`.
    #[inline(always)]
    fn find<const E: usize>(&self, tiles: &TileGrid, group: Range<usize>, windows: &mut TileWindows<E>) {
        let Self { h, w, c, before, .. } = *self;
        for (i, tile) in group.enumerate() {
            let origin = tiles.origin(tile);
            let image = self.from.wrapping_add(origin.image * h * w * c);
            // A negative row or column becomes a huge one.
            let (top, left) = (origin.top.wrapping_sub(before), origin.left.wrapping_sub(before));
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

    /// Prefetches the pixels of a window, from a channel on.
    #[inline(always)]
    fn prefetch<const E: usize>(&self, windows: &TileWindows<E>, i: usize, channel: usize) {
        let first = windows.inside[i];
        if first.is_null() {
            windows.edge[i].as_flattened().iter().for_each(|pixel| prefetch(pixel.wrapping_add(channel)));
        } else {
            for (y, x) in (0..E).flat_map(|y| (0..E).map(move |x| (y, x))) {
                prefetch(first.wrapping_add((y * self.w + x) * self.c + channel));
            }
        }
    }

    /// Transforms the windows of the tiles of `range` into a block at `to`: `Bᵀ d B` or `A dy Aᵀ`.
    ///
    /// # Safety
    /// - `from` must be readable for the images of `tiles`, `[n, h, w, c]`,
    /// - `zeros` must point to `c` zeros in whole vectors,
    /// - `to` must be writable for `block_len(N * N, c, block, lanes)` floats, and `range` at most
    ///   `block` long.
    #[inline(always)]
    pub(crate) unsafe fn transform<S: Simd, T: Transform<E, N>, const E: usize, const N: usize>(
        &self,
        simd: S,
        tiles: &TileGrid,
        range: Range<usize>,
        block: usize,
        to: *mut f32,
    ) {
        let lanes = S::F32_LANES;
        let step = point_step(block, lanes);
        let group_of = |start: usize| start.min(range.end)..(start + GROUP).min(range.end);
        let empty = || TileWindows { inside: [self.zeros; GROUP], edge: [[[self.zeros; E]; E]; GROUP] };
        let (mut here, mut ahead) = (&mut empty(), &mut empty());
        self.find(tiles, group_of(range.start), here);
        for start in range.clone().step_by(GROUP) {
            let (group, next) = (group_of(start), group_of(start + GROUP));
            self.find(tiles, next.clone(), ahead);
            for channel in (0..self.c).step_by(lanes) {
                let to = to.wrapping_add(channel / lanes * N * N * step + (start - range.start) * lanes);
                for i in 0..group.len() {
                    if (channel / lanes).is_multiple_of(LINE_FLOATS / lanes) && i < next.len() {
                        self.prefetch(ahead, i, channel);
                    }
                    // SAFETY: `find` put pixels of the tensor or `zeros` into `here`, both readable
                    // for the channels from `channel` on; `to` is inside the caller's block.
                    unsafe { self.tile::<S, T, E, N>(simd, here, i, channel, to.add(i * lanes), step) };
                }
            }
            std::mem::swap(&mut here, &mut ahead);
        }
    }

    /// Transforms a vector of channels of one window.
    ///
    /// # Safety
    /// - the pixels of window `i` must be readable from `channel` on,
    /// - `to` must be writable for `N N` vectors that are `step` floats apart.
    #[inline(always)]
    unsafe fn tile<S: Simd, T: Transform<E, N>, const E: usize, const N: usize>(
        &self,
        simd: S,
        windows: &TileWindows<E>,
        i: usize,
        channel: usize,
        to: *mut f32,
        step: usize,
    ) {
        let count = self.c - channel;
        let whole = count >= S::F32_LANES;
        let inside = Strided { from: windows.inside[i].wrapping_add(channel), row: self.w * self.c, column: self.c };
        let edge = EdgeWindow { pixels: &windows.edge[i], channel };
        let outside = self.zeros.wrapping_add(channel);
        let mut sink = PointSink { to, step };
        // SAFETY: by the caller, the addresses are readable for `count` channels and the sink is
        // writable.
        unsafe {
            let channels = self.prologue.channels(simd, channel);
            match (windows.inside[i].is_null(), whole) {
                (false, true) => {
                    let source = WindowValues::<S, P, _, true, false> { addresses: inside, channels, outside, count };
                    transform_2d::<S, T, E, N>(simd, &source, &mut sink);
                }
                (true, true) => {
                    let source = WindowValues::<S, P, _, true, true> { addresses: edge, channels, outside, count };
                    transform_2d::<S, T, E, N>(simd, &source, &mut sink);
                }
                (false, false) => {
                    let source = WindowValues::<S, P, _, false, false> { addresses: inside, channels, outside, count };
                    transform_2d::<S, T, E, N>(simd, &source, &mut sink);
                }
                (true, false) => {
                    let source = WindowValues::<S, P, _, false, true> { addresses: edge, channels, outside, count };
                    transform_2d::<S, T, E, N>(simd, &source, &mut sink);
                }
            }
        }
    }
}

/// Values of a window after the prologue.
///
/// `WHOLE`: a whole vector of channels is read, not only the first `count`. `EDGE`: some addresses
/// are `outside` of the image, where the padding stays zero.
struct WindowValues<S: Simd, P: Prologue, A, const WHOLE: bool, const EDGE: bool> {
    addresses: A,
    channels: P::Channels<S>,
    outside: *const f32,
    count: usize,
}

impl<S: Simd, P: Prologue, A: Addresses, const WHOLE: bool, const EDGE: bool> TileSource<S>
    for WindowValues<S, P, A, WHOLE, EDGE>
{
    #[inline(always)]
    unsafe fn at(&self, simd: S, i: usize, j: usize) -> S::f32s {
        let address = self.addresses.address(i, j);
        // SAFETY: the caller lets every address be read, for a vector or for `count` channels.
        let values = unsafe { if WHOLE { load(simd, address) } else { load_first(simd, address, self.count) } };
        if EDGE && !P::IS_NONE && address == self.outside { values } else { P::apply(simd, self.channels, values) }
    }
}

/// Pixels of a window that crosses an edge of its image, from a channel on.
struct EdgeWindow<'a, const E: usize> {
    pixels: &'a [[*const f32; E]; E],
    channel: usize,
}

impl<const E: usize> Addresses for EdgeWindow<'_, E> {
    #[inline(always)]
    fn address(&self, i: usize, j: usize) -> *const f32 {
        self.pixels[i][j].wrapping_add(self.channel)
    }
}
