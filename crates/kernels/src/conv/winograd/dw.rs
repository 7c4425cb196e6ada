//! The Winograd weight gradient: transformed tiles of `x` and of `dy` are multiplied over the tiles, one matrix `[c, k]` for each
//! point, and one transform at the end gives the taps.
//!
//! Two orders of work. Where the matrices are small (up to 128 x 128 channels, 2.4 MB), a piece is a group of tile blocks with its own
//! sum. Where they are large, a round of blocks is transformed for all to read, and a piece is a chunk of the matrices, 64 x 64
//! channels of every point, which stays in L2 while all blocks of the round are added to it.

use pulp::{Simd, WithSimd};

use super::tiles::{Image, Tiles, block_len, point_step};
use super::transform::{Data, Gradient, Minimal, Points, Strided, Weights, square};
use crate::ahead::Lines;
use crate::blocks::{GRADIENT_BYTES, GRADIENT_CHANNELS, GRADIENT_TILES};
use crate::conv::input::{Input, Plain};
use crate::isa::Isa;
use crate::pieces::{self, Parts};
use crate::scratch::Scratch;
use crate::tile::Gram;
use crate::vector::MAX_LANES;

/// Transformed gradients up to this size are summed by groups of blocks.
const GROUP_BYTES: usize = 5 << 19;

/// Groups: enough for the threads of a large machine, few enough that adding them up costs little.
const GROUPS: usize = 16;

/// All partial sums of the groups together.
const PARTIAL_BYTES: usize = 24 << 20;

/// Transformed tiles of a round: what stays in a shared L3.
const ROUND_BYTES: usize = 24 << 20;

/// Everything that does not change during a gradient.
#[derive(Clone, Copy)]
struct Job<'a> {
    tiles: Tiles,
    c: usize,
    k: usize,
    x: Input<'a>,
    dy: &'a [f32],
    zeros: &'a [f32],
    /// Tiles of a block, and blocks.
    block: usize,
    blocks: usize,
}

/// The weight gradient `dw [k, c, 3, 3]` with the tiles of `W`.
pub(crate) fn dw<W: Minimal<M, N>, const M: usize, const N: usize>(
    _: W,
    tiles: Tiles,
    x: Input<'_>,
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
    let mut zeros = Scratch::take(c.max(k).next_multiple_of(MAX_LANES));
    zeros.fill(0.0);
    let job = Job { tiles, c, k, x, dy, zeros: &zeros, block, blocks: tiles.count().div_ceil(block) };
    let out = Parts::new(dw);
    if 4 * N * N * c * k.next_multiple_of(lanes) <= GROUP_BYTES {
        by_groups::<W, M, N>(isa, &job, &out);
    } else {
        by_chunks::<W, M, N>(isa, &job, &out);
    }
}

/// A type of minimal filtering that a piece works with.
type Kind<W> = std::marker::PhantomData<W>;

/// Some matrices of channels, one for each point: `[N N, c, columns]`, `columns` a multiple of the lanes.
#[derive(Clone, Copy)]
struct Matrices {
    /// First channel of `x` and channels of it.
    c_first: usize,
    c_count: usize,
    /// First channel of `dy` and channels of it.
    k_first: usize,
    k_count: usize,
    columns: usize,
}

impl Matrices {
    fn new(c_first: usize, c_count: usize, k_first: usize, k_count: usize, lanes: usize) -> Self {
        Self { c_first, c_count, k_first, k_count, columns: k_count.next_multiple_of(lanes) }
    }

    fn point(&self) -> usize {
        self.c_count * self.columns
    }
}

