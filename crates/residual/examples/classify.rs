//! Classifies a picture from code: everything needed is in the weights file.
//!
//!     cargo run --release -p residual --example classify -- runs/…/best.safetensors cat.jpg

use burn::tensor::{Device, Tensor, TensorData};
use residual::data::Picture;
use residual::layers::Pass;
use residual::ops::{self, Nhwc};
use residual::{Error, weights};
use std::io::Write;
use std::path::Path;

fn main() -> residual::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, picture] = arguments.as_slice() else {
        return Err(Error::usage("usage: classify WEIGHTS PICTURE"));
    };
    let device = Device::flex();
    let (model, metadata) = weights::load(Path::new(file), &device)?;
    let preprocessing = &metadata.preprocessing;
    let pixels = preprocessing.fit(&Picture::open(Path::new(picture))?);
    let mut normalised = vec![0.0; pixels.len()];
    preprocessing.normalizer()?.apply(&pixels, &mut normalised);
    let [h, w, c] = model.spec.input;
    let x = Nhwc(Tensor::from_data(TensorData::new(normalised, [1, h, w, c]), &device));
    let probabilities = ops::softmax(model.forward(x, &Pass::test())).into_data();
    let probabilities = probabilities.as_slice::<f32>().expect("probabilities are f32");
    let mut ranked: Vec<usize> = (0..probabilities.len()).collect();
    ranked.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]));
    let mut out = std::io::stdout().lock();
    for &class in ranked.iter().take(5) {
        let _ = writeln!(out, "{:6.2} %  {}", 100.0 * probabilities[class], metadata.classes[class]);
    }
    Ok(())
}
