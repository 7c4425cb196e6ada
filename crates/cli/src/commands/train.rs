//! `residual train`: trains a network from a name or a recipe, and tests it.

use super::absolute_if_exists;
use crate::interrupt;
use crate::ui::Ui;
#[cfg(unix)]
use crate::ui::dashboard::{self, Dashboard};
use crate::ui::training::TrainingView;
use residual::error::nearest;
use residual::models;
use residual::{Error, Result};
use residual_train::data::Progress;
use residual_train::recipe::{Recipe, shipped};
use residual_train::train::tensorboard::TensorBoard;
use residual_train::train::{self, Event, RunOptions, Sink};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
#[cfg(unix)]
use std::sync::Arc;

/// Train a network and test it once
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  residual train                                   a ResNet-20 on built-in images, offline
  residual train resnet-56 --data cifar10          a network on a data set, with its default recipe
  residual train cifar10-resnet20-quick            a built-in recipe
  residual train my.toml --set optimizer.lr=0.05   your own recipe, one value changed
  residual train --resume --out runs/mine          resume a run")]
pub struct TrainArgs {
    /// A network (`residual models` lists them), a recipe file, or a built-in recipe [default:
    /// shapes-resnet20]
    #[arg(value_name = "NAME|RECIPE.toml")]
    what: Option<String>,

    /// Images: shapes, cifar10, cifar100, mnist, fashion-mnist, or a folder [default: the recipe's,
    /// or shapes]
    #[arg(long, value_name = "D")]
    data: Option<String>,

    /// Change a value of the recipe
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    sets: Vec<String>,

    /// Random seed of weights, order, augmentation and dropout [default: the recipe's, or 0]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// The run folder [default: runs/NETWORK-DATA, numbered]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Resume from the checkpoint in the run folder, if there is one
    #[arg(long)]
    resume: bool,

    /// Initialise from these weights (fine-tuning)
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,

    /// Show a live dashboard in the terminal
    #[arg(long)]
    tui: bool,

    /// Write a TensorBoard event file to the run folder
    #[arg(long)]
    tensorboard: bool,

    /// Skip images that cannot be decoded
    #[arg(long)]
    skip_bad: bool,

    /// Print the time of each operation at the end
    #[arg(long)]
    profile: bool,
}

impl TrainArgs {
    /// Trains and tests the network; all results go to the run folder.
    pub fn run(&self, ui: &mut Ui) -> Result<()> {
        if let Some(out) = &self.out {
            return self.run_in(out.clone(), ui);
        }
        let (recipe, runs) = (self.naming_recipe()?, Path::new("runs"));
        if self.resume {
            return self.run_in(last_folder(runs, &recipe), ui);
        }
        let out = new_folder(runs, &recipe)?;
        let outcome = self.run_in(out.clone(), ui);
        if outcome.is_err() {
            // Removes the folder after an early error. A folder that has files is not removed.
            let _ = fs::remove_dir(out).and_then(|()| fs::remove_dir(runs));
        }
        outcome
    }

    fn run_in(&self, out: PathBuf, ui: &mut Ui) -> Result<()> {
        // Overrides apply to the saved recipe: another may not accept their keys.
        let recipe = match self.saved(&out) {
            Some(saved) => saved?.with(&self.overrides()?)?,
            None => self.recipe()?,
        };
        if self.resume && !out.join("recipe.toml").is_file() {
            ui.warning(&format!("no run in {} yet, starting a new one", out.display()), None);
        }
        let options = RunOptions {
            out,
            resume: self.resume,
            skip_bad: self.skip_bad,
            row: None,
            stop: interrupt::stop_flag(),
            report: Some(residual_study::report::of_run),
        };
        let bars = ui.bars();
        let plain = ui.json();
        let batch = recipe.train.batch * recipe.train.accumulate;
        let view = TrainingView::new(ui, batch, self.profile);
        #[cfg(unix)]
        if self.tui && !plain && dashboard::is_possible() {
            let mut dashboard = Dashboard::new(view, batch, Arc::clone(&options.stop));
            let mut progress = dashboard.progress(bars);
            let outcome = self.train(&recipe, &options, &mut progress, &mut dashboard);
            return outcome.and(dashboard.finish());
        }
        let (mut bars, mut view) = (bars, view);
        let outcome = self.train(&recipe, &options, &mut bars, &mut view);
        outcome.and(view.finish())
    }

    /// Trains, passing events to `view` and to TensorBoard.
    fn train(
        &self,
        recipe: &Recipe,
        options: &RunOptions,
        progress: &mut dyn Progress,
        view: &mut dyn Sink,
    ) -> Result<()> {
        let mut board = self.tensorboard.then(TensorBoard::default);
        let mut sink = |event: &Event| {
            view.event(event);
            if let Some(board) = &mut board {
                board.event(event);
            }
        };
        train::run(recipe, options, progress, &mut interrupt::ctrl_c_sink(&mut sink))?;
        board.map_or(Ok(()), TensorBoard::finish)
    }

