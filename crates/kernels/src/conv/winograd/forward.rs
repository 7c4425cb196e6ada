//! Winograd correlation: the forward pass, and the input gradient with rotated filters.
//!
//! There are two loop orders. With many tiles, the filters are transformed first and a task is a
//! block of tiles. With few tiles and large filters (4x4 maps of 512 channels: 38 MB of transformed
//! filters for 9 MB of tiles), the tiles are transformed first and a task is a chunk of output
//! channels, whose filters stay in the caches.

use std::marker::PhantomData;
use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::blocking::Blocking;
use super::filter::WinogradFilters;
use super::job::{BlockPrefetch, WinogradJob};
use super::store::store_panels;
use super::tile_grid::{TileGrid, block_len};
use super::transform::WinogradTransforms;
use crate::conv::epilogue::{BlockEpilogue, PassEpilogue};
use crate::conv::prologue::ConvInput;
use crate::isa::Isa;
use crate::tasks::{self, DisjointSlice};
use crate::vector::MAX_LANES;
use crate::workspace::Workspace;

/// Computes `to = from * filters` with the tiles of `W`, then the epilogue.
///
/// `packed` holds the result of [`pack`] for the filters, if they were packed before.
pub(crate) fn correlate<W: WinogradTransforms<M, N>, const M: usize, const N: usize>(
    _: W,
    isa: Isa,
    tiles: TileGrid,
    filters: WinogradFilters<'_>,
    packed: Option<&[f32]>,
    from: ConvInput<'_>,
    epilogue: PassEpilogue<'_>,
    to: &mut [f32],
) {
    let blocking = Blocking::new(&tiles, &filters, N * N, packed.is_some(), isa);
    let mut zeros = Workspace::take(filters.inputs.next_multiple_of(MAX_LANES));
    zeros.fill(0.0);
    let to = DisjointSlice::new(to);
    let pass = |epilogue: BlockEpilogue<'_>| {
        let job =
            WinogradJob { tiles, filters, blocking, cold: packed.is_some(), from, zeros: &zeros, to: &to, epilogue };
        match packed {
            _ if blocking.by_channels => by_channels::<W, M, N>(isa, &job, packed),
            Some(packed) => by_tiles::<W, M, N>(isa, &job, packed),
            None => by_tiles::<W, M, N>(isa, &job, &pack::<W, M, N>(isa, filters, Workspace::take)),
        }
    };
    epilogue.run(filters.outputs, blocking.blocks, || blocking.outputs_per_block(&tiles), pass);
}

/// Transforms all filters into panels, in memory from `take`.
pub(crate) fn pack<W: WinogradTransforms<M, N>, const M: usize, const N: usize>(
    isa: Isa,
    filters: WinogradFilters<'_>,
    take: impl Fn(usize) -> Workspace,
) -> Workspace {
    /// Input channels of a task.
    const INPUTS: usize = 64;
    let panels = filters.panels(isa.lanes());
    let panel = N * N * filters.point_step(isa.lanes());
    let mut memory = take(panels * panel);
    let transformed = DisjointSlice::new(&mut memory);
    let parts = filters.inputs.div_ceil(INPUTS);
    let transform = |task: usize| {
        let (index, first) = (task / parts, task % parts * INPUTS);
        // SAFETY: tasks of one panel write different input channels, through the pointer alone.
        let to = unsafe { transformed.pointer(index * panel, panel) };
        let last = filters.inputs.min(first + INPUTS);
        isa.run(FilterTask::<W, M, N> { filters, panel: index, first, last, to, algorithm: PhantomData });
    };
    if filters.w.len() <= tasks::TASK_LEN {
        tasks::serial(panels * parts, transform);
    } else {
        tasks::for_each(panels * parts, transform);
    }
    memory
}

/// Runs a task for each block of tiles. `filters` are all panels.
fn by_tiles<W: WinogradTransforms<M, N>, const M: usize, const N: usize>(
    isa: Isa,
    job: &WinogradJob<'_>,
    filters: &[f32],
) {
    tasks::for_each(job.blocking.blocks, |block| {
        isa.run(TileTask::<W, M, N> { job, filters, block, algorithm: PhantomData })
    });
}

/// Transforms all tiles, then runs a task for each chunk of output channels.
fn by_channels<W: WinogradTransforms<M, N>, const M: usize, const N: usize>(
    isa: Isa,
    job: &WinogradJob<'_>,
    packed: Option<&[f32]>,
) {
    let WinogradJob { filters, blocking, .. } = *job;
    let block = block_len(N * N, filters.inputs, blocking.block, isa.lanes());
    let mut memory = Workspace::take(blocking.blocks * block);
    let transformed = DisjointSlice::new(&mut memory);
    tasks::for_each(blocking.blocks, |index| {
        // SAFETY: block `index` belongs to this task alone.
        let to = unsafe { transformed.range(index * block..(index + 1) * block) };
        isa.run(TransformTask::<W, M, N> { job, block: index, to, algorithm: PhantomData });
    });
    let (data, shares) = (&memory[..], blocking.shares);
    tasks::for_each(blocking.panels.div_ceil(blocking.chunk) * shares, |task| {
        let (chunk, share) = (task / shares, task % shares);
        let blocks = share * blocking.blocks / shares..(share + 1) * blocking.blocks / shares;
        isa.run(ChannelTask::<W, M, N> { job, data, packed, chunk, blocks, algorithm: PhantomData });
    });
}

