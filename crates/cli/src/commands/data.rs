//! `residual data`: fetches and checks data sets.

use crate::ui::Ui;
use crate::ui::numbers::thousands;
use crate::ui::table::{Align, Table};
use residual::{Error, Result};
use residual_train::data::{self, DataReport, FetchOptions};
use std::path::PathBuf;

/// Fetch or check a data set
#[derive(Debug, clap::Subcommand)]
pub enum DataCommand {
    /// Fetch a published data set, or write the built-in images, and check it
    Fetch(FetchArgs),
    /// Read a whole data set and describe it
    Check(CheckArgs),
}

/// Fetch a published data set, or write the built-in images, and check it
#[derive(Debug, clap::Args)]
#[command(after_help = "Fetched data sets go to RESIDUAL_CACHE, or to the platform's cache folder.")]
pub struct FetchArgs {
    /// cifar10, cifar100, mnist, fashion-mnist, or shapes (written in CIFAR's binary layout)
    #[arg(value_name = "NAME")]
    name: String,

    /// Use this archive, or folder of archives, instead of downloading
    #[arg(long, value_name = "FILE")]
    from_file: Option<PathBuf>,

    /// The folder to write to [default: the cache]
    #[arg(long, visible_alias = "out", value_name = "DIR")]
    to: Option<PathBuf>,
}

/// Read a whole data set and describe it
#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    /// A folder or an archive of images
    #[arg(value_name = "DIR")]
    path: PathBuf,
}

impl DataCommand {
    /// Fetches or checks the data set and prints a summary.
    pub fn run(&self, ui: &mut Ui) -> Result<()> {
        let mut bars = ui.bars();
        let report = match self {
            Self::Fetch(fetch) => fetch.run(&mut bars)?,
            Self::Check(check) => data::check(&check.path, &mut bars)?,
        };
        for warning in &report.warnings {
            ui.warning(warning, None);
        }
        if ui.json() { ui.value(&report) } else { ui.line(&describe(&report)) }
    }
}

impl FetchArgs {
    fn run(&self, progress: &mut dyn data::Progress) -> Result<DataReport> {
        if self.name == "shapes" && self.to.is_none() {
            return Err(Error::usage("shapes is built in and needs no download")
                .with_hint("use it with --data shapes; --to DIR writes it to a folder"));
        }
        if self.name == "shapes" && self.from_file.is_some() {
            return Err(Error::usage("--from-file does not apply to shapes, which are generated"));
        }
        let options = FetchOptions { from_file: self.from_file.clone(), to: self.to.clone() };
        data::fetch(&self.name, &options, progress)
    }
}

fn describe(report: &DataReport) -> String {
    let canonical = match report.canonical {
        Some(true) => "yes, the published pixels",
        Some(false) => "no: results on them are not comparable with published ones",
        None => "unknown: no published fingerprint",
    };
    let [train, validation, test] = report.splits.map(|images| thousands(images as u64));
    let mut table = Table::new(&[("", Align::Left), (report.label.as_str(), Align::Left)]);
    for (key, value) in [
        ("path", report.path.display().to_string()),
        ("images", thousands(report.images as u64)),
        ("splits", format!("{train} train, {validation} validation, {test} test")),
        ("classes", format!("{}: {}", report.classes.len(), some(&report.classes))),
        ("md5", report.md5.clone()),
        ("canonical", canonical.to_string()),
    ] {
        table.row(vec![key.into(), value]);
    }
    table.render()
}

/// Joins the first twelve names.
fn some(names: &[String]) -> String {
    match names.len() {
        0..=12 => names.join(", "),
        more => format!("{}, and {} more", names[..12].join(", "), more - 12),
    }
}
