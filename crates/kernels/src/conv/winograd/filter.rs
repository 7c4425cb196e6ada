//! Filters transformed into panels for [`crate::micro_kernel::GemmKernel`].
//!
//! `w [k, c, 3, 3]` becomes `U [⌈k / P⌉, N N, c, P]` with panels of `P = 2 L` output channels; the
//! points are an odd number of cache lines apart. The input gradient exchanges `k` and `c` and
//! rotates the taps by 180°.

use pulp::Simd;

use super::transform::{FilterTransform, PointSink, Strided, WinogradTransforms, transform_2d};
use crate::tuning::PANEL_VECTORS;
use crate::vector::MAX_LANES;
use crate::workspace::odd_lines;

/// View of weights `[k, c, 3, 3]` as the filters of a correlation from `inputs` to `outputs`
/// channels.
#[derive(Clone, Copy)]
pub(crate) struct WinogradFilters<'a> {
    pub(crate) w: &'a [f32],
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    /// Whether the filters are those of the input gradient, with rotated taps.
    backward: bool,
}

/// Input channels whose taps are copied together: 72 contiguous floats of each filter.
const INPUTS: usize = 8;

impl<'a> WinogradFilters<'a> {
    /// Filters of the forward pass, from `c` to `k` channels.
    pub(crate) fn forward(w: &'a [f32], c: usize, k: usize) -> Self {
        Self { w, inputs: c, outputs: k, backward: false }
    }

    /// Filters of the input gradient, from `k` to `c` channels.
    pub(crate) fn backward(w: &'a [f32], c: usize, k: usize) -> Self {
        Self { w, inputs: k, outputs: c, backward: true }
    }

    /// Returns the number of panels.
    pub(crate) fn panels(&self, lanes: usize) -> usize {
        self.outputs.div_ceil(PANEL_VECTORS * lanes)
    }

    /// Returns the floats between two points of a panel.
    pub(crate) fn point_step(&self, lanes: usize) -> usize {
        odd_lines(self.inputs * PANEL_VECTORS * lanes)
    }

    /// Copies the taps of a few input channels and one panel:
    /// `taps[((input - first) * 9 + tap) * P + lane]`.
    #[inline(always)]
    fn copy_taps(&self, panel: usize, width: usize, first: usize, count: usize, taps: &mut [f32]) {
        let outputs = panel * width..self.outputs.min((panel + 1) * width);
        if outputs.len() < width {
            taps.fill(0.0);
        }
        for (lane, output) in outputs.enumerate() {
            if self.backward {
                for i in 0..count {
                    let filter = &self.w[((first + i) * self.outputs + output) * 9..][..9];
                    for (tap, &w) in filter.iter().rev().enumerate() {
                        taps[(i * 9 + tap) * width + lane] = w;
                    }
                }
            } else {
                let run = &self.w[(output * self.inputs + first) * 9..][..count * 9];
                for (i, &w) in run.iter().enumerate() {
                    taps[i * width + lane] = w;
                }
            }
        }
    }

    /// Transforms the input channels `first .. last` of one panel, `G g Gᵀ`, into that panel at
    /// `to`.
    ///
    /// # Safety
    /// - `to` must be writable for a panel of `N N` points that are `point_step(lanes)` floats
    ///   apart,
    /// - no other task may access these input channels of the panel at the same time.
    #[inline(always)]
    pub(crate) unsafe fn transform<S: Simd, W: WinogradTransforms<M, N>, const M: usize, const N: usize>(
        &self,
        simd: S,
        panel: usize,
        first: usize,
        last: usize,
        to: *mut f32,
    ) {
        let lanes = S::F32_LANES;
        let width = PANEL_VECTORS * lanes;
        let step = self.point_step(lanes);
        let mut taps = [0f32; INPUTS * 9 * PANEL_VECTORS * MAX_LANES];
        for start in (first..last).step_by(INPUTS) {
            let count = INPUTS.min(last - start);
            self.copy_taps(panel, width, start, count, &mut taps);
            for (i, v) in (0..count).flat_map(|i| (0..PANEL_VECTORS).map(move |v| (i, v))) {
                // SAFETY: `taps` holds nine rows of `width` for each input; the caller lets `to` be
                // written.
                unsafe {
                    let taps = taps.as_ptr().add(i * 9 * width + v * lanes);
                    let to = to.add((start + i) * width + v * lanes);
                    let source = Strided { from: taps, row: 3 * width, column: width };
                    transform_2d::<S, FilterTransform<W, M, N>, 3, N>(simd, &source, &mut PointSink { to, step });
                }
            }
        }
    }
}
