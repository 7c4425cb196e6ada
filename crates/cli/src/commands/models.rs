//! `residual models`: lists the networks of the registry.

use crate::ui::Ui;
use crate::ui::numbers::{short, thousands};
use crate::ui::table::{Align, Table};
use residual::Result;
use residual::graph::Summary;
use residual::models::{self, Entry, ModelOptions};
use serde::Serialize;

/// List the networks
#[derive(Debug, clap::Args)]
#[command(after_help = "Other depths of the CIFAR networks, 6n+2, are resnet-cifar-N and plain-cifar-N. \
                        Hyphens may be left out.")]
pub struct ModelsArgs {}

/// Line of `--json`.
#[derive(Debug, Serialize)]
struct ModelLine<'a> {
    name: &'a str,
    family: &'a str,
    aliases: &'a [String],
    params: u64,
    macs: u64,
    /// Height and width in pixels.
    input: usize,
    classes: usize,
}

impl ModelsArgs {
    /// Prints a line for each network.
    pub fn run(&self, ui: &mut Ui) -> Result<()> {
        let mut table = Table::new(&[
            ("name", Align::Left),
            ("params", Align::Right),
            ("multiply-adds", Align::Right),
            ("input", Align::Right),
            ("classes", Align::Right),
            ("aliases", Align::Left),
        ]);
        for entry in models::registry() {
            let summary = summary(&entry)?;
            if ui.json() {
                ui.value(&line(&entry, &summary))?;
                continue;
            }
            table.row(vec![
                entry.name.clone(),
                thousands(summary.params),
                short(summary.macs),
                entry.input.to_string(),
                entry.classes.to_string(),
                entry.aliases.join(", "),
            ]);
        }
        if ui.json() { Ok(()) } else { ui.line(&table.render()) }
    }
}

fn summary(entry: &Entry) -> Result<Summary> {
    models::summary(&ModelOptions { name: entry.name.clone(), ..Default::default() })
}

fn line<'a>(entry: &'a Entry, summary: &Summary) -> ModelLine<'a> {
    ModelLine {
        name: &entry.name,
        family: entry.family,
        aliases: &entry.aliases,
        params: summary.params,
        macs: summary.macs,
        input: entry.input,
        classes: entry.classes,
    }
}
