//! From products to outputs: the transform back, what ends a convolution, and the 2x2 maxima behind it where the pooling is fused.

use std::marker::PhantomData;
use std::ops::Range;

use pulp::Simd;

use super::forward::{Job, Kind};
use super::transform::{Minimal, Output, Sink, Strided, square};
use crate::blocks::OUTER_VECTORS;
use crate::conv::end::{Area, End, Ended};
use crate::conv::epilogue::Moments;
use crate::pool::larger;

/// Where a tile is written: the first element, and the rows and columns inside the output.
#[derive(Clone, Copy, Default)]
pub(super) struct OutputTile {
    pub(super) at: usize,
    pub(super) height: usize,
    pub(super) width: usize,
}

/// The products of some panels on their way to the outputs; of windows of `POOL x POOL` outputs, 1 or 2 a side, the largest.
pub(super) struct Write<'a, 'b, W, const M: usize, const N: usize, const POOL: usize> {
    job: &'b Job<'a>,
    block: usize,
    panels: Range<usize>,
    places: &'b [OutputTile],
    /// `[panel, point, tile, P]`.
    products: &'b [f32],
    minimal: Kind<W>,
}

impl<'a, 'b, W, const M: usize, const N: usize, const POOL: usize> Write<'a, 'b, W, M, N, POOL> {
    /// `places` has at least as many as the block has tiles.
    pub(super) fn new(
        job: &'b Job<'a>,
        block: usize,
        panels: Range<usize>,
        places: &'b [OutputTile],
        products: &'b [f32],
    ) -> Self {
        let places = &places[..job.tiles_of(block).len()];
        Self { job, block, panels, places, products, minimal: PhantomData }
    }
}

impl<W: Minimal<M, N>, const M: usize, const N: usize, const POOL: usize> Ended for Write<'_, '_, W, M, N, POOL> {
    #[inline(always)]
    unsafe fn run<S: Simd, E: End>(self, simd: S, end: E) {
        let lanes = S::F32_LANES;
        let width = OUTER_VECTORS * lanes;
        let Job { tiles, filters, cut, to, finish, .. } = *self.job;
        let (k, step) = (filters.outputs, cut.product_step(lanes));
        let (row, column) = (tiles.out_w / POOL * k, k);
        for (index, panel) in self.panels.clone().enumerate() {
            let channels = panel * width..k.min((panel + 1) * width);
            let mut moments = [Moments::new(simd); OUTER_VECTORS];
            let needs: [_; OUTER_VECTORS] = std::array::from_fn(|v| {
                // A last panel that is half empty has no channels for its second vector.
                let channel = (panel * width + v * lanes).min(k - 1);
                // SAFETY: these channels exist.
                unsafe { end.channels(simd, channel, lanes.min(k - channel)) }
            });
            for (t, &OutputTile { at, height, width: width_in }) in self.places.iter().enumerate() {
                // Of an odd last row or column the pooling takes nothing.
                if POOL > 1 && (height == 0 || width_in == 0) {
                    continue;
                }
                for (v, channel) in channels.clone().step_by(lanes).enumerate() {
                    let from = index * N * N * step + t * width + v * lanes;
                    let from = self.products.as_ptr().wrapping_add(from);
                    let source = Strided { from, row: N * step, column: step };
                    let count = lanes.min(k - channel);
                    let len = (height - 1) * row + (width_in - 1) * column + count;
                    // SAFETY: the contract; the last row and column are inside the output.
                    unsafe {
                        let to = to.pointer(at + channel, len);
                        let area = Area { to, at: at + channel, row, column, height, width: width_in, count };
                        let above = [simd.splat_f32s(0.0); M];
                        let mut sink = Outputs::<S, E, M, POOL> {
                            area,
                            end,
                            channels: needs[v],
                            moments: moments[v].area(simd),
                            above,
                        };
                        square::<S, Output<W, M, N>, N, M>(simd, &source, &mut sink);
                        moments[v].merge(simd, sink.moments);
                    }
                }
            }
            if let Some(sums) = finish.sums() {
                for (channel, moments) in channels.step_by(lanes).zip(&moments) {
                    // SAFETY: these channels of this block are this piece's alone.
                    unsafe { sums.put(simd, self.block, channel, lanes.min(k - channel), moments) };
                }
            }
        }
    }
}

/// The outputs of a tile, written row by row.
struct Outputs<S: Simd, E: End, const M: usize, const POOL: usize> {
    area: Area,
    end: E,
    channels: E::Channels<S>,
    moments: Moments<S::f32s>,
    /// The upper row of a pair that is pooled.
    above: [S::f32s; M],
}

impl<S: Simd, E: End, const M: usize, const POOL: usize> Sink<S, M> for Outputs<S, E, M, POOL> {
    #[inline(always)]
    unsafe fn row(&mut self, simd: S, i: usize, row: [S::f32s; M]) {
        if POOL == 1 {
            // SAFETY: the contract.
            unsafe { self.area.row(simd, i, row, self.end, self.channels, &mut self.moments) };
        } else if i.is_multiple_of(2) {
            self.above = row;
        } else {
            // The largest of the sums: adding a bias and the ReLU keep the order.
            let mut largest = row;
            for j in 0..M / 2 {
                let above = larger(simd, self.above[2 * j + 1], self.above[2 * j]);
                largest[j] = larger(simd, row[2 * j + 1], larger(simd, row[2 * j], above));
            }
            // SAFETY: the contract.
            unsafe { self.area.row(simd, i / 2, largest, self.end, self.channels, &mut self.moments) };
        }
    }
}
