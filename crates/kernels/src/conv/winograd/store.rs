//! Store step of a Winograd correlation: the transform from products back to outputs, the epilogue,
//! and 2x2 max pooling where it is fused.

use std::marker::PhantomData;
use std::ops::Range;

use pulp::Simd;

use super::job::WinogradJob;
use super::tile_grid::{TileGrid, TileOrigin};
use super::transform::{OutputTransform, Strided, TileSink, WinogradTransforms, transform_2d};
use crate::conv::epilogue::{BlockEpilogue, RunningStats};
use crate::conv::store::{AddBiasRelu, OutputRegion, Store, WithStore};
use crate::pool::larger;
use crate::tuning::{MAX_TILES, PANEL_VECTORS};

/// Transforms the products of a block of tiles and some panels into outputs and stores them.
#[inline(always)]
pub(super) fn store_panels<S: Simd, W: WinogradTransforms<M, N>, const M: usize, const N: usize>(
    job: &WinogradJob<'_>,
    simd: S,
    block: usize,
    panels: Range<usize>,
    products: &[f32],
) {
    let step = job.blocking.product_step(S::F32_LANES);
    assert!(products.len() >= panels.len() * N * N * step, "products are too small");
    // SAFETY: the products are in bounds by the check above, and this task alone has these channels
    // of these tiles.
    unsafe {
        match job.epilogue {
            BlockEpilogue::BiasReluMaxPool { bias } => {
                let tiles = output_tiles(job, block, 2);
                StoreTiles::<W, M, N, 2>::new(job, block, panels, &tiles, products).run(simd, AddBiasRelu::new(bias));
            }
            epilogue => {
                let tiles = output_tiles(job, block, 1);
                epilogue.with_store(simd, StoreTiles::<W, M, N, 1>::new(job, block, panels, &tiles, products));
            }
        }
    }
}

/// Finds where the tiles of a block are stored, if windows of `pool x pool` outputs become one.
fn output_tiles(job: &WinogradJob<'_>, block: usize, pool: usize) -> [OutputTile; MAX_TILES] {
    let mut tiles = [OutputTile::default(); MAX_TILES];
    let TileGrid { out_h, out_w, side, .. } = job.tiles;
    for (output, tile) in tiles.iter_mut().zip(job.tiles_of(block)) {
        let TileOrigin { image, top, left } = job.tiles.origin(tile);
        let at = (image * (out_h / pool) + top / pool) * (out_w / pool) + left / pool;
        let (height, width) = (side.min(out_h - top) / pool, side.min(out_w - left) / pool);
        *output = OutputTile { at: at * job.filters.outputs, height, width };
    }
    tiles
}

/// Part of the output that a tile writes: its first element, and the rows and columns inside the
/// output.
#[derive(Clone, Copy, Default)]
struct OutputTile {
    at: usize,
    height: usize,
    width: usize,
}

/// Stores the products of some panels. `POOL`, 1 or 2, is the side of the windows whose maximum is
/// stored.
struct StoreTiles<'a, 'b, W, const M: usize, const N: usize, const POOL: usize> {
    job: &'b WinogradJob<'a>,
    block: usize,
    panels: Range<usize>,
    tiles: &'b [OutputTile],
    /// `[panel, point, tile, P]`.
    products: &'b [f32],
    algorithm: PhantomData<W>,
}

impl<'a, 'b, W, const M: usize, const N: usize, const POOL: usize> StoreTiles<'a, 'b, W, M, N, POOL> {
    /// Takes as many of `tiles` as the block has.
    fn new(
        job: &'b WinogradJob<'a>,
        block: usize,
        panels: Range<usize>,
        tiles: &'b [OutputTile],
        products: &'b [f32],
    ) -> Self {
        let tiles = &tiles[..job.tiles_of(block).len()];
        Self { job, block, panels, tiles, products, algorithm: PhantomData }
    }
}

