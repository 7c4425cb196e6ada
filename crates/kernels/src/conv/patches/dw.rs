//! Weight gradient by packed patches: patches of `x` times patches of `dy`, summed over positions.
//!
//! A task is a chunk `[depth, k]` of the result and a group of positions; both operands are packed
//! block by block into L2. With too few chunks for the threads, the positions are split into
//! groups, whose sums are added in order. With several chunks, all of them process one round of the
//! positions before the next: what they read again is then still in L3.

use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::gather::{MAX_ROWS, block_step, pack_patches};
use super::grid::PatchGrid;
use crate::conv::prologue::ConvInput;
use crate::isa::Isa;
use crate::micro_kernel::AtbKernel;
use crate::shape::ConvShape;
use crate::tasks::{self, DisjointSlice};
use crate::tuning::GRADIENT_CHUNK as CHUNK;
use crate::workspace::Workspace;

/// Positions of a block.
const ROWS: usize = MAX_ROWS;

/// Least number of tasks where there are enough positions: for 16 threads.
const MIN_TASKS: usize = 16;

/// Least positions of a group: with fewer, adding the groups costs as much as sharing saves.
const GROUP_ROWS: usize = 1024;

/// Bytes of `x` and `dy` of a round: what stays in a shared L3.
const ROUND_BYTES: usize = 8 << 20;

/// Computes `dw [k, c, kh, kw]`.
pub(crate) fn dw(x: ConvInput<'_>, dy: &[f32], s: &ConvShape, dw: &mut [f32]) {
    let isa = Isa::active();
    let patches = PatchGrid::forward(s);
    let outputs = PatchGrid::pointwise([s.n(), s.out_h(), s.out_w(), s.k()]);
    if patches.taps.len() < s.kh() * s.kw() {
        // Taps that reach no pixel have no gradient.
        dw.fill(0.0);
    }
    if patches.taps.is_empty() {
        return;
    }
    let (chunks_d, chunks_k) = (patches.depth().div_ceil(CHUNK), s.k().div_ceil(CHUNK));
    let chunks = chunks_d * chunks_k;
    let blocks = patches.count().div_ceil(ROWS);
    let groups = MIN_TASKS.div_ceil(chunks).min(patches.count().div_ceil(GROUP_ROWS)).min(blocks);
    let share = blocks.div_ceil(groups);
    let groups = blocks.div_ceil(share);
    let round = if chunks == 1 { share } else { blocks_of_round(s, groups * ROWS).min(share) };
    let mut partial = Workspace::take(groups * chunks * CHUNK * CHUNK);
    let out = DisjointSlice::new(dw);
    let parts = DisjointSlice::new(&mut partial);
    for first in (0..share).step_by(round) {
        let job = DwJob { patches: &patches, outputs: &outputs, x, dy, share, round: first..share.min(first + round) };
        tasks::for_each(groups * chunks, |task| {
            let (group, chunk) = (task / chunks, task % chunks);
            let depth = chunk / chunks_k * CHUNK..patches.depth().min((chunk / chunks_k + 1) * CHUNK);
            let channels = chunk % chunks_k * CHUNK..s.k().min((chunk % chunks_k + 1) * CHUNK);
            // SAFETY: the sums of this group and chunk belong to this task alone.
            let sums = unsafe { parts.range(task * CHUNK * CHUNK..(task + 1) * CHUNK * CHUNK) };
            isa.run(DwTask { job: &job, group, depth: depth.clone(), channels: channels.clone(), sums });
            if groups == 1 && job.round.end == share {
                // SAFETY: these taps and channels belong to this task alone.
                unsafe { scatter(&[sums], &patches, s, depth, channels, &out) };
            }
        });
    }
    if groups > 1 {
        // Rows of a chunk for each task: the sums of all groups are read once.
        const RUN: usize = 16;
        let runs = CHUNK / RUN;
        let partial = &partial[..];
        tasks::for_each(chunks * runs, |task| {
            let (chunk, run) = (task / runs, task % runs);
            let start = chunk / chunks_k * CHUNK + run * RUN;
            let depth = start..patches.depth().min(start + RUN).max(start);
            let channels = chunk % chunks_k * CHUNK..s.k().min((chunk % chunks_k + 1) * CHUNK);
            let sums: Vec<&[f32]> = (0..groups)
                .map(|group| &partial[(group * chunks + chunk) * CHUNK * CHUNK + run * RUN * CHUNK..][..RUN * CHUNK])
                .collect();
            // SAFETY: these taps and channels belong to this task alone.
            unsafe { scatter(&sums, &patches, s, depth, channels, &out) };
        });
    }
}

