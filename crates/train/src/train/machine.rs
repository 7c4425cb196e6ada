//! What a run was made on: it goes beside every result.

use crate::error::Result;
use residual_kernels::Isa;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The machine and the program.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's own name.
    pub cpu: String,
    /// Cores that the process may use.
    pub cores: usize,
    /// Threads that compute.
    pub threads: usize,
    /// Vector instructions in use.
    pub isa: String,
    /// Memory in MiB.
    pub memory_mb: Option<u64>,
    /// Operating system and architecture.
    pub system: String,
    /// This library's version.
    pub version: String,
    /// Burn's version; empty in what was written before it was kept.
    #[serde(default)]
    pub burn: String,
}

/// The version of Burn that this library is built with.
const BURN: &str = "0.22.1";

impl Machine {
    /// This one.
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

    /// The one that the run in `folder` was trained on, where it says.
    pub fn of_run(folder: &Path) -> Option<Self> {
        serde_json::from_str(&std::fs::read_to_string(folder.join(Self::FILE)).ok()?).ok()
    }

    /// Leaves it in a run's `folder`.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub fn save(&self, folder: &Path) -> Result<()> {
        crate::atomic::write(&folder.join(Self::FILE), &serde_json::to_vec_pretty(self).expect("plain data"))
    }

    const FILE: &str = "machine.json";
}

/// Memory that could be had at the moment, in bytes, where the system says.
pub fn available_memory() -> Option<u64> {
    let text = |name: &str| std::fs::read_to_string(Path::new(CGROUP).join(name)).ok();
    let number = |name: &str| text(name)?.trim().parse::<u64>().ok();
    // Files that were read fill it as well, and give way.
    let cached =
        || text("memory.stat")?.lines().find_map(|line| line.strip_prefix("inactive_file ")?.parse::<u64>().ok());
    // "max" is no number: no limit.
    let left = number("memory.max")
        .zip(number("memory.current"))
        .map(|(most, now)| most.saturating_sub(now.saturating_sub(cached().unwrap_or(0))));
    let free = memory_kb("MemAvailable").map(|kb| kb * 1024);
    free.into_iter().chain(left).min()
}

/// Where a container's limits are.
const CGROUP: &str = "/sys/fs/cgroup";

/// The most memory that this process has used so far, in MiB, where the system says.
pub fn peak_rss_mb() -> Option<u64> {
    let peak = field("/proc/self/status", "VmHWM")?;
    Some(peak.split_whitespace().next()?.parse::<u64>().ok()? / 1024)
}

/// Pages that the system had to map for this process so far, where it says: fresh memory costs one for every 4 KiB.
pub fn page_faults() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name in brackets may hold spaces; the eighth field behind it counts the faults that needed no disk.
    text.rsplit_once(')')?.1.split_whitespace().nth(7)?.parse().ok()
}

fn memory_kb(key: &str) -> Option<u64> {
    field("/proc/meminfo", key)?.split_whitespace().next()?.parse().ok()
}

/// The value behind `key` in a file of `key: value` lines, as Linux keeps them.
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
