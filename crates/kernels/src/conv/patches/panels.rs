//! Weights as panels of columns for [`crate::tile::Product`].
//!
//! Panel `p` is `[depth, P]` with `P = 2 L` output channels, the depth being `[taps, inputs]` of a grid. Output channels beyond the last are
//! zero.

use super::gather::Grid;
use crate::blocks::OUTER_VECTORS;
use crate::pieces::{self, Parts};

/// Weights `[k, c, kh, kw]` seen as those of a correlation from `inputs` to `outputs` channels.
#[derive(Clone, Copy)]
pub(crate) struct Weights<'a> {
    pub(crate) w: &'a [f32],
    pub(crate) outputs: usize,
    /// Floats from an output channel to the next, and from an input channel to the next.
    output_step: usize,
    input_step: usize,
}

impl<'a> Weights<'a> {
    /// From `c` to `k`.
    pub(crate) fn forward(w: &'a [f32], c: usize, k: usize, taps: usize) -> Self {
        Self { w, outputs: k, output_step: c * taps, input_step: taps }
    }

    /// From `k` to `c`: the input gradient.
    pub(crate) fn backward(w: &'a [f32], c: usize, taps: usize) -> Self {
        Self { w, outputs: c, output_step: taps, input_step: c * taps }
    }

    /// Panels of output channels.
    pub(crate) fn panels(&self, lanes: usize) -> usize {
        self.outputs.div_ceil(OUTER_VECTORS * lanes)
    }

    /// Packs all panels of a grid into `to`, `[panels, depth, P]`.
    pub(crate) fn pack(&self, grid: &Grid, lanes: usize, to: &mut [f32]) {
        /// Input channels of a piece.
        const INPUTS: usize = 64;
        let width = OUTER_VECTORS * lanes;
        let (depth, parts) = (grid.depth(), grid.c.div_ceil(INPUTS));
        let to = Parts::new(to);
        let run = |piece: usize| {
            let (panel, first) = (piece / parts, piece % parts * INPUTS);
            let last = grid.c.min(first + INPUTS);
            for (t, tap) in grid.taps.iter().enumerate() {
                let start = (panel * depth + t * grid.c + first) * width;
                // SAFETY: these rows of the panel are this piece's alone.
                let rows = unsafe { to.range(start..start + (last - first) * width) };
                self.pack_tap(panel * width, tap.index, first, rows, width);
            }
        };
        let pieces = self.panels(lanes) * parts;
        if self.w.len() <= pieces::PIECE { pieces::serial(pieces, run) } else { pieces::for_each(pieces, run) }
    }

    /// One tap of the input channels from `first` and the output channels from `output`: `[inputs, P]`.
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
