//! The forward pass of a graph on tensors.
//!
//! Fusion: a convolution gathers the statistics of its output in its epilogue. Where another convolution reads the map,
//! it normalises and rectifies what it reads; else one more pass normalises, adds the shortcut and applies ReLU. In
//! testing batch norm is a scale and a shift per channel.

use super::activation::Activation;
use super::context::ForwardContext;
use super::parameters::Parameters;
use crate::ops::{self, Affine, ConvMode, Nhwc, Statistics, Window};
use burn::tensor::{Device, Tensor};
use residual::graph::{FusedConv, FusedNode, Graph, Network, Op, Pool, Value};
use residual::models::Model;
use residual::plan::fold::BATCH_NORM_EPSILON;
use residual::tensor::Tensors;
use std::sync::Arc;

/// The share of the running statistics that one batch replaces (PyTorch's `momentum`).
const MOMENTUM: f64 = 0.1;

/// A graph with its parameters on a device of Burn.
#[derive(Debug, Clone)]
pub struct TrainableNetwork {
    graph: Arc<Graph>,
    operations: Arc<Vec<FusedNode>>,
    parameters: Parameters,
    /// Prefixes of layers that training leaves as they are.
    frozen: Vec<String>,
}

/// Looks at what each operation computes.
type Observer<'a> = &'a mut dyn FnMut(Value, &Activation);

impl TrainableNetwork {
    /// Brings the network and weights of `model` to `device`; on an autodiff device it can be trained.
    pub fn new<N: Network>(model: &Model<N>, device: &Device) -> Self {
        let graph = model.graph();
        let parameters = Parameters::new(graph, model.tensors(), device);
        let operations = Arc::new(graph.fuse());
        Self { graph: Arc::new(graph.clone()), operations, parameters, frozen: Vec::new() }
    }

    /// Returns the network with everything within `prefixes` (`conv1`, `layer1`, `features.0`) left as it is by training:
    /// parameters get no gradients, batch norms use their running statistics and leave them alone.
    pub fn frozen(mut self, prefixes: &[String]) -> Self {
        self.parameters.freeze(prefixes);
        self.frozen = prefixes.to_vec();
        self
    }

    /// Returns the operations of the network.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Returns the weights and running statistics.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Returns the weights and running statistics for changing them.
    pub fn parameters_mut(&mut self) -> &mut Parameters {
        &mut self.parameters
    }

    /// Copies weights and running statistics to host memory.
    pub fn tensors(&self) -> Tensors {
        self.parameters.to_host()
    }

    /// Computes the logits `[n, classes]` of images `[n, h, w, c]`, of the network's own size unless
    /// [`Graph::takes_any_size`]. A training pass updates the running statistics.
    pub fn forward(&mut self, x: Nhwc, context: &mut ForwardContext) -> Tensor<2> {
        let operations = Arc::clone(&self.operations);
        self.run(&operations, x, context, &mut |_, _| {})
    }

    /// Computes the logits in a test pass without fusing operations, and calls `observe` with every activation on the
    /// way.
    pub fn observe(&mut self, x: Nhwc, observe: &mut dyn FnMut(Value, &Activation)) -> Tensor<2> {
        let operations = self.graph.unfused();
        self.run(&operations, x, &mut ForwardContext::test(), observe)
    }

    fn run(
        &mut self,
        operations: &[FusedNode],
        x: Nhwc,
        context: &mut ForwardContext,
        observe: Observer<'_>,
    ) -> Tensor<2> {
        let graph = Arc::clone(&self.graph);
        let mut values = Values { held: vec![None; graph.nodes().len()], left: uses(&graph, operations) };
        values.put(Value::INPUT, Activation::Ready(x));
        for operation in operations {
            let result = match *operation {
                FusedNode::Conv { input, ref conv, .. } => {
                    let x = values.take(input);
                    let shortcut = conv.shortcut.map(|shortcut| values.take(shortcut).ready());
                    self.conv(x, conv, shortcut, context)
                }
                FusedNode::Linear { input, linear, relu, .. } => {
                    let (x, name) = (values.take(input).rows(), &graph.node(linear).name);
                    let weight = self.parameters.get(&format!("{name}.weight"));
                    Activation::Rows(ops::linear(x, weight, self.parameters.get(&format!("{name}.bias")), relu))
                }
                FusedNode::Single(value) => {
                    let node = graph.node(value);
                    let x = values.take(node.input());
                    match node.op {
                        Op::Add => Activation::Ready(Nhwc(x.ready().0 + values.take(node.inputs[1]).ready().0)),
                        Op::BatchNorm => {
                            let (scale, shift) = self.scale_shift(&node.name, None);
                            Activation::Ready(ops::scale_shift(x.ready(), scale, shift, None, false))
                        }
                        ref op => single(op, x, context),
                    }
                }
            };
            observe(operation.output(), &result);
            values.put(operation.output(), result);
        }
        values.take(graph.output()).rows()
    }

