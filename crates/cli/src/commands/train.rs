//! `residual train`: from a name or a recipe to tested weights in a run folder.

use super::lasting;
use crate::interrupt;
use crate::ui::Ui;
#[cfg(unix)]
use crate::ui::dashboard::{self, Dashboard};
use crate::ui::training::TrainingView;
use residual::error::nearest;
use residual::{Error, Result};
use residual_train::data::Progress;
use residual_train::models;
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
  residual train resnet-56 --data cifar10          a network on a data set, by that set's default recipe
  residual train cifar10-resnet20-quick            a built-in recipe
  residual train my.toml --set optimizer.lr=0.05   a recipe of your own, with one value changed
  residual train --resume --out runs/mine          go on with a run")]
pub struct Train {
    /// A network (`residual models` lists them), a recipe file, or a built-in recipe [default: shapes-resnet20]
    #[arg(value_name = "NAME|RECIPE.toml")]
    what: Option<String>,

    /// Images: shapes, cifar10, cifar100, mnist, fashion-mnist, or a folder [default: the recipe's, or shapes]
    #[arg(long, value_name = "D")]
    data: Option<String>,

    /// Change a value of the recipe
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    sets: Vec<String>,

    /// Seed of initial weights, order, augmentation and dropout [default: the recipe's, or 0]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// The run folder [default: runs/NETWORK-DATA, numbered]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Go on from the run folder's checkpoint; without one, begin
    #[arg(long)]
    resume: bool,

    /// Start from these weights
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,

    /// Tell at the end what each operation took
    #[arg(long)]
    profile: bool,

    /// Show the run on the whole terminal, where there is one
    #[arg(long)]
    tui: bool,

    /// Write the curves for TensorBoard, too: into the run folder, as an event file
    #[arg(long)]
    tensorboard: bool,

    /// Leave out images that do not decode, rather than stop
    #[arg(long)]
    skip_bad: bool,
}

impl Train {
    /// Trains, tests, and leaves everything in the run folder.
    pub fn run(&self, ui: &mut Ui) -> Result<()> {
        if let Some(out) = &self.out {
            return self.run_in(out.clone(), ui);
        }
        let (recipe, runs) = (self.named()?, Path::new("runs"));
        if self.resume {
            return self.run_in(last_folder(runs, &recipe), ui);
        }
        let out = new_folder(runs, &recipe)?;
        let outcome = self.run_in(out.clone(), ui);
        if outcome.is_err() {
            // A slip in the recipe or the data leaves nothing behind. Folders with something in them cannot be removed.
            let _ = fs::remove_dir(out).and_then(|()| fs::remove_dir(runs));
        }
        outcome
    }

    fn run_in(&self, out: PathBuf, ui: &mut Ui) -> Result<()> {
        // Overrides apply to the run's own recipe: another may not take them.
        let recipe = match self.saved(&out) {
            Some(saved) => saved?.with(&self.overrides()?)?,
            None => self.recipe()?,
        };
        if self.resume && !out.join("recipe.toml").is_file() {
            ui.warning(&format!("there is no run in {} yet: this begins one", out.display()), None);
        }
        let options = RunOptions {
            out,
            resume: self.resume,
            skip_bad: self.skip_bad,
            stop: interrupt::save_first(),
            report: Some(residual_study::report::of_run),
        };
        let bars = ui.bars();
        let plain = ui.json();
        let batch = recipe.train.batch * recipe.train.accumulate;
        let view = TrainingView::new(ui, batch, self.profile);
        #[cfg(unix)]
        if self.tui && !plain && dashboard::is_possible() {
            let mut dashboard = Dashboard::new(view, batch, Arc::clone(&options.stop));
            let mut activity = dashboard.activity(bars);
            let outcome = self.train(&recipe, &options, &mut activity, &mut dashboard);
            return outcome.and(dashboard.finish());
        }
        let (mut bars, mut view) = (bars, view);
        let outcome = self.train(&recipe, &options, &mut bars, &mut view);
        outcome.and(view.finish())
    }

