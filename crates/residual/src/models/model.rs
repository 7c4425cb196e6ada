//! A network with its weights.

#[cfg(feature = "init")]
use super::init::InitOptions;
use super::spec::Spec;
use crate::error::Result;
use crate::graph::{Graph, Network};
use crate::tensor::{self, Tensors};
use std::sync::Arc;

/// A network and its weights in host memory. Clones share the weights.
#[derive(Debug, Clone)]
pub struct Model<N = Spec> {
    /// The network's description.
    pub spec: N,
    graph: Arc<Graph>,
    tensors: Tensors,
}

impl<N: Network> Model<N> {
    /// The network described by `spec` with `tensors` as its weights and running statistics.
    ///
    /// # Errors
    /// Fails if the description does not fit together, or if a tensor is missing, left over or of another shape.
    pub fn new(spec: N, tensors: Tensors) -> Result<Self> {
        Self::from_file(spec, tensors, "the set of tensors")
    }

    /// As [`new`](Self::new); errors call the source of the tensors `file`.
    pub(crate) fn from_file(spec: N, mut tensors: Tensors, file: &str) -> Result<Self> {
        let graph = Graph::of(&spec)?;
        let (wanted, found) = (graph.tensors(), tensor::shapes(&tensors));
        tensor::check(&wanted, &found, file, spec.name())?;
        // Counters of batches, which nothing here reads.
        tensors.retain(|name, _| !tensor::is_counter(name));
        Ok(Self { spec, graph: Arc::new(graph), tensors })
    }

    /// The network described by `spec` with initial weights.
    ///
    /// # Errors
    /// Fails if the description does not fit together.
    #[cfg(feature = "init")]
    pub fn with_initial_weights(spec: N, options: &InitOptions, seed: u64) -> Result<Self> {
        let graph = Graph::of(&spec)?;
        let tensors = graph.init(options, seed);
        Ok(Self { spec, graph: Arc::new(graph), tensors })
    }

    /// Returns the operations of the network.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Returns the weights and running statistics by their checkpoint names.
    pub fn tensors(&self) -> &Tensors {
        &self.tensors
    }

    /// Returns the number of classes.
    pub fn classes(&self) -> usize {
        self.graph.classes()
    }
}

#[cfg(feature = "init")]
impl Model {
    /// The network of `spec` with initial weights.
    pub fn initialised(spec: Spec, seed: u64) -> Self {
        let graph = spec.graph();
        let tensors = graph.init(&spec.init_options(), seed);
        Self { spec, graph: Arc::new(graph), tensors }
    }
}
