//! Winograd correlation: the forward pass, and the input gradient with the filters turned around.
//!
//! Two orders of work. Where there are many tiles, the filters are transformed first and a piece is a block of tiles. Where there are
//! few and the filters are large (4x4 maps of 512 channels: 38 MB of transformed filters for 9 MB of tiles), the tiles are
//! transformed first and a piece is a chunk of output channels, whose filters never leave the caches.

use pulp::{Simd, WithSimd};

use super::cut::Cut;
use super::filter::Filters;
use super::tiles::{self, Image, Place, Tiles};
use super::transform::{Data, Minimal};
use super::write::{OutputTile, Write};
use crate::ahead::Lines;
use crate::blocks::{DEPTH, MOST_TILES, OUTER_VECTORS};
use crate::conv::end::{Ended, Relu};
use crate::conv::epilogue::{Ending, Finish, Masked, SUMS, Sums, add_up, merge};
use crate::conv::input::{Input, Plain};
use crate::isa::Isa;
use crate::pieces::{self, Parts};
use crate::scratch::Scratch;
use crate::tile::{Layout, Product};
use crate::vector::MAX_LANES;

/// Everything that does not change during a correlation.
#[derive(Clone, Copy)]
pub(super) struct Job<'a> {
    pub(super) tiles: Tiles,
    pub(super) filters: Filters<'a>,
    pub(super) cut: Cut,
    /// Whether the filters were transformed before: a network of them is larger than the caches.
    cold: bool,
    from: Input<'a>,
    zeros: &'a [f32],
    pub(super) to: &'a Parts<'a, f32>,
    pub(super) finish: Finish<'a>,
}

/// Memory that is needed when the products of a block are done.
struct Soon {
    inputs: Lines,
    masks: Lines,
    outputs: Lines,
}

impl Soon {
    fn nothing() -> Self {
        Self { inputs: Lines::NONE, masks: Lines::NONE, outputs: Lines::NONE }
    }

    #[inline(always)]
    fn ask(&mut self) {
        self.outputs.write();
        self.masks.read();
        self.inputs.read();
    }
}

/// `to = from * filters` with the tiles of `W`. `packed` holds what [`pack`] made of the filters, if that has been done before.
pub(crate) fn correlate<W: Minimal<M, N>, const M: usize, const N: usize>(
    _: W,
    isa: Isa,
    tiles: Tiles,
    filters: Filters<'_>,
    packed: Option<&[f32]>,
    from: Input<'_>,
    ending: Ending<'_>,
    to: &mut [f32],
) {
    let cut = Cut::new(&tiles, &filters, N * N, packed.is_some(), isa);
    let mut zeros = Scratch::take(filters.inputs.next_multiple_of(MAX_LANES));
    zeros.fill(0.0);
    let to = Parts::new(to);
    let run = |finish: Finish<'_>| {
        let job = Job { tiles, filters, cut, cold: packed.is_some(), from, zeros: &zeros, to: &to, finish };
        match packed {
            _ if cut.by_channels => by_channels::<W, M, N>(isa, &job, packed),
            Some(packed) => by_tiles::<W, M, N>(isa, &job, packed),
            None => by_tiles::<W, M, N>(isa, &job, &pack::<W, M, N>(isa, filters, Scratch::take)),
        }
    };
    match ending {
        Ending::Finish(finish) => run(finish),
        Ending::Statistics { mean, var } => {
            let k = filters.outputs;
            let mut memory = Scratch::take(cut.blocks * SUMS * k);
            run(Finish::Statistics(&Sums::new(&mut memory, k)));
            merge(&memory, &cut.counts(&tiles), k, mean, var);
        }
        Ending::Masked { x, rectifier, totals } => {
            let k = filters.outputs;
            let mut memory = Scratch::take(cut.blocks * SUMS * k);
            run(Finish::Masked(&Masked { x, rectifier, sums: Sums::new(&mut memory, k) }));
            add_up(&memory, k, totals);
        }
    }
}