    /// Trains, and tells `view` and, if asked to, TensorBoard.
    fn train(
        &self,
        recipe: &Recipe,
        options: &RunOptions,
        progress: &mut dyn Progress,
        view: &mut dyn Sink,
    ) -> Result<()> {
        let mut board = self.tensorboard.then(TensorBoard::default);
        let mut tell = |event: &Event| {
            view.event(event);
            if let Some(board) = &mut board {
                board.event(event);
            }
        };
        train::run(recipe, options, progress, &mut interrupt::heeding(&mut tell))?;
        board.map_or(Ok(()), TensorBoard::finish)
    }

    /// The recipe that is meant, with everything from the command line in it.
    fn recipe(&self) -> Result<Recipe> {
        self.base()?.with(&self.overrides()?)
    }

    /// As [`recipe`](Self::recipe), with no more of the command line in it than names the run's folder.
    fn named(&self) -> Result<Recipe> {
        let naming = |set: &String| set.starts_with("data.source=") || set.starts_with("model.name=");
        self.base()?.with(&self.overrides()?.into_iter().filter(naming).collect::<Vec<_>>())
    }

    fn base(&self) -> Result<Recipe> {
        let Some(what) = &self.what else { return self.unnamed() };
        let is_recipe =
            what.ends_with(".toml") || Path::new(what).is_file() || shipped().iter().any(|recipe| recipe.name == what);
        if is_recipe {
            return Recipe::load(what, &[]);
        }
        let path = Path::new(what);
        if path.is_dir() {
            return Err(Error::usage(format!("{what} is a folder, not a network or a recipe")).with_hint(format!(
                "images are named by --data {what}, a run to go on with by --resume --out {what}"
            )));
        }
        let entry = models::find(what).map_err(|error| match nearest_recipe(what) {
            Some(near) => Error::usage(format!("there is no network and no recipe called {what}"))
                .with_hint(format!("did you mean the recipe {near}?")),
            None => error,
        })?;
        Recipe::default_for(self.source().unwrap_or("shapes"), &entry.name)
    }

    /// The images that are named, by `--data` or as a change.
    fn source(&self) -> Option<&str> {
        let set = self.sets.iter().rev().find_map(|set| set.strip_prefix("data.source="));
        set.map(|source| source.trim_matches(['"', '\''])).or(self.data.as_deref())
    }

    /// The recipe of the run in `out`, if that is to be gone on with and nothing else is named.
    fn saved(&self, out: &Path) -> Option<Result<Recipe>> {
        let saved = out.join("recipe.toml");
        let is_meant = self.resume && self.what.is_none() && saved.is_file();
        is_meant.then(|| Recipe::load(&saved.to_string_lossy(), &[]))
    }

    /// Nothing is named: it is the built-in recipe of the data.
    fn unnamed(&self) -> Result<Recipe> {
        match self.source() {
            Some(data) => Recipe::default_for(data, "resnet-20"),
            None => Recipe::load("shapes-resnet20", &[]),
        }
    }

    /// The flags as overrides, before the user's own: `--set` has the last word.
    fn overrides(&self) -> Result<Vec<String>> {
        let mut overrides = Vec::new();
        if let Some(data) = &self.data {
            overrides.push(format!("data.source={}", quoted(&lasting(data))));
        }
        if let Some(seed) = self.seed {
            if i64::try_from(seed).is_err() {
                return Err(Error::usage(format!("--seed {seed}: must be at most {}", i64::MAX)));
            }
            overrides.push(format!("train.seed={seed}"));
        }
        if let Some(from) = &self.from {
            overrides.push(format!("model.from={}", quoted(&lasting(&from.to_string_lossy()))));
        }
        overrides.extend(self.sets.iter().cloned());
        Ok(overrides)
    }
}

/// The shipped recipe that was meant by `what`, where no network is as near.
fn nearest_recipe(what: &str) -> Option<&'static str> {
    let networks = models::registry();
    let names = networks.iter().map(|entry| entry.name.as_str());
    let near = nearest(what, names.chain(shipped().iter().map(|recipe| recipe.name)))?;
    shipped().iter().map(|recipe| recipe.name).find(|name| *name == near)
}

/// `text` as a TOML string.
fn quoted(text: &str) -> String {
    // JSON's escapes are TOML's, too.
    serde_json::Value::from(text).to_string()
}

/// `resnet-20-shapes` of the folders that a recipe's runs go to; the second is `resnet-20-shapes-2`.
fn folder_name(recipe: &Recipe) -> String {
    let source = Path::new(&recipe.data.source).file_name().map_or("data".into(), |name| name.to_string_lossy());
    format!("{}-{source}", recipe.model.name)
}

