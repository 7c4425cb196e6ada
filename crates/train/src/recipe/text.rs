//! Recipes as text: reading a file or a shipped recipe, applying overrides, writing TOML.

use super::draft::Draft;
use super::sections::Recipe;
use super::shipped;
use crate::error::{Error, Kind, Result};
use std::collections::BTreeMap;
use std::path::Path;

impl Recipe {
    /// Reads the recipe that `what` names, a path or a shipped recipe (`shapes-resnet20`), and
    /// applies `overrides` (`section.key=value`).
    ///
    /// # Errors
    /// The file cannot be read or is not TOML, a key is unknown, or a value has the wrong type or
    /// is impossible.
    pub fn load(what: &str, overrides: &[String]) -> Result<Self> {
        let path = Path::new(what);
        if path.is_file() {
            let text = std::fs::read_to_string(path).map_err(|e| Error::io("read", path, e))?;
            return Self::parse(&text, what, overrides);
        }
        if let Some(recipe) = shipped::named(what) {
            return Self::parse(recipe.text, &format!("{}.toml", recipe.name), overrides);
        }
        Err(shipped::missing(what))
    }

    /// Parses the recipe in `text`, called `name` in errors, and applies `overrides`.
    ///
    /// # Errors
    /// Those of [`Recipe::load`] but for the file.
    pub fn parse(text: &str, name: &str, overrides: &[String]) -> Result<Self> {
        let mut draft = Draft::read(text, name)?;
        draft.set(overrides)?;
        draft.finish()
    }

    /// Parses the recipe that a run or a weights file stores. Keys that were renamed since it was
    /// written are accepted: `train.precise = true` is read as `train.winograd = false`.
    ///
    /// # Errors
    /// Those of [`Recipe::parse`].
    pub fn parse_stored(text: &str, name: &str) -> Result<Self> {
        Draft::read_stored(text, name)?.finish()
    }

    /// Returns the same recipe with `overrides` (`section.key=value`) applied.
    ///
    /// # Errors
    /// A key is unknown, or a value has the wrong type or is impossible; the error names the
    /// override.
    pub fn with(&self, overrides: &[String]) -> Result<Self> {
        let mut draft = Draft::from_recipe(self)?;
        draft.set(overrides)?;
        draft.finish()
    }

    /// Writes the recipe as TOML; a resolved one has all its keys written out.
    ///
    /// # Errors
    /// TOML cannot hold a value, such as a path that is not UTF-8.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(self).map_err(|e| Error::new(Kind::Recipe, format!("cannot write the recipe as TOML: {e}")))
    }

    /// Returns every key that is set, as `section.key`, with its value, for comparing recipes.
    ///
    /// # Errors
    /// JSON cannot hold a value.
    pub fn flattened(&self) -> Result<BTreeMap<String, String>> {
        let value = serde_json::to_value(self)
            .map_err(|error| Error::new(Kind::Recipe, format!("cannot read the recipe again: {error}")))?;
        let mut keys = BTreeMap::new();
        for (section, values) in value.as_object().into_iter().flatten() {
            for (key, value) in values.as_object().into_iter().flatten() {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                keys.insert(format!("{section}.{key}"), text);
            }
        }
        Ok(keys)
    }
}