/// All filters, transformed into panels in memory from `take`.
pub(crate) fn pack<W: Minimal<M, N>, const M: usize, const N: usize>(
    isa: Isa,
    filters: Filters<'_>,
    take: impl Fn(usize) -> Scratch,
) -> Scratch {
    /// Input channels of a piece.
    const INPUTS: usize = 64;
    let panels = filters.panels(isa.lanes());
    let panel = N * N * filters.point_step(isa.lanes());
    let mut memory = take(panels * panel);
    let transformed = Parts::new(&mut memory);
    let parts = filters.inputs.div_ceil(INPUTS);
    let transform = |piece: usize| {
        let (index, first) = (piece / parts, piece % parts * INPUTS);
        // SAFETY: pieces of one panel write different input channels, through the pointer alone.
        let to = unsafe { transformed.pointer(index * panel, panel) };
        let last = filters.inputs.min(first + INPUTS);
        let minimal = std::marker::PhantomData;
        isa.run(TransformFilters::<W, M, N> { filters, panel: index, first, last, to, minimal });
    };
    if filters.w.len() <= pieces::PIECE {
        pieces::serial(panels * parts, transform);
    } else {
        pieces::for_each(panels * parts, transform);
    }
    memory
}

/// A piece for each block of tiles; `filters` are all panels.
fn by_tiles<W: Minimal<M, N>, const M: usize, const N: usize>(isa: Isa, job: &Job<'_>, filters: &[f32]) {
    pieces::for_each(job.cut.blocks, |block| {
        isa.run(BlockOfTiles::<W, M, N> { job, filters, block, minimal: std::marker::PhantomData })
    });
}

/// Tiles first, then a piece for each chunk of output channels.
fn by_channels<W: Minimal<M, N>, const M: usize, const N: usize>(isa: Isa, job: &Job<'_>, packed: Option<&[f32]>) {
    let Job { filters, cut, .. } = *job;
    let block = tiles::block_len(N * N, filters.inputs, cut.block, isa.lanes());
    let mut memory = Scratch::take(cut.blocks * block);
    let transformed = Parts::new(&mut memory);
    pieces::for_each(cut.blocks, |index| {
        // SAFETY: block `index` is this piece's alone.
        let to = unsafe { transformed.range(index * block..(index + 1) * block) };
        isa.run(TransformTiles::<W, M, N> { job, block: index, to, minimal: std::marker::PhantomData });
    });
    let data = &memory[..];
    pieces::for_each(cut.panels.div_ceil(cut.chunk) * cut.shares, |piece| {
        let (chunk, share) = (piece / cut.shares, piece % cut.shares);
        let blocks = share * cut.blocks / cut.shares..(share + 1) * cut.blocks / cut.shares;
        isa.run(ChunkOfChannels::<W, M, N> { job, data, packed, chunk, blocks, minimal: std::marker::PhantomData });
    });
}

/// A type of minimal filtering that a piece works with.
pub(super) type Kind<W> = std::marker::PhantomData<W>;

/// Transforms some input channels of one panel of filters.
struct TransformFilters<'a, W, const M: usize, const N: usize> {
    filters: Filters<'a>,
    panel: usize,
    first: usize,
    last: usize,
    to: *mut f32,
    minimal: Kind<W>,
}

impl<W: Minimal<M, N>, const M: usize, const N: usize> WithSimd for TransformFilters<'_, W, M, N> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // SAFETY: `to` is a whole panel.
        unsafe { self.filters.transform::<S, W, M, N>(simd, self.panel, self.first, self.last, self.to) };
    }
}

/// Transforms one block of tiles.
struct TransformTiles<'a, W, const M: usize, const N: usize> {
    job: &'a Job<'a>,
    block: usize,
    to: &'a mut [f32],
    minimal: Kind<W>,
}

impl<W: Minimal<M, N>, const M: usize, const N: usize> WithSimd for TransformTiles<'_, W, M, N> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        self.job.transform::<S, W, M, N>(simd, self.block, self.to);
    }
}

/// Everything for one block of tiles.
struct BlockOfTiles<'a, W, const M: usize, const N: usize> {
    job: &'a Job<'a>,
    /// All transformed panels.
    filters: &'a [f32],
    block: usize,
    minimal: Kind<W>,
}

