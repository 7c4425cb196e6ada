//! Whether a file that was written gives what the network in memory gives: it is read back and run, and the results are
//! compared.
//!
//! ONNX goes to a reader of its own (`export::reader`), which knows nothing of the writer, and with the feature `tract` to tract as well; safetensors are read back as any file under those names would be.

use super::onnx::OnnxOptions;
use super::reader::{self, Input};
use crate::error::{Error, Result};
use crate::models::Model;
use crate::plan::step::flatten;
use crate::plan::{Plan, softmax};
use crate::weights::import::Preset;
use crate::weights::{Metadata, container};
use std::path::Path;

/// The largest difference that rounding explains, as a share of the largest output: sums of a thousand products, in
/// another order, layer upon layer.
const TOLERANCE: f64 = 1e-4;

/// Multiply-adds of an image above which one is enough: the reader takes its time.
const HEAVY: u64 = 1_000_000_000;

/// Runs the ONNX file in `path` on images of noise and compares with `model`. Returns the largest
/// difference, relative to the largest output.
///
/// # Errors
/// A file that cannot be read or run, or whose outputs differ by more than rounding.
pub fn onnx(path: &Path, model: &Model, metadata: &Metadata, options: OnnxOptions) -> Result<f64> {
    let images = Images::noise(model, metadata)?;
    let [n, h, w, c] = images.dims;
    let logits = images.logits(model)?;
    let (input, ours) = if options.with_preprocessing {
        (Input::Bytes(images.bytes, images.dims), softmax(&logits, model.classes()))
    } else {
        let mut nchw = vec![0.0; images.pixels.len()];
        flatten(&images.pixels, h * w, c, &mut nchw);
        (Input::Floats(nchw, [n, c, h, w]), logits)
    };
    let file = std::fs::read(path).map_err(|error| Error::io("read", path, error))?;
    let unread = |why: String| Error::weights(format!("{} cannot be run: {why}", path.display()));
    #[cfg(feature = "tract")]
    let by_tract = super::tract::run(&file, &input);
    let difference = compared(path, &reader::run(&file, input).map_err(unread)?, &ours)?;
    #[cfg(feature = "tract")]
    let difference = difference.max(compared(path, &by_tract.map_err(unread)?, &ours)?);
    Ok(difference)
}

/// Reads the safetensors in `path`, whose names are `preset`'s, back into a network like `model`, and compares the two. Returns the
/// largest difference as a share of the largest output.
///
/// # Errors
/// A file that cannot be read or does not fit, or whose outputs differ.
pub fn safetensors(path: &Path, model: &Model, metadata: &Metadata, preset: Preset) -> Result<f64> {
    let images = Images::noise(model, metadata)?;
    let theirs = container::read(path)?.tensors;
    let ours = theirs.into_iter().map(|(key, data)| (preset.ours(&key), data)).collect();
    let again = Model::from_file(model.spec.clone(), ours, &path.display().to_string())?;
    compared(path, &images.logits(&again)?, &images.logits(model)?)
}

/// Images of noise, as bytes and as the network takes them.
struct Images {
    bytes: Vec<u8>,
    pixels: Vec<f32>,
    /// `[n, h, w, c]`.
    dims: [usize; 4],
}

impl Images {
    fn noise(model: &Model, metadata: &Metadata) -> Result<Self> {
        let [h, w, c] = model.spec.input;
        let n = if model.spec.summary().macs > HEAVY { 1 } else { 2 };
        // Knuth's multiplicative hash: the top byte of each product looks like noise.
        let noise = |i: usize| ((i as u32).wrapping_mul(2_654_435_761) >> 24) as u8;
        let bytes: Vec<u8> = (0..n * h * w * c).map(noise).collect();
        let mut pixels = vec![0.0; bytes.len()];
        let normalizer = metadata.preprocessing.normalizer()?;
        for (bytes, pixels) in bytes.chunks_exact(h * w * c).zip(pixels.chunks_exact_mut(h * w * c)) {
            normalizer.apply(bytes, pixels);
        }
        Ok(Self { bytes, pixels, dims: [n, h, w, c] })
    }

    /// The network's logits, by direct sums.
    fn logits(&self, model: &Model) -> Result<Vec<f32>> {
        let [n, h, w, _] = self.dims;
        Ok(Plan::new(model, n, false).logits(&self.pixels, [n, h, w])?.to_vec())
    }
}

fn compared(path: &Path, theirs: &[f32], ours: &[f32]) -> Result<f64> {
    let largest = ours.iter().fold(0f32, |largest, value| largest.max(value.abs()));
    let worst = theirs.iter().zip(ours).map(|(a, b)| f64::from((a - b).abs()));
    // Not a maximum of f64::max, which passes over what is not a number.
    let worst = worst.fold(0f64, |worst, difference| if difference <= worst { worst } else { difference });
    let difference = worst / f64::from(largest).max(f64::from(f32::MIN_POSITIVE));
    if theirs.len() == ours.len() && difference <= TOLERANCE {
        return Ok(difference);
    }
    let message = if theirs.len() == ours.len() {
        format!(
            "{} gives other outputs than the network: they differ by {difference:.1e} of the largest",
            path.display()
        )
    } else {
        format!("{} gives {} outputs, the network {}", path.display(), theirs.len(), ours.len())
    };
    Err(Error::weights(message).with_hint("the file is damaged: write it again"))
}
