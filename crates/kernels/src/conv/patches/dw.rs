//! The weight gradient: gathered patches times gathered output gradients, summed over positions.
//!
//! A piece is a chunk `[depth, k]` of the result and a group of positions; both operands are gathered block by block into L2. Where
//! there are too few chunks to share, the positions are cut into groups, whose sums are added up in order. Where there are several
//! chunks, all of them go over a part of the positions before any goes on to the next: what they read again is then still in L3.

use pulp::{Simd, WithSimd};

use super::gather::{Grid, MAX_ROWS, block_step, gather};
use crate::ConvShape;
use crate::blocks::GRADIENT_CHUNK as CHUNK;
use crate::conv::input::Input;
use crate::isa::Isa;
use crate::pieces::{self, Parts};
use crate::scratch::Scratch;
use crate::tile::Gram;

/// Positions of a block.
const ROWS: usize = MAX_ROWS;

/// Pieces that a gradient is cut into where there are enough positions: for 16 threads.
const PIECES: usize = 16;

/// Fewest positions of a group: below, adding up costs as much as it shares.
const GROUP_ROWS: usize = 1024;

/// Bytes of `x` and `dy` that all chunks go over before the next are read: what stays in a shared L3.
const ROUND_BYTES: usize = 8 << 20;

/// `dw [k, c, kh, kw]`.
pub(crate) fn dw(x: Input<'_>, dy: &[f32], s: &ConvShape, dw: &mut [f32]) {
    let isa = Isa::active();
    let patches = Grid::forward(s);
    let outputs =
        Grid::forward(&ConvShape { h: s.out_h(), w: s.out_w(), c: s.k, kh: 1, kw: 1, stride: 1, pad: 0, ..*s });
    if patches.taps.len() < s.kh * s.kw {
        // Taps that reach no pixel have no gradient.
        dw.fill(0.0);
    }
    if patches.taps.is_empty() {
        return;
    }
    let (chunks_d, chunks_k) = (patches.depth().div_ceil(CHUNK), s.k.div_ceil(CHUNK));
    let chunks = chunks_d * chunks_k;
    let blocks = patches.count().div_ceil(ROWS);
    let groups = PIECES.div_ceil(chunks).min(patches.count().div_ceil(GROUP_ROWS)).min(blocks);
    let share = blocks.div_ceil(groups);
    let groups = blocks.div_ceil(share);
    let round = if chunks == 1 { share } else { blocks_of_round(s, groups * ROWS).min(share) };
    let mut partial = Scratch::take(groups * chunks * CHUNK * CHUNK);
    let out = Parts::new(dw);
    let parts = Parts::new(&mut partial);
    for first in (0..share).step_by(round) {
        let job = Job { patches: &patches, outputs: &outputs, x, dy, share, round: first..share.min(first + round) };
        pieces::for_each(groups * chunks, |piece| {
            let (group, chunk) = (piece / chunks, piece % chunks);
            let depth = chunk / chunks_k * CHUNK..patches.depth().min((chunk / chunks_k + 1) * CHUNK);
            let channels = chunk % chunks_k * CHUNK..s.k.min((chunk % chunks_k + 1) * CHUNK);
            // SAFETY: the sums of this group and chunk are this piece's alone.
            let sums = unsafe { parts.range(piece * CHUNK * CHUNK..(piece + 1) * CHUNK * CHUNK) };
            isa.run(Chunk { job: &job, group, depth: depth.clone(), channels: channels.clone(), sums });
            if groups == 1 && job.round.end == share {
                // SAFETY: these taps and channels are this piece's alone.
                unsafe { scatter(&[sums], &patches, s, depth, channels, &out) };
            }
        });
    }
    if groups > 1 {
        // Rows of a chunk to a piece: the sums of all groups are read once.
        const RUN: usize = 16;
        let runs = CHUNK / RUN;
        let partial = &partial[..];
        pieces::for_each(chunks * runs, |piece| {
            let (chunk, run) = (piece / runs, piece % runs);
            let start = chunk / chunks_k * CHUNK + run * RUN;
            let depth = start..patches.depth().min(start + RUN).max(start);
            let channels = chunk % chunks_k * CHUNK..s.k.min((chunk % chunks_k + 1) * CHUNK);
            let sums: Vec<&[f32]> = (0..groups)
                .map(|group| &partial[(group * chunks + chunk) * CHUNK * CHUNK + run * RUN * CHUNK..][..RUN * CHUNK])
                .collect();
            // SAFETY: as above.
            unsafe { scatter(&sums, &patches, s, depth, channels, &out) };
        });
    }
}