    /// Convolution, batch norm, shortcut and ReLU, as far as they are fused.
    fn conv(
        &mut self,
        x: Activation,
        fused: &FusedConv,
        shortcut: Option<Nhwc>,
        context: &ForwardContext,
    ) -> Activation {
        let name = self.graph.node(fused.conv).name.clone();
        let weight = self.parameters.get::<4>(&format!("{name}.weight"));
        let bias = fused.geometry.bias.then(|| self.parameters.get::<1>(&format!("{name}.bias")));
        let window = Window { stride: fused.geometry.stride, pad: fused.geometry.padding };
        let mode = ConvMode { precise: !context.winograd(), shares_gradient: fused.shares_gradient };
        let Some(batch_norm) = fused.batch_norm else {
            return Activation::Ready(match bias {
                Some(bias) => ops::conv_bias(x.ready(), weight, bias, window, mode, fused.relu),
                None if fused.relu => ops::relu(ops::conv(x.ready(), weight, window, mode)),
                None => ops::conv(x.ready(), weight, window, mode),
            });
        };
        let bn = self.graph.node(batch_norm).name.clone();
        let is_frozen = self.frozen.iter().any(|prefix| super::is_within(&bn, prefix));
        if !context.is_training() || is_frozen {
            let (scale, shift) = self.scale_shift(&bn, bias);
            let y = ops::conv(x.ready(), weight, window, mode);
            return Activation::Ready(ops::scale_shift(y, scale, shift, shortcut, fused.relu));
        }
        let (y, statistics) = match x {
            Activation::BatchNormPending { x, statistics, affine } => {
                ops::normed_conv(x, statistics, affine, weight, window, mode)
            }
            x => ops::conv_statistics(x.ready(), weight, window, mode),
        };
        // The batch mean takes any bias away again: it matters to the running mean alone, and its gradient is zero.
        self.track(&bn, &statistics, bias, &y);
        let affine = Affine {
            gamma: self.parameters.get(&format!("{bn}.weight")),
            beta: self.parameters.get(&format!("{bn}.bias")),
            eps: BATCH_NORM_EPSILON,
        };
        match fused.relu && shortcut.is_none() {
            true => Activation::BatchNormPending { x: y, statistics, affine },
            false => Activation::Ready(ops::norm(y, statistics, affine, shortcut, fused.relu)),
        }
    }

    /// Moves the running statistics of the batch norm `bn` towards those of a batch. `bias` is the convolution's, which
    /// the batch statistics leave out.
    fn track(&mut self, bn: &str, statistics: &Statistics, bias: Option<Tensor<1>>, y: &Nhwc) {
        let [n, h, w, _] = y.dims();
        let rows = (n * h * w) as f64;
        let unbiased = rows / (rows - 1.0).max(1.0);
        let mut mean = statistics.mean.clone();
        if let Some(bias) = bias {
            mean = mean + bias.detach();
        }
        let (mean_name, var_name) = (format!("{bn}.running_mean"), format!("{bn}.running_var"));
        let old = (self.parameters.get::<1>(&mean_name), self.parameters.get::<1>(&var_name));
        self.parameters.set_statistic(&mean_name, old.0 * (1.0 - MOMENTUM) + mean * MOMENTUM);
        let var = statistics.var.clone() * (MOMENTUM * unbiased);
        self.parameters.set_statistic(&var_name, old.1 * (1.0 - MOMENTUM) + var);
    }

