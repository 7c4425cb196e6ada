//! A network of one's own, from the layers and the loop: three convolutions and a residual connection, on CIFAR-10 or,
//! without an argument, on the built-in `shapes`.
//!
//!     cargo run --release -p residual --example own_net -- path/to/cifar-10-batches-bin

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use residual_train::data::{self, Augment, DataOptions, Flip, Loader, LoaderOptions, RepeatedAugmentation};
use residual_train::layers::{BatchNorm, Conv2d, Linear, MaxPool, Pass, conv_norm_add_relu, conv_norm_relu};
use residual_train::ops::{self, Nhwc};
use residual_train::recipe::OptimizerOptions;
use residual_train::train::optimizer::{Optimizer, gradients};
use residual_train::train::targets::smoothed;
use std::io::Write;
use std::sync::Arc;

/// 3x3, pool, 3x3 + 3x3 with a way around them, global average, classes.
#[derive(Module, Debug)]
struct Small {
    conv1: Conv2d,
    bn1: BatchNorm,
    pool: MaxPool,
    conv2: Conv2d,
    bn2: BatchNorm,
    conv3: Conv2d,
    bn3: BatchNorm,
    fc: Linear,
}

impl Small {
    fn new(channels: usize, classes: usize, device: &Device) -> Self {
        Self {
            conv1: Conv2d::new(channels, 32, 3, 1, device),
            bn1: BatchNorm::new(32, device),
            pool: MaxPool::halving(),
            // Its input is read by the way around as well: the two gradients are added in the kernel.
            conv2: Conv2d::new(32, 32, 3, 1, device).forked(),
            bn2: BatchNorm::new(32, device),
            conv3: Conv2d::new(32, 32, 3, 1, device),
            bn3: BatchNorm::new(32, device),
            fc: Linear::new(32, classes, device),
        }
    }

    /// `[n, h, w, c]` → `[n, classes]`.
    fn forward(&self, x: Nhwc, pass: &Pass) -> Tensor<2> {
        let x = self.pool.forward(conv_norm_relu(&self.conv1, &self.bn1, x, pass).ready());
        let y = conv_norm_relu(&self.conv2, &self.bn2, x.clone(), pass);
        let x = conv_norm_add_relu(&self.conv3, &self.bn3, y, x, pass);
        self.fc.forward(ops::global_average(x), false)
    }
}

fn main() -> residual_train::Result<()> {
    let source = std::env::args().nth(1).unwrap_or_else(|| "shapes".into());
    let data = data::open(&DataOptions::new(source), &mut ())?;
    let (h, w, c) = (data.train.height(), data.train.width(), data.train.channels());
    let classes = data.classes.len();
    let normalizer = Arc::new(data::Normalizer::new(&data::channel_statistics(&data.train, &mut ())?, h, w, c)?);
    let augment = Augment { pad_crop: 4, flip: Flip::Random, ..Augment::default() };
    let options =
        LoaderOptions { batch: 128, seed: 0, drop_last: true, first_step: 0, repeats: RepeatedAugmentation::default() };
    let mut loader = Loader::new(Arc::new(data.train.clone()), Arc::clone(&normalizer), augment, options)?;

    let (seed, device) = (0, Device::flex().autodiff());
    let mut net = residual_train::models::initialised(Small::new(c, classes, &device), seed, &device);
    let rule = OptimizerOptions { momentum: 0.9, nesterov: true, weight_decay: 5e-4, ..OptimizerOptions::default() };
    let mut sgd = Optimizer::new(&rule);
    let mut out = std::io::stdout().lock();
    let steps = 2 * loader.steps_per_epoch();
    for step in 0..steps {
        let batch = loader.next()?;
        let targets = TensorData::new(smoothed(&batch.labels, classes, 0.0), [batch.len(), classes]);
        let x = Nhwc(Tensor::from_data(TensorData::new(batch.pixels, [batch.labels.len(), h, w, c]), &device));
        let logits = net.forward(x, &Pass::train(seed, step, false));
        let loss = ops::cross_entropy(logits, Tensor::from_data(targets, &device)).mean();
        let shown = loss.clone().into_scalar::<f32>();
        let gradients = gradients(&net, loss.backward());
        let lr = 0.1 * (1.0 - step as f64 / steps as f64);
        net = sgd.step(net, gradients, lr);
        if step % 20 == 0 {
            // A closed pipe is no reason to fail.
            let _ = writeln!(out, "step {step:4} of {steps}  loss {shown:.3}");
        }
    }

    let (net, device) = (net.valid(), Device::flex());
    let (mut right, mut seen) = (0, 0);
    for batch in data::batches(&data.test, &normalizer, 128) {
        let batch = batch?;
        let x = Nhwc(Tensor::from_data(TensorData::new(batch.pixels, [batch.labels.len(), h, w, c]), &device));
        let logits = net.forward(x, &Pass::test()).into_data();
        let rows = logits.as_slice::<f32>().expect("logits are f32").chunks_exact(classes);
        right += rows
            .zip(&batch.labels)
            .filter(|(row, label)| residual_train::eval::argmax(row) == **label as usize)
            .count();
        seen += batch.labels.len();
    }
    let _ = writeln!(out, "{right} of {seen} test images are classified right");
    Ok(())
}
