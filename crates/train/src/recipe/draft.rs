//! A recipe between text and [`Recipe`]: the values so far, and where each was written.
//!
//! Values are kept as TOML, one per (section, key), so that `--set` can replace any of them and an
//! error names the file and line, or the `--set`, of the wrong one.

use super::check::{Problem, check};
use super::fields;
use super::sections::{
    AugmentOptions, DataOptions, LossOptions, OptimizerOptions, Recipe, SCHEDULE_COMMON, ScheduleKind, ScheduleOptions,
    TrainOptions,
};
use crate::error::{Error, Kind, Result, nearest};
use crate::models::options::ModelOptions;
use std::collections::BTreeMap;
use toml::de::{DeTable, DeValue};

/// Where a value was written.
#[derive(Debug, Clone)]
enum Location {
    /// The number of a line of the file.
    Line(usize),
    /// The text of a `--set`.
    Set(String),
}

/// Values and their locations.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    /// The file, as the user knows it.
    name: String,
    table: toml::Table,
    locations: BTreeMap<(String, String), Location>,
}

/// A section: its name, its keys, and a check of one value's type.
struct Section {
    name: &'static str,
    keys: fn() -> &'static [&'static str],
    accepts: fn(toml::Table) -> std::result::Result<(), toml::de::Error>,
}

static SECTIONS: [Section; 7] = [
    section::<ModelOptions>("model"),
    section::<DataOptions>("data"),
    section::<AugmentOptions>("augment"),
    section::<TrainOptions>("train"),
    section::<LossOptions>("loss"),
    section::<OptimizerOptions>("optimizer"),
    section::<ScheduleOptions>("schedule"),
];

const fn section<T: serde::de::DeserializeOwned>(name: &'static str) -> Section {
    Section { name, keys: fields::of::<T>, accepts: |table| table.try_into::<T>().map(|_| ()) }
}

fn find(name: &str) -> Option<&'static Section> {
    SECTIONS.iter().find(|section| section.name == name)
}

/// The first section that takes `key`.
fn home(key: &str) -> Option<&'static Section> {
    SECTIONS.iter().find(|section| (section.keys)().contains(&key))
}

/// Whether `key` is among `overrides`.
fn is_among(overrides: &[String], key: &str) -> bool {
    overrides.iter().any(|one| one.split('=').next().is_some_and(|path| path.trim() == key))
}

impl Draft {
    /// Reads `text`; errors call it `name`.
    pub(super) fn read(text: &str, name: &str) -> Result<Self> {
        let draft = Self::read_any(text, name)?;
        draft.accept_all()?;
        Ok(draft)
    }

    /// Reads the text of a recipe that a run stored, in which keys may have their earlier names.
    pub(super) fn read_stored(text: &str, name: &str) -> Result<Self> {
        let mut draft = Self::read_any(text, name)?;
        if let Some(toml::Value::Table(keys)) = draft.table.get_mut("train")
            && let Some(toml::Value::Boolean(precise)) = keys.get("precise")
        {
            let winograd = toml::Value::Boolean(!precise);
            keys.insert("winograd".to_owned(), winograd);
            draft.drop_key("train", "precise");
        }
        draft.accept_all()?;
        Ok(draft)
    }

    /// Reads `text` without a check of its keys and values.
    fn read_any(text: &str, name: &str) -> Result<Self> {
        let line_of = |offset: usize| 1 + text[..offset.min(text.len())].matches('\n').count();
        let document = DeTable::parse(text).map_err(|e| {
            let line = e.span().map_or(1, |span| line_of(span.start));
            Error::new(Kind::Recipe, format!("{name}:{line}: {}", e.message()))
        })?;
        let mut draft = Self { name: name.into(), table: toml::Table::new(), locations: BTreeMap::new() };
        for (section, value) in document.get_ref() {
            let line = line_of(section.span().start);
            let DeValue::Table(keys) = value.get_ref() else {
                return Err(loose_key(section.get_ref(), &format!("{name}:{line}")));
            };
            for key in keys.keys() {
                let place = (section.get_ref().to_string(), key.get_ref().to_string());
                draft.locations.insert(place, Location::Line(line_of(key.span().start)));
            }
            if find(section.get_ref()).is_none() {
                return Err(unknown_section(section.get_ref(), &format!("{name}:{line}")));
            }
        }
        draft.table = toml::from_str(text).map_err(|e| Error::new(Kind::Recipe, format!("{name}: {}", e.message())))?;
        Ok(draft)
    }

