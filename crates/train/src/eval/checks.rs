//! Whether images and classes fit a network, before it is tested on them.

use crate::data::Images;
use crate::error::{Error, Result};
use residual::plan::InferenceSession;

/// Checks that there are images, and that `classes` are as many as the network's.
///
/// # Errors
/// There are no images, or the numbers of classes differ.
pub(super) fn check_labels(session: &InferenceSession, images: &Images, classes: &[String]) -> Result<()> {
    if images.is_empty() {
        return Err(Error::data("there are no images to test on").with_hint("choose another --split"));
    }
    let (wanted, found) = (session.classes(), classes.len());
    if wanted != found {
        return Err(Error::data(format!("the network has {wanted} classes, the data has {found}"))
            .with_hint("test on data with the classes that it was trained on"));
    }
    Ok(())
}

/// Checks that the images have the network's input size.
///
/// # Errors
/// Height, width or channels differ.
pub(super) fn check_size(session: &InferenceSession, images: &Images) -> Result<()> {
    let found = [images.height(), images.width(), images.channels()];
    if session.input() != found {
        let message = format!("the network takes images of {:?}, the data has {found:?}", session.input());
        return Err(Error::data(message).with_hint("height, width and channels must agree"));
    }
    Ok(())
}
