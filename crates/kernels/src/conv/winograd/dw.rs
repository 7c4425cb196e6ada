//! Winograd weight gradient: transformed tiles of `x` and of `dy` are multiplied over the tiles,
//! one matrix `[c, k]` for each point, and one transform at the end gives the taps.
//!
//! There are two loop orders. Where the matrices are small (up to 128 x 128 channels, 2.4 MB), a
//! task is a group of tile blocks with its own sum. Where they are large, a round of blocks is
//! transformed for all tasks, and a task is a chunk of the matrices, 64 x 64 channels of every
//! point, which stays in L2 while all blocks of the round are added to it.

use std::marker::PhantomData;
use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::tile_grid::{TileGrid, WindowReader, block_len, point_step, transform_input};
use super::transform::{
    DataTransform, FilterGradientTransform, GradientTransform, PointSink, Strided, WinogradTransforms, transform_2d,
};
use crate::conv::prologue::{ConvInput, NoPrologue};
use crate::isa::Isa;
use crate::micro_kernel::AtbKernel;
use crate::prefetch::Prefetch;
use crate::tasks::{self, DisjointSlice};
use crate::tuning::{GRADIENT_BYTES, GRADIENT_CHANNELS, GRADIENT_TILES};
use crate::vector::MAX_LANES;
use crate::workspace::Workspace;

/// Bytes of transformed gradients up to which they are summed by groups of blocks.
const GROUP_BYTES: usize = 5 << 19;

/// Largest number of groups: enough for the threads of a large machine, few enough that adding them
/// costs little.
const GROUPS: usize = 16;

/// Bytes of the partial sums of all groups.
const PARTIAL_BYTES: usize = 24 << 20;

/// Bytes of the transformed tiles of a round: what stays in a shared L3.
const ROUND_BYTES: usize = 24 << 20;

/// Operands and blocking of a weight gradient: everything that stays the same during the pass.
#[derive(Clone, Copy)]
struct WinogradDwJob<'a> {
    tiles: TileGrid,
    c: usize,
    k: usize,
    x: ConvInput<'a>,
    dy: &'a [f32],
    /// At least as many zeros as channels on either side, in whole vectors.
    zeros: &'a [f32],
    /// Tiles of a block.
    block: usize,
    /// Number of blocks.
    blocks: usize,
}

/// Computes the weight gradient `dw [k, c, 3, 3]` with the tiles of `W`.
pub(crate) fn dw<W: WinogradTransforms<M, N>, const M: usize, const N: usize>(
    _: W,
    tiles: TileGrid,
    x: ConvInput<'_>,
    dy: &[f32],
    c: usize,
    k: usize,
    dw: &mut [f32],
) {
    let isa = Isa::active();
    let lanes = isa.lanes();
    let channels = c.next_multiple_of(lanes) + k.next_multiple_of(lanes);
    let fitting = GRADIENT_BYTES / (4 * N * N * channels);
    let blocks = tiles.count().div_ceil(fitting.clamp(*GRADIENT_TILES.start(), *GRADIENT_TILES.end()));
    let block = tiles.count().div_ceil(blocks);
    let mut zeros = Workspace::take(c.max(k).next_multiple_of(MAX_LANES));
    zeros.fill(0.0);
    let job = WinogradDwJob { tiles, c, k, x, dy, zeros: &zeros, block, blocks: tiles.count().div_ceil(block) };
    let out = DisjointSlice::new(dw);
    if 4 * N * N * c * k.next_multiple_of(lanes) <= GROUP_BYTES {
        by_groups::<W, M, N>(isa, &job, &out);
    } else {
        by_chunks::<W, M, N>(isa, &job, &out);
    }
}

/// Part of the product matrices, one for each point: `[N N, c, columns]`, `columns` a multiple of
/// the lanes.
#[derive(Clone, Copy)]
struct PointMatrices {
    /// First channel of `x`.
    c_first: usize,
    /// Number of channels of `x`.
    c_count: usize,
    /// First channel of `dy`.
    k_first: usize,
    /// Number of channels of `dy`.
    k_count: usize,
    columns: usize,
}

impl PointMatrices {
    fn new(c_first: usize, c_count: usize, k_first: usize, k_count: usize, lanes: usize) -> Self {
        Self { c_first, c_count, k_first, k_count, columns: k_count.next_multiple_of(lanes) }
    }

    /// Returns the floats of the matrix of one point.
    fn point(&self) -> usize {
        self.c_count * self.columns
    }
}