    /// Returns the recipe with all command-line overrides.
    fn recipe(&self) -> Result<Recipe> {
        self.base()?.with(&self.overrides()?)
    }

    /// Returns the recipe with only the overrides that name the run folder.
    fn naming_recipe(&self) -> Result<Recipe> {
        let naming = |set: &String| set.starts_with("data.source=") || set.starts_with("model.name=");
        self.base()?.with(&self.overrides()?.into_iter().filter(naming).collect::<Vec<_>>())
    }

    fn base(&self) -> Result<Recipe> {
        let Some(what) = &self.what else { return self.default_recipe() };
        let is_recipe =
            what.ends_with(".toml") || Path::new(what).is_file() || shipped().iter().any(|recipe| recipe.name == what);
        if is_recipe {
            return Recipe::load(what, &[]);
        }
        let path = Path::new(what);
        if path.is_dir() {
            return Err(Error::usage(format!("{what} is a folder, not a network or recipe")).with_hint(format!(
                "to train on images, use --data {what}; to resume a run, use --resume --out {what}"
            )));
        }
        let entry = models::find(what).map_err(|error| match nearest_recipe(what) {
            Some(near) => Error::usage(format!("no network or recipe named {what}"))
                .with_hint(format!("did you mean the recipe {near}?")),
            None => error,
        })?;
        Recipe::default_for(self.source().unwrap_or("shapes"), &entry.name)
    }

    /// Returns the data set given by `--set data.source=…` or `--data`.
    fn source(&self) -> Option<&str> {
        let set = self.sets.iter().rev().find_map(|set| set.strip_prefix("data.source="));
        set.map(|source| source.trim_matches(['"', '\''])).or(self.data.as_deref())
    }

    /// Returns the recipe saved in `out` if that run is resumed and no other recipe is named.
    fn saved(&self, out: &Path) -> Option<Result<Recipe>> {
        let saved = out.join("recipe.toml");
        let is_meant = self.resume && self.what.is_none() && saved.is_file();
        is_meant.then(|| {
            let text = fs::read_to_string(&saved).map_err(|error| Error::io("read", &saved, error))?;
            Recipe::parse_stored(&text, &saved.to_string_lossy())
        })
    }

    /// Returns the default recipe of the data set, if neither network nor recipe is named.
    fn default_recipe(&self) -> Result<Recipe> {
        match self.source() {
            Some(data) => Recipe::default_for(data, "resnet-20"),
            None => Recipe::load("shapes-resnet20", &[]),
        }
    }

    /// Returns the flags as overrides, followed by those of `--set`, which win.
    fn overrides(&self) -> Result<Vec<String>> {
        let mut overrides = Vec::new();
        if let Some(data) = &self.data {
            overrides.push(format!("data.source={}", quoted(&absolute_if_exists(data))));
        }
        if let Some(seed) = self.seed {
            if i64::try_from(seed).is_err() {
                return Err(Error::usage(format!("--seed {seed}: must be at most {}", i64::MAX)));
            }
            overrides.push(format!("train.seed={seed}"));
        }
        if let Some(from) = &self.from {
            overrides.push(format!("model.from={}", quoted(&absolute_if_exists(&from.to_string_lossy()))));
        }
        overrides.extend(self.sets.iter().cloned());
        Ok(overrides)
    }
}

/// Returns the built-in recipe whose name is nearest to `what`, if no network is nearer.
fn nearest_recipe(what: &str) -> Option<&'static str> {
    let networks = models::registry();
    let names = networks.iter().map(|entry| entry.name.as_str());
    let near = nearest(what, names.chain(shipped().iter().map(|recipe| recipe.name)))?;
    shipped().iter().map(|recipe| recipe.name).find(|name| *name == near)
}

/// Quotes `text` as a TOML string.
fn quoted(text: &str) -> String {
    // JSON escapes are valid in TOML.
    serde_json::Value::from(text).to_string()
}

/// Returns the base name of a recipe's run folders, such as `resnet-20-shapes`.
fn folder_name(recipe: &Recipe) -> String {
    let source = Path::new(&recipe.data.source).file_name().map_or("data".into(), |name| name.to_string_lossy());
    format!("{}-{source}", recipe.model.name)
}

/// Returns the folder of run `number`: `resnet-20-shapes`, `resnet-20-shapes-2`, …
fn folder(runs: &Path, recipe: &Recipe, number: u32) -> PathBuf {
    let name = folder_name(recipe);
    runs.join(if number == 1 { name } else { format!("{name}-{number}") })
}