/// Returns the blocks of each group in a round, if the groups read `positions` with each of them.
fn blocks_of_round(s: &ConvShape, positions: usize) -> usize {
    let position = size_of::<f32>() * (s.x_len() + s.y_len()).div_ceil(s.n() * s.out_h() * s.out_w());
    (ROUND_BYTES / (position * positions)).max(1)
}

/// Adds rows `[depth, CHUNK]` of all groups in order and writes them to their taps.
///
/// # Safety
/// No other task may access these taps and channels of `out` at the same time.
unsafe fn scatter(
    sums: &[&[f32]],
    patches: &PatchGrid,
    s: &ConvShape,
    depth: Range<usize>,
    channels: Range<usize>,
    out: &DisjointSlice<'_, f32>,
) {
    let taps = s.kh() * s.kw();
    let mut row = [0f32; CHUNK];
    for (i, d) in depth.enumerate() {
        let (tap, c) = (patches.taps[d / s.c()].index, d % s.c());
        let row = &mut row[..channels.len()];
        row.fill(0.0);
        for sums in sums {
            row.iter_mut().zip(&sums[i * CHUNK..]).for_each(|(total, &sum)| *total += sum);
        }
        for (k, &value) in channels.clone().zip(&*row) {
            // SAFETY: the caller has this element alone.
            unsafe { *out.pointer((k * s.c() + c) * taps + tap, 1) = value };
        }
    }
}

/// Operands and blocking of a weight gradient: everything that stays the same during a round.
struct DwJob<'a> {
    patches: &'a PatchGrid,
    outputs: &'a PatchGrid,
    x: ConvInput<'a>,
    dy: &'a [f32],
    /// Blocks of a group.
    share: usize,
    /// Blocks of a group that this round adds.
    round: Range<usize>,
}

/// Adds a round of one group of positions to one chunk of the gradient.
struct DwTask<'a> {
    job: &'a DwJob<'a>,
    group: usize,
    depth: Range<usize>,
    channels: Range<usize>,
    sums: &'a mut [f32],
}

impl WithSimd for DwTask<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let DwJob { patches, outputs, x, dy, share, ref round } = *self.job;
        let lanes = S::F32_LANES;
        let step = block_step(ROWS, lanes);
        let mut a = Workspace::take(CHUNK / lanes * step);
        let mut b = Workspace::take(CHUNK / lanes * step);
        // Lanes beyond the last channel are multiplied too, so they must be initialised.
        if !self.channels.len().is_multiple_of(lanes) {
            b.fill(0.0);
        }
        let start = self.group * share * ROWS;
        let end = patches.count().min(start + round.end * ROWS);
        for first in (start + round.start * ROWS..end).step_by(ROWS) {
            let count = ROWS.min(patches.count() - first);
            // SAFETY: the operands hold CHUNK values of ROWS rows, and a chunk has at most as many.
            unsafe {
                pack_patches(simd, patches, x, first, count, self.depth.clone(), a.as_mut_ptr(), step);
                pack_patches(simd, outputs, dy.into(), first, count, self.channels.clone(), b.as_mut_ptr(), step);
            }
            let kernel = AtbKernel {
                count,
                a: a.as_ptr(),
                b: b.as_ptr(),
                a_step: step,
                b_step: step,
                accumulate: first > start,
                to: self.sums.as_mut_ptr(),
                c: self.depth.len(),
                columns: self.channels.len().next_multiple_of(lanes),
                to_step: CHUNK,
            };
            // SAFETY: the operands hold CHUNK values of ROWS rows, `sums` is CHUNK x CHUNK, and a
            // chunk has at most CHUNK of either.
            unsafe { kernel.run(simd) };
        }
    }
}