impl<W: WinogradTransforms<M, N>, const M: usize, const N: usize, const POOL: usize> WithStore
    for StoreTiles<'_, '_, W, M, N, POOL>
{
    #[inline(always)]
    unsafe fn run<S: Simd, E: Store>(self, simd: S, store: E) {
        let lanes = S::F32_LANES;
        let width = PANEL_VECTORS * lanes;
        let WinogradJob { tiles, filters, blocking, to, epilogue, .. } = *self.job;
        let (k, step) = (filters.outputs, blocking.product_step(lanes));
        let (row, column) = (tiles.out_w / POOL * k, k);
        for (index, panel) in self.panels.clone().enumerate() {
            let channels = panel * width..k.min((panel + 1) * width);
            let mut stats = [RunningStats::new(simd); PANEL_VECTORS];
            let parameters: [_; PANEL_VECTORS] = std::array::from_fn(|v| {
                // A last panel that is half empty has no channels for its second vector.
                let channel = (panel * width + v * lanes).min(k - 1);
                // SAFETY: `channel` is below `k`, and so are the channels that are counted.
                unsafe { store.channels(simd, channel, lanes.min(k - channel)) }
            });
            for (t, &OutputTile { at, height, width: width_in }) in self.tiles.iter().enumerate() {
                // Pooling drops an odd last row or column.
                if POOL > 1 && (height == 0 || width_in == 0) {
                    continue;
                }
                for (v, channel) in channels.clone().step_by(lanes).enumerate() {
                    let from = index * N * N * step + t * width + v * lanes;
                    let from = self.products.as_ptr().wrapping_add(from);
                    let source = Strided { from, row: N * step, column: step };
                    let count = lanes.min(k - channel);
                    let len = (height - 1) * row + (width_in - 1) * column + count;
                    // SAFETY: the caller holds the products in bounds and these channels of these
                    // tiles alone; the last row and column are inside the output.
                    unsafe {
                        let to = to.pointer(at + channel, len);
                        let region = OutputRegion { to, at: at + channel, row, column, height, width: width_in, count };
                        let above = [simd.splat_f32s(0.0); M];
                        let mut sink = OutputSink::<S, E, M, POOL> {
                            region,
                            store,
                            channels: parameters[v],
                            stats: stats[v].subtotal(simd),
                            above,
                        };
                        transform_2d::<S, OutputTransform<W, M, N>, N, M>(simd, &source, &mut sink);
                        stats[v].merge(simd, sink.stats);
                    }
                }
            }
            if let Some(sums) = epilogue.block_sums() {
                for (channel, stats) in channels.step_by(lanes).zip(&stats) {
                    // SAFETY: these channels of this block belong to this task alone.
                    unsafe { sums.put(simd, self.block, channel, lanes.min(k - channel), stats) };
                }
            }
        }
    }
}

/// Stores the outputs of a tile row by row.
struct OutputSink<S: Simd, E: Store, const M: usize, const POOL: usize> {
    region: OutputRegion,
    store: E,
    channels: E::Channels<S>,
    stats: RunningStats<S::f32s>,
    /// Upper row of a pair that is pooled.
    above: [S::f32s; M],
}

impl<S: Simd, E: Store, const M: usize, const POOL: usize> TileSink<S, M> for OutputSink<S, E, M, POOL> {
    #[inline(always)]
    unsafe fn row(&mut self, simd: S, i: usize, row: [S::f32s; M]) {
        if POOL == 1 {
            // SAFETY: the caller lets the region be written.
            unsafe { self.region.store_row(simd, i, row, self.store, self.channels, &mut self.stats) };
        } else if i.is_multiple_of(2) {
            self.above = row;
        } else {
            // The maximum of the sums: adding a bias and the ReLU keep the order.
            let mut largest = row;
            for j in 0..M / 2 {
                let above = larger(simd, self.above[2 * j + 1], self.above[2 * j]);
                largest[j] = larger(simd, row[2 * j + 1], larger(simd, row[2 * j], above));
            }
            // SAFETY: the caller lets the region be written.
            unsafe { self.region.store_row(simd, i / 2, largest, self.store, self.channels, &mut self.stats) };
        }
    }
}
