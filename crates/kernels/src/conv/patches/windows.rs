//! Filters on few channels, the stems: windows are read where they lie, and no patch is put together.
//!
//! A row of a filter covers `kw c` values that lie one after the other in a row of pixels, and the window of the next position begins
//! `stride c` values further. So some positions of one line are multiplied out of a band `[kh, width]` of rows of pixels, with the zeros
//! around the image in it: 7x7/2 on three channels copies 16 KiB for 96 positions, whose patches are 56. Not for channels that
//! fill vectors: there whole vectors are gathered.

use super::gather::Grid;
use crate::conv::input::Input;

/// Most values of a window: a 7x7 filter on three channels, with some room.
pub(super) const MOST_OF_WINDOW: usize = 160;

/// The taps of a grid as a rectangle.
#[derive(Clone, Copy)]
pub(super) struct Rectangle {
    /// Of its first tap, from a position's pixel.
    dh: isize,
    dw: isize,
    pub(super) kh: usize,
    pub(super) kw: usize,
}

impl Rectangle {
    /// That of `grid` where its windows are best read so.
    pub(super) fn of(grid: &Grid, from: &Input<'_>, lanes: usize) -> Option<Self> {
        if grid.c.is_multiple_of(lanes) || grid.depth() > MOST_OF_WINDOW || from.rectified.is_some() {
            return None;
        }
        let first = grid.taps.first()?;
        let kw = grid.taps.iter().take_while(|tap| tap.dh == first.dh).count();
        let (dh, dw, kh) = (first.dh, first.dw, grid.taps.len() / kw);
        let is_at = |(i, tap): (usize, &super::gather::Tap)| {
            (tap.dh, tap.dw) == (dh + (i / kw) as isize, dw + (i % kw) as isize)
        };
        let whole = kh * kw == grid.taps.len() && grid.taps.iter().enumerate().all(is_at);
        whole.then_some(Self { dh, dw, kh, kw })
    }

    /// Values of a row of a window.
    pub(super) fn run(&self, grid: &Grid) -> usize {
        self.kw * grid.c
    }

    /// Values of a row of the band of `count` positions.
    pub(super) fn width(&self, grid: &Grid, count: usize) -> usize {
        ((count - 1) * grid.step + self.kw) * grid.c
    }

    /// Copies the pixels under the windows of `count` positions from `column` on in `line` (of all images) into `band [kh, width]`.
    pub(super) fn band(&self, grid: &Grid, from: &[f32], line: usize, column: usize, count: usize, band: &mut [f32]) {
        let (width, c) = (self.width(grid, count), grid.c);
        let (image, top) = (line / grid.rows, line % grid.rows * grid.step);
        // The band's first pixel, those of its pixels that are in the image, and where they lie there.
        let left = (column * grid.step) as isize + self.dw;
        let end = (left + (width / c) as isize).clamp(0, grid.w as isize) as usize;
        let start = left.clamp(0, end as isize) as usize;
        let before = ((start as isize - left) as usize).min(width / c) * c;
        for (i, row) in band.chunks_exact_mut(width).take(self.kh).enumerate() {
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