impl WinogradDwJob<'_> {
    fn data_len(&self, points: usize, lanes: usize) -> usize {
        block_len(points, self.c, self.block, lanes)
    }

    fn gradient_len(&self, points: usize, lanes: usize) -> usize {
        block_len(points, self.k, self.block, lanes)
    }

    fn tiles_of(&self, block: usize) -> Range<usize> {
        block * self.block..self.tiles.count().min((block + 1) * self.block)
    }

    #[inline(always)]
    fn transform<S: Simd, W: WinogradTransforms<M, N>, const M: usize, const N: usize>(
        &self,
        simd: S,
        block: usize,
        data: &mut [f32],
        gradient: &mut [f32],
    ) {
        let tiles = self.tiles_of(block);
        assert!(data.len() >= self.data_len(N * N, S::F32_LANES), "a block of tiles is too small");
        assert!(gradient.len() >= self.gradient_len(N * N, S::F32_LANES), "a block of tiles is too small");
        let (zeros, block) = (self.zeros.as_ptr(), self.block);
        let TileGrid { out_h, out_w, .. } = self.tiles;
        let dy = WindowReader {
            from: self.dy.as_ptr(),
            prologue: NoPrologue,
            h: out_h,
            w: out_w,
            c: self.k,
            before: 0,
            zeros,
        };
        // SAFETY: `x` and `dy` have the sizes of the shape by the check at the entry, `zeros` has
        // as many values as either has channels, and both blocks were checked above.
        unsafe {
            let to = data.as_mut_ptr();
            let range = tiles.clone();
            transform_input::<S, DataTransform<W, M, N>, N>(simd, &self.tiles, self.x, self.c, zeros, range, block, to);
            let to = gradient.as_mut_ptr();
            dy.transform::<S, GradientTransform<W, M, N>, M, N>(simd, &self.tiles, tiles, block, to);
        }
    }

    /// Returns a prefetch of `x` and `dy` of the block after `block`, if that is one of `blocks`,
    /// in as many parts as there are points.
    fn prefetch(&self, block: usize, blocks: &Range<usize>, points: usize) -> [Prefetch; 2] {
        let next = if block + 1 < blocks.end { self.tiles_of(block + 1) } else { 0..0 };
        [
            Prefetch::new(self.x.values.as_ptr(), self.tiles.read(next.clone(), self.c), points),
            Prefetch::new(self.dy.as_ptr(), self.tiles.written(next, self.k), points),
        ]
    }

    /// Adds the products of one block to the matrices if `accumulate`, else stores them.
    #[inline(always)]
    fn multiply<S: Simd, const N: usize>(
        &self,
        simd: S,
        block: usize,
        part: &PointMatrices,
        data: &[f32],
        gradient: &[f32],
        accumulate: bool,
        sums: &mut [f32],
        prefetch: &mut [Prefetch; 2],
    ) {
        let lanes = S::F32_LANES;
        assert!(data.len() >= self.data_len(N * N, lanes), "a block of tiles is too small");
        assert!(gradient.len() >= self.gradient_len(N * N, lanes), "a block of tiles is too small");
        assert!(sums.len() >= N * N * part.point(), "the matrices are too small");
        assert!(part.c_first.is_multiple_of(lanes) && part.k_first.is_multiple_of(lanes), "chunks start at a vector");
        let count = self.tiles_of(block).len();
        let step = point_step(self.block, lanes);
        let stride = N * N * step;
        for point in 0..N * N {
            prefetch.iter_mut().for_each(Prefetch::read_next);
            // SAFETY: the operands and `sums` were checked above; the channels of `part` are inside
            // `c` and `k`, so that their lane blocks are inside the operands.
            unsafe {
                let a = data.as_ptr().add(part.c_first / lanes * stride + point * step);
                let b = gradient.as_ptr().add(part.k_first / lanes * stride + point * step);
                let to = sums.as_mut_ptr().add(point * part.point());
                AtbKernel {
                    count,
                    a,
                    b,
                    a_step: stride,
                    b_step: stride,
                    accumulate,
                    to,
                    c: part.c_count,
                    columns: part.columns,
                    to_step: part.columns,
                }
                .run(simd);
            }
        }
    }
}

