//! Blocking of a Winograd correlation: blocks of tiles and chunks of output channels.
//!
//! Sums run over the tiles of a block, so the blocks depend on the shape and the instruction set
//! alone. The sizes are in [`crate::tuning`]. The weight gradient has a blocking of its own:
//! [`super::dw`].

use super::filter::WinogradFilters;
use super::tile_grid::TileGrid;
use crate::isa::Isa;
use crate::tuning::{PANEL_VECTORS, TileBlocking, even_blocks, min_tasks};
use crate::workspace::odd_lines;

/// Least number of blocks where each has at least [`MIN_BLOCK_TILES`] tiles, so that a few threads
/// share one image evenly.
const MIN_BLOCKS: usize = 8;
const MIN_BLOCK_TILES: usize = 18;

/// Bytes of transformed filters above which they are not kept whole when there are few tiles.
const FILTER_BYTES: usize = 4 << 20;

/// Sizes of the blocks and chunks of a correlation.
#[derive(Clone, Copy)]
pub(super) struct Blocking {
    /// Tiles of a block.
    pub(super) block: usize,
    /// Number of blocks.
    pub(super) blocks: usize,
    /// Panels of a chunk.
    pub(super) chunk: usize,
    /// Number of panels.
    pub(super) panels: usize,
    /// Whether a task is a chunk of channels and not a block of tiles.
    pub(super) by_channels: bool,
    /// Number of tasks that share the blocks of tiles of one chunk.
    pub(super) shares: usize,
}

impl Blocking {
    /// Chooses the blocking. With filters that were `packed` before, several tasks can read one
    /// chunk.
    pub(super) fn new(tiles: &TileGrid, filters: &WinogradFilters<'_>, points: usize, packed: bool, isa: Isa) -> Self {
        let lanes = isa.lanes();
        let sizes = TileBlocking::of(isa);
        let fitting = sizes.bytes / (4 * points * filters.inputs.next_multiple_of(lanes));
        let most = fitting.clamp(*sizes.tiles.start(), *sizes.tiles.end());
        // Large filters are read by few blocks, and shared by channels where there are few tiles.
        let large = 4 * points * filters.inputs * filters.outputs > FILTER_BYTES;
        let least = if large { 1 } else { MIN_BLOCKS.min(tiles.count() / MIN_BLOCK_TILES) };
        let (block, blocks) = even_blocks(tiles.count(), tiles.count().div_ceil(most).max(least));
        // An image of 28x28 has two blocks: more threads than that share the channels, if no filter
        // has to be transformed twice for it.
        let idle = packed && blocks < rayon::current_num_threads();
        let by_channels = idle || large && 4 * tiles.count() < 3 * filters.outputs;
        let panels = filters.panels(lanes);
        let chunk = (sizes.channels / (PANEL_VECTORS * lanes)).max(1).min(panels);
        let shares = if by_channels && packed { blocks } else { 1 };
        let chunk = if by_channels { chunk.min((panels * shares).div_ceil(min_tasks())) } else { chunk };
        Self { block, blocks, chunk, panels, shares, by_channels }
    }

    /// Returns the floats of the products of a block of tiles and a chunk of panels.
    pub(super) fn products(&self, points: usize, lanes: usize) -> usize {
        self.chunk * points * self.product_step(lanes)
    }

    /// Returns the floats between two points of the products of a panel.
    pub(super) fn product_step(&self, lanes: usize) -> usize {
        odd_lines(self.block * PANEL_VECTORS * lanes)
    }

    /// Returns the number of outputs of each block, the weights for merging its statistics.
    pub(super) fn outputs_per_block(&self, tiles: &TileGrid) -> Vec<usize> {
        let outputs = |tile: usize| {
            let origin = tiles.origin(tile);
            tiles.side.min(tiles.out_h - origin.top) * tiles.side.min(tiles.out_w - origin.left)
        };
        let last = tiles.count();
        (0..self.blocks).map(|b| (b * self.block..last.min((b + 1) * self.block)).map(outputs).sum()).collect()
    }
}
