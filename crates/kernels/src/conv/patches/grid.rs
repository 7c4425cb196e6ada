//! Grid of patch positions: which pixels lie under the kernel at each position, and which pixel
//! each position writes.
//!
//! The pixel under a tap at position `(n, u, v)` is `(u step + dh, v step + dw)`, zero outside of
//! the image. A forward pass has one grid; an input gradient has one for each phase of the stride.

use std::sync::Arc;

use crate::shape::{ConvDims, ConvShape};

/// Element of the kernel, and the offset of the pixel under it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KernelTap {
    /// Index in the kernel, `i * kw + j`.
    pub(crate) index: usize,
    pub(super) dh: isize,
    pub(super) dw: isize,
}

impl KernelTap {
    /// Lists all taps of the forward pass.
    pub(crate) fn all(s: &ConvShape) -> impl Iterator<Item = Self> {
        let ConvDims { kh, kw, pad, .. } = s.dims();
        (0..kh * kw).map(move |index| {
            let (i, j) = ((index / kw) as isize, (index % kw) as isize);
            Self { index, dh: i - pad as isize, dw: j - pad as isize }
        })
    }
}

/// Pixels that a grid writes: position `(u, v)` writes `(top + u step, left + v step)` of an
/// `h x w` image.
#[derive(Clone, Copy, Debug)]
struct Target {
    h: usize,
    w: usize,
    step: usize,
    top: usize,
    left: usize,
}

/// Positions of which each has a patch in `from [n, h, w, c]` and a pixel in the target.
#[derive(Clone, Debug)]
pub(crate) struct PatchGrid {
    pub(crate) n: usize,
    pub(super) h: usize,
    pub(super) w: usize,
    pub(crate) c: usize,
    /// Rows of positions in an image.
    pub(super) rows: usize,
    /// Positions in a row.
    pub(super) columns: usize,
    /// Pixels of `from` between two positions.
    pub(super) step: usize,
    pub(crate) taps: Arc<[KernelTap]>,
    target: Target,
}

impl PatchGrid {
    /// Grid of the forward pass: a position is an output pixel. Taps that reach no pixel are left
    /// out.
    pub(crate) fn forward(s: &ConvShape) -> Self {
        let (rows, columns) = (s.out_h(), s.out_w());
        Self::with_taps(s, Self::reaching(KernelTap::all(s), [s.h(), s.w()], [rows, columns], s.stride()))
    }

    /// Grid of the forward pass with the given taps. With all taps, weights that are packed for the
    /// grid suit any size of image.
    pub(crate) fn with_taps(s: &ConvShape, taps: Arc<[KernelTap]>) -> Self {
        let ConvDims { n, h, w, c, stride, .. } = s.dims();
        let (rows, columns) = (s.out_h(), s.out_w());
        let target = Target { h: rows, w: columns, step: 1, top: 0, left: 0 };
        Self { n, h, w, c, rows, columns, step: stride, taps, target }
    }

    /// Grid of a 1x1 kernel: each position is a pixel of `[n, h, w, c]`.
    pub(crate) fn pointwise([n, h, w, c]: [usize; 4]) -> Self {
        let taps = Arc::new([KernelTap { index: 0, dh: 0, dw: 0 }]);
        let target = Target { h, w, step: 1, top: 0, left: 0 };
        Self { n, h, w, c, rows: h, columns: w, step: 1, taps, target }
    }