/// Computes a partial sum for each group of blocks, then the taps from all of them.
fn by_groups<W: WinogradTransforms<M, N>, const M: usize, const N: usize>(
    isa: Isa,
    job: &WinogradDwJob<'_>,
    out: &DisjointSlice<'_, f32>,
) {
    let lanes = isa.lanes();
    let part = PointMatrices::new(0, job.c, 0, job.k, lanes);
    let len = N * N * part.point();
    let groups = job.blocks.min(GROUPS).min((PARTIAL_BYTES / (4 * len)).max(1));
    let share = job.blocks.div_ceil(groups);
    let groups = job.blocks.div_ceil(share);
    let mut memory = Workspace::take(groups * len);
    let partial = DisjointSlice::new(&mut memory);
    tasks::for_each(groups, |group| {
        // SAFETY: the sum of `group` belongs to this task alone.
        let sums = unsafe { partial.range(group * len..(group + 1) * len) };
        let blocks = group * share..job.blocks.min((group + 1) * share);
        isa.run(GroupTask::<W, M, N> { job, part, blocks, sums, algorithm: PhantomData });
    });
    // The sums of all groups are added in order as they lie in memory: the taps would read each in
    // strides.
    let (sum, others) = memory.split_at_mut(len);
    let sum = DisjointSlice::new(sum);
    tasks::for_ranges(if others.is_empty() { 0 } else { len }, tasks::TASK_LEN, |_, range| {
        // SAFETY: the ranges do not overlap.
        let sum = unsafe { sum.range(range.clone()) };
        isa.run(|| {
            for other in others.chunks_exact(len) {
                sum.iter_mut().zip(&other[range.clone()]).for_each(|(sum, &other)| *sum += other);
            }
        });
    });
    // A task computes the taps of one vector of output channels and some input channels.
    const INPUTS: usize = 32;
    let parts = job.c.div_ceil(INPUTS);
    tasks::for_each(part.columns / lanes * parts, |task| {
        let (column, first) = (task / parts * lanes, task % parts * INPUTS);
        let rows = first..job.c.min(first + INPUTS);
        let algorithm = PhantomData;
        isa.run(FilterGradientTask::<W, M, N> { job, part, sums: &memory, column, rows, out, algorithm });
    });
}

/// Sums one group of blocks.
struct GroupTask<'a, W, const M: usize, const N: usize> {
    job: &'a WinogradDwJob<'a>,
    part: PointMatrices,
    blocks: Range<usize>,
    sums: &'a mut [f32],
    algorithm: PhantomData<W>,
}

impl<W: WinogradTransforms<M, N>, const M: usize, const N: usize> WithSimd for GroupTask<'_, W, M, N> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let job = self.job;
        let mut data = Workspace::take(job.data_len(N * N, S::F32_LANES));
        let mut gradient = Workspace::take(job.gradient_len(N * N, S::F32_LANES));
        let first = self.blocks.start;
        for block in self.blocks.clone() {
            let mut prefetch = job.prefetch(block, &self.blocks, N * N);
            job.transform::<S, W, M, N>(simd, block, &mut data, &mut gradient);
            job.multiply::<S, N>(simd, block, &self.part, &data, &gradient, block > first, self.sums, &mut prefetch);
        }
    }
}

/// Computes the taps of one vector of output channels and some input channels.
struct FilterGradientTask<'a, W, const M: usize, const N: usize> {
    job: &'a WinogradDwJob<'a>,
    part: PointMatrices,
    sums: &'a [f32],
    column: usize,
    rows: Range<usize>,
    out: &'a DisjointSlice<'a, f32>,
    algorithm: PhantomData<W>,
}

impl<W: WinogradTransforms<M, N>, const M: usize, const N: usize> WithSimd for FilterGradientTask<'_, W, M, N> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { job, part, sums, column, .. } = self;
        let lanes = S::F32_LANES;
        assert!(sums.len() >= N * N * part.point() && column + lanes <= part.columns, "the matrices are too small");
        let count = lanes.min(part.k_count - column);
        let mut taps = [[0f32; MAX_LANES]; 9];
        for row in self.rows {
            let from = sums[row * part.columns + column..].as_ptr();
            let source = Strided { from, row: N * part.point(), column: part.point() };
            let mut sink = PointSink { to: taps.as_flattened_mut().as_mut_ptr(), step: MAX_LANES };
            // SAFETY: the matrices were checked above; a row of `taps` has as many lanes as any
            // vector.
            unsafe { transform_2d::<S, FilterGradientTransform<W, M, N>, N, 3>(simd, &source, &mut sink) };
            for lane in 0..count {
                let filter = (part.k_first + column + lane) * job.c + part.c_first + row;
                // SAFETY: these filters belong to this task alone.
                let dw = unsafe { self.out.range(filter * 9..filter * 9 + 9) };
                dw.iter_mut().zip(&taps).for_each(|(dw, tap)| *dw = tap[lane]);
            }
        }
    }
}

