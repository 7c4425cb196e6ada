//! A network of your own, trained with the library's one loop of steps.
//!
//!     cargo run --release -p residual-train --example own_net

use burn::tensor::Device;
use residual::graph::{Conv, GraphBuilder, Network, Pool, Value};
use residual::models::{InitOptions, Model};
use residual::plan::InferenceSession;
use residual_train::data::{self, Augment, DataOptions, Flip, Loader, LoaderOptions, RepeatedAugmentation};
use residual_train::eval::evaluate;
use residual_train::recipe::Recipe;
use residual_train::train::trainer::Trainer;
use std::io::Write;
use std::sync::Arc;

/// Three stages of one convolution each.
#[derive(Debug, Clone)]
struct ThreeStages {
    classes: usize,
}

impl Network for ThreeStages {
    fn input(&self) -> [usize; 3] {
        [32, 32, 3]
    }

    fn forward(&self, g: &mut GraphBuilder, x: Value) -> Value {
        let mut x = x;
        for (i, width) in [16, 32, 64].into_iter().enumerate() {
            x = g.conv(format!("conv{i}"), x, Conv::new(width, 3));
            x = g.batch_norm(format!("bn{i}"), x);
            x = g.relu(x);
            x = g.max_pool(format!("pool{i}"), x, Pool::HALVING);
        }
        let x = g.global_avg_pool("avgpool", x);
        g.linear("fc", x, self.classes)
    }
}

fn main() -> residual::Result<()> {
    let data = data::open(&DataOptions::new("shapes"), &mut ())?;
    let (h, w, c) = (data.train.height(), data.train.width(), data.train.channels());
    let normalizer = Arc::new(data::Normalizer::new(&data::channel_statistics(&data.train, &mut ())?, h, w, c)?);
    let augment = Augment { pad_crop: 2, flip: Flip::Random, ..Augment::default() };
    let options =
        LoaderOptions { batch: 64, seed: 0, drop_last: true, first_step: 0, repeats: RepeatedAugmentation::default() };
    let mut loader = Loader::new(Arc::new(data.train.clone()), Arc::clone(&normalizer), augment, options)?;

    let model = Model::with_initial_weights(ThreeStages { classes: data.classes.len() }, &InitOptions::default(), 0)?;
    let mut trainer = Trainer::new(&model, &Recipe::default(), &Device::flex().autodiff());
    let mut out = std::io::stdout().lock();
    for step in 0..200 {
        let metrics = trainer.step(&mut [loader.next()?], step, 0.05);
        if step % 50 == 49 {
            let _ = writeln!(out, "step {:3}  loss {:.3}", step + 1, metrics.loss);
        }
    }
    let session = InferenceSession::new(&trainer.tested(), data.test.len(), true);
    let result = evaluate(&session, &data.test, &normalizer, &data.classes, &mut ())?;
    let _ = writeln!(out, "test error {:.2} %", result.top1_error);
    Ok(())
}
