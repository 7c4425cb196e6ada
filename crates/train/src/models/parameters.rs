//! A network's tensors by the names that checkpoints give them.
//!
//! Burn walks modules by field names; ours are torchvision's but for two things that name no layer: the variants of
//! enums, and the field that groups a block's way around.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor, TensorData};
use std::collections::BTreeMap;

/// The path of the module under way, and which of its parts name a layer.
#[derive(Debug, Default)]
struct Path {
    parts: Vec<Option<String>>,
}

impl Path {
    fn enter(&mut self, name: &str, container: &str) {
        let names_a_layer = !container.starts_with("Enum") && name != "around";
        self.parts.push(names_a_layer.then(|| name.to_owned()));
    }

    fn exit(&mut self) {
        self.parts.pop();
    }

    fn name(&self) -> String {
        self.parts.iter().flatten().map(String::as_str).collect::<Vec<_>>().join(".")
    }
}

/// Whether `name` is a running statistic: saved, not trained.
pub fn is_buffer(name: &str) -> bool {
    name.ends_with("running_mean") || name.ends_with("running_var")
}

/// A tensor of a network: its name and values.
pub type Named = (String, TensorData);

/// Calls `f` with the name of each tensor, in the order of the layers, and the parameter itself.
pub trait Visit {
    /// One tensor.
    fn tensor<const D: usize>(&mut self, name: &str, param: &Param<Tensor<D>>);
}

/// Replaces tensors by name.
pub trait Replace {
    /// The tensor that takes the place of `tensor`, on the same device; gradients are not tracked in here.
    fn tensor<const D: usize>(&mut self, name: &str, tensor: Tensor<D>) -> Tensor<D>;
}

struct Visitor<'a, V: Visit> {
    path: Path,
    visit: &'a mut V,
}

impl<V: Visit> ModuleVisitor for Visitor<'_, V> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.visit.tensor(&self.path.name(), param);
    }
}

struct Mapper<'a, R: Replace> {
    path: Path,
    replace: &'a mut R,
}

impl<R: Replace> ModuleMapper for Mapper<'_, R> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let name = self.path.name();
        let (id, tensor, mapper) = param.consume();
        let (tracked, wants_grad) = (tensor.device().is_autodiff(), tensor.is_require_grad());
        let inner = if tracked { tensor.inner() } else { tensor };
        let mut tensor = self.replace.tensor(&name, inner);
        if tracked {
            tensor = Tensor::from_inner(tensor);
        }
        if wants_grad {
            tensor = tensor.require_grad();
        }
        Param::from_mapped_value(id, tensor, mapper)
    }
}

/// Visits every tensor of `module`.
pub fn visit<M: Module>(module: &M, visit: &mut impl Visit) {
    module.visit(&mut Visitor { path: Path::default(), visit });
}

/// Passes every tensor of `module` through `replace`.
pub fn replace<M: Module>(module: M, replace: &mut impl Replace) -> M {
    module.map(&mut Mapper { path: Path::default(), replace })
}

/// Names and shapes of all tensors, in the order of the layers, without touching their values.
pub fn shapes<M: Module>(module: &M) -> Vec<(String, Vec<usize>)> {
    struct Shapes(Vec<(String, Vec<usize>)>);
    impl Visit for Shapes {
        fn tensor<const D: usize>(&mut self, name: &str, param: &Param<Tensor<D>>) {
            self.0.push((name.to_owned(), param.lazy_shape().dims::<D>().to_vec()));
        }
    }
    let mut shapes = Shapes(Vec::new());
    visit(module, &mut shapes);
    shapes.0
}

/// All tensors by name.
pub fn values<M: Module>(module: &M) -> BTreeMap<String, TensorData> {
    struct Values(BTreeMap<String, TensorData>);
    impl Visit for Values {
        fn tensor<const D: usize>(&mut self, name: &str, param: &Param<Tensor<D>>) {
            self.0.insert(name.to_owned(), param.val().into_data());
        }
    }
    let mut values = Values(BTreeMap::new());
    visit(module, &mut values);
    values.0
}

/// The module with `values` in place of its own where they have some; shapes must have been checked.
pub fn with_values<M: Module>(module: M, values: &BTreeMap<String, TensorData>, device: &Device) -> M {
    struct Load<'a>(&'a BTreeMap<String, TensorData>, Device);
    impl Replace for Load<'_> {
        fn tensor<const D: usize>(&mut self, name: &str, tensor: Tensor<D>) -> Tensor<D> {
            match self.0.get(name) {
                Some(data) => Tensor::from_data(data.clone(), &self.1),
                None => tensor,
            }
        }
    }
    replace(module, &mut Load(values, device.clone().inner()))
}

/// The module with gradients switched off for every parameter whose name starts with one of `prefixes`.
pub fn frozen<M: Module>(module: M, prefixes: &[String]) -> M {
    struct Freeze<'a>(Path, &'a [String]);
    impl ModuleMapper for Freeze<'_> {
        fn enter_module(&mut self, name: &str, container: &str) {
            self.0.enter(name, container);
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.0.exit();
        }
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let name = self.0.name();
            let frozen = self.1.iter().any(|prefix| is_within(&name, prefix));
            if frozen { param.set_require_grad(false) } else { param }
        }
    }
    if prefixes.is_empty() { module } else { module.map(&mut Freeze(Path::default(), prefixes)) }
}

/// Whether the tensor `name` belongs to the layer, block or stage `prefix`.
pub fn is_within(name: &str, prefix: &str) -> bool {
    name.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('.') || prefix.ends_with('.'))
}