/// Returns the numbers of the recipe's existing runs, in no order; some may be missing.
fn numbers(runs: &Path, recipe: &Recipe) -> Vec<u32> {
    let name = folder_name(recipe);
    // The first run on photos-2024 is not the 2024th on photos.
    let is_another = |path: PathBuf| {
        let text = fs::read_to_string(path.join("recipe.toml")).ok();
        let own = text.and_then(|text| Recipe::parse_stored(&text, "recipe").ok());
        own.is_some_and(|own| folder_name(&own) != name)
    };
    let number = |entry: fs::DirEntry| {
        let found = entry.file_name().into_string().ok()?;
        let number = match found.strip_prefix(&name)? {
            "" => 1,
            rest => rest.strip_prefix('-')?.parse().ok().filter(|number| *number > 1)?,
        };
        (number == 1 || !is_another(entry.path())).then_some(number)
    };
    runs.read_dir().into_iter().flatten().flatten().filter_map(number).collect()
}

/// Creates the folder after the last one. Creating it at once keeps it from another process, which
/// would otherwise choose the same while this one reads its data.
fn new_folder(runs: &Path, recipe: &Recipe) -> Result<PathBuf> {
    let failed = |path: &Path, error| Error::io("make", path, error).with_hint("choose another folder with --out");
    fs::create_dir_all(runs).map_err(|error| failed(runs, error))?;
    let last = numbers(runs, recipe).into_iter().max().unwrap_or(0);
    for path in (last.saturating_add(1)..).map(|number| folder(runs, recipe, number)) {
        match fs::create_dir(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(&path, error)),
        }
    }
    Err(Error::usage("no number is left for a new run folder").with_hint("choose another folder with --out"))
}

/// Returns the last folder that has a run, or the first. Empty folders belong to processes that
/// read, or were stopped while reading, their data.
fn last_folder(runs: &Path, recipe: &Recipe) -> PathBuf {
    let holds_something =
        |number: &u32| folder(runs, recipe, *number).read_dir().is_ok_and(|mut entries| entries.next().is_some());
    let last = numbers(runs, recipe).into_iter().filter(holds_something).max();
    folder(runs, recipe, last.unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn train() -> TrainArgs {
        TrainArgs {
            what: None,
            data: None,
            sets: Vec::new(),
            seed: None,
            out: None,
            resume: false,
            from: None,
            profile: false,
            tui: false,
            tensorboard: false,
            skip_bad: false,
        }
    }

    #[test]
    fn without_arguments_the_built_in_images_are_trained_on() {
        let recipe = train().recipe().expect("a recipe");
        assert_eq!((recipe.model.name.as_str(), recipe.data.source.as_str()), ("resnet-20", "shapes"));
    }

    #[test]
    fn a_network_takes_the_default_recipe_of_the_data_and_any_of_its_names() {
        let asked = TrainArgs { what: Some("VGG16_bn".into()), data: Some("cifar10".into()), ..train() };
        let recipe = asked.recipe().expect("a recipe");
        assert_eq!((recipe.model.name.as_str(), recipe.data.source.as_str()), ("vgg-d-bn", "cifar10"));
    }

    #[test]
    fn set_has_the_last_word() {
        let sets = vec!["train.seed=3".into(), "train.steps=7".into()];
        let asked = TrainArgs { what: Some("cifar10-resnet18".into()), seed: Some(1), sets, ..train() };
        let recipe = asked.recipe().expect("a recipe");
        assert_eq!((recipe.train.seed, recipe.train.steps, recipe.train.epochs), (3, Some(7), None));
    }

    #[test]
    fn each_process_creates_its_own_folder_and_the_last_run_is_resumed() {
        let place = tempfile::tempdir().expect("a folder");
        let (runs, recipe) = (place.path().join("runs"), train().recipe().expect("a recipe"));
        assert_eq!(last_folder(&runs, &recipe), runs.join("resnet-20-shapes"));
        let made: Vec<PathBuf> = (0..3).map(|_| new_folder(&runs, &recipe).expect("writable")).collect();
        let names = ["resnet-20-shapes", "resnet-20-shapes-2", "resnet-20-shapes-3"];
        assert_eq!(made, names.map(|name| runs.join(name)));
        // The third process still reads its data.
        for run in &made[..2] {
            fs::write(run.join("recipe.toml"), "").expect("writable");
        }
        assert_eq!(last_folder(&runs, &recipe), made[1]);
        // The first was removed: the next number still follows the last.
        fs::remove_dir_all(&made[0]).expect("there");
        assert_eq!(last_folder(&runs, &recipe), made[1]);
        assert_eq!(new_folder(&runs, &recipe).expect("writable"), runs.join("resnet-20-shapes-4"));
    }

    #[test]
    fn a_data_folder_with_quotes_in_its_name_survives() {
        let asked = TrainArgs { data: Some("a \"b\" \\ ü = c".into()), ..train() };
        assert_eq!(asked.recipe().expect("a recipe").data.source, "a \"b\" \\ ü = c");
    }

    #[test]
    fn an_unknown_name_is_wrong_usage() {
        let asked = TrainArgs { what: Some("resnet-21".into()), ..train() };
        assert_eq!(asked.recipe().expect_err("there is none").kind(), residual::Kind::Usage);
    }
}
