//! How a Winograd correlation is cut into pieces: blocks of tiles, over which sums are taken, by shape and instruction set alone, and chunks of
//! output channels. Their sizes are in [`crate::blocks`].
//!
//! The weight gradient has cuts of its own: [`super::dw`].

use super::filter::Filters;
use super::tiles::Tiles;
use crate::blocks::{OUTER_VECTORS, TileBlocks, even_blocks, few_pieces};
use crate::isa::Isa;
use crate::scratch::odd_lines;

/// Blocks, where there are at least [`TILES_OF_FEW`] tiles for each: one image is still shared evenly by a few threads.
const FEW_BLOCKS: usize = 8;
const TILES_OF_FEW: usize = 18;

/// Transformed filters larger than this are not kept whole when there are few tiles.
const FILTER_BYTES: usize = 4 << 20;

/// How a correlation is cut.
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
        let sizes = TileBlocks::of(isa);
        let fitting = sizes.bytes / (4 * points * filters.inputs.next_multiple_of(lanes));
        let most = fitting.clamp(*sizes.tiles.start(), *sizes.tiles.end());
        // Large filters are better read by few blocks, and shared by channels where there are fewer tiles than these.
        let large = 4 * points * filters.inputs * filters.outputs > FILTER_BYTES;
        let few = if large { 1 } else { FEW_BLOCKS.min(tiles.count() / TILES_OF_FEW) };
        let (block, blocks) = even_blocks(tiles.count(), tiles.count().div_ceil(most).max(few));
        // An image of 28x28 has two blocks: more threads than that share the channels, if no filter has to be transformed twice for it.
        let idle = packed && blocks < rayon::current_num_threads();
        let by_channels = idle || large && 4 * tiles.count() < 3 * filters.outputs;
        let panels = filters.panels(lanes);
        let chunk = (sizes.channels / (OUTER_VECTORS * lanes)).max(1).min(panels);
        let shares = if by_channels && packed { blocks } else { 1 };
        let chunk = if by_channels { chunk.min((panels * shares).div_ceil(few_pieces())) } else { chunk };
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
