//! Row buffer for kernels on few channels, the stems: windows are read in place, without packing
//! patches.
//!
//! A kernel row covers `kw c` values that are contiguous in a row of pixels, and the window of the
//! next position starts `stride c` values further. So the positions of one line are multiplied out
//! of a buffer `[kh, width]` of pixel rows with the padding in it: 7x7/2 on three channels copies
//! 16 KiB for 96 positions, whose patches are 56. Channels that fill vectors are packed as whole
//! vectors instead.

use super::grid::{KernelTap, PatchGrid};
use crate::conv::prologue::ConvInput;

/// Largest number of values of a window: a 7x7 kernel on three channels, with some room.
pub(super) const MAX_WINDOW: usize = 160;

/// Rectangle that the taps of a grid form.
#[derive(Clone, Copy)]
pub(super) struct KernelRect {
    /// Row offset of the first tap.
    dh: isize,
    /// Column offset of the first tap.
    dw: isize,
    pub(super) kh: usize,
    pub(super) kw: usize,
}

impl KernelRect {
    /// Returns the rectangle of `grid` if its windows are best read in place.
    pub(super) fn of(grid: &PatchGrid, from: &ConvInput<'_>, lanes: usize) -> Option<Self> {
        if grid.c.is_multiple_of(lanes) || grid.depth() > MAX_WINDOW || from.prologue.is_some() {
            return None;
        }
        let first = grid.taps.first()?;
        let kw = grid.taps.iter().take_while(|tap| tap.dh == first.dh).count();
        let (dh, dw, kh) = (first.dh, first.dw, grid.taps.len() / kw);
        let in_place =
            |(i, tap): (usize, &KernelTap)| (tap.dh, tap.dw) == (dh + (i / kw) as isize, dw + (i % kw) as isize);
        let whole = kh * kw == grid.taps.len() && grid.taps.iter().enumerate().all(in_place);
        whole.then_some(Self { dh, dw, kh, kw })
    }

    /// Returns the values of a row of a window.
    pub(super) fn run(&self, grid: &PatchGrid) -> usize {
        self.kw * grid.c
    }

    /// Returns the values of a row of the buffer for `count` positions.
    pub(super) fn width(&self, grid: &PatchGrid, count: usize) -> usize {
        ((count - 1) * grid.step + self.kw) * grid.c
    }

    /// Copies the pixels under the windows of `count` positions from `column` on into
    /// `buffer [kh, width]`. Lines are numbered over all images.
    pub(super) fn fill(
        &self,
        grid: &PatchGrid,
        from: &[f32],
        line: usize,
        column: usize,
        count: usize,
        buffer: &mut [f32],
    ) {
        let (width, c) = (self.width(grid, count), grid.c);
        let (image, top) = (line / grid.rows, line % grid.rows * grid.step);
        // The column of the buffer's first pixel, and the range of its pixels that are in the
        // image.
        let left = (column * grid.step) as isize + self.dw;
        let end = (left + (width / c) as isize).clamp(0, grid.w as isize) as usize;
        let start = left.clamp(0, end as isize) as usize;
        let before = ((start as isize - left) as usize).min(width / c) * c;
        for (i, row) in buffer.chunks_exact_mut(width).take(self.kh).enumerate() {
            let y = top as isize + self.dh + i as isize;
            if y < 0 || y >= grid.h as isize || start == end {
                row.fill(0.0);
                continue;
            }
            let pixels = ((image * grid.h + y as usize) * grid.w) * c;
            let inside = (end - start) * c;
            row[..before].fill(0.0);
            row[before..before + inside].copy_from_slice(&from[pixels + start * c..pixels + end * c]);
            row[before + inside..].fill(0.0);
        }
    }
}
