//! Pooling over images `[n, h, w, c]`: maximum, average, global and adaptive average, forward and
//! backward.
//!
//! Inner loops run over the contiguous channels. In the backward pass a task is a block of channels
//! of one image, so that overlapping windows add their gradients on one thread and in a fixed
//! order. In the forward pass of the maximum a task is some rows, so that threads share even one
//! image of 64 channels.

mod average;
mod max;
mod split;

pub use average::{
    adaptive_average, adaptive_average_backward, avg_backward, avg_forward, global_average, global_average_backward,
};
pub(crate) use max::larger;
pub use max::{max_backward, max_forward};
