//! Filters into the transformed domain, as panels for [`crate::tile::Product`].
//!
//! `w [k, c, 3, 3]` becomes `U [⌈k / P⌉, N N, c, P]` with panels of `P = 2 L` output channels; the points are an odd number of cache lines
//! apart. For the input gradient the roles of `k` and `c` are exchanged and the taps run backwards.

use pulp::Simd;

use super::transform::{Filter, Minimal, Points, Strided, square};
use crate::blocks::OUTER_VECTORS;
use crate::scratch::odd_lines;
use crate::vector::MAX_LANES;

/// Weights `[k, c, 3, 3]` seen as the filters of a correlation from `inputs` to `outputs` channels.
#[derive(Clone, Copy)]
pub(crate) struct Filters<'a> {
    pub(crate) w: &'a [f32],
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    /// Whether this is the input gradient's: inputs are `k`, outputs are `c`, and the taps run backwards.
    pub(crate) backward: bool,
}

/// Input channels that are gathered together: 72 contiguous floats of each filter.
const GATHER: usize = 8;

impl Filters<'_> {
    /// Panels of output channels.
    pub(crate) fn panels(&self, lanes: usize) -> usize {
        self.outputs.div_ceil(OUTER_VECTORS * lanes)
    }

    /// Floats between two points of a panel.
    pub(crate) fn point_step(&self, lanes: usize) -> usize {
        odd_lines(self.inputs * OUTER_VECTORS * lanes)
    }

    /// Copies the taps of a few input channels and one panel: `taps[((input - first) * 9 + tap) * P + lane]`.
    #[inline(always)]
    fn gather(&self, panel: usize, width: usize, first: usize, count: usize, taps: &mut [f32]) {
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

    /// `G g Gᵀ` of the input channels `first .. last` of one panel, into that panel at `to`.
    ///
    /// # Safety
    /// `to` must be writable for a panel of `N N` points.
    #[inline(always)]
    pub(crate) unsafe fn transform<S: Simd, W: Minimal<M, N>, const M: usize, const N: usize>(
        &self,
        simd: S,
        panel: usize,
        first: usize,
        last: usize,
        to: *mut f32,
    ) {
        let lanes = S::F32_LANES;
        let width = OUTER_VECTORS * lanes;
        let step = self.point_step(lanes);
        let mut taps = [0f32; GATHER * 9 * OUTER_VECTORS * MAX_LANES];
        for start in (first..last).step_by(GATHER) {
            let count = GATHER.min(last - start);
            self.gather(panel, width, start, count, &mut taps);
            for (i, v) in (0..count).flat_map(|i| (0..OUTER_VECTORS).map(move |v| (i, v))) {
                // SAFETY: `taps` holds nine rows of `width` for each input; `to` by the contract.
                unsafe {
                    let taps = taps.as_ptr().add(i * 9 * width + v * lanes);
                    let to = to.add((start + i) * width + v * lanes);
                    let source = Strided { from: taps, row: 3 * width, column: width };
                    square::<S, Filter<W, M, N>, 3, N>(simd, &source, &mut Points { to, step });
                }
            }
        }
    }
}