impl Job<'_> {
    fn data_len(&self, points: usize, lanes: usize) -> usize {
        block_len(points, self.c, self.block, lanes)
    }

    fn gradient_len(&self, points: usize, lanes: usize) -> usize {
        block_len(points, self.k, self.block, lanes)
    }

    fn tiles_of(&self, block: usize) -> std::ops::Range<usize> {
        block * self.block..self.tiles.count().min((block + 1) * self.block)
    }

    #[inline(always)]
    fn transform<S: Simd, W: Minimal<M, N>, const M: usize, const N: usize>(
        &self,
        simd: S,
        block: usize,
        data: &mut [f32],
        gradient: &mut [f32],
    ) {
        let tiles = self.tiles_of(block);
        assert!(data.len() >= self.data_len(N * N, S::F32_LANES), "a block of tiles is too small");
        assert!(gradient.len() >= self.gradient_len(N * N, S::F32_LANES), "a block of tiles is too small");
        let Tiles { h, w, out_h, out_w, pad, .. } = self.tiles;
        let zeros = self.zeros.as_ptr();
        let (from, c, to) = (self.x.values.as_ptr(), self.c, data.as_mut_ptr());
        let dy = Image { from: self.dy.as_ptr(), read: Plain, h: out_h, w: out_w, c: self.k, before: 0, zeros };
        // SAFETY: `x` and `dy` have the sizes of the shape by the check at the entry, `zeros` has as many values as either has
        // channels, and the blocks were just checked.
        unsafe {
            match self.x.rectified {
                None => Image { from, read: Plain, h, w, c, before: pad, zeros }.transform::<S, Data<W, M, N>, N, N>(
                    simd,
                    &self.tiles,
                    tiles.clone(),
                    self.block,
                    to,
                ),
                Some(read) => Image { from, read, h, w, c, before: pad, zeros }.transform::<S, Data<W, M, N>, N, N>(
                    simd,
                    &self.tiles,
                    tiles.clone(),
                    self.block,
                    to,
                ),
            }
            let to = gradient.as_mut_ptr();
            dy.transform::<S, Gradient<W, M, N>, M, N>(simd, &self.tiles, tiles, self.block, to);
        }
    }

    /// What the block after `block` reads, if that is one of `blocks`, in as many parts as there are points.
    fn soon(&self, block: usize, blocks: &std::ops::Range<usize>, points: usize) -> [Lines; 2] {
        let next = if block + 1 < blocks.end { self.tiles_of(block + 1) } else { 0..0 };
        [
            Lines::new(self.x.values.as_ptr(), self.tiles.read(next.clone(), self.c), points),
            Lines::new(self.dy.as_ptr(), self.tiles.written(next, self.k), points),
        ]
    }

    /// Adds the products of one block to the matrices, or stores them if not `accumulate`.
    #[inline(always)]
    fn multiply<S: Simd, const N: usize>(
        &self,
        simd: S,
        block: usize,
        part: &Matrices,
        data: &[f32],
        gradient: &[f32],
        accumulate: bool,
        sums: &mut [f32],
        soon: &mut [Lines; 2],
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
            soon.iter_mut().for_each(Lines::read);
            // SAFETY: lane blocks are inside the operands: the first channels and counts are inside `c` and `k`.
            unsafe {
                let a = data.as_ptr().add(part.c_first / lanes * stride + point * step);
                let b = gradient.as_ptr().add(part.k_first / lanes * stride + point * step);
                let to = sums.as_mut_ptr().add(point * part.point());
                Gram {
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

/// Groups of blocks, each with a partial sum; then the taps from all of them.
fn by_groups<W: Minimal<M, N>, const M: usize, const N: usize>(isa: Isa, job: &Job<'_>, out: &Parts<'_, f32>) {
    let lanes = isa.lanes();
    let part = Matrices::new(0, job.c, 0, job.k, lanes);
    let len = N * N * part.point();
    let groups = job.blocks.min(GROUPS).min((PARTIAL_BYTES / (4 * len)).max(1));
    let share = job.blocks.div_ceil(groups);
    let groups = job.blocks.div_ceil(share);
    let mut memory = Scratch::take(groups * len);
    let partial = Parts::new(&mut memory);
    pieces::for_each(groups, |group| {
        // SAFETY: the sum of `group` is this piece's alone.
        let sums = unsafe { partial.range(group * len..(group + 1) * len) };
        let blocks = group * share..job.blocks.min((group + 1) * share);
        isa.run(Group::<W, M, N> { job, part, blocks, sums, minimal: std::marker::PhantomData });
    });
    // The sums of all groups, added up in order as they lie in memory: the taps would read each of them in strides.
    let (sum, others) = memory.split_at_mut(len);
    let sum = Parts::new(sum);
    pieces::for_ranges(if others.is_empty() { 0 } else { len }, pieces::PIECE, |_, range| {
        // SAFETY: the ranges do not overlap.
        let sum = unsafe { sum.range(range.clone()) };
        isa.run(|| {
            for other in others.chunks_exact(len) {
                sum.iter_mut().zip(&other[range.clone()]).for_each(|(sum, &other)| *sum += other);
            }
        });
    });
    // Taps, in pieces of one vector of output channels and some input channels.
    const INPUTS: usize = 32;
    let parts = job.c.div_ceil(INPUTS);
    pieces::for_each(part.columns / lanes * parts, |piece| {
        let (column, first) = (piece / parts * lanes, piece % parts * INPUTS);
        let rows = first..job.c.min(first + INPUTS);
        let minimal = std::marker::PhantomData;
        isa.run(Taps::<W, M, N> { job, part, sums: &memory, column, rows, out, minimal });
    });
}

/// The sum of one group of blocks.
struct Group<'a, W, const M: usize, const N: usize> {
    job: &'a Job<'a>,
    part: Matrices,
    blocks: std::ops::Range<usize>,
    sums: &'a mut [f32],
    minimal: Kind<W>,
}

impl<W: Minimal<M, N>, const M: usize, const N: usize> WithSimd for Group<'_, W, M, N> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let job = self.job;
        let mut data = Scratch::take(job.data_len(N * N, S::F32_LANES));
        let mut gradient = Scratch::take(job.gradient_len(N * N, S::F32_LANES));
        let first = self.blocks.start;
        for block in self.blocks.clone() {
            let mut soon = job.soon(block, &self.blocks, N * N);
            job.transform::<S, W, M, N>(simd, block, &mut data, &mut gradient);
            job.multiply::<S, N>(simd, block, &self.part, &data, &gradient, block > first, self.sums, &mut soon);
        }
    }
}