/// Transforms some input channels of one panel of filters.
struct FilterTask<'a, W, const M: usize, const N: usize> {
    filters: WinogradFilters<'a>,
    panel: usize,
    first: usize,
    last: usize,
    to: *mut f32,
    algorithm: PhantomData<W>,
}

impl<W: WinogradTransforms<M, N>, const M: usize, const N: usize> WithSimd for FilterTask<'_, W, M, N> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // SAFETY: `pack` hands out a pointer to a whole panel.
        unsafe { self.filters.transform::<S, W, M, N>(simd, self.panel, self.first, self.last, self.to) };
    }
}

/// Transforms one block of tiles.
struct TransformTask<'a, W, const M: usize, const N: usize> {
    job: &'a WinogradJob<'a>,
    block: usize,
    to: &'a mut [f32],
    algorithm: PhantomData<W>,
}

impl<W: WinogradTransforms<M, N>, const M: usize, const N: usize> WithSimd for TransformTask<'_, W, M, N> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        self.job.transform::<S, W, M, N>(simd, self.block, self.to);
    }
}

/// Transforms, multiplies and stores one block of tiles.
struct TileTask<'a, W, const M: usize, const N: usize> {
    job: &'a WinogradJob<'a>,
    /// All transformed panels.
    filters: &'a [f32],
    block: usize,
    algorithm: PhantomData<W>,
}

impl<W: WinogradTransforms<M, N>, const M: usize, const N: usize> WithSimd for TileTask<'_, W, M, N> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let WinogradJob { filters, blocking, .. } = *self.job;
        let lanes = S::F32_LANES;
        let mut data = Workspace::take(block_len(N * N, filters.inputs, blocking.block, lanes));
        let mut products = Workspace::take(blocking.products(N * N, lanes));
        self.job.transform::<S, W, M, N>(simd, self.block, &mut data);
        let panel = N * N * filters.point_step(lanes);
        let mut prefetch = self.job.prefetch(self.block, N * N);
        for first in (0..blocking.panels).step_by(blocking.chunk) {
            let last = blocking.panels.min(first + blocking.chunk);
            let panels = &self.filters[first * panel..last * panel];
            self.job.multiply::<S, N>(simd, self.block, first, last, &data, panels, &mut products, &mut prefetch);
            store_panels::<S, W, M, N>(self.job, simd, self.block, first..last, &products);
        }
    }
}

/// Multiplies and stores one chunk of output channels for some blocks of tiles.
struct ChannelTask<'a, W, const M: usize, const N: usize> {
    job: &'a WinogradJob<'a>,
    /// All transformed tiles.
    data: &'a [f32],
    /// All transformed filters, if they were packed before.
    packed: Option<&'a [f32]>,
    chunk: usize,
    /// Blocks of tiles that this task multiplies.
    blocks: Range<usize>,
    algorithm: PhantomData<W>,
}

impl<W: WinogradTransforms<M, N>, const M: usize, const N: usize> WithSimd for ChannelTask<'_, W, M, N> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let WinogradJob { filters, blocking, .. } = *self.job;
        let lanes = S::F32_LANES;
        let (first, last) = (self.chunk * blocking.chunk, blocking.panels.min((self.chunk + 1) * blocking.chunk));
        let panel = N * N * filters.point_step(lanes);
        let mut own = Workspace::take(if self.packed.is_some() { 0 } else { (last - first) * panel });
        let panels = match self.packed {
            Some(packed) => &packed[first * panel..last * panel],
            None => {
                for (index, panel) in (first..last).zip(own.chunks_exact_mut(panel)) {
                    // SAFETY: `panel` is a whole panel.
                    unsafe { filters.transform::<S, W, M, N>(simd, index, 0, filters.inputs, panel.as_mut_ptr()) };
                }
                &own[..]
            }
        };
        let mut products = Workspace::take(blocking.products(N * N, lanes));
        let block = block_len(N * N, filters.inputs, blocking.block, lanes);
        for (index, data) in self.data.chunks_exact(block).enumerate().take(self.blocks.end).skip(self.blocks.start) {
            let mut prefetch = BlockPrefetch::NONE;
            self.job.multiply::<S, N>(simd, index, first, last, data, panels, &mut products, &mut prefetch);
            store_panels::<S, W, M, N>(self.job, simd, index, first..last, &products);
        }
    }
}
