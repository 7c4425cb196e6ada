//! Weights packed into panels of output channels for [`crate::micro_kernel::GemmKernel`].
//!
//! Panel `p` is `[depth, P]` with `P = 2 L` output channels; the depth is `[taps, inputs]` of a
//! grid. Output channels beyond the last are zero.

use super::grid::PatchGrid;
use crate::tasks::{self, DisjointSlice};
use crate::tuning::PANEL_VECTORS;

/// View of weights `[k, c, kh, kw]` as those of a correlation from `inputs` to `outputs` channels.
#[derive(Clone, Copy)]
pub(crate) struct ConvWeights<'a> {
    pub(crate) w: &'a [f32],
    pub(crate) outputs: usize,
    /// Floats from an output channel to the next.
    output_step: usize,
    /// Floats from an input channel to the next.
    input_step: usize,
}

impl<'a> ConvWeights<'a> {
    /// Weights of the forward pass, from `c` to `k` channels.
    pub(crate) fn forward(w: &'a [f32], c: usize, k: usize, taps: usize) -> Self {
        Self { w, outputs: k, output_step: c * taps, input_step: taps }
    }

    /// Weights of the input gradient, from `k` to `c` channels.
    pub(crate) fn backward(w: &'a [f32], c: usize, taps: usize) -> Self {
        Self { w, outputs: c, output_step: taps, input_step: c * taps }
    }

    /// Returns the number of panels.
    pub(crate) fn panels(&self, lanes: usize) -> usize {
        self.outputs.div_ceil(PANEL_VECTORS * lanes)
    }

    /// Packs all panels of a grid into `to`, `[panels, depth, P]`.
    pub(crate) fn pack(&self, grid: &PatchGrid, lanes: usize, to: &mut [f32]) {
        /// Input channels of a task.
        const INPUTS: usize = 64;
        let width = PANEL_VECTORS * lanes;
        let (depth, parts) = (grid.depth(), grid.c.div_ceil(INPUTS));
        let to = DisjointSlice::new(to);
        let run = |task: usize| {
            let (panel, first) = (task / parts, task % parts * INPUTS);
            let last = grid.c.min(first + INPUTS);
            for (t, tap) in grid.taps.iter().enumerate() {
                let start = (panel * depth + t * grid.c + first) * width;
                // SAFETY: these rows of the panel belong to this task alone.
                let rows = unsafe { to.range(start..start + (last - first) * width) };
                self.pack_tap(panel * width, tap.index, first, rows, width);
            }
        };
        let count = self.panels(lanes) * parts;
        if self.w.len() <= tasks::TASK_LEN { tasks::serial(count, run) } else { tasks::for_each(count, run) }
    }

    /// Packs one tap of the input channels from `first` and the output channels from `output`:
    /// `[inputs, P]`.
    fn pack_tap(&self, output: usize, tap: usize, first: usize, to: &mut [f32], width: usize) {
        let count = width.min(self.outputs - output);
        for (i, row) in to.chunks_exact_mut(width).enumerate() {
            let from = (first + i) * self.input_step + tap + output * self.output_step;
            for (lane, value) in row[..count].iter_mut().enumerate() {
                *value = self.w[from + lane * self.output_step];
            }
            row[count..].fill(0.0);
        }
    }
}