impl<W: Minimal<M, N>, const M: usize, const N: usize> WithSimd for BlockOfTiles<'_, W, M, N> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Job { filters, cut, .. } = *self.job;
        let lanes = S::F32_LANES;
        let mut data = Scratch::take(tiles::block_len(N * N, filters.inputs, cut.block, lanes));
        let mut products = Scratch::take(cut.products(N * N, lanes));
        self.job.transform::<S, W, M, N>(simd, self.block, &mut data);
        let panel = N * N * filters.point_step(lanes);
        let mut soon = self.job.soon(self.block, N * N);
        for first in (0..cut.panels).step_by(cut.chunk) {
            let last = cut.panels.min(first + cut.chunk);
            let panels = &self.filters[first * panel..last * panel];
            self.job.multiply::<S, N>(simd, self.block, first, last, &data, panels, &mut products, &mut soon);
            self.job.finish::<S, W, M, N>(simd, self.block, first, last, &products);
        }
    }
}

/// One chunk of output channels, for some blocks of tiles.
struct ChunkOfChannels<'a, W, const M: usize, const N: usize> {
    job: &'a Job<'a>,
    /// All transformed tiles.
    data: &'a [f32],
    /// All transformed filters, where they are kept.
    packed: Option<&'a [f32]>,
    chunk: usize,
    /// The blocks of tiles that it is multiplied with here.
    blocks: std::ops::Range<usize>,
    minimal: Kind<W>,
}

impl<W: Minimal<M, N>, const M: usize, const N: usize> WithSimd for ChunkOfChannels<'_, W, M, N> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Job { filters, cut, .. } = *self.job;
        let lanes = S::F32_LANES;
        let (first, last) = (self.chunk * cut.chunk, cut.panels.min((self.chunk + 1) * cut.chunk));
        let panel = N * N * filters.point_step(lanes);
        let mut own = Scratch::take(if self.packed.is_some() { 0 } else { (last - first) * panel });
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
        let mut products = Scratch::take(cut.products(N * N, lanes));
        let block = tiles::block_len(N * N, filters.inputs, cut.block, lanes);
        for (index, data) in self.data.chunks_exact(block).enumerate().take(self.blocks.end).skip(self.blocks.start) {
            self.job.multiply::<S, N>(simd, index, first, last, data, panels, &mut products, &mut Soon::nothing());
            self.job.finish::<S, W, M, N>(simd, index, first, last, &products);
        }
    }
}

