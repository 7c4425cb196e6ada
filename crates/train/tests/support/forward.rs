//! The forward pass of a network in testing, on Burn's tensors: what plans and files are compared with.

use burn::tensor::{Device, Tensor, TensorData};
use residual::graph::Network;
use residual::models::Model;
use residual_train::network::{ForwardContext, TrainableNetwork};
use residual_train::ops::{self, Nhwc};

/// Computes the logits of normalised images `[n, h, w, c]` by direct sums.
pub fn forward<N: Network>(model: &Model<N>, pixels: &[f32], dims: [usize; 4]) -> Vec<f32> {
    let x = Tensor::from_data(TensorData::new(pixels.to_vec(), dims), &Device::flex());
    let mut context = ForwardContext::test().without_winograd();
    ops::values(TrainableNetwork::new(model, &Device::flex()).forward(Nhwc(x), &mut context))
}
