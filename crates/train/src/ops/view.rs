//! A tensor's values outside of Burn: borrowed where they lie on Flex, or copied.

use super::{flex, has_kernels};
use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;
use std::ops::Deref;

/// The values of a tensor on Flex, row by row; the memory is shared with the tensor.
#[derive(Debug, Clone)]
pub struct TensorView(FlexTensor);

impl TensorView {
    /// The values of `x`, off the autodiff device; a copy where `x` lies on another backend.
    pub fn new<const D: usize>(x: Tensor<D>) -> Self {
        let here = if has_kernels(&x.device()) { x.clone().try_into_primitive::<Flex>().ok() } else { None };
        Self(flex::contiguous(here.unwrap_or_else(|| FlexTensor::from_data(x.into_data()))))
    }
}

impl Deref for TensorView {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        flex::floats(&self.0)
    }
}

/// A copy of the values of `x`, row by row.
pub fn values<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    TensorView::new(x).to_vec()
}