    /// Returns a draft with the values of `recipe`, to be changed by `--set`.
    pub(super) fn from_recipe(recipe: &Recipe) -> Result<Self> {
        let table = toml::Table::try_from(recipe)
            .map_err(|e| Error::new(Kind::Recipe, format!("cannot write the recipe as TOML: {e}")))?;
        Ok(Self { name: "recipe".into(), table, locations: BTreeMap::new() })
    }

    /// Applies overrides of the form `section.key=value`, in order.
    pub(super) fn set(&mut self, overrides: &[String]) -> Result<()> {
        let had_crops = self.has_crops();
        for assignment in overrides {
            self.set_one(assignment)?;
        }
        if !had_crops && self.has_crops() && !is_among(overrides, "augment.pad_crop") {
            // Crops of random position and size are shifted already.
            self.drop_key("augment", "pad_crop");
        }
        self.settle_alternatives(overrides)
    }

    /// Whether training cuts random crops of large images.
    fn has_crops(&self) -> bool {
        let keys = self.table.get("augment").and_then(toml::Value::as_table);
        keys.is_some_and(|keys| keys.contains_key("resized_crop") || keys.contains_key("scale"))
    }

    fn set_one(&mut self, assignment: &str) -> Result<()> {
        let place = format!("--set {assignment}");
        let malformed = || {
            let key = assignment.split('=').next().unwrap_or_default().trim();
            let hint = match home(key) {
                Some(section) => format!("did you mean {}.{key}?", section.name),
                None => "for example --set optimizer.lr=0.05".to_string(),
            };
            Error::usage(format!("{place}: is not of the form section.key=value")).with_hint(hint)
        };
        let (path, value) = assignment.split_once('=').ok_or_else(malformed)?;
        let (section, key) = path.trim().split_once('.').ok_or_else(malformed)?;
        if find(section).is_none() {
            return Err(usage(unknown_section(section, &place)));
        }
        self.locations.insert((section.into(), key.into()), Location::Set(assignment.into()));
        let slot = self.table.entry(section).or_insert_with(|| toml::Value::Table(toml::Table::new()));
        if let toml::Value::Table(keys) = slot {
            keys.insert(key.into(), bare(value.trim()));
        }
        self.accept(section, key)
    }

    /// An override of one of two alternatives replaces the other: `train.steps` and `train.epochs`,
    /// or the keys of another schedule.
    fn settle_alternatives(&mut self, overrides: &[String]) -> Result<()> {
        let is_set = |key: &str| is_among(overrides, key);
        for (given, other) in [("steps", "epochs"), ("epochs", "steps")] {
            if is_set(&format!("train.{given}")) && !is_set(&format!("train.{other}")) {
                self.drop_key("train", other);
            }
        }
        if !is_set("schedule.kind") {
            return Ok(());
        }
        let kind: ScheduleKind = self.table["schedule"]["kind"]
            .clone()
            .try_into()
            .map_err(|e: toml::de::Error| self.wrong("schedule", "kind", e.message()))?;
        for key in fields::of::<ScheduleOptions>() {
            let used = kind.keys().contains(key) || SCHEDULE_COMMON.contains(key);
            if !used && !is_set(&format!("schedule.{key}")) {
                self.drop_key("schedule", key);
            }
        }
        Ok(())
    }

    fn drop_key(&mut self, section: &str, key: &str) {
        if let Some(toml::Value::Table(keys)) = self.table.get_mut(section) {
            keys.remove(key);
        }
        self.locations.remove(&(section.to_string(), key.to_string()));
    }

    fn accept_all(&self) -> Result<()> {
        // In the order of the file, so that the first error is the topmost.
        let mut places: Vec<_> = self.locations.iter().collect();
        places.sort_by_key(|(_, origin)| match origin {
            Location::Line(line) => *line,
            Location::Set(_) => usize::MAX,
        });
        places.into_iter().try_for_each(|((section, key), _)| self.accept(section, key))
    }

    /// Whether `section.key` exists and its value is of its type.
    fn accept(&self, section: &str, key: &str) -> Result<()> {
        let Some(known) = find(section) else { return Err(unknown_section(section, &self.place(section, key))) };
        let keys = (known.keys)();
        if !keys.contains(&key) {
            return Err(self.unknown_key(section, key, keys));
        }
        let value = self.table[section][key].clone();
        let single = toml::Table::from_iter([(key.to_string(), value)]);
        (known.accepts)(single).map_err(|e| self.wrong(section, key, e.message()))
    }

