//! Folding of matrices `[rows, c]` with few columns into long rows, for parameters by channel and
//! for column sums.
//!
//! A row of 16 channels is two vectors long, too short for an efficient loop. So several rows are
//! processed as one row of [`Columns::width`] elements, with the channel parameters repeated as
//! often. A slice that starts at a multiple of the width and ends anywhere sees the right
//! parameters.

use std::ops::Range;

use crate::tasks::{self, DisjointSlice};

/// Least width of a folded row: sixteen AVX2 vectors, four times the unroll factor of the compiler.
const WIDTH: usize = 128;

/// Elements of a task of a column sum.
///
/// Each `f32` accumulator adds at most 32 Ki / 128 = 256 values before it goes into `f64`, so the
/// relative error of a sum is below 256 · 2⁻²⁴ of the sum of magnitudes.
const SUM_TASK_LEN: usize = 32 * 1024;

/// Folding of a matrix with `c` columns.
#[derive(Clone, Copy)]
pub(crate) struct Columns {
    c: usize,
    width: usize,
}

impl Columns {
    pub(crate) fn new(c: usize) -> Self {
        Self { c, width: c * WIDTH.div_ceil(c) }
    }

    /// Returns the elements of a folded row, a multiple of `c`.
    pub(crate) fn width(self) -> usize {
        self.width
    }

    /// Returns the elements of a task of an element-wise kernel, in whole folded rows.
    pub(crate) fn task_len(self) -> usize {
        self.width * (tasks::TASK_LEN / self.width).max(1)
    }

    /// RepeatedAugmentation `f(channel)` over a folded row.
    pub(crate) fn repeat(self, f: impl Fn(usize) -> f32) -> Vec<f32> {
        let row: Vec<f32> = (0..self.c).map(f).collect();
        row.repeat(self.width / self.c)
    }

    /// Computes `N` rows of `c` column sums of a matrix of `len` elements. `f(range, sums)` adds
    /// the folded rows of a range to `N` rows of sums.
    pub(crate) fn sums<const N: usize>(
        self,
        len: usize,
        f: impl Fn(Range<usize>, &mut [Vec<f32>; N]) + Sync,
    ) -> [Vec<f64>; N] {
        let task = self.width * (SUM_TASK_LEN / self.width).max(1);
        let mut partial = vec![0f64; len.div_ceil(task) * N * self.c];
        let parts = DisjointSlice::new(&mut partial);
        tasks::for_ranges(len, task, |i, range| {
            let mut sums: [Vec<f32>; N] = std::array::from_fn(|_| vec![0f32; self.width]);
            f(range, &mut sums);
            // SAFETY: this range belongs to task `i` alone.
            let out = unsafe { parts.range(i * N * self.c..(i + 1) * N * self.c) };
            for (out, sums) in out.chunks_exact_mut(self.c).zip(&sums) {
                for row in sums.chunks_exact(self.c) {
                    out.iter_mut().zip(row).for_each(|(out, &sum)| *out += f64::from(sum));
                }
            }
        });
        let mut totals: [Vec<f64>; N] = std::array::from_fn(|_| vec![0f64; self.c]);
        for task in partial.chunks_exact(N * self.c) {
            for (total, part) in totals.iter_mut().zip(task.chunks_exact(self.c)) {
                total.iter_mut().zip(part).for_each(|(total, &part)| *total += part);
            }
        }
        totals
    }
}
