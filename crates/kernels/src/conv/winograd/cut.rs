//! How a Winograd correlation is cut into pieces: blocks of tiles and chunks of output channels, by shape and instruction set alone.
//!
//! The weight gradient has cuts of its own: [`super::dw`].

use super::filter::Filters;
use super::tiles::Tiles;
use crate::isa::Isa;
use crate::scratch::odd_lines;
use crate::tile::{OUTER_VECTORS, outer_rows};

/// Bytes of transformed tiles in a block: with as much for the products, what fits in a 512 KiB L2.
const BLOCK_BYTES: usize = 288 * 1024;

/// Fewest and most tiles of a block. Below 24 the panels of filters, read once a block from L3, cost more than they save.
const BLOCK_TILES: std::ops::RangeInclusive<usize> = 48..=96;

/// Blocks, where there are at least [`FEW_TILES`] tiles for each: one picture is still shared evenly by a few threads.
const FEW_BLOCKS: usize = 8;
const FEW_TILES: usize = 18;

/// Chunks of output channels, where pieces are chunks and the tiles are a single block: for 16 threads.
const FEW_CHUNKS: usize = 16;

/// Output channels multiplied before the transform back: their products share L2 with the block of tiles.
const CHUNK: usize = 64;

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
    /// Whether a piece is a chunk of channels and not a block of tiles.
    pub(super) by_channels: bool,
}

impl Cut {
    pub(super) fn new(tiles: &Tiles, filters: &Filters<'_>, points: usize, isa: Isa) -> Self {
        let lanes = isa.lanes();
        let rows = outer_rows(isa.registers());
        let fitting = BLOCK_BYTES / (4 * points * filters.inputs.next_multiple_of(lanes));
        let most = fitting.clamp(*BLOCK_TILES.start(), *BLOCK_TILES.end());
        let large = 4 * points * filters.inputs * filters.outputs > FILTER_BYTES;
        // Large filters are better read by few blocks, and shared by channels.
        let few = if large { 1 } else { FEW_BLOCKS.min(tiles.count() / FEW_TILES) };
        let blocks = tiles.count().div_ceil(most).max(few);
        // Even blocks: the last one is not a leftover.
        let block = tiles.count().div_ceil(blocks).next_multiple_of(rows);
        let blocks = tiles.count().div_ceil(block);
        let panels = filters.panels(lanes);
        let chunk = (CHUNK / (OUTER_VECTORS * lanes)).max(1).min(panels);
        let chunks = panels.div_ceil(chunk);
        let by_channels = large && blocks < chunks;
        // With a single block of tiles chunks are all there is to share; with more, each reads all tiles again, from L3.
        let chunk = if by_channels && blocks == 1 { chunk.min(panels.div_ceil(FEW_CHUNKS)) } else { chunk };
        Self { block, blocks, chunk, panels, by_channels }
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
