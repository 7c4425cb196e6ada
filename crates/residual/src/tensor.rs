//! Tensors in host memory: what weights files hold and what inference packs.

use crate::error::{Error, Result};
use std::collections::{BTreeMap, HashMap};
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

/// Counters that carry no weight: batches seen by a normalisation, updates of an average.
pub(crate) fn is_counter(key: &str) -> bool {
    key.ends_with("num_batches_tracked") || key == "n_averaged"
}

/// Names and shapes of `tensors`.
pub(crate) fn shapes(tensors: &Tensors) -> BTreeMap<String, Vec<usize>> {
    tensors.iter().map(|(name, tensor)| (name.clone(), tensor.shape().to_vec())).collect()
}

/// Keys of one kind that an error lists; of another network's checkpoint there are hundreds.
const LISTED: usize = 20;

/// Whether the tensors of `found`, by their shapes, are exactly those of `wanted`; else everything that differs.
pub(crate) fn check(
    wanted: &[(String, Vec<usize>)],
    found: &BTreeMap<String, Vec<usize>>,
    file: &str,
    name: &str,
) -> Result<()> {
    let known: HashMap<&str, &Vec<usize>> = wanted.iter().map(|(key, shape)| (key.as_str(), shape)).collect();
    let missing = wanted.iter().filter(|(key, _)| !found.contains_key(key)).map(|(key, _)| key.clone()).collect();
    // PyTorch counts batches there, and nothing here reads it.
    let is_known = |key: &str| known.contains_key(key) || is_counter(key);
    let unexpected = found.keys().filter(|key| !is_known(key)).cloned().collect();
    let differs = |(key, shape): (&String, &Vec<usize>)| {
        let wanted = known.get(key.as_str()).filter(|wanted| **wanted != shape)?;
        Some(format!("{key} is {shape:?} in the file, and {wanted:?} in {name}"))
    };
    let shapes: Vec<String> = found.iter().filter_map(differs).collect();
    let hint = match shapes.is_empty() {
        true => "is it a checkpoint of another network?",
        false => "is it a checkpoint of another network, or of other classes?",
    };
    let differences =
        [listed("missing", missing), listed("unexpected", unexpected), listed("of another shape", shapes)];
    let differences: Vec<String> = differences.into_iter().flatten().collect();
    match differences.is_empty() {
        true => Ok(()),
        false => Err(Error::weights(format!("{file} does not fit {name}; {}", differences.join("; "))).with_hint(hint)),
    }
}

/// `what: a, b and 3 more`; `None` where there are none.
fn listed(what: &str, mut keys: Vec<String>) -> Option<String> {
    let more = match keys.len().saturating_sub(LISTED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    keys.truncate(LISTED);
    (!keys.is_empty()).then(|| format!("{what}: {}{more}", keys.join(", ")))
}