    /// Returns scale and shift of the batch norm `bn` by its running statistics, for an input that lacks the
    /// convolution's `bias`.
    fn scale_shift(&self, bn: &str, bias: Option<Tensor<1>>) -> (Tensor<1>, Tensor<1>) {
        let part = |part: &str| self.parameters.get::<1>(&format!("{bn}.{part}"));
        let scale = part("weight") / (part("running_var") + f64::from(BATCH_NORM_EPSILON)).sqrt();
        let mut centre = part("running_mean");
        if let Some(bias) = bias {
            centre = centre - bias;
        }
        let shift = part("bias") - centre * scale.clone();
        (scale, shift)
    }
}

/// An operation without parameters.
fn single(op: &Op, x: Activation, context: &mut ForwardContext) -> Activation {
    let pool_window = |pool: &Pool| Window { stride: pool.stride, pad: pool.padding };
    match op {
        Op::Relu => match x {
            Activation::Rows(x) => Activation::Rows(burn::tensor::activation::relu(x)),
            x => Activation::Ready(ops::relu(x.ready())),
        },
        Op::MaxPool(pool) => Activation::Ready(ops::max_pool(x.ready(), pool.kernel, pool_window(pool))),
        Op::AvgPool(pool) => Activation::Ready(ops::avg_pool(x.ready(), pool.kernel, pool_window(pool))),
        Op::Lrn(rule) => Activation::Ready(ops::lrn(x.ready(), *rule)),
        Op::SubsamplePad { stride, channels } => Activation::Ready(ops::subsample_pad(x.ready(), *stride, *channels)),
        Op::AdaptiveAvgPool { size: 1 } => Activation::Rows(ops::global_average(x.ready())),
        Op::AdaptiveAvgPool { size } => Activation::Ready(ops::adaptive_average(x.ready(), [*size; 2])),
        Op::Flatten => {
            let x = x.ready();
            let [n, h, w, c] = x.dims();
            Activation::Rows(x.into_nchw().reshape([n, c * h * w]))
        }
        Op::Dropout { p } => {
            let x = x.rows();
            Activation::Rows(match context.is_training() {
                true => ops::dropout(x, *p, context.next_dropout_key()),
                false => x,
            })
        }
        Op::Input | Op::Conv(_) | Op::Linear { .. } | Op::BatchNorm | Op::Add => {
            unreachable!("these read parameters or two values")
        }
    }
}

/// The values of a pass that something still reads.
struct Values {
    held: Vec<Option<Activation>>,
    /// How often each value is still read.
    left: Vec<usize>,
}

impl Values {
    /// Keeps a value; a pending batch norm that is read more than once is computed now.
    fn put(&mut self, value: Value, activation: Activation) {
        let ready = self.left[value.index()] > 1;
        self.held[value.index()] = Some(match activation {
            pending @ Activation::BatchNormPending { .. } if ready => Activation::Ready(pending.ready()),
            activation => activation,
        });
    }

    /// Returns a value; the last reader gets it unshared, so that kernels can reuse its memory.
    fn take(&mut self, value: Value) -> Activation {
        let left = &mut self.left[value.index()];
        *left -= 1;
        let held = &mut self.held[value.index()];
        let activation = if *left == 0 { held.take() } else { held.clone() };
        activation.expect("a value is computed before it is read")
    }
}

/// How often the operations read each value; the logits count one reader.
fn uses(graph: &Graph, operations: &[FusedNode]) -> Vec<usize> {
    let mut uses = vec![0; graph.nodes().len()];
    for operation in operations {
        match operation {
            FusedNode::Conv { input, conv, .. } => {
                uses[input.index()] += 1;
                conv.shortcut.iter().for_each(|shortcut| uses[shortcut.index()] += 1);
            }
            FusedNode::Linear { input, .. } => uses[input.index()] += 1,
            FusedNode::Single(value) => graph.node(*value).inputs.iter().for_each(|input| uses[input.index()] += 1),
        }
    }
    uses[graph.output().index()] += 1;
    uses
}