    fn unknown_key(&self, section: &str, key: &str, keys: &[&str]) -> Error {
        if (section, key) == ("train", "precise") {
            let message = format!("{}: train.precise is now train.winograd", self.place(section, key));
            return self.error(section, key, message).with_hint("winograd = false is what precise = true was");
        }
        let message = format!("{}: unknown key {section}.{key}", self.place(section, key));
        let elsewhere = || home(key).map(|section| format!("{}.{key}", section.name));
        let near = nearest(key, keys.iter().copied()).map(|near| format!("{section}.{near}"));
        let hint = match near.or_else(elsewhere) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("[{section}] takes {}", keys.join(", ")),
        };
        self.error(section, key, message).with_hint(hint)
    }

    /// Turns serde's message about a value into the words of a recipe.
    fn wrong(&self, section: &str, key: &str, complaint: &str) -> Error {
        let message = format!("{}: {section}.{key}: {}", self.place(section, key), plain(complaint));
        let error = self.error(section, key, message);
        match misspelt_variant(complaint) {
            Some(near) => error.with_hint(format!("did you mean {section}.{key} = \"{near}\"?")),
            None => error,
        }
    }

    fn error(&self, section: &str, key: &str, message: String) -> Error {
        match self.locations.get(&(section.to_string(), key.to_string())) {
            Some(Location::Set(_)) => Error::usage(message),
            _ => Error::new(Kind::Recipe, message),
        }
    }

    fn place(&self, section: &str, key: &str) -> String {
        match self.locations.get(&(section.to_string(), key.to_string())) {
            Some(Location::Line(line)) => format!("{}:{line}", self.name),
            Some(Location::Set(assignment)) => format!("--set {assignment}"),
            None => self.name.clone(),
        }
    }

    /// Returns the recipe, if all its values are possible.
    pub(super) fn finish(self) -> Result<Recipe> {
        let recipe: Recipe = toml::Value::Table(self.table.clone())
            .try_into()
            .map_err(|e: toml::de::Error| Error::new(Kind::Recipe, format!("{}: {}", self.name, e.message())))?;
        check(&recipe).map_err(|problem| self.impossible(problem))?;
        Ok(recipe)
    }

    fn impossible(&self, problem: Problem) -> Error {
        let Problem { section, key, message, hint } = problem;
        let error = self.error(section, key, format!("{}: {section}.{key} {message}", self.place(section, key)));
        match hint {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    }
}

/// A value of `--set`: TOML if it is TOML, else a string, so that `--set model.name=resnet-18`
/// needs no quotes.
fn bare(text: &str) -> toml::Value {
    toml::from_str::<toml::Table>(&format!("value = {text}"))
        .ok()
        .filter(|table| table.len() == 1)
        .and_then(|mut table| table.remove("value"))
        .unwrap_or_else(|| toml::Value::String(text.into()))
}

fn usage(error: Error) -> Error {
    let hint = error.hint().map(str::to_string);
    let usage = Error::usage(error.to_string());
    match hint {
        Some(hint) => usage.with_hint(hint),
        None => usage,
    }
}

fn unknown_section(section: &str, place: &str) -> Error {
    let names = SECTIONS.each_ref().map(|section| section.name);
    let hint = match nearest(section, names) {
        Some(near) => format!("did you mean [{near}]?"),
        None => format!("a recipe has the sections {}", names.join(", ")),
    };
    Error::new(Kind::Recipe, format!("{place}: unknown section [{section}]")).with_hint(hint)
}

fn loose_key(key: &str, place: &str) -> Error {
    if find(key).is_some() {
        let message = format!("{place}: {key} is a section");
        return Error::new(Kind::Recipe, message).with_hint(format!("write [{key}] and its keys below it"));
    }
    let error = Error::new(Kind::Recipe, format!("{place}: key {key} stands outside every section"));
    match home(key) {
        Some(section) => error.with_hint(format!("{key} belongs under [{}]", section.name)),
        None => {
            error.with_hint(format!("a recipe has the sections {}", SECTIONS.each_ref().map(|s| s.name).join(", ")))
        }
    }
}

/// serde's type names as words.
fn plain(complaint: &str) -> String {
    let mut words = complaint.trim().replace('`', "");
    for (from, to) in [
        ("expected usize", "expected a whole number of at least 0"),
        ("expected u64", "expected a whole number of at least 0"),
        ("expected f64", "expected a number"),
        ("expected a boolean", "expected true or false"),
        ("expected a sequence", "expected a list"),
        ("unknown variant", "unknown value"),
    ] {
        words = words.replace(from, to);
    }
    words
}

/// The nearest of the variants that serde lists in "unknown variant `x`, expected one of `a`, `b`".
fn misspelt_variant(complaint: &str) -> Option<String> {
    let rest = complaint.strip_prefix("unknown variant `")?;
    let (typed, known) = rest.split_once('`')?;
    nearest(typed, known.split('`').skip(1).step_by(2)).map(str::to_string)
}
