//! `residual lab`: trains networks side by side and draws the papers' comparisons.

use super::absolute_if_exists;
use crate::interrupt;
use crate::ui::Ui;
use crate::ui::multi_run::MultiRunView;
use crate::ui::numbers::{duration, percent, short};
use crate::ui::table::{Align, Table};
use residual::models::options::Shortcut;
use residual::{Error, Result};
use residual_study::lab::{self, Candidate, Comparison, LabOptions, TrialRow, TrialRun};
use residual_study::report::lang::shorten_paths;
use residual_study::report::{self, Lang};
use residual_train::recipe::Recipe;
use std::path::{Path, PathBuf};

/// Compare networks by training them, and draw the results
#[derive(Debug, clap::Subcommand)]
pub enum LabCommand {
    /// Plain and residual networks by depth: errors, layer responses, gradients (ResNet Figures 6
    /// and 7)
    Depth(DepthArgs),
    /// VGG configurations with and without batch norm, and with LRN
    Vgg(VggArgs),
    /// Three 3x3 convolutions against one 7x7, with and without ReLUs
    Nonlinearity(NonlinearityArgs),
}

/// Arguments of `lab depth`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  residual lab depth --depths 20,56 --data cifar10 --steps 1500 --set data.train_size=10000 --set train.batch=32")]
pub struct DepthArgs {
    /// Depths, each 6n+2
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_value = "20,32,44,56")]
    depths: Vec<usize>,

    /// Shortcut options of the residual networks
    #[arg(long, value_name = "A,B,C", value_delimiter = ',', default_value = "A", value_parser = shortcut)]
    shortcuts: Vec<Shortcut>,

    #[command(flatten)]
    common: LabArgs,
}

/// Arguments of `lab vgg`.
#[derive(Debug, clap::Args)]
pub struct VggArgs {
    /// Configurations of VGG's Table 1; -bn for batch norm
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', default_value = "a,a-lrn,b,d,e,a-bn,b-bn,d-bn,e-bn")]
    nets: Vec<String>,

    #[command(flatten)]
    common: LabArgs,
}

/// Arguments of `lab nonlinearity`.
#[derive(Debug, clap::Args)]
pub struct NonlinearityArgs {
    #[command(flatten)]
    common: LabArgs,
}

/// Arguments of every lab.
#[derive(Debug, clap::Args)]
struct LabArgs {
    /// Images: shapes, cifar10, cifar100, mnist, fashion-mnist, or a folder
    #[arg(long, value_name = "D", default_value = "cifar10")]
    data: String,

    /// Change a value of the shared recipe
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    sets: Vec<String>,

    /// Steps of each network [default: 2000]
    #[arg(long, value_name = "N")]
    steps: Option<u64>,

    /// Number of seeds per network
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u64).range(1..=100))]
    seeds: u64,

    /// The first seed
    #[arg(long, value_name = "N", default_value = "0", value_parser = clap::value_parser!(u64).range(..=1 << 40))]
    seed: u64,

    /// Number of times that each network is probed during training
    #[arg(long, value_name = "N", default_value = "10", value_parser = clap::value_parser!(u64).range(1..=1000))]
    probes: u64,

    /// The lab's folder; finished networks are reused, interrupted ones resumed [default:
    /// runs/lab-NAME]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Language of the report
    #[arg(long, value_name = "en|ko", default_value = "en", value_parser = super::report::lang)]
    lang: Lang,
}

fn shortcut(text: &str) -> std::result::Result<Shortcut, String> {
    match text.to_ascii_uppercase().as_str() {
        "A" => Ok(Shortcut::A),
        "B" => Ok(Shortcut::B),
        "C" => Ok(Shortcut::C),
        _ => Err("must be A, B or C".into()),
    }
}

impl LabCommand {
    /// Trains the networks that are not finished, prints the table, writes the report.
    pub fn run(&self, ui: &mut Ui) -> Result<()> {
        let (kind, nets, common) = match self {
            Self::Depth(depth) => {
                (Comparison::Depth, Candidate::of_depths(&depth.depths, &depth.shortcuts)?, &depth.common)
            }
            Self::Vgg(vgg) => {
                let nets = vgg.nets.iter().map(|name| Candidate::vgg(name)).collect::<Result<Vec<_>>>()?;
                (Comparison::Vgg, nets, &vgg.common)
            }
            Self::Nonlinearity(lab) => (Comparison::Nonlinearity, Candidate::filter_stacks(), &lab.common),
        };
        // A network named twice would count as two seeds.
        let mut named: Vec<Candidate> = Vec::new();
        nets.into_iter().for_each(|net| {
            if !named.contains(&net) {
                named.push(net)
            }
        });
        let nets = named;
        if nets.is_empty() {
            return Err(Error::usage("no network to compare").with_hint("name at least one network"));
        }
        let options = common.options(kind)?;
        let json = ui.json();
        let (mut bars, mut view) = (ui.bars(), MultiRunView::new(ui.bars()));
        let trials = lab::run(&nets, &options, &mut bars, &mut interrupt::ctrl_c_sink(&mut view), |row| {
            if json { ui.value(row) } else { Ok(()) }
        })?;
        drop(view);
        let page = common.page(kind, &options, &trials)?;
        if json {
            return Ok(());
        }
        ui.line(&table(&trials))?;
        ui.line(&format!("report: {}", page.display()))
    }
}