impl Job<'_> {
    /// The tiles of a block.
    #[inline(always)]
    pub(super) fn tiles_of(&self, block: usize) -> std::ops::Range<usize> {
        block * self.cut.block..self.tiles.count().min((block + 1) * self.cut.block)
    }

    #[inline(always)]
    fn transform<S: Simd, W: Minimal<M, N>, const M: usize, const N: usize>(
        &self,
        simd: S,
        block: usize,
        to: &mut [f32],
    ) {
        let tiles = self.tiles_of(block);
        let c = self.filters.inputs;
        assert!(to.len() >= tiles::block_len(N * N, c, self.cut.block, S::F32_LANES), "a block of tiles is too small");
        let Tiles { h, w, pad, .. } = self.tiles;
        let (from, zeros, block) = (self.from.values.as_ptr(), self.zeros.as_ptr(), self.cut.block);
        // SAFETY: `from` is `[n, h, w, c]` by the check at the entry, `zeros` has `c` values, `to` was just checked.
        unsafe {
            match self.from.rectified {
                None => Image { from, read: Plain, h, w, c, before: pad, zeros }.transform::<S, Data<W, M, N>, N, N>(
                    simd,
                    &self.tiles,
                    tiles,
                    block,
                    to.as_mut_ptr(),
                ),
                Some(read) => Image { from, read, h, w, c, before: pad, zeros }.transform::<S, Data<W, M, N>, N, N>(
                    simd,
                    &self.tiles,
                    tiles,
                    block,
                    to.as_mut_ptr(),
                ),
            }
        }
    }

    /// What a block will write and the next one will read, in as many parts as its products have.
    fn soon(&self, block: usize, points: usize) -> Soon {
        let Self { tiles, filters, from, to, finish, .. } = self;
        let parts = points * filters.inputs.div_ceil(DEPTH);
        let next = if block + 1 < self.cut.blocks { self.tiles_of(block + 1) } else { 0..0 };
        let pooled = matches!(finish, Finish::Pooled { .. });
        let outputs = if pooled { 0..0 } else { tiles.written(self.tiles_of(block), filters.outputs) };
        Soon {
            inputs: Lines::new(from.values.as_ptr(), tiles.read(next, filters.inputs), parts),
            masks: finish.reads().map_or(Lines::NONE, |x| Lines::new(x.as_ptr(), outputs.clone(), parts)),
            outputs: Lines::new(to.address(), outputs, parts),
        }
    }

    /// Products of a block of tiles with the panels `first .. last`: `[panel, point, tile, P]`.
    #[inline(always)]
    fn multiply<S: Simd, const N: usize>(
        &self,
        simd: S,
        block: usize,
        first: usize,
        last: usize,
        data: &[f32],
        panels: &[f32],
        products: &mut [f32],
        soon: &mut Soon,
    ) {
        let lanes = S::F32_LANES;
        let width = OUTER_VECTORS * lanes;
        let (c, count) = (self.filters.inputs, self.tiles_of(block).len());
        let (data_step, panel_step) = (tiles::point_step(self.cut.block, lanes), self.filters.point_step(lanes));
        let product_step = self.cut.product_step(lanes);
        assert!(data.len() >= tiles::block_len(N * N, c, self.cut.block, lanes), "a block of tiles is too small");
        assert!(panels.len() >= (last - first) * N * N * panel_step, "panels of filters are too small");
        assert!(products.len() >= (last - first) * N * N * product_step, "products are too small");
        let a_step = N * N * data_step;
        for (point, at) in (0..N * N).flat_map(|point| (0..c).step_by(DEPTH).map(move |at| (point, at))) {
            soon.ask();
            for panel in 0..last - first {
                let index = panel * N * N + point;
                // The next panel of this point and depth, then the next depth, the next point, the next chunk.
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
                // SAFETY: sizes were just checked; rows are below `count`, which is at most the block.
                unsafe {
                    Product {
                        rows: count,
                        depth: DEPTH.min(c - at),
                        a: data.as_ptr().add(at / lanes * a_step + point * data_step),
                        layout: Layout::Lanes { step: a_step },
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

    /// Transforms products back into outputs of the panels `first .. last`.
    #[inline(always)]
    fn finish<S: Simd, W: Minimal<M, N>, const M: usize, const N: usize>(
        &self,
        simd: S,
        block: usize,
        first: usize,
        last: usize,
        products: &[f32],
    ) {
        let step = self.cut.product_step(S::F32_LANES);
        assert!(products.len() >= (last - first) * N * N * step, "products are too small");
        let panels = first..last;
        // SAFETY: the products are in bounds by the check above; this piece alone has these channels of these tiles.
        unsafe {
            match self.finish {
                Finish::Pooled { bias } => {
                    let places = self.places(block, 2);
                    Write::<W, M, N, 2>::new(self, block, panels, &places, products).run(simd, Relu::new(bias));
                }
                finish => {
                    let places = self.places(block, 1);
                    finish.with(simd, Write::<W, M, N, 1>::new(self, block, panels, &places, products));
                }
            }
        }
    }

    /// Where the tiles of a block are written, if windows of `pool x pool` outputs become one.
    fn places(&self, block: usize, pool: usize) -> [OutputTile; MOST_TILES] {
        let mut places = [OutputTile::default(); MOST_TILES];
        let Tiles { out_h, out_w, side, .. } = self.tiles;
        for (place, tile) in places.iter_mut().zip(self.tiles_of(block)) {
            let Place { image, top, left } = self.tiles.place(tile);
            let at = (image * (out_h / pool) + top / pool) * (out_w / pool) + left / pool;
            let (height, width) = (side.min(out_h - top) / pool, side.min(out_w - left) / pool);
            *place = OutputTile { at: at * self.filters.outputs, height, width };
        }
        places
    }
}
