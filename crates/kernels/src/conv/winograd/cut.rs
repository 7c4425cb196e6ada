//! How a Winograd correlation is cut into pieces: blocks of tiles and chunks of output channels, by shape and instruction set alone.
//!
//! The weight gradient has cuts of its own: [`super::dw`].

use std::ops::RangeInclusive;

use super::filter::Filters;
use super::tiles::Tiles;
use crate::isa::Isa;
use crate::scratch::odd_lines;
use crate::tile::{OUTER_VECTORS, outer_rows};

/// Sizes of blocks and chunks.
///
/// | registers | bytes | tiles | rounded to | channels | reason |
/// | --- | --- | --- | --- | --- | --- |
/// | 16 (AVX2, SSE2) | 440 KiB | 25 to 64 | 1 | 128 | maps of 56, 28 and 14 have 4 x 49, 49 and (by F(2x2)) 49 tiles: 25 and 24 share them evenly, 48 left threads idle. Fewer tiles and more channels read less from L3 in all: 128 x 8x8 256→256 46 → 36 ms. With 64 channels 32 tiles are 3 % slower than 48, so these get as many bytes |
/// | 32 (AVX-512, NEON) | 288 KiB | 48 to 96 | 14 | 64 | as measured with 1 MiB of L2, where half of it holds a block; a micro-kernel has 14 rows |
struct Sizes {
    /// Transformed tiles of a block, which share L2 with the products.
    bytes: usize,
    /// Fewest and most tiles of a block: the panels of filters are read once for each.
    tiles: RangeInclusive<usize>,
    /// Blocks are rounded up to a multiple of so many tiles.
    round: usize,
    /// Output channels of a chunk, multiplied before the transform back.
    channels: usize,
}

const WITH_16: Sizes = Sizes { bytes: 440 << 10, tiles: 25..=64, round: 1, channels: 128 };
const WITH_32: Sizes = Sizes { bytes: 288 << 10, tiles: 48..=96, round: outer_rows(32), channels: 64 };

impl Sizes {
    fn of(isa: Isa) -> Self {
        if isa.registers() >= 32 { WITH_32 } else { WITH_16 }
    }

    const fn most_tiles(&self) -> usize {
        self.tiles.end().next_multiple_of(self.round)
    }
}

/// No block has more tiles.
pub(super) const MOST_TILES: usize = {
    let (a, b) = (WITH_16.most_tiles(), WITH_32.most_tiles());
    if a > b { a } else { b }
};

/// Blocks, where there are at least [`FEW_TILES`] tiles for each: one picture is still shared evenly by a few threads.
const FEW_BLOCKS: usize = 8;
const FEW_TILES: usize = 18;

/// Pieces at least where they are chunks of channels, for as many threads.
const FEW_PIECES: usize = 8;

/// Transformed filters larger than this are not kept whole when there are few tiles.
const FILTER_BYTES: usize = 4 << 20;

/// How a correlation is cut. A function of its shape and the instruction set alone.
#[derive(Clone, Copy)]
pub(super) struct Cut {
    /// Tiles of a block, and blocks.
    pub(super) block: usize,
    pub(super) blocks: usize,
    /// Panels of a chunk, and panels.
    pub(super) chunk: usize,
    pub(super) panels: usize,
    /// Whether a piece is a chunk of channels and not a block of tiles, and how many pieces share the blocks of tiles of a chunk.
    pub(super) by_channels: bool,
    pub(super) shares: usize,
}

impl Cut {
    /// `packed`: whether the filters were transformed before, so that a chunk's can be read by several pieces.
    pub(super) fn new(tiles: &Tiles, filters: &Filters<'_>, points: usize, packed: bool, isa: Isa) -> Self {
        let lanes = isa.lanes();
        let sizes = Sizes::of(isa);
        let fitting = sizes.bytes / (4 * points * filters.inputs.next_multiple_of(lanes));
        let most = fitting.clamp(*sizes.tiles.start(), *sizes.tiles.end());
        // Large filters are better read by few blocks, and shared by channels where there are fewer tiles than these.
        let large = 4 * points * filters.inputs * filters.outputs > FILTER_BYTES;
        let by_channels = large && 4 * tiles.count() < 3 * filters.outputs;
        let few = if large { 1 } else { FEW_BLOCKS.min(tiles.count() / FEW_TILES) };
        let blocks = tiles.count().div_ceil(most).max(few);
        // Even in size, so that the last one is not a leftover; and in number, which rounding would undo.
        let blocks = if blocks > 2 && sizes.round == 1 { blocks.next_multiple_of(2) } else { blocks };
        let block = tiles.count().div_ceil(blocks).next_multiple_of(sizes.round);
        let blocks = tiles.count().div_ceil(block);
        let panels = filters.panels(lanes);
        let chunk = (sizes.channels / (OUTER_VECTORS * lanes)).max(1).min(panels);
        let shares = if by_channels && packed { blocks } else { 1 };
        let chunk = if by_channels { chunk.min((panels * shares).div_ceil(FEW_PIECES)) } else { chunk };
        Self { block, blocks, chunk, panels, shares, by_channels }
    }

    /// Floats of the products of a block of tiles and a chunk of panels.
    pub(super) fn products(&self, points: usize, lanes: usize) -> usize {
        self.chunk * points * self.product_step(lanes)
    }

    /// Floats between two points of the products of a panel.
    pub(super) fn product_step(&self, lanes: usize) -> usize {
        odd_lines(self.block * OUTER_VECTORS * lanes)
    }

    /// Values in each block, for merging its statistics.
    pub(super) fn counts(&self, tiles: &Tiles) -> Vec<usize> {
        let values = |tile: usize| {
            let place = tiles.place(tile);
            tiles.side.min(tiles.out_h - place.top) * tiles.side.min(tiles.out_w - place.left)
        };
        let last = tiles.count();
        (0..self.blocks).map(|b| (b * self.block..last.min((b + 1) * self.block)).map(values).sum()).collect()
    }
}
