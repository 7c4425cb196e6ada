//! Packing of patches into an operand in lane blocks.
//!
//! A row of the operand belongs to a position of a grid; its values are the channels of the pixels
//! under the taps, `[taps, c]` flat.

use std::ops::Range;

use pulp::Simd;

use super::grid::{PatchGrid, PatchOrigin};
use super::row_buffer::{KernelRect, MAX_WINDOW};
use crate::conv::prologue::{ConvInput, NoPrologue, Prologue};
use crate::vector::{MAX_LANES, load, store};
use crate::workspace::odd_lines;

/// Returns the floats between two lane blocks of `rows` rows.
pub(crate) fn block_step(rows: usize, lanes: usize) -> usize {
    odd_lines(rows * lanes)
}

/// Largest number of rows that are packed at once.
pub(crate) const MAX_ROWS: usize = 128;

/// Packs the values `depth` of the patches of `count` positions from `first`, lane block `i` at
/// `to + i step`. Lanes beyond the depth get arbitrary numbers.
///
/// # Safety
/// - `to` must be writable for `count` vectors at each of its `⌈depth / L⌉` lane blocks,
/// - the positions `first .. first + count` must exist in the grid, at most [`MAX_ROWS`] of them,
/// - `depth` must start at a multiple of the lanes and end inside the depth of the grid,
/// - a prologue must have the channels of the grid.
#[inline(always)]
pub(crate) unsafe fn pack_patches<S: Simd>(
    simd: S,
    grid: &PatchGrid,
    from: ConvInput<'_>,
    first: usize,
    count: usize,
    depth: Range<usize>,
    to: *mut f32,
    step: usize,
) {
    let rect = KernelRect::of(grid, &from, S::F32_LANES).filter(|_| depth == (0..grid.depth()));
    let ConvInput { values: from, prologue } = from;
    assert!(from.len() >= grid.n * grid.h * grid.w * grid.c, "a tensor is smaller than its grid");
    let lanes = S::F32_LANES;
    let mut origins = [PatchOrigin::default(); MAX_ROWS];
    let origins = &mut origins[..count];
    grid.origins(first, origins);
    // SAFETY: the origins are positions of the grid, whose pixels are inside the tensor by the
    // assertion; the caller lets `to` be written.
    unsafe {
        if let Some(rect) = rect {
            return pack_rows(simd, grid, rect, from, origins, to, step);
        }
        match (prologue, grid.c.is_multiple_of(lanes)) {
            (None, true) => pack_vectors(simd, grid, from.as_ptr(), NoPrologue, origins, depth, to, step),
            (Some(prologue), true) => pack_vectors(simd, grid, from.as_ptr(), prologue, origins, depth, to, step),
            (None, false) => pack_scalars(grid, from.as_ptr(), NoPrologue, origins, depth, lanes, to, step),
            (Some(prologue), false) => pack_scalars(grid, from.as_ptr(), prologue, origins, depth, lanes, to, step),
        }
    }
}

/// Packs whole vectors, tap by tap.
///
/// # Safety
/// - as [`pack_patches`], for the positions of `origins`,
/// - `from` must be readable for all pixels of the grid, whose channels must be whole vectors.
#[inline(always)]
unsafe fn pack_vectors<S: Simd, P: Prologue>(
    simd: S,
    grid: &PatchGrid,
    from: *const f32,
    prologue: P,
    origins: &[PatchOrigin],
    depth: Range<usize>,
    to: *mut f32,
    step: usize,
) {
    let lanes = S::F32_LANES;
    let zero = simd.splat_f32s(0.0);
    let mut at = depth.start;
    while at < depth.end {
        let (tap, channel) = (at / grid.c, at % grid.c);
        let end = depth.end.min((tap + 1) * grid.c);
        let blocks = (end - at) / lanes;
        let to = to.wrapping_add((at - depth.start) / lanes * step);
        for (i, origin) in origins.iter().enumerate() {
            let to = to.wrapping_add(i * lanes);
            // SAFETY: a pixel under a tap is inside the tensor and holds the channels of whole
            // vectors; the lane blocks are inside `to`.
            unsafe {
                match origin.offset_under(grid, &grid.taps[tap]) {
                    Some(offset) => {
                        let from = from.add(offset + channel);
                        for block in 0..blocks {
                            let channels = prologue.channels(simd, channel + block * lanes);
                            let values = P::apply(simd, channels, load(simd, from.add(block * lanes)));
                            store(simd, to.add(block * step), values);
                        }
                    }
                    None => (0..blocks).for_each(|block| store(simd, to.add(block * step), zero)),
                }
            }
        }
        at = end;
    }
}

