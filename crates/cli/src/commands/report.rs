//! `residual report`: one page about one run or several.

use crate::ui::Ui;
use residual::{Error, Result};
use residual_study::report::{self, Lang};
use residual_train::train::Record;
use serde::Serialize;
use std::path::PathBuf;

/// Write a page about runs: curves, errors, images, layers
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  residual report runs/resnet-20-shapes                     writes report.html into the run folder
  residual report runs/a runs/b --out both.html             two runs over each other
  residual report runs/resnet-20-shapes --lang ko           in Korean")]
pub struct Report {
    /// Run folders
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<PathBuf>,

    /// The page's language
    #[arg(long, value_name = "en|ko", default_value = "en", value_parser = lang)]
    lang: Lang,

    /// The page [default: report.html in the run folder, or in this one for several runs]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// The one line of `--json`.
#[derive(Debug, Serialize)]
struct Written {
    path: PathBuf,
}

/// `--lang`.
pub fn lang(text: &str) -> std::result::Result<Lang, String> {
    text.parse().map_err(|error: Error| format!("{error}; {}", error.hint().unwrap_or_default()))
}

impl Report {
    /// Writes the page and says where it is.
    pub fn run(&self, ui: &mut Ui) -> Result<()> {
        let records = self.runs.iter().map(|run| Record::read(run)).collect::<Result<Vec<_>>>()?;
        let out = match (&self.out, records.as_slice()) {
            (Some(out), _) => out.clone(),
            (None, [one]) => one.path.join("report.html"),
            (None, _) => PathBuf::from("report.html"),
        };
        if out.exists() && out.extension().is_none_or(|kind| kind != "html") {
            return Err(Error::usage(format!("{} is there and is no page", out.display()))
                .with_hint("name a file that ends in .html by --out"));
        }
        let path = report::write(records, None, self.lang, &out, &mut ui.bars())?;
        if ui.json() { ui.value(&Written { path }) } else { ui.line(&path.display().to_string()) }
    }
}
