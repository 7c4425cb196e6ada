//! Pooling over pictures `[n, h, w, c]`: maximum, average, global and adaptive average, forward and backward.
//!
//! Inner loops run over the contiguous channels. A piece is one picture, or a block of its channels where there are few
//! pictures, so that overlapping windows add up their gradients in one thread and a fixed order.

mod average;
mod max;

pub use average::{
    adaptive_average, adaptive_average_backward, avg_backward, avg_forward, global_average, global_average_backward,
};
pub use max::{max_backward, max_forward};

use crate::pieces::{self, SERIAL};

/// Channels in a block: their running maxima and positions stay in L1 beside the pictures' rows.
const BLOCK: usize = 64;

/// Runs `f(picture, first channel, channels)` for every picture and block of channels; `work` is the number of elements that
/// are read.
fn for_blocks(n: usize, c: usize, work: usize, f: impl Fn(usize, usize, usize) + Sync) {
    let blocks = c.div_ceil(BLOCK);
    let run = |piece: usize| {
        let (picture, block) = (piece / blocks, piece % blocks);
        f(picture, block * BLOCK, BLOCK.min(c - block * BLOCK));
    };
    if work <= SERIAL { pieces::serial(n * blocks, run) } else { pieces::for_each(n * blocks, run) }
}
