//! Classifies an image: everything needed is in the weights file.
//!
//!     cargo run --release -p residual --example classify -- runs/…/best.safetensors cat.jpg

use residual::{Classifier, Error, Image};
use std::io::Write;

fn main() -> residual::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [weights, image] = arguments.as_slice() else {
        return Err(Error::usage("usage: classify WEIGHTS IMAGE"));
    };
    let classifier = Classifier::load(weights)?;
    let mut out = std::io::stdout().lock();
    for guess in classifier.classify(&Image::open(image)?)?.top(3) {
        let _ = writeln!(out, "{:5.1} %  {}", 100.0 * guess.probability, guess.class);
    }
    Ok(())
}
