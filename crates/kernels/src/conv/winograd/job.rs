//! State of one Winograd correlation that all tasks share, and the two steps before the store: the
//! transform of a block of tiles, and its products with panels of filters.

use std::ops::Range;

use pulp::Simd;

use super::blocking::Blocking;
use super::filter::WinogradFilters;
use super::tile_grid::{TileGrid, block_len, point_step, transform_input};
use super::transform::{DataTransform, WinogradTransforms};
use crate::conv::epilogue::BlockEpilogue;
use crate::conv::prologue::ConvInput;
use crate::micro_kernel::{GemmKernel, OperandLayout};
use crate::prefetch::Prefetch;
use crate::tasks::DisjointSlice;
use crate::tuning::{DEPTH, PANEL_VECTORS};

/// Operands and blocking of a correlation: everything that stays the same during a pass.
#[derive(Clone, Copy)]
pub(super) struct WinogradJob<'a> {
    pub(super) tiles: TileGrid,
    pub(super) filters: WinogradFilters<'a>,
    pub(super) blocking: Blocking,
    /// Whether the filters were packed before the pass: the filters of a whole network do not stay
    /// in the caches, so that the next panel is worth a prefetch.
    pub(super) cold: bool,
    pub(super) from: ConvInput<'a>,
    /// At least as many zeros as input channels, in whole vectors.
    pub(super) zeros: &'a [f32],
    pub(super) to: &'a DisjointSlice<'a, f32>,
    pub(super) epilogue: BlockEpilogue<'a>,
}

/// Memory that is needed when the products of a block are done.
pub(super) struct BlockPrefetch {
    inputs: Prefetch,
    extra_inputs: Prefetch,
    outputs: Prefetch,
}

impl BlockPrefetch {
    /// Prefetches nothing.
    pub(super) const NONE: Self =
        Self { inputs: Prefetch::NONE, extra_inputs: Prefetch::NONE, outputs: Prefetch::NONE };

    /// Prefetches the next part of each.
    #[inline(always)]
    fn step(&mut self) {
        self.outputs.write_next();
        self.extra_inputs.read_next();
        self.inputs.read_next();
    }
}

impl WinogradJob<'_> {
    /// Returns the tiles of a block.
    #[inline(always)]
    pub(super) fn tiles_of(&self, block: usize) -> Range<usize> {
        block * self.blocking.block..self.tiles.count().min((block + 1) * self.blocking.block)
    }

    /// Transforms the tiles of a block into `to`.
    #[inline(always)]
    pub(super) fn transform<S: Simd, W: WinogradTransforms<M, N>, const M: usize, const N: usize>(
        &self,
        simd: S,
        block: usize,
        to: &mut [f32],
    ) {
        let (tiles, c, size) = (self.tiles_of(block), self.filters.inputs, self.blocking.block);
        assert!(to.len() >= block_len(N * N, c, size, S::F32_LANES), "a block of tiles is too small");
        let (zeros, to) = (self.zeros.as_ptr(), to.as_mut_ptr());
        // SAFETY: `from` is `[n, h, w, c]` by the check at the entry, `zeros` has `c` values in
        // whole vectors, and `to` holds a block by the check above.
        unsafe {
            transform_input::<S, DataTransform<W, M, N>, N>(simd, &self.tiles, self.from, c, zeros, tiles, size, to);
        }
    }

    /// Returns a prefetch of what a block will write and the next one will read, in as many parts
    /// as the block has products.
    pub(super) fn prefetch(&self, block: usize, points: usize) -> BlockPrefetch {
        let Self { tiles, filters, from, to, epilogue, .. } = self;
        let parts = points * filters.inputs.div_ceil(DEPTH);
        let next = if block + 1 < self.blocking.blocks { self.tiles_of(block + 1) } else { 0..0 };
        let pooled = matches!(epilogue, BlockEpilogue::BiasReluMaxPool { .. });
        let outputs = if pooled { 0..0 } else { tiles.written(self.tiles_of(block), filters.outputs) };
        BlockPrefetch {
            inputs: Prefetch::new(from.values.as_ptr(), tiles.read(next, filters.inputs), parts),
            extra_inputs: epilogue
                .extra_input()
                .map_or(Prefetch::NONE, |x| Prefetch::new(x.as_ptr(), outputs.clone(), parts)),
            outputs: Prefetch::new(to.address(), outputs, parts),
        }
    }

    /// Multiplies a block of tiles by the panels `first .. last`: `[panel, point, tile, P]`.
    #[inline(always)]
    pub(super) fn multiply<S: Simd, const N: usize>(
        &self,
        simd: S,
        block: usize,
        first: usize,
        last: usize,
        data: &[f32],
        panels: &[f32],
        products: &mut [f32],
        prefetch: &mut BlockPrefetch,
    ) {
        let lanes = S::F32_LANES;
        let width = PANEL_VECTORS * lanes;
        let (c, count) = (self.filters.inputs, self.tiles_of(block).len());
        let (data_step, panel_step) = (point_step(self.blocking.block, lanes), self.filters.point_step(lanes));
        let product_step = self.blocking.product_step(lanes);
        assert!(data.len() >= block_len(N * N, c, self.blocking.block, lanes), "a block of tiles is too small");
        assert!(panels.len() >= (last - first) * N * N * panel_step, "panels of filters are too small");
        assert!(products.len() >= (last - first) * N * N * product_step, "products are too small");
        let a_step = N * N * data_step;
        for (point, at) in (0..N * N).flat_map(|point| (0..c).step_by(DEPTH).map(move |at| (point, at))) {
            prefetch.step();
            for panel in 0..last - first {
                let index = panel * N * N + point;
                // The next panel of this point and depth, then the next depth, point and chunk.
                let (next, next_at) = if panel + 1 < last - first {
                    (index + N * N, at)
                } else if at + DEPTH < c {
                    (point, at + DEPTH)
                } else {
                    (if point + 1 < N * N { point + 1 } else { (last - first) * N * N }, 0)
                };
                let next = panels.as_ptr().wrapping_add(next * panel_step + next_at * width);
                // One vector suffices where the last panel is half empty.
                let full = (first + panel) * width + lanes < self.filters.outputs;
                // SAFETY: the checks above hold `N N` points of `data`, `panels` and `products`;
                // rows are below `count`, which is at most the block.
                unsafe {
                    GemmKernel {
                        rows: count,
                        depth: DEPTH.min(c - at),
                        a: data.as_ptr().add(at / lanes * a_step + point * data_step),
                        layout: OperandLayout::LaneBlocks { step: a_step },
                        b: panels.as_ptr().add(index * panel_step + at * width),
                        next: self.cold.then_some(next),
                        full,
                        accumulate: at > 0,
                        to: products.as_mut_ptr().add(index * product_step),
                    }
                    .run(simd);
                }
            }
        }
    }
}