/// The taps of one vector of output channels and some input channels.
struct Taps<'a, W, const M: usize, const N: usize> {
    job: &'a Job<'a>,
    part: Matrices,
    sums: &'a [f32],
    column: usize,
    rows: std::ops::Range<usize>,
    out: &'a Parts<'a, f32>,
    minimal: Kind<W>,
}

impl<W: Minimal<M, N>, const M: usize, const N: usize> WithSimd for Taps<'_, W, M, N> {
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
            let mut sink = Points { to: taps.as_flattened_mut().as_mut_ptr(), step: MAX_LANES };
            // SAFETY: in bounds by the check above; a row of `taps` has as many lanes as any vector.
            unsafe { square::<S, Weights<W, M, N>, N, 3>(simd, &source, &mut sink) };
            for lane in 0..count {
                let filter = (part.k_first + column + lane) * job.c + part.c_first + row;
                // SAFETY: these filters are this piece's alone.
                let dw = unsafe { self.out.range(filter * 9..filter * 9 + 9) };
                dw.iter_mut().zip(&taps).for_each(|(dw, tap)| *dw = tap[lane]);
            }
        }
    }
}

/// Rounds of blocks, transformed for all; pieces are chunks of the matrices.
fn by_chunks<W: Minimal<M, N>, const M: usize, const N: usize>(isa: Isa, job: &Job<'_>, out: &Parts<'_, f32>) {
    let lanes = isa.lanes();
    let (data_len, gradient_len) = (job.data_len(N * N, lanes), job.gradient_len(N * N, lanes));
    let blocks_of_round = (ROUND_BYTES / (4 * (data_len + gradient_len))).max(1);
    let rounds = job.blocks.div_ceil(blocks_of_round);
    let blocks_of_round = job.blocks.div_ceil(rounds);
    let (rows, columns) = (job.c.div_ceil(GRADIENT_CHANNELS), job.k.div_ceil(GRADIENT_CHANNELS));
    let len = N * N * GRADIENT_CHANNELS * GRADIENT_CHANNELS;
    let mut data = Scratch::take(blocks_of_round * data_len);
    let mut gradient = Scratch::take(blocks_of_round * gradient_len);
    // With a single round a piece's sums never leave its thread.
    let mut memory = Scratch::take(if rounds > 1 { rows * columns * len } else { 0 });
    for round in 0..rounds {
        let blocks = round * blocks_of_round..job.blocks.min((round + 1) * blocks_of_round);
        let (data_parts, gradient_parts) = (Parts::new(&mut data), Parts::new(&mut gradient));
        pieces::for_each(blocks.len(), |i| {
            // SAFETY: block `i` of both is this piece's alone.
            let (data, gradient) = unsafe {
                (
                    data_parts.range(i * data_len..(i + 1) * data_len),
                    gradient_parts.range(i * gradient_len..(i + 1) * gradient_len),
                )
            };
            let block = blocks.start + i;
            isa.run(Transform::<W, M, N> { job, block, data, gradient, minimal: std::marker::PhantomData });
        });
        let kept = Parts::new(&mut memory);
        pieces::for_each(rows * columns, |piece| {
            let (c_first, k_first) = (piece / columns * GRADIENT_CHANNELS, piece % columns * GRADIENT_CHANNELS);
            let (c_count, k_count) = (GRADIENT_CHANNELS.min(job.c - c_first), GRADIENT_CHANNELS.min(job.k - k_first));
            let part = Matrices::new(c_first, c_count, k_first, k_count, lanes);
            let mut own = Scratch::take(if rounds > 1 { 0 } else { len });
            // SAFETY: the sums of a chunk are this piece's alone.
            let sums = if rounds > 1 { unsafe { kept.range(piece * len..(piece + 1) * len) } } else { &mut own[..] };
            let (data, gradient) = (&data[..], &gradient[..]);
            let (blocks, last) = (blocks.clone(), round + 1 == rounds);
            let minimal = std::marker::PhantomData;
            isa.run(Chunk::<W, M, N> {
                job,
                part,
                blocks,
                data,
                gradient,
                first: round == 0,
                last,
                sums,
                out,
                minimal,
            });
        });
    }
}

