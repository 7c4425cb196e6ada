//! Testing weights: every picture of a split once, in a fixed order, without dropout and with running statistics.
//!
//! [`evaluate`] looks at pictures that are already of the network's size once, at their centre: what training validates
//! by. [`Ensemble`] takes pictures as they were and looks at them as the papers do ([`Views`]), with one network or
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

use crate::data::{self, Normalizer, Pictures};
use crate::error::{Error, Result};
use crate::models::Model;
use evaluation::Cost;
use predictions::Predictions;
use std::time::Instant;

/// Pictures per forward pass: enough to keep every core busy, little enough to stay small beside training.
const BATCH: usize = 128;

/// Pixels per forward pass, 16 pictures of 224x224: the first maps of a VGG take 50 MB for each of those.
const PIXELS: usize = 16 * 224 * 224;

/// How many pictures of `h`x`w` go through the network together.
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

/// Tests `classifier` on `pictures` by their single centre view. `progress` hears of each batch.
///
/// # Errors
/// No pictures, a picture that cannot be read, pictures or classes that do not fit the network.
pub fn evaluate(
    classifier: &Classifier,
    pictures: &Pictures,
    normalizer: &Normalizer,
    classes: &[String],
    progress: &mut dyn data::Progress,
) -> Result<Evaluation> {
    check_labels(classifier.model(), pictures, classes)?;
    check_size(classifier.model(), pictures)?;
    let began = Instant::now();
    let predictions = Predictions::of(classifier, pictures, normalizer, false, progress)?;
    let cost = Cost { crops: pictures.len(), skipped: 0, seconds: began.elapsed().as_secs_f64() };
    Ok(Evaluation::new(&predictions, classes, "center", &[], cost))
}

fn check_labels(model: &Model, pictures: &Pictures, classes: &[String]) -> Result<()> {
    if pictures.is_empty() {
        return Err(Error::data("there are no pictures to test on").with_hint("choose another --split"));
    }
    let (wanted, found) = (model.spec.classes, classes.len());
    if wanted != found {
        return Err(Error::data(format!("the network tells {wanted} classes apart, the data has {found}"))
            .with_hint("test on data with the classes that it was trained on"));
    }
    Ok(())
}

fn check_size(model: &Model, pictures: &Pictures) -> Result<()> {
    let found = [pictures.height(), pictures.width(), pictures.channels()];
    if model.spec.input != found {
        let message = format!("the network takes pictures of {:?}, the data has {found:?}", model.spec.input);
        return Err(Error::data(message).with_hint("height, width and channels must agree"));
    }
    Ok(())
}
