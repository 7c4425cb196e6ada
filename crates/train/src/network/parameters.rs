//! A network's tensors on a device, by the names that checkpoints give them.

use crate::ops;
use burn::tensor::{Device, Gradients, Tensor, TensorData};
use residual::graph::Graph;
use residual::tensor::{HostTensor, Tensors};
use std::collections::BTreeMap;

/// Tensors by name, flattened, off the autodiff device.
pub type FlatTensors = BTreeMap<String, Tensor<1>>;

/// One tensor of a network.
#[derive(Debug, Clone)]
struct Parameter {
    name: String,
    shape: Vec<usize>,
    /// Its values in a row; on the autodiff device where the network trains. Absent only while it is updated: a second
    /// holder would keep it from being updated in place.
    values: Option<Tensor<1>>,
    /// Whether training changes it.
    is_trained: bool,
}

/// The weights and running statistics of a network, in the order of [`Graph::tensors`].
#[derive(Debug, Clone)]
pub struct Parameters {
    all: Vec<Parameter>,
    index: BTreeMap<String, usize>,
    device: Device,
}

/// Whether `name` is a running statistic: saved, not trained.
pub fn is_running_statistic(name: &str) -> bool {
    name.ends_with("running_mean") || name.ends_with("running_var")
}

/// Whether the tensor `name` belongs to the layer, block or stage `prefix`.
pub fn is_within(name: &str, prefix: &str) -> bool {
    name.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('.') || prefix.ends_with('.'))
}

const PRESENT: &str = "absent only while it is updated";

impl Parameters {
    /// Brings the tensors of `graph` to `device`; on an autodiff device all but running statistics want gradients.
    pub(super) fn new(graph: &Graph, tensors: &Tensors, device: &Device) -> Self {
        let mut parameters = Self { all: Vec::new(), index: BTreeMap::new(), device: device.clone() };
        for (name, shape) in graph.tensors() {
            let is_trained = !is_running_statistic(&name);
            let values = parameters.on_device(&tensors[&name], is_trained);
            parameters.index.insert(name.clone(), parameters.all.len());
            parameters.all.push(Parameter { name, shape, values: Some(values), is_trained });
        }
        parameters
    }

    fn on_device(&self, tensor: &HostTensor, is_trained: bool) -> Tensor<1> {
        let data = TensorData::new(tensor.values().to_vec(), [tensor.values().len()]);
        self.tracked(Tensor::from_data(data, &self.device.clone().inner()), is_trained)
    }

    /// Moves a tensor to the autodiff device, if this is one.
    fn tracked(&self, values: Tensor<1>, is_trained: bool) -> Tensor<1> {
        match (self.device.is_autodiff(), is_trained) {
            (true, true) => Tensor::from_inner(values).require_grad(),
            (true, false) => Tensor::from_inner(values),
            (false, _) => values,
        }
    }

    /// Stops training of everything within `prefixes` (`conv1`, `layer1`, `features.0`).
    pub(super) fn freeze(&mut self, prefixes: &[String]) {
        for i in 0..self.all.len() {
            if prefixes.iter().any(|prefix| is_within(&self.all[i].name, prefix)) {
                let values = inner(self.all[i].values.take().expect(PRESENT));
                self.all[i].is_trained = false;
                self.all[i].values = Some(self.tracked(values, false));
            }
        }
    }

    fn position(&self, name: &str) -> usize {
        *self.index.get(name).expect("the graph names the tensors of its own layers")
    }

    /// Returns the tensor `name` in its shape.
    pub fn get<const D: usize>(&self, name: &str) -> Tensor<D> {
        let parameter = &self.all[self.position(name)];
        let shape: [usize; D] = parameter.shape.as_slice().try_into().expect("the caller knows the layer's rank");
        parameter.values.clone().expect(PRESENT).reshape(shape)
    }

    /// Returns whether there is a tensor `name`.
    pub fn contains(&self, name: &str) -> bool {
        self.index.contains_key(name)
    }

    /// Replaces the running statistic `name`.
    pub(super) fn set_statistic(&mut self, name: &str, values: Tensor<1>) {
        let i = self.position(name);
        self.all[i].values = Some(self.tracked(inner(values), false));
    }

    /// Replaces the values of the tensors that `tensors` names.
    pub fn set(&mut self, tensors: &Tensors) {
        for i in 0..self.all.len() {
            if let Some(tensor) = tensors.get(&self.all[i].name) {
                self.all[i].values = Some(self.on_device(tensor, self.all[i].is_trained));
            }
        }
    }

    /// Copies all tensors to host memory.
    pub fn to_host(&self) -> Tensors {
        let host = |parameter: &Parameter| {
            let values = inner(parameter.values.clone().expect(PRESENT));
            (parameter.name.clone(), HostTensor::new(parameter.shape.clone(), ops::values(values)))
        };
        self.all.iter().map(host).collect()
    }

    /// Takes the gradients of all parameters that are trained, by name.
    pub fn gradients(&self, mut gradients: Gradients) -> FlatTensors {
        let trained = self.all.iter().filter(|parameter| parameter.is_trained);
        let gradient = |parameter: &Parameter| {
            let values = parameter.values.as_ref().expect(PRESENT);
            // A bias in front of a batch norm takes no part in the loss: its gradient is zero, its decay is not.
            let zeros = || Tensor::zeros(values.dims(), &values.device().inner());
            (parameter.name.clone(), values.grad_remove(&mut gradients).unwrap_or_else(zeros))
        };
        trained.map(gradient).collect()
    }

    /// Replaces each tensor by what `update` makes of its name, its number of dimensions and its values, which are off
    /// the autodiff device and held by nothing else.
    pub(crate) fn update(&mut self, mut update: impl FnMut(&str, usize, Tensor<1>) -> Tensor<1>) {
        for i in 0..self.all.len() {
            let Parameter { name, shape, values, is_trained } = &mut self.all[i];
            let (values, is_trained) = (inner(values.take().expect(PRESENT)), *is_trained);
            let values = update(name, shape.len(), values);
            self.all[i].values = Some(self.tracked(values, is_trained));
        }
    }

    /// Calls `f` with the name and values of each tensor, off the autodiff device.
    pub(crate) fn for_each(&self, mut f: impl FnMut(&str, Tensor<1>)) {
        self.all.iter().for_each(|parameter| f(&parameter.name, inner(parameter.values.clone().expect(PRESENT))));
    }
}

/// Returns the tensor off the autodiff device.
pub(crate) fn inner<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    if tensor.device().is_autodiff() { tensor.inner() } else { tensor }
}
