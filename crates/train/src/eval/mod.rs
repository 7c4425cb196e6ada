//! Testing weights: every image of a split once, in a fixed order, without dropout and with running statistics.
//!
//! [`evaluate`] looks at images that are already of the network's size once, at their centre: what training validates
//! by. [`Ensemble`] takes images as they were and looks at them as the papers do ([`Views`]), with one network or
//! several.

mod classifier;
mod ensemble;
mod evaluation;
mod look;
pub mod predictions;
mod weights;

pub(crate) use classifier::softmax;
pub use classifier::{Classifier, input};
pub use ensemble::{Ensemble, Member};
pub use evaluation::{ClassResult, Evaluation};
pub use look::{Look, Views};
pub use weights::Weights;

use crate::data::{self, Images, Normalizer};
use crate::error::{Error, Result};
use crate::models::Model;
use evaluation::Cost;
use predictions::Predictions;
use std::time::Instant;

/// Images per forward pass: enough to keep every core busy, little enough to stay small beside training.
const BATCH: usize = 128;

/// Pixels per forward pass, 16 images of 224x224: the first maps of a VGG take 50 MB for each of those.
const PIXELS: usize = 16 * 224 * 224;

/// How many images of `h`x`w` go through the network together.
pub fn batch_of(h: usize, w: usize) -> usize {
    (PIXELS / (h * w)).clamp(1, BATCH)
}

/// The index of the largest value; the first of equals.
pub fn argmax(values: &[f32]) -> usize {
    let mut best = 0;
    for (i, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = i;
        }
    }
    best
}

/// Tests `classifier` on `images` by their single centre view. `progress` hears of each batch.
///
/// # Errors
/// No images, an image that cannot be read, images or classes that do not fit the network.
pub fn evaluate(
    classifier: &Classifier,
    images: &Images,
    normalizer: &Normalizer,
    classes: &[String],
    progress: &mut dyn data::Progress,
) -> Result<Evaluation> {
    check_labels(classifier.model(), images, classes)?;
    check_size(classifier.model(), images)?;
    let began = Instant::now();
    let predictions = Predictions::of(classifier, images, normalizer, false, progress)?;
    let cost = Cost { crops: images.len(), skipped: 0, seconds: began.elapsed().as_secs_f64() };
    Ok(Evaluation::new(&predictions, classes, "center", &[], cost))
}

fn check_labels(model: &Model, images: &Images, classes: &[String]) -> Result<()> {
    if images.is_empty() {
        return Err(Error::data("there are no images to test on").with_hint("choose another --split"));
    }
    let (wanted, found) = (model.spec.classes, classes.len());
    if wanted != found {
        return Err(Error::data(format!("the network tells {wanted} classes apart, the data has {found}"))
            .with_hint("test on data with the classes that it was trained on"));
    }
    Ok(())
}

fn check_size(model: &Model, images: &Images) -> Result<()> {
    let found = [images.height(), images.width(), images.channels()];
    if model.spec.input != found {
        let message = format!("the network takes images of {:?}, the data has {found:?}", model.spec.input);
        return Err(Error::data(message).with_hint("height, width and channels must agree"));
    }
    Ok(())
}
