//! What happens inside a network: how strongly each layer responds, and how much gradient reaches it.
//!
//! Responses come from a test pass of the network's graph without fused operations, observed at every node.

use burn::tensor::{Device, Tensor, TensorData};
use residual::error::{Error, Result};
use residual::graph::{Graph, Op, Value};
use residual::models::Model;
use residual_train::network::{ForwardContext, TrainableNetwork};
use residual_train::ops::{self, Nhwc};
use residual_train::train::targets::smoothed;
use serde::{Deserialize, Serialize};

/// A layer and one number of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProbeValue {
    /// Its name in checkpoints.
    pub layer: String,
    /// The number.
    pub value: f64,
}

/// Measures the standard deviation of each convolution's response to normalised `pixels`, `[n, h, w, c]`: behind the batch
/// norm where there is one, before the addition and the ReLU (ResNet Figure 7). Projection shortcuts are left out.
///
/// # Errors
/// Fails if the pixels do not fit the network.
pub fn responses(model: &Model, pixels: &[f32], dims: [usize; 4]) -> Result<Vec<ProbeValue>> {
    check(model, pixels, dims)?;
    let x = Nhwc(Tensor::from_data(TensorData::new(pixels.to_vec(), dims), &Device::flex()));
    let (graph, layers) = (model.graph(), layers(model.graph()));
    let mut deviations = vec![0.0; layers.len()];
    TrainableNetwork::new(model, &Device::flex()).observe(x, &mut |value, activation| {
        if let Some(i) = layers.iter().position(|&(_, response)| response == value) {
            deviations[i] = deviation(&activation.clone().ready());
        }
    });
    let name = |&(conv, _): &(Value, Value)| graph.node(conv).name.clone();
    Ok(layers.iter().map(name).zip(deviations).map(|(layer, value)| ProbeValue { layer, value }).collect())
}

/// Measures the L2 norm of the loss's gradient with respect to the weights of each convolution, for one batch.
///
/// # Errors
/// Fails if the pixels do not fit the network, or if it has no class of one of the labels.
pub fn gradient_norms(model: &Model, pixels: &[f32], dims: [usize; 4], labels: &[u32]) -> Result<Vec<ProbeValue>> {
    check(model, pixels, dims)?;
    let classes = model.classes();
    if labels.len() != dims[0] || labels.iter().any(|&label| label as usize >= classes) {
        return Err(Error::data(format!("{} labels do not belong to {} images", labels.len(), dims[0])));
    }
    let device = Device::flex().autodiff();
    let mut network = TrainableNetwork::new(model, &device);
    let x = Nhwc(Tensor::from_data(TensorData::new(pixels.to_vec(), dims), &device));
    let targets = TensorData::new(smoothed(labels, classes, 0.0), [labels.len(), classes]);
    let logits = network.forward(x, &mut ForwardContext::train(0, 0, true));
    let loss = ops::cross_entropy(logits, Tensor::from_data(targets, &device)).mean();
    let mut by_name = network.parameters().gradients(loss.backward());
    let norm = |(conv, _): (Value, Value)| {
        let layer = model.graph().node(conv).name.clone();
        let gradient = by_name.remove(&format!("{layer}.weight"))?;
        Some(ProbeValue { layer, value: ops::sum_of_squares(gradient).sqrt() })
    };
    Ok(layers(model.graph()).into_iter().filter_map(norm).collect())
}

fn check(model: &Model, pixels: &[f32], dims @ [_, h, w, c]: [usize; 4]) -> Result<()> {
    if pixels.len() != dims.iter().product::<usize>() || model.spec.input != [h, w, c] {
        return Err(Error::data(format!("{dims:?} are no images for {}", model.spec.name)));
    }
    Ok(())
}

/// The convolutions in the order of the forward pass, without projection shortcuts, each with the value that is its
/// response: the batch norm behind it, or its own output.
fn layers(graph: &Graph) -> Vec<(Value, Value)> {
    let convs = graph.values().filter(|(_, node)| matches!(node.op, Op::Conv(_)) && !node.name.contains("downsample"));
    let response = |conv: Value| {
        let behind = graph.values().find(|(_, node)| node.op == Op::BatchNorm && node.input() == conv);
        behind.map_or(conv, |(bn, _)| bn)
    };
    convs.map(|(conv, _)| (conv, response(conv))).collect()
}

/// The standard deviation of all values.
fn deviation(x: &Nhwc) -> f64 {
    let values = ops::TensorView::new(x.0.clone());
    let n = values.len().max(1) as f64;
    let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
    (values.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / n).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use residual::models::{ModelOptions, Spec, options::Shortcut};

    fn network(name: &str, shortcut: Option<Shortcut>) -> Model {
        let options =
            ModelOptions { name: name.into(), input: Some(32), classes: Some(10), shortcut, ..ModelOptions::default() };
        Model::initialised(Spec::resolve(&options).expect("a network"), 3)
    }

    fn noise(n: usize) -> Vec<f32> {
        (0..n).map(|i| ((i as u32).wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 23) as f32 - 1.0).collect()
    }

    #[test]
    fn an_observed_pass_gives_the_logits_of_the_forward_pass_and_a_response_for_each_layer() {
        let dims = [2, 32, 32, 3];
        for (name, shortcut) in [
            ("resnet-cifar-8", Some(Shortcut::C)),
            ("plain-cifar-8", None),
            ("resnet-50", None),
            ("vgg-a-lrn", None),
            ("vgg-c-bn", None),
        ] {
            let model = network(name, shortcut);
            let pixels = noise(dims.iter().product());
            let x = || Nhwc(Tensor::from_data(TensorData::new(pixels.clone(), dims), &Device::flex()));
            let mut network = TrainableNetwork::new(&model, &Device::flex());
            let observed = ops::values(network.observe(x(), &mut |_, _| {}));
            let forward = ops::values(network.forward(x(), &mut ForwardContext::test()));
            let largest = forward.iter().fold(0f32, |a, b| a.max(b.abs()));
            assert!(observed.iter().zip(&forward).all(|(a, b)| (a - b).abs() <= 1e-4 * largest), "{name}");
            let responses = responses(&model, &pixels, dims).expect("they fit");
            assert!(responses.iter().all(|response| response.value > 0.0), "{name}: {responses:?}");
        }
    }

    #[test]
    fn gradients_reach_every_convolution_and_unknown_labels_are_refused() {
        let model = network("resnet-cifar-8", None);
        let dims = [4, 32, 32, 3];
        let (pixels, labels) = (noise(dims.iter().product()), [0, 1, 2, 3]);
        let norms = gradient_norms(&model, &pixels, dims, &labels).expect("they fit");
        assert_eq!(norms.len(), 7);
        assert!(norms.iter().all(|norm| norm.value > 0.0 && norm.value.is_finite()), "{norms:?}");
        assert_eq!((norms[0].layer.as_str(), norms[6].layer.as_str()), ("conv1", "layer3.0.conv2"));
        assert!(gradient_norms(&model, &pixels, dims, &[0, 1, 2, 10]).is_err(), "no eleventh class");
    }
}