/// The folder of the recipe's run `number`.
fn folder(runs: &Path, recipe: &Recipe, number: u32) -> PathBuf {
    let name = folder_name(recipe);
    runs.join(if number == 1 { name } else { format!("{name}-{number}") })
}

/// The numbers of the recipe's runs that are there, in no order: some may have been taken away.
fn numbers(runs: &Path, recipe: &Recipe) -> Vec<u32> {
    let name = folder_name(recipe);
    // The first run on photos-2024 is not the 2024th on photos.
    let is_another = |path: PathBuf| {
        let text = fs::read_to_string(path.join("recipe.toml")).ok();
        let own = text.and_then(|text| Recipe::parse(&text, "recipe", &[]).ok());
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

/// The folder behind the last one. It is made at once: reading the data takes long enough for another process to look for
/// one.
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
    Err(Error::usage("all numbers of run folders are taken").with_hint("choose another folder with --out"))
}

/// The last folder that a run is in, or the first of all. What is empty belongs to a process that still reads its data,
/// or was stopped while it did.
fn last_folder(runs: &Path, recipe: &Recipe) -> PathBuf {
    let holds_something =
        |number: &u32| folder(runs, recipe, *number).read_dir().is_ok_and(|mut entries| entries.next().is_some());
    let last = numbers(runs, recipe).into_iter().filter(holds_something).max();
    folder(runs, recipe, last.unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn train() -> Train {
        Train {
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
    fn without_arguments_the_built_in_images_are_learnt() {
        let recipe = train().recipe().expect("a recipe");
        assert_eq!((recipe.model.name.as_str(), recipe.data.source.as_str()), ("resnet-20", "shapes"));
    }

    #[test]
    fn a_network_takes_the_default_recipe_of_the_data_and_any_of_its_names() {
        let asked = Train { what: Some("VGG16_bn".into()), data: Some("cifar10".into()), ..train() };
        let recipe = asked.recipe().expect("a recipe");
        assert_eq!((recipe.model.name.as_str(), recipe.data.source.as_str()), ("vgg-d-bn", "cifar10"));
    }

    #[test]
    fn set_has_the_last_word() {
        let sets = vec!["train.seed=3".into(), "train.steps=7".into()];
        let asked = Train { what: Some("cifar10-resnet18".into()), seed: Some(1), sets, ..train() };
        let recipe = asked.recipe().expect("a recipe");
        assert_eq!((recipe.train.seed, recipe.train.steps, recipe.train.epochs), (3, Some(7), None));
    }

    #[test]
    fn each_process_makes_a_folder_of_its_own_and_the_last_run_is_gone_on_with() {
        let place = tempfile::tempdir().expect("a folder");
        let (runs, recipe) = (place.path().join("runs"), train().recipe().expect("a recipe"));
        assert_eq!(last_folder(&runs, &recipe), runs.join("resnet-20-shapes"));
        let made: Vec<PathBuf> = (0..3).map(|_| new_folder(&runs, &recipe).expect("writable")).collect();
        let names = ["resnet-20-shapes", "resnet-20-shapes-2", "resnet-20-shapes-3"];
        assert_eq!(made, names.map(|name| runs.join(name)));
        // The third one reads its data, or was stopped while it did.
        for run in &made[..2] {
            fs::write(run.join("recipe.toml"), "").expect("writable");
        }
        assert_eq!(last_folder(&runs, &recipe), made[1]);
        // The first was taken away: what comes next is behind the last all the same.
        fs::remove_dir_all(&made[0]).expect("there");
        assert_eq!(last_folder(&runs, &recipe), made[1]);
        assert_eq!(new_folder(&runs, &recipe).expect("writable"), runs.join("resnet-20-shapes-4"));
    }

    #[test]
    fn a_data_folder_with_quotes_in_its_name_survives() {
        let asked = Train { data: Some("a \"b\" \\ ü = c".into()), ..train() };
        assert_eq!(asked.recipe().expect("a recipe").data.source, "a \"b\" \\ ü = c");
    }

    #[test]
    fn an_unknown_name_is_wrong_usage() {
        let asked = Train { what: Some("resnet-21".into()), ..train() };
        assert_eq!(asked.recipe().expect_err("there is none").kind(), residual::Kind::Usage);
    }
}
