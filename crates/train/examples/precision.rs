//! What Winograd's transforms cost in digits: logits and gradients of a whole network in training, with and without them, written to a file
//! that `bench/peers/precision.py` holds against float64.
//!
//!     cargo run --release --example precision -- FILE.safetensors [NETWORK]

use burn::tensor::{Device, Tensor, TensorData};
use residual_train::data::{self, DataOptions};
use residual_train::layers::Pass;
use residual_train::models::{Model, ModelOptions, Spec};
use residual_train::ops::{self, Nhwc};
use residual_train::train::optimizer::gradients;
use residual_train::train::targets::smoothed;
use residual_train::weights::{self, container};
use std::path::Path;

const IMAGES: usize = 32;

fn main() -> residual_train::Result<()> {
    let mut args = std::env::args().skip(1);
    let file = args.next().unwrap_or_else(|| "precision.safetensors".into());
    let name = args.next().unwrap_or_else(|| "resnet-18".into());
    let device = Device::flex().autodiff();
    let options = ModelOptions { name, input: Some(32), classes: Some(10), ..ModelOptions::default() };
    let model = Model::new(Spec::resolve(&options)?, &device).initialised(0, &device);
    let mut tensors: container::Tensors =
        weights::values(&model).into_iter().map(|(name, value)| (format!("weights.{name}"), value)).collect();

    let images = data::open(&DataOptions::new("shapes".to_owned()), &mut ())?.train;
    let (h, w, c) = (images.height(), images.width(), images.channels());
    let normalizer = data::Normalizer::new(&data::channel_statistics(&images, &mut ())?, h, w, c)?;
    let Some(batch) = data::batches(&images, &normalizer, IMAGES).next() else {
        return Err(residual_train::Error::data("shapes has no images"));
    };
    let batch = batch?;
    let x = TensorData::new(batch.pixels, [IMAGES, h, w, c]);
    let targets = TensorData::new(smoothed(&batch.labels, 10, 0.0), [IMAGES, 10]);
    tensors.insert("x".into(), x.clone());
    tensors.insert("targets".into(), targets.clone());

    for (mode, precise) in [("winograd", false), ("precise", true)] {
        let logits = model.forward(Nhwc(Tensor::from_data(x.clone(), &device)), &Pass::train(0, 0, precise));
        tensors.insert(format!("{mode}.logits"), logits.clone().into_data());
        let loss = ops::cross_entropy(logits, Tensor::from_data(targets.clone(), &device)).mean();
        for (name, gradient) in gradients(&model.net, loss.backward()) {
            tensors.insert(format!("{mode}.{name}"), gradient.into_data());
        }
    }
    container::write(Path::new(&file), &tensors, serde_json::Map::new())
}
