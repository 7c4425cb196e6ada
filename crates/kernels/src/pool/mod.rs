//! Pooling over images `[n, h, w, c]`: maximum, average, global and adaptive average, forward and backward.
//!
//! Inner loops run over the contiguous channels. Backward, a task is a block of channels of one image, so that overlapping windows add
//! up their gradients in one thread and a fixed order. The maximum forward goes by rows: one image of 64 channels is shared too.

mod average;
mod max;

pub use average::{
    adaptive_average, adaptive_average_backward, avg_backward, avg_forward, global_average, global_average_backward,
};
pub(crate) use max::larger;
pub use max::{max_backward, max_forward};

use crate::tasks::{self, SERIAL_LEN, TASK_LEN};

/// Channels in a block: their running maxima and positions stay in L1 beside the images' rows.
const BLOCK: usize = 64;

/// Runs `f(image, first channel, channels)` for every image and block of channels; `work` is the number of elements that
/// are read.
fn for_blocks(n: usize, c: usize, work: usize, f: impl Fn(usize, usize, usize) + Sync) {
    let blocks = c.div_ceil(BLOCK);
    let run = |task: usize| {
        let (image, block) = (task / blocks, task % blocks);
        f(image, block * BLOCK, BLOCK.min(c - block * BLOCK));
    };
    if work <= SERIAL_LEN { tasks::serial(n * blocks, run) } else { tasks::for_each(n * blocks, run) }
}

/// Runs `f(image, row)` for every row of the outputs; `work` is the number of elements that are read.
fn for_rows(n: usize, out_h: usize, work: usize, f: impl Fn(usize, usize) + Sync) {
    let rows = n * out_h;
    let band = (rows * TASK_LEN / work.max(1)).max(1);
    let run = |task: usize| (task * band..rows.min((task + 1) * band)).for_each(|row| f(row / out_h, row % out_h));
    let count = rows.div_ceil(band);
    if work <= SERIAL_LEN { tasks::serial(count, run) } else { tasks::for_each(count, run) }
}
