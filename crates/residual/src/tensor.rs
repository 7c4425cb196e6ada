//! Tensors in host memory: what weights files hold and what inference packs.

use std::collections::BTreeMap;
use std::sync::Arc;

/// An f32 tensor in host memory, row-major. Clones share the values.
#[derive(Debug, Clone, PartialEq)]
pub struct HostTensor {
    shape: Vec<usize>,
    values: Arc<Vec<f32>>,
}

/// Tensors by their names in checkpoints.
pub type Tensors = BTreeMap<String, HostTensor>;

impl HostTensor {
    /// Creates a tensor of `shape` from its `values` in row-major order.
    ///
    /// # Panics
    /// Panics if `values` does not hold as many values as `shape` says.
    pub fn new(shape: impl Into<Vec<usize>>, values: Vec<f32>) -> Self {
        let shape = shape.into();
        assert_eq!(
            values.len(),
            shape.iter().product::<usize>(),
            "a tensor of {shape:?} holds their product of values"
        );
        Self { shape, values: Arc::new(values) }
    }

    /// Creates a tensor of `shape` in which every value is `value`.
    pub fn full(shape: impl Into<Vec<usize>>, value: f32) -> Self {
        let shape = shape.into();
        let len = shape.iter().product();
        Self { shape, values: Arc::new(vec![value; len]) }
    }

    /// Returns the size of each dimension.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Returns the values in row-major order.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Returns the values, without a copy where nothing else shares them.
    pub fn into_values(self) -> Vec<f32> {
        Arc::unwrap_or_clone(self.values)
    }
}
