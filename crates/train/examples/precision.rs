//! What Winograd's transforms cost in digits: logits and gradients of a whole network in training, with and without them, written to a file
//! that `bench/peers/precision.py` holds against float64.
//!
//!     cargo run --release --example precision -- FILE.safetensors [NETWORK]

use burn::tensor::{Device, Tensor, TensorData};
use residual::models::{Model, ModelOptions, Spec};
use residual::tensor::{HostTensor, Tensors};
use residual::weights::container;
use residual_train::data::{self, DataOptions};
use residual_train::network::{ForwardContext, TrainableNetwork};
use residual_train::ops::{self, Nhwc};
use residual_train::train::targets::smoothed;
use std::path::Path;

const IMAGES: usize = 32;

fn main() -> residual_train::Result<()> {
    let mut args = std::env::args().skip(1);
    let file = args.next().unwrap_or_else(|| "precision.safetensors".into());
    let name = args.next().unwrap_or_else(|| "resnet-18".into());
    let device = Device::flex().autodiff();
    let options = ModelOptions { name, input: Some(32), classes: Some(10), ..ModelOptions::default() };
    let model = Model::initialised(Spec::resolve(&options)?, 0);
    let mut tensors: Tensors =
        model.tensors().iter().map(|(name, value)| (format!("weights.{name}"), value.clone())).collect();

    let images = data::open(&DataOptions::new("shapes".to_owned()), &mut ())?.train;
    let (h, w, c) = (images.height(), images.width(), images.channels());
    let normalizer = data::Normalizer::new(&data::channel_statistics(&images, &mut ())?, h, w, c)?;
    let Some(batch) = data::batches(&images, &normalizer, IMAGES).next() else {
        return Err(residual_train::Error::data("shapes has no images"));
    };
    let batch = batch?;
    let x = TensorData::new(batch.pixels, [IMAGES, h, w, c]);
    let targets = TensorData::new(smoothed(&batch.labels, 10, 0.0), [IMAGES, 10]);
    let host = |data: &TensorData| HostTensor::new(data.shape().to_vec(), data.iter::<f32>().collect());
    tensors.insert("x".into(), host(&x));
    tensors.insert("targets".into(), host(&targets));

    for (mode, winograd) in [("winograd", true), ("precise", false)] {
        let mut network = TrainableNetwork::new(&model, &device);
        let x = Nhwc(Tensor::from_data(x.clone(), &device));
        let logits = network.forward(x, &mut ForwardContext::train(0, 0, winograd));
        tensors.insert(format!("{mode}.logits"), host(&logits.clone().into_data()));
        let loss = ops::cross_entropy(logits, Tensor::from_data(targets.clone(), &device)).mean();
        for (name, gradient) in network.parameters().gradients(loss.backward()) {
            tensors.insert(format!("{mode}.{name}"), host(&gradient.into_data()));
        }
    }
    container::write(Path::new(&file), &tensors, serde_json::Map::new())
}
