//! `residual doctor`: describes the machine and reports what limits the program on it.

use crate::precision::PrecisionArg;
use crate::ui::Ui;
use crate::ui::numbers::thousands;
use crate::ui::table::{Align, Table};
use residual::Result;
use residual_kernels::Isa;
use residual_train::data::cache_dir;
use residual_train::train::machine::{Machine, available_memory};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Available memory, in MiB, below which training the larger networks fails.
const ENOUGH_MEMORY_MB: u64 = 2048;

/// Describe this machine and what is missing on it
#[derive(Debug, clap::Args)]
pub struct DoctorArgs {}

/// Object of `--json`.
#[derive(Debug, Serialize)]
struct DoctorReport {
    version: String,
    system: String,
    cpu: String,
    cores: usize,
    /// Instruction set in use.
    isa: String,
    /// Instruction sets that this processor supports, widest first.
    isa_available: Vec<String>,
    /// Precision that `--precision auto` selects.
    precision: PrecisionArg,
    threads: usize,
    memory_mb: Option<u64>,
    memory_available_mb: Option<u64>,
    /// Folder of fetched data sets; `null` if there is none.
    cache: Option<PathBuf>,
    /// Data sets in the cache.
    cached: Vec<String>,
    /// Problems, one sentence each.
    missing: Vec<String>,
}

impl DoctorArgs {
    /// Prints the report.
    ///
    /// # Errors
    /// Fails if stdout cannot be written.
    pub fn run(&self, ui: &mut Ui) -> Result<()> {
        let report = DoctorReport::here();
        if ui.json() {
            return ui.value(&report);
        }
        ui.line(&report.table())?;
        ui.line("")?;
        if report.missing.is_empty() {
            return ui.line("nothing is missing");
        }
        report.missing.iter().try_for_each(|problem| ui.line(&format!("- {problem}")))
    }
}

impl DoctorReport {
    fn here() -> Self {
        let Machine { cpu, cores, threads, isa, memory_mb, system, version, .. } = Machine::here();
        let cache = cache_dir();
        let mut report = Self {
            version,
            system,
            cpu,
            cores,
            isa,
            isa_available: Isa::available().iter().map(Isa::to_string).collect(),
            precision: PrecisionArg::F32,
            threads,
            memory_mb,
            memory_available_mb: available_memory().map(|bytes| bytes >> 20),
            cached: cache.as_ref().map(|cache| folders(cache)).unwrap_or_default(),
            missing: cache.as_ref().err().map(ToString::to_string).into_iter().collect(),
            cache: cache.ok().map(|cache| std::path::absolute(&cache).unwrap_or(cache)),
        };
        report.missing.extend(report.problems());
        report
    }

    /// Lists what is missing, besides a cache.
    fn problems(&self) -> Vec<String> {
        let mut found = Vec::new();
        if self.isa_available.first().is_some_and(|widest| *widest != self.isa) {
            found.push(format!(
                "RESIDUAL_ISA selects {}, but the processor supports {}: unset it for full speed",
                self.isa, self.isa_available[0]
            ));
        } else if self.isa == Isa::Portable.to_string() {
            found.push("the processor has no AVX2, so the portable kernels run, several times slower".to_owned());
        }
        if self.threads < self.cores {
            found.push(format!("--threads {} leaves {} cores idle", self.threads, self.cores - self.threads));
        }
        if let Some(memory) = self.memory_available_mb.filter(|memory| *memory < ENOUGH_MEMORY_MB) {
            let memory = thousands(memory);
            found.push(format!("only {memory} MB of memory available: use a smaller train.batch for large networks"));
        }
        if let Some(cache) = self.cache.as_deref().filter(|cache| !is_writable(cache)) {
            found
                .push(format!("the cache {} cannot be written: set RESIDUAL_CACHE to another folder", cache.display()));
        }
        found
    }

    fn table(&self) -> String {
        let memory = |mb: Option<u64>| mb.map_or_else(|| "unknown".into(), |mb| format!("{} MB", thousands(mb)));
        let mut table = Table::new(&[("residual", Align::Left), (self.version.as_str(), Align::Left)]);
        let cached = if self.cached.is_empty() { "none".to_owned() } else { self.cached.join(", ") };
        for (key, value) in [
            ("system", self.system.clone()),
            ("processor", self.cpu.clone()),
            ("instruction set", format!("{} (available: {})", self.isa, self.isa_available.join(", "))),
            ("precision", self.precision.name().to_owned()),
            ("threads", format!("{} on {} cores", self.threads, self.cores)),
            ("memory", format!("{}, {} available", memory(self.memory_mb), memory(self.memory_available_mb))),
            ("cache", self.cache.as_ref().map_or_else(|| "-".into(), |path| path.display().to_string())),
            ("cached data sets", cached),
        ] {
            table.row(vec![key.into(), value]);
        }
        table.render()
    }
}

/// Returns the names of the folders in `folder`, sorted.
fn folders(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().filter(|entry| entry.path().is_dir());
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort_unstable();
    names
}

/// Returns whether a file can be created in `folder`, or in the nearest folder above that exists.
fn is_writable(folder: &Path) -> bool {
    let existing = folder.ancestors().find(|folder| folder.is_dir());
    existing.is_some_and(|folder| tempfile::tempfile_in(folder).is_ok())
}