/// Packs whole patches of few channels: a run of `kw c` values for each kernel row goes into a
/// buffer, and the buffer into lane blocks.
///
/// # Safety
/// As [`pack_patches`], for the positions of `origins` and the whole depth.
#[inline(always)]
unsafe fn pack_rows<S: Simd>(
    simd: S,
    grid: &PatchGrid,
    rect: KernelRect,
    from: &[f32],
    origins: &[PatchOrigin],
    to: *mut f32,
    step: usize,
) {
    let lanes = S::F32_LANES;
    let (kernel_w, run) = (rect.kw, rect.run(grid));
    let mut patch = [0f32; MAX_WINDOW + 2 * MAX_LANES];
    for (i, origin) in origins.iter().enumerate() {
        for (row, taps) in grid.taps.chunks_exact(kernel_w).enumerate() {
            let values = &mut patch[row * run..];
            let (start, end) = (origin.offset_under(grid, &taps[0]), origin.offset_under(grid, &taps[kernel_w - 1]));
            match (start, end) {
                // The whole run is inside; up to a vector more may be read, if that is in the
                // tensor.
                (Some(start), Some(_)) if start + run + lanes <= from.len() => {
                    for at in (0..run).step_by(lanes) {
                        // SAFETY: the guard keeps the load in the tensor; `patch` has room for a
                        // vector more than the longest patch.
                        unsafe { store(simd, values[at..].as_mut_ptr(), load(simd, from.as_ptr().add(start + at))) };
                    }
                }
                _ => {
                    for (tap, values) in taps.iter().zip(values.chunks_exact_mut(grid.c)) {
                        match origin.offset_under(grid, tap) {
                            Some(offset) => values.copy_from_slice(&from[offset..offset + grid.c]),
                            None => values.fill(0.0),
                        }
                    }
                }
            }
        }
        for block in 0..grid.depth().div_ceil(lanes) {
            // SAFETY: the lane blocks are inside `to`; `patch` has a vector more than the longest
            // patch.
            unsafe { store(simd, to.add(block * step + i * lanes), load(simd, patch[block * lanes..].as_ptr())) };
        }
    }
}

/// Packs value by value: channels that are not whole vectors, where windows are not packed by rows.
///
/// # Safety
/// - as [`pack_patches`], for the positions of `origins`,
/// - `from` must be readable for all pixels of the grid.
#[inline(always)]
unsafe fn pack_scalars(
    grid: &PatchGrid,
    from: *const f32,
    prologue: impl Prologue,
    origins: &[PatchOrigin],
    depth: Range<usize>,
    lanes: usize,
    to: *mut f32,
    step: usize,
) {
    for (row, at) in depth.enumerate() {
        let (tap, channel) = (&grid.taps[at / grid.c], at % grid.c);
        let to = to.wrapping_add(row / lanes * step + row % lanes);
        for (i, origin) in origins.iter().enumerate() {
            // SAFETY: a pixel under a tap is inside the tensor; the lane blocks are inside `to`.
            unsafe {
                let value = |offset| prologue.apply_scalar(channel, *from.add(offset + channel));
                *to.add(i * lanes) = origin.offset_under(grid, tap).map_or(0.0, value);
            }
        }
    }
}