    /// Grids of the input gradient: a position is an input pixel, a patch is of `dy`.
    ///
    /// Output row `oh` reaches input row `ih` through kernel row `i` where
    /// `oh stride + i = ih + pad`, so the rows `ih = phase + stride u` share their taps.
    pub(crate) fn backward(s: &ConvShape) -> Vec<Self> {
        let ConvDims { n, h, w, k, kh, kw, stride, pad, .. } = s.dims();
        let (out_h, out_w) = (s.out_h(), s.out_w());
        let along = |phase: usize, kernel: usize| -> Vec<(usize, isize)> {
            let reach = |i: usize| (phase + pad) as isize - i as isize;
            let stride = stride as isize;
            (0..kernel).filter(|&i| reach(i) % stride == 0).map(|i| (i, reach(i) / stride)).collect()
        };
        let phases = (0..stride.min(h)).flat_map(|a| (0..stride.min(w)).map(move |b| (a, b)));
        phases
            .map(|(top, left)| {
                let (vertical, horizontal) = (along(top, kh), along(left, kw));
                let pairs = vertical.iter().flat_map(|&v| horizontal.iter().map(move |&h| (v, h)));
                let taps = pairs.map(|((i, dh), (j, dw))| KernelTap { index: i * kw + j, dh, dw });
                let (rows, columns) = ((h - top).div_ceil(stride), (w - left).div_ceil(stride));
                let taps = Self::reaching(taps, [out_h, out_w], [rows, columns], 1);
                let target = Target { h, w, step: stride, top, left };
                Self { n, h: out_h, w: out_w, c: k, rows, columns, step: 1, taps, target }
            })
            .collect()
    }

    /// Keeps the taps that touch the image from some position: on a 1x1 image only the middle of a
    /// 3x3 kernel does.
    fn reaching(
        taps: impl Iterator<Item = KernelTap>,
        [h, w]: [usize; 2],
        [rows, columns]: [usize; 2],
        step: usize,
    ) -> Arc<[KernelTap]> {
        let touches = |d: isize, size: usize, count: usize| d < size as isize && d + ((count - 1) * step) as isize >= 0;
        taps.filter(|tap| touches(tap.dh, h, rows) && touches(tap.dw, w, columns)).collect()
    }

    /// Returns the number of positions: the rows of the packed operand.
    pub(crate) fn count(&self) -> usize {
        self.n * self.rows * self.columns
    }

    /// Returns the number of values of a patch.
    pub(crate) fn depth(&self) -> usize {
        self.taps.len() * self.c
    }

    /// Returns the target pixel of position `row`.
    #[inline(always)]
    pub(crate) fn target(&self, row: usize) -> usize {
        let Target { h, w, step, top, left } = self.target;
        let (line, v) = (row / self.columns, row % self.columns);
        let (image, u) = (line / self.rows, line % self.rows);
        (image * h + top + u * step) * w + left + v * step
    }

    /// Returns the distance in target pixels between neighbouring positions, and for how many
    /// positions in a row it holds: all of them where the positions are the target's pixels, else
    /// those of one line.
    pub(crate) fn target_step(&self) -> (usize, usize) {
        (self.target.step, if self.target.step == 1 { usize::MAX } else { self.columns })
    }

    /// Finds the origins of the patches of `origins.len()` positions from `first`.
    ///
    /// Counts instead of dividing: a division for each position and tap takes as long as fifty
    /// products.
    #[inline(always)]
    pub(super) fn origins(&self, first: usize, origins: &mut [PatchOrigin]) {
        let (line, mut v) = (first / self.columns, first % self.columns);
        let (mut image, mut u) = (line / self.rows, line % self.rows);
        for origin in origins {
            let (top, left) = (u * self.step, v * self.step);
            *origin = PatchOrigin { pixel: ((image * self.h + top) * self.w + left) * self.c, top, left };
            v += 1;
            if v == self.columns {
                v = 0;
                u += 1;
            }
            if u == self.rows {
                u = 0;
                image += 1;
            }
        }
    }
}

/// Origin of a patch: the pixel to which the offsets of the taps are added.
#[derive(Clone, Copy, Default)]
pub(super) struct PatchOrigin {
    /// Offset of the pixel `(top, left)` in floats.
    pixel: usize,
    top: usize,
    left: usize,
}

impl PatchOrigin {
    /// Returns the offset of the pixel under a tap, if it is inside the image.
    #[inline(always)]
    pub(super) fn offset_under(&self, grid: &PatchGrid, tap: &KernelTap) -> Option<usize> {
        // A negative row or column becomes a huge one.
        let inside = self.top.wrapping_add_signed(tap.dh) < grid.h && self.left.wrapping_add_signed(tap.dw) < grid.w;
        let offset = (tap.dh * grid.w as isize + tap.dw) * grid.c as isize;
        inside.then(|| self.pixel.wrapping_add_signed(offset))
    }
}
