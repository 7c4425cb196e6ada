//! A weights file as a test takes it: the network, how it looks at images, and which images it knows.

use super::crops::CropSet;
use super::ensemble::Member;
use super::protocol::TestProtocol;
use crate::data::{DataOptions, Dataset, Split};
use crate::error::{Error, Result};
use crate::models::Model;
use crate::recipe::Recipe;
use crate::weights::{self, Metadata};
use residual::plan::InferenceSession;
use std::path::{Path, PathBuf};

/// Images up to this size are small ones, which training shifts rather than cuts from larger ones.
const SMALL: usize = 64;

/// A weights file that was read.
#[derive(Debug)]
pub struct Weights {
    /// The file.
    pub path: PathBuf,
    /// The network.
    pub model: Model,
    /// What travels with it.
    pub metadata: Metadata,
    /// The recipe that trained it, where the file has one.
    pub recipe: Option<Recipe>,
}

impl Weights {
    /// Reads `path`.
    ///
    /// # Errors
    /// A file that is missing, damaged or foreign.
    pub fn load(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|error| Error::io("read", path, error))?;
        Self::from_bytes(bytes, path)
    }

    /// As [`load`](Self::load), of a file's `bytes`: from an object store, or `include_bytes!`. Errors call it `path`.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn from_bytes(bytes: Vec<u8>, path: &Path) -> Result<Self> {
        let (model, metadata) = weights::from_bytes(bytes, &path.display().to_string())?;
        let recipe = metadata.recipe.as_deref().map(|text| Recipe::parse_stored(text, "recipe")).transpose()?;
        Ok(Self { path: path.to_owned(), model, metadata, recipe })
    }

    /// Whether all of `weights` mean the same by a class's number, so that their answers can be averaged.
    ///
    /// # Errors
    /// Two of them do not.
    pub fn same_classes<'a>(weights: impl IntoIterator<Item = &'a Self>) -> Result<()> {
        let mut weights = weights.into_iter();
        let Some(first) = weights.next() else { return Ok(()) };
        match weights.find(|other| other.metadata.classes != first.metadata.classes) {
            None => Ok(()),
            Some(other) => {
                let (a, b) = (first.path.display(), other.path.display());
                Err(Error::data(format!("{a} and {b} have different classes, or in another order"))
                    .with_hint("only networks of the same classes can be averaged"))
            }
        }
    }

    /// The network looking by `views` at `scales`.
    ///
    /// # Errors
    /// A way of looking that it cannot take.
    pub fn member(&self, views: TestProtocol, scales: &[usize]) -> Result<Member> {
        let preprocessing = &self.metadata.preprocessing;
        let pad_crop = pad_crop(self.recipe.as_ref(), preprocessing.height);
        Member::new(&self.model, preprocessing, CropSet::new(views, scales, preprocessing, pad_crop)?, self.precise())
    }

    /// The network looking once at each of `n` images of its size.
    pub fn session(&self, n: usize) -> InferenceSession {
        InferenceSession::new(&self.model, n, !self.precise())
    }

    /// Whether they were trained by direct sums alone, and so are tested by them.
    fn precise(&self) -> bool {
        self.recipe.as_ref().is_some_and(|recipe| !recipe.train.winograd)
    }

    /// The data to test `split` on: `source`, or what the weights were trained on; split as in training, images as they
    /// are in their files.
    ///
    /// # Errors
    /// Neither is known.
    pub fn data_options(&self, source: Option<&str>, split: Split, skip_bad: bool) -> Result<DataOptions> {
        let source = match (source, &self.recipe) {
            (Some(source), _) => source.to_owned(),
            (None, Some(recipe)) => recipe.data.source.clone(),
            (None, None) => {
                let message = format!("{} does not say what it was trained on", self.path.display());
                return Err(Error::usage(message).with_hint("name the images by --data"));
            }
        };
        let preprocessing = &self.metadata.preprocessing;
        // Another source may be smaller than the one that the recipe's split was made for.
        let place = |source: &str| std::fs::canonicalize(source).ok();
        let is_own = |own: &str| own == source || place(own).is_some_and(|own| Some(own) == place(&source));
        let same = self.recipe.as_ref().filter(|recipe| is_own(&recipe.data.source) || split == Split::Validation);
        Ok(DataOptions {
            source,
            train_size: same.map_or(0, |recipe| recipe.data.train_size),
            validation: same.and_then(|recipe| recipe.data.validation),
            input: Some(preprocessing.height),
            channels: Some(preprocessing.channels),
            scale: preprocessing.scale,
            resize: preprocessing.resize,
            filter: preprocessing.filter,
            originals: true,
            skip_bad,
            offline: false,
        })
    }

    /// `data` under this network's class numbers: a network answers with a number, and the data must mean the same by it.
    ///
    /// # Errors
    /// Classes that the network does not know.
    pub fn label(&self, data: &Dataset) -> Result<Dataset> {
        data.for_classes(&self.metadata.classes).map_err(|error| error.about(self.path.display()))
    }
}

/// Pixels of zeros around the images from which training cut its windows.
fn pad_crop(recipe: Option<&Recipe>, height: usize) -> usize {
    match recipe {
        Some(recipe) => recipe.augment.pad_crop,
        // Other people's small networks were trained on shifted images too, four pixels in 32.
        None if height <= SMALL => height / 8,
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imported_small_networks_are_tested_on_windows_shifted_by_an_eighth_and_others_as_their_recipe_says() {
        assert_eq!([32, 64, 65, 224].map(|height| pad_crop(None, height)), [4, 8, 0, 0]);
        let mut recipe = Recipe::default_for("cifar10", "resnet-20").expect("shipped");
        for pad in [2, 0] {
            recipe.augment.pad_crop = pad;
            assert_eq!(pad_crop(Some(&recipe), 32), pad);
        }
    }
}
