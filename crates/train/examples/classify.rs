//! Classifies an image from code: everything needed is in the weights file.
//!
//!     cargo run --release -p residual --example classify -- runs/…/best.safetensors cat.jpg

use residual_train::Error;
use residual_train::data::Image;
use residual_train::eval::Weights;
use std::io::Write;
use std::path::Path;

fn main() -> residual_train::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, image] = arguments.as_slice() else {
        return Err(Error::usage("usage: classify WEIGHTS IMAGE"));
    };
    let weights = Weights::load(Path::new(file))?;
    let preprocessing = &weights.metadata.preprocessing;
    let pixels = preprocessing.fit(&Image::open(Path::new(image))?);
    let mut normalised = vec![0.0; pixels.len()];
    preprocessing.normalizer()?.apply(&pixels, &mut normalised);
    let probabilities = weights.classifier(1).probabilities(&normalised, 1)?;
    let mut ranked: Vec<usize> = (0..probabilities.len()).collect();
    ranked.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]));
    let mut out = std::io::stdout().lock();
    for &class in ranked.iter().take(5) {
        let _ = writeln!(out, "{:6.2} %  {}", 100.0 * probabilities[class], weights.metadata.classes[class]);
    }
    Ok(())
}