/// Transforms one block of both operands.
struct Transform<'a, W, const M: usize, const N: usize> {
    job: &'a Job<'a>,
    block: usize,
    data: &'a mut [f32],
    gradient: &'a mut [f32],
    minimal: Kind<W>,
}

impl<W: Minimal<M, N>, const M: usize, const N: usize> WithSimd for Transform<'_, W, M, N> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        self.job.transform::<S, W, M, N>(simd, self.block, self.data, self.gradient);
    }
}

/// Adds a round of blocks to one chunk of the matrices, and makes the taps after the last round.
struct Chunk<'a, W, const M: usize, const N: usize> {
    job: &'a Job<'a>,
    part: Matrices,
    blocks: std::ops::Range<usize>,
    data: &'a [f32],
    gradient: &'a [f32],
    first: bool,
    last: bool,
    sums: &'a mut [f32],
    out: &'a Parts<'a, f32>,
    minimal: Kind<W>,
}

impl<W: Minimal<M, N>, const M: usize, const N: usize> WithSimd for Chunk<'_, W, M, N> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { job, part, sums, .. } = self;
        let lanes = S::F32_LANES;
        let (data_len, gradient_len) = (job.data_len(N * N, lanes), job.gradient_len(N * N, lanes));
        let operands = self.data.chunks_exact(data_len).zip(self.gradient.chunks_exact(gradient_len));
        for (i, (block, (data, gradient))) in self.blocks.zip(operands).enumerate() {
            job.multiply::<S, N>(simd, block, &part, data, gradient, i > 0 || !self.first, sums, &mut [Lines::NONE; 2]);
        }
        if self.last {
            for column in (0..part.columns).step_by(lanes) {
                let (rows, out, minimal) = (0..part.c_count, self.out, self.minimal);
                Taps::<W, M, N> { job, part, sums, column, rows, out, minimal }.with_simd(simd);
            }
        }
    }
}