impl LabArgs {
    fn options(&self, kind: Comparison) -> Result<LabOptions> {
        let out = self.out.clone().unwrap_or_else(|| Path::new("runs").join(format!("lab-{}", kind.name())));
        Ok(LabOptions {
            out,
            recipe: self.recipe(kind)?,
            seeds: (self.seed..self.seed + self.seeds).collect(),
            probes: self.probes,
            stop: interrupt::stop_flag(),
            report: Some(report::of_run),
        })
    }

    /// Returns the recipe of all networks: the data set's default, shortened, with the user's
    /// changes.
    fn recipe(&self, kind: Comparison) -> Result<Recipe> {
        let network = match kind {
            Comparison::Depth | Comparison::Nonlinearity => "resnet-20",
            Comparison::Vgg => "vgg-a",
        };
        let mut sets = vec![
            format!("data.source={}", serde_json::Value::from(absolute_if_exists(&self.data))),
            format!("train.steps={}", self.steps.unwrap_or(2000)),
            // Nothing is selected by validation error, so all images train.
            "data.validation=0".to_owned(),
            "optimizer.lr=0.05".to_owned(),
            "optimizer.weight_decay=1e-4".to_owned(),
        ];
        if kind == Comparison::Vgg {
            // VGG without batch norm diverges at higher rates.
            sets.push("optimizer.lr=0.01".to_owned());
        }
        sets.extend(self.sets.iter().cloned());
        Recipe::default_for(&self.data, network)?.with(&sets)
    }

    fn page(&self, kind: Comparison, options: &LabOptions, trials: &[TrialRun]) -> Result<PathBuf> {
        let mut recipe = options.recipe.clone();
        // Reports are shared, so the path is reduced to its last component.
        let source = Path::new(&recipe.data.source).file_name().map(|name| name.to_string_lossy().into_owned());
        recipe.data.source = source.unwrap_or(recipe.data.source);
        let about = report::lab::About {
            kind,
            command: command(),
            recipe: shared(&recipe.to_toml()?, kind),
            data: trials.first().map_or_else(|| recipe.data.source.clone(), |one| one.row.data.clone()),
        };
        let page = report::lab::page(&about, trials, self.lang).render();
        report::save(&page, &options.out.join("report.html"))
    }
}

/// Returns the part of a recipe that all networks share: without the network's name, and for filter
/// stacks without `[model]`.
fn shared(recipe: &str, kind: Comparison) -> String {
    let mut section = "";
    let lines = recipe.lines().filter(|line| {
        if line.starts_with('[') {
            section = line;
        }
        section != "[model]" || (kind != Comparison::Nonlinearity && !line.starts_with("name = "))
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Returns the command line without the path of the binary and without folders.
fn command() -> String {
    let words = std::env::args().skip(1).map(|word| shorten_paths(&word));
    std::iter::once("residual".to_owned()).chain(words).collect::<Vec<_>>().join(" ")
}

fn table(trials: &[TrialRun]) -> String {
    let mut table = Table::new(&[
        ("network", Align::Left),
        ("seed", Align::Right),
        ("layers", Align::Right),
        ("parameters", Align::Right),
        ("training error", Align::Right),
        ("test error", Align::Right),
        ("time", Align::Right),
    ]);
    for TrialRun { row, .. } in trials {
        let TrialRow { network, seed, depth, params, train_error, test_error, seconds, .. } = row;
        table.row(vec![
            network.clone(),
            seed.to_string(),
            depth.to_string(),
            short(*params),
            percent(Some(*train_error)),
            percent(*test_error),
            duration(*seconds),
        ]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shared_recipe_of_a_lab_names_no_network() {
        let recipe = "[model]\nname = \"resnet-20\"\nstem = \"auto\"\n\n[data]\nname = 1\n";
        assert_eq!(shared(recipe, Comparison::Depth), "[model]\nstem = \"auto\"\n\n[data]\nname = 1");
        assert_eq!(shared(recipe, Comparison::Nonlinearity), "[data]\nname = 1");
    }
}
