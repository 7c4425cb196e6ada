//! Split of a pooling into tasks.

use crate::tasks::{self, SERIAL_LEN, TASK_LEN};

/// Channels of a block: their running maxima and positions stay in L1 beside the rows of the image.
const BLOCK: usize = 64;

/// Runs `f(image, first channel, channels)` for every image and block of channels. `work` is the
/// number of elements that are read.
pub(super) fn for_blocks(n: usize, c: usize, work: usize, f: impl Fn(usize, usize, usize) + Sync) {
    let blocks = c.div_ceil(BLOCK);
    let run = |task: usize| {
        let (image, block) = (task / blocks, task % blocks);
        f(image, block * BLOCK, BLOCK.min(c - block * BLOCK));
    };
    if work <= SERIAL_LEN { tasks::serial(n * blocks, run) } else { tasks::for_each(n * blocks, run) }
}

/// Runs `f(image, row)` for every row of the outputs. `work` is the number of elements that are
/// read.
pub(super) fn for_rows(n: usize, out_h: usize, work: usize, f: impl Fn(usize, usize) + Sync) {
    let rows = n * out_h;
    let share = (rows * TASK_LEN / work.max(1)).max(1);
    let run = |task: usize| (task * share..rows.min((task + 1) * share)).for_each(|row| f(row / out_h, row % out_h));
    let count = rows.div_ceil(share);
    if work <= SERIAL_LEN { tasks::serial(count, run) } else { tasks::for_each(count, run) }
}
