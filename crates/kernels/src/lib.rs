//! CPU kernels for VGG and ResNet: f32 slices in, slices out. Knows nothing of Burn.
