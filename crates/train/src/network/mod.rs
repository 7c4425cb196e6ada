//! Networks as tensors of Burn: the graph of `residual`, run forward with gradients.
//!
//! [`TrainableNetwork`] holds the parameters of a graph and interprets it; [`ForwardContext`] says whether a
//! pass trains. Every network that implements [`Network`](residual::graph::Network) can be trained.

mod activation;
mod context;
mod forward;
mod parameters;

pub use activation::Activation;
pub use context::ForwardContext;
pub use forward::TrainableNetwork;
pub use parameters::{FlatTensors, Parameters, is_running_statistic, is_within};