/// Transforms a round of blocks for all tasks, then adds it to each chunk of the matrices.
fn by_chunks<W: WinogradTransforms<M, N>, const M: usize, const N: usize>(
    isa: Isa,
    job: &WinogradDwJob<'_>,
    out: &DisjointSlice<'_, f32>,
) {
    let lanes = isa.lanes();
    let (data_len, gradient_len) = (job.data_len(N * N, lanes), job.gradient_len(N * N, lanes));
    let blocks_of_round = (ROUND_BYTES / (4 * (data_len + gradient_len))).max(1);
    let rounds = job.blocks.div_ceil(blocks_of_round);
    let blocks_of_round = job.blocks.div_ceil(rounds);
    let (rows, columns) = (job.c.div_ceil(GRADIENT_CHANNELS), job.k.div_ceil(GRADIENT_CHANNELS));
    let len = N * N * GRADIENT_CHANNELS * GRADIENT_CHANNELS;
    let mut data = Workspace::take(blocks_of_round * data_len);
    let mut gradient = Workspace::take(blocks_of_round * gradient_len);
    // With a single round the sums of a task stay on its thread.
    let mut memory = Workspace::take(if rounds > 1 { rows * columns * len } else { 0 });
    for round in 0..rounds {
        let blocks = round * blocks_of_round..job.blocks.min((round + 1) * blocks_of_round);
        let (data_parts, gradient_parts) = (DisjointSlice::new(&mut data), DisjointSlice::new(&mut gradient));
        tasks::for_each(blocks.len(), |i| {
            // SAFETY: block `i` of both belongs to this task alone.
            let (data, gradient) = unsafe {
                (
                    data_parts.range(i * data_len..(i + 1) * data_len),
                    gradient_parts.range(i * gradient_len..(i + 1) * gradient_len),
                )
            };
            let block = blocks.start + i;
            isa.run(TransformOperands::<W, M, N> { job, block, data, gradient, algorithm: PhantomData });
        });
        let kept = DisjointSlice::new(&mut memory);
        tasks::for_each(rows * columns, |task| {
            let (c_first, k_first) = (task / columns * GRADIENT_CHANNELS, task % columns * GRADIENT_CHANNELS);
            let (c_count, k_count) = (GRADIENT_CHANNELS.min(job.c - c_first), GRADIENT_CHANNELS.min(job.k - k_first));
            let part = PointMatrices::new(c_first, c_count, k_first, k_count, lanes);
            let mut own = Workspace::take(if rounds > 1 { 0 } else { len });
            // SAFETY: the sums of a chunk belong to this task alone.
            let sums = if rounds > 1 { unsafe { kept.range(task * len..(task + 1) * len) } } else { &mut own[..] };
            let (data, gradient) = (&data[..], &gradient[..]);
            let (blocks, last) = (blocks.clone(), round + 1 == rounds);
            let algorithm = PhantomData;
            isa.run(ChunkTask::<W, M, N> {
                job,
                part,
                blocks,
                data,
                gradient,
                first: round == 0,
                last,
                sums,
                out,
                algorithm,
            });
        });
    }
}

/// Transforms one block of both operands.
struct TransformOperands<'a, W, const M: usize, const N: usize> {
    job: &'a WinogradDwJob<'a>,
    block: usize,
    data: &'a mut [f32],
    gradient: &'a mut [f32],
    algorithm: PhantomData<W>,
}

impl<W: WinogradTransforms<M, N>, const M: usize, const N: usize> WithSimd for TransformOperands<'_, W, M, N> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        self.job.transform::<S, W, M, N>(simd, self.block, self.data, self.gradient);
    }
}

/// Adds a round of blocks to one chunk of the matrices, and computes the taps after the last round.
struct ChunkTask<'a, W, const M: usize, const N: usize> {
    job: &'a WinogradDwJob<'a>,
    part: PointMatrices,
    blocks: Range<usize>,
    data: &'a [f32],
    gradient: &'a [f32],
    first: bool,
    last: bool,
    sums: &'a mut [f32],
    out: &'a DisjointSlice<'a, f32>,
    algorithm: PhantomData<W>,
}

impl<W: WinogradTransforms<M, N>, const M: usize, const N: usize> WithSimd for ChunkTask<'_, W, M, N> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { job, part, sums, .. } = self;
        let lanes = S::F32_LANES;
        let (data_len, gradient_len) = (job.data_len(N * N, lanes), job.gradient_len(N * N, lanes));
        let operands = self.data.chunks_exact(data_len).zip(self.gradient.chunks_exact(gradient_len));
        for (i, (block, (data, gradient))) in self.blocks.zip(operands).enumerate() {
            job.multiply::<S, N>(
                simd,
                block,
                &part,
                data,
                gradient,
                i > 0 || !self.first,
                sums,
                &mut [Prefetch::NONE; 2],
            );
        }
        if self.last {
            for column in (0..part.columns).step_by(lanes) {
                let (rows, out, algorithm) = (0..part.c_count, self.out, self.algorithm);
                FilterGradientTask::<W, M, N> { job, part, sums, column, rows, out, algorithm }.with_simd(simd);
            }
        }
    }
}
