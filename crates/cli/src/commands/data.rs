//! `residual data`: data sets on the disk.

use crate::ui::Ui;
use residual::Result;

/// Fetch or check a data set
#[derive(Debug, clap::Subcommand)]
pub enum Data {}

impl Data {
    /// Does what was asked.
    pub fn run(&self, _ui: &mut Ui) -> Result<()> {
        match *self {}
    }
}
