//! `residual recipes`: lists the built-in recipes, or shows one with every key explained.

mod keys;

use crate::ui::Ui;
use crate::ui::table::{Align, Table};
use keys::KEYS;
use residual::{Error, Result};
use residual_train::recipe::{Recipe, shipped};
use serde::Serialize;
use std::collections::BTreeMap;

/// List the built-in recipes, or show one with every key explained
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  residual recipes                                      list the built-in recipes
  residual recipes cifar10-resnet18                     every key with its value and meaning
  residual recipes cifar10-resnet18 --raw > my.toml     a copy to change
  residual train my.toml --set optimizer.lr=0.05")]
pub struct RecipesArgs {
    /// A built-in recipe, or a recipe file
    #[arg(value_name = "NAME|RECIPE.toml")]
    name: Option<String>,

    /// Print the TOML text of the built-in recipe as it is
    #[arg(long, requires = "name", conflicts_with = "json")]
    raw: bool,
}

/// Line of `--json` in the list.
#[derive(Debug, Serialize)]
struct RecipeLine {
    name: &'static str,
    model: String,
    data: String,
    epochs: Option<u64>,
    steps: Option<u64>,
    batch: usize,
    lr: f64,
    schedule: &'static str,
}

/// Line of `--json` of one recipe.
#[derive(Debug, Serialize)]
struct KeyLine<'a> {
    key: &'a str,
    /// Value in the recipe, or by default; `null` if the data or the schedule decides.
    value: Option<&'a str>,
    explanation: &'a str,
}

impl RecipesArgs {
    /// Prints the list, or one recipe.
    ///
    /// # Errors
    /// Fails if there is no such recipe.
    pub fn run(&self, ui: &mut Ui) -> Result<()> {
        match &self.name {
            None => list(ui),
            Some(name) if self.raw => raw(name, ui),
            Some(name) => explain(&Recipe::load(name, &[])?, ui),
        }
    }
}

fn list(ui: &mut Ui) -> Result<()> {
    let lines = shipped().iter().map(line).collect::<Result<Vec<_>>>()?;
    if ui.json() {
        return lines.iter().try_for_each(|line| ui.value(line));
    }
    let mut table = Table::new(&[
        ("recipe", Align::Left),
        ("network", Align::Left),
        ("data", Align::Left),
        ("epochs", Align::Right),
        ("batch", Align::Right),
        ("lr", Align::Right),
        ("schedule", Align::Left),
    ]);
    for line in lines {
        let length = match (line.epochs, line.steps) {
            (Some(epochs), _) => epochs.to_string(),
            (None, steps) => format!("{} steps", steps.unwrap_or(0)),
        };
        let (batch, lr) = (line.batch.to_string(), line.lr.to_string());
        table.row(vec![line.name.into(), line.model, line.data, length, batch, lr, line.schedule.into()]);
    }
    ui.line(&table.render())
}

fn line(recipe: &residual_train::recipe::Shipped) -> Result<RecipeLine> {
    let Recipe { model, data, train, optimizer, schedule, .. } = Recipe::load(recipe.name, &[])?;
    Ok(RecipeLine {
        name: recipe.name,
        model: model.name,
        data: data.source,
        epochs: train.epochs,
        steps: train.steps,
        batch: train.batch * train.accumulate,
        lr: optimizer.lr,
        schedule: schedule.kind.name(),
    })
}

fn raw(name: &str, ui: &mut Ui) -> Result<()> {
    let plain = name.strip_suffix(".toml").unwrap_or(name);
    match shipped().iter().find(|recipe| recipe.name == plain) {
        Some(recipe) => ui.line(recipe.text.trim_end()),
        // An unknown name is reported with the nearest one.
        None => Err(Recipe::load(name, &[]).err().unwrap_or_else(|| {
            Error::usage(format!("--raw needs a built-in recipe, got {name}"))
                .with_hint("`residual recipes` lists them")
        })),
    }
}

/// Prints every key with its value and explanation, in the form of a recipe file.
fn explain(recipe: &Recipe, ui: &mut Ui) -> Result<()> {
    let filled = Recipe { schedule: recipe.schedule.filled(), ..recipe.clone() };
    let values = filled.flattened()?;
    if ui.json() {
        let line = |(key, explanation): &keys::Key| KeyLine { key, value: value(&values, key), explanation };
        return KEYS.iter().map(line).try_for_each(|line| ui.value(&line));
    }
    let toml = toml_values(&filled)?;
    let mut section = "";
    for (name, explanation) in KEYS {
        let (own, key) = name.split_once('.').expect("every key has a section");
        if own != section {
            ui.line(&format!("{}[{own}]", if section.is_empty() { "" } else { "\n" }))?;
            section = own;
        }
        let setting = match toml.get(*name) {
            Some(value) => format!("{key} = {value}"),
            None => format!("# {key} ="),
        };
        ui.line(&format!("{setting:<31} # {explanation}"))?;
    }
    Ok(())
}

fn value<'a>(values: &'a BTreeMap<String, String>, key: &str) -> Option<&'a str> {
    values.get(key).map(String::as_str)
}

/// Returns the values of a recipe as TOML, by `section.key`.
fn toml_values(recipe: &Recipe) -> Result<BTreeMap<String, String>> {
    let text = recipe.to_toml()?;
    let mut values = BTreeMap::new();
    let mut section = "";
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name;
        } else if let Some((key, value)) = line.split_once(" = ") {
            values.insert(format!("{section}.{key}"), value.to_owned());
        }
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_every_recipe_is_explained_and_no_other() {
        for recipe in shipped() {
            let recipe = Recipe::load(recipe.name, &[]).expect("a built-in recipe");
            for key in recipe.flattened().expect("plain data").keys() {
                assert!(KEYS.iter().any(|(name, _)| name == key), "{key} has no explanation");
            }
        }
        let recipe = Recipe::default();
        for (key, _) in KEYS {
            let error = recipe.with(&[format!("{key}={{}}")]).expect_err("no key takes a table");
            assert!(!error.to_string().contains("unknown key"), "{error}");
        }
    }

    #[test]
    fn a_recipe_with_its_explanations_is_a_recipe() {
        let recipe = Recipe::load("cifar10-resnet18", &[]).expect("a built-in recipe");
        let values = toml_values(&recipe).expect("plain data");
        assert_eq!(values["optimizer.lr"], "0.2");
        assert_eq!(values["model.name"], "\"resnet-18\"");
        assert_eq!(values["data.mean"], "[0.4914, 0.4822, 0.4465]");
    }
}
