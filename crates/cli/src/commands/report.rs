//! `residual report`: writes an HTML report about one or several runs.

use crate::ui::Ui;
use residual::{Error, Result};
use residual_study::report::{self, Lang};
use residual_train::train::Record;
use serde::Serialize;
use std::path::PathBuf;

/// Write an HTML report about runs: curves, errors, images, layers
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  residual report runs/resnet-20-shapes                     writes report.html into the run folder
  residual report runs/a runs/b --out both.html             two runs compared
  residual report runs/resnet-20-shapes --lang ko           in Korean")]
pub struct ReportArgs {
    /// Run folders
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<PathBuf>,

    /// Language of the report
    #[arg(long, value_name = "en|ko", default_value = "en", value_parser = lang)]
    lang: Lang,

    /// The file to write [default: report.html, in the run folder if there is one run]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Object of `--json`.
#[derive(Debug, Serialize)]
struct ReportPath {
    path: PathBuf,
}

/// Parses `--lang`.
pub fn lang(text: &str) -> std::result::Result<Lang, String> {
    text.parse().map_err(|error: Error| format!("{error}; {}", error.hint().unwrap_or_default()))
}

impl ReportArgs {
    /// Writes the report and prints its path.
    pub fn run(&self, ui: &mut Ui) -> Result<()> {
        let records = self.runs.iter().map(|run| Record::read(run)).collect::<Result<Vec<_>>>()?;
        let out = match (&self.out, records.as_slice()) {
            (Some(out), _) => out.clone(),
            (None, [one]) => one.path.join("report.html"),
            (None, _) => PathBuf::from("report.html"),
        };
        if out.exists() && out.extension().is_none_or(|kind| kind != "html") {
            return Err(Error::usage(format!("{} exists and is not an .html file", out.display()))
                .with_hint("choose a file that ends in .html for --out"));
        }
        let path = report::write(records, None, self.lang, &out, &mut ui.bars())?;
        if ui.json() { ui.value(&ReportPath { path }) } else { ui.line(&path.display().to_string()) }
    }
}
