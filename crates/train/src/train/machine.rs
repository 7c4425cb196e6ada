//! The machine and the versions that a run was trained with; they go beside every result.

use crate::error::Result;
use residual_kernels::Isa;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The machine and the program.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's name.
    pub cpu: String,
    /// Number of cores that the process may use.
    pub cores: usize,
    /// Number of compute threads.
    pub threads: usize,
    /// Vector instructions in use.
    pub isa: String,
    /// Memory in MiB.
    pub memory_mb: Option<u64>,
    /// Operating system and architecture.
    pub system: String,
    /// This library's version.
    pub version: String,
    /// Burn's version; empty in files that do not have it.
    #[serde(default)]
    pub burn: String,
}

/// The version of Burn that this library is built with.
const BURN: &str = "0.22.1";

impl Machine {
    /// Describes this machine.
    pub fn here() -> Self {
        Self {
            cpu: field("/proc/cpuinfo", "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            threads: rayon::current_num_threads(),
            isa: Isa::active().to_string(),
            memory_mb: memory_kb("MemTotal").map(|kb| kb / 1024),
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            burn: BURN.to_owned(),
        }
    }

    /// Reads the machine that the run in `folder` was trained on; `None` if it is not recorded.
    pub fn of_run(folder: &Path) -> Option<Self> {
        serde_json::from_str(&std::fs::read_to_string(folder.join(Self::FILE)).ok()?).ok()
    }

    /// Writes the machine to a run's `folder`.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn save(&self, folder: &Path) -> Result<()> {
        crate::atomic::write(&folder.join(Self::FILE), &serde_json::to_vec_pretty(self).expect("plain data"))
    }

    const FILE: &str = "machine.json";
}

/// Returns the available memory in bytes; `None` if the system does not tell.
pub fn available_memory() -> Option<u64> {
    let text = |name: &str| std::fs::read_to_string(Path::new(CGROUP).join(name)).ok();
    let number = |name: &str| text(name)?.trim().parse::<u64>().ok();
    // Cached files count as used, and are freed on demand.
    let cached =
        || text("memory.stat")?.lines().find_map(|line| line.strip_prefix("inactive_file ")?.parse::<u64>().ok());
    // "max" does not parse: there is no limit.
    let left = number("memory.max")
        .zip(number("memory.current"))
        .map(|(most, now)| most.saturating_sub(now.saturating_sub(cached().unwrap_or(0))));
    let free = memory_kb("MemAvailable").map(|kb| kb * 1024);
    free.into_iter().chain(left).min()
}

/// The folder of a container's limits.
const CGROUP: &str = "/sys/fs/cgroup";

/// Returns the peak memory of this process in MiB; `None` if the system does not tell.
pub fn peak_rss_mb() -> Option<u64> {
    let peak = field("/proc/self/status", "VmHWM")?;
    Some(peak.split_whitespace().next()?.parse::<u64>().ok()? / 1024)
}

/// Returns the page faults of this process so far; `None` if the system does not tell. Fresh memory
/// costs one for every 4 KiB.
pub fn page_faults() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name in brackets may hold spaces; the eighth field after it counts the faults without
    // disk access.
    text.rsplit_once(')')?.1.split_whitespace().nth(7)?.parse().ok()
}

fn memory_kb(key: &str) -> Option<u64> {
    field("/proc/meminfo", key)?.split_whitespace().next()?.parse().ok()
}

/// Returns the value of `key` in a file of `key: value` lines, as Linux writes them.
fn field(path: &str, key: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.split(':').next().is_some_and(|k| k.trim() == key))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_burn_is_the_one_that_is_pinned() {
        assert!(include_str!("../../Cargo.toml").contains(&format!("burn = {{ version = \"={BURN}\"")));
        let old =
            r#"{"cpu":"x","cores":1,"threads":1,"isa":"avx2","memory_mb":null,"system":"linux","version":"0.1.0"}"#;
        assert_eq!(serde_json::from_str::<Machine>(old).expect("still read").burn, "");
    }
}
