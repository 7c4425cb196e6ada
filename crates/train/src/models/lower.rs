//! A network's forward pass, written down once for what needs its steps: the inference plan, ONNX, and the lab, which looks
//! between them.

use crate::layers::{BatchNorm, Conv2d, Linear, LocalResponseNorm, MaxPool};

/// What takes a forward pass down, step by step, between values of its own kind.
pub trait Lower {
    /// An activation.
    type Value: Copy;

    /// The images.
    fn input(&self) -> Self::Value;

    /// Height and width of a value, for images of the network's own size.
    fn map(&self, value: Self::Value) -> (usize, usize);

    /// Convolution, the normalisation behind it, and ReLU if asked for.
    fn conv(&mut self, from: Self::Value, conv: &Conv2d, bn: Option<&BatchNorm>, relu: bool) -> Self::Value;

    /// Convolution and normalisation, added to `around`, then ReLU: the end of a residual block. `around` may be gone then.
    fn conv_onto(&mut self, from: Self::Value, conv: &Conv2d, bn: &BatchNorm, around: Self::Value) -> Self::Value;

    /// Max-pooling.
    fn max_pool(&mut self, from: Self::Value, pool: &MaxPool) -> Self::Value;

    /// Local response normalisation.
    fn lrn(&mut self, from: Self::Value, lrn: &LocalResponseNorm) -> Self::Value;

    /// Shortcut option A.
    fn subsample_pad(&mut self, from: Self::Value, stride: usize, channels: usize) -> Self::Value;

    /// Means of `size`×`size` parts of the map.
    fn adaptive_average(&mut self, from: Self::Value, size: usize) -> Self::Value;

    /// The map as a row, channels first, as the weights of VGG's first fully connected layer count.
    fn flatten(&mut self, from: Self::Value) -> Self::Value;

    /// Fully connected layer, and ReLU if asked for.
    fn linear(&mut self, from: Self::Value, linear: &Linear, relu: bool) -> Self::Value;
}