/// Blocks of each group that [`ROUND_BYTES`] hold, if the groups read `positions` with each of them.
fn blocks_of_round(s: &ConvShape, positions: usize) -> usize {
    let position = size_of::<f32>() * (s.x_len() + s.y_len()).div_ceil(s.n * s.out_h() * s.out_w());
    (ROUND_BYTES / (position * positions)).max(1)
}

/// Adds up rows `[depth, CHUNK]` of all groups in order and writes them to their taps.
///
/// # Safety
/// These taps and channels must be the caller's alone.
unsafe fn scatter(
    sums: &[&[f32]],
    patches: &Grid,
    s: &ConvShape,
    depth: std::ops::Range<usize>,
    channels: std::ops::Range<usize>,
    out: &Parts<'_, f32>,
) {
    let taps = s.kh * s.kw;
    let mut row = [0f32; CHUNK];
    for (i, d) in depth.enumerate() {
        let (tap, c) = (patches.taps[d / s.c].index, d % s.c);
        let row = &mut row[..channels.len()];
        row.fill(0.0);
        for sums in sums {
            row.iter_mut().zip(&sums[i * CHUNK..]).for_each(|(total, &sum)| *total += sum);
        }
        for (k, &value) in channels.clone().zip(&*row) {
            // SAFETY: one element, the caller's.
            unsafe { *out.pointer((k * s.c + c) * taps + tap, 1) = value };
        }
    }
}

/// Everything that does not change during a gradient.
struct Job<'a> {
    patches: &'a Grid,
    outputs: &'a Grid,
    x: Input<'a>,
    dy: &'a [f32],
    /// Blocks of a group, and which of them are added in this round.
    share: usize,
    round: std::ops::Range<usize>,
}

/// Part of the patches and of the output channels, over one group of positions.
struct Chunk<'a> {
    job: &'a Job<'a>,
    group: usize,
    depth: std::ops::Range<usize>,
    channels: std::ops::Range<usize>,
    sums: &'a mut [f32],
}

impl WithSimd for Chunk<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Job { patches, outputs, x, dy, share, ref round } = *self.job;
        let lanes = S::F32_LANES;
        let step = block_step(ROWS, lanes);
        let mut a = Scratch::take(CHUNK / lanes * step);
        let mut b = Scratch::take(CHUNK / lanes * step);
        // Lanes beyond the last channel are multiplied too: they must hold numbers.
        if !self.channels.len().is_multiple_of(lanes) {
            b.fill(0.0);
        }
        let start = self.group * share * ROWS;
        let end = patches.count().min(start + round.end * ROWS);
        for first in (start + round.start * ROWS..end).step_by(ROWS) {
            let count = ROWS.min(patches.count() - first);
            // SAFETY: the operands hold CHUNK values of ROWS rows.
            unsafe {
                gather(simd, patches, x, first, count, self.depth.clone(), a.as_mut_ptr(), step);
                gather(simd, outputs, dy.into(), first, count, self.channels.clone(), b.as_mut_ptr(), step);
            }
            let gram = Gram {
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
            // SAFETY: the operands hold CHUNK values of ROWS rows, `sums` is CHUNK x CHUNK, and a chunk has no more of either.
            unsafe { gram.run(simd) };
        }
    }
}
