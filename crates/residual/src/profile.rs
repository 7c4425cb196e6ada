//! Where the time of a training step goes, by operation: `residual train --profile`.
//!
//! One table for the process, off until [`start`]; an operation then costs two readings of the clock more, 50 ns. Only what
//! runs on Flex is counted; an operation's time is that of the thread that called it, all cores working for it.

use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What one operation took.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Spent {
    /// Its name; gradients are `dx` and `dw`, or end in `backward`.
    pub operation: &'static str,
    /// How often it was called.
    pub calls: u64,
    /// Seconds, all calls together.
    pub seconds: f64,
    /// Seconds over those since [`start`].
    pub share: f64,
}

/// The clock's start, and calls and time by operation.
struct Table {
    began: Option<Instant>,
    rows: BTreeMap<&'static str, (u64, Duration)>,
}

static ON: AtomicBool = AtomicBool::new(false);
static TABLE: Mutex<Table> = Mutex::new(Table { began: None, rows: BTreeMap::new() });

fn table() -> MutexGuard<'static, Table> {
    // Rows are changed in one call each: a panic elsewhere cannot leave one half changed.
    TABLE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Begins to count, from nothing.
pub fn start() {
    let mut table = table();
    table.rows.clear();
    table.began = Some(Instant::now());
    ON.store(true, Ordering::Relaxed);
}

/// What was spent since [`start`], the largest first, and the seconds since then. Empty where nothing was started.
pub fn spent() -> (Vec<Spent>, f64) {
    let table = table();
    let total = table.began.map_or(0.0, |began| began.elapsed().as_secs_f64());
    let row = |(&operation, &(calls, time)): (&&'static str, &(u64, Duration))| {
        let seconds = time.as_secs_f64();
        Spent { operation, calls, seconds, share: seconds / total.max(1e-9) }
    };
    let mut rows: Vec<Spent> = table.rows.iter().map(row).collect();
    rows.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    (rows, total)
}

/// Runs `f` without booking its operations: it is no part of what is measured.
pub fn aside<T>(f: impl FnOnce() -> T) -> T {
    let was = ON.swap(false, Ordering::Relaxed);
    let result = f();
    ON.store(was, Ordering::Relaxed);
    result
}

/// Runs `f`, and books its time under `operation`.
pub fn timed<T>(operation: &'static str, f: impl FnOnce() -> T) -> T {
    if !ON.load(Ordering::Relaxed) {
        return f();
    }
    let began = Instant::now();
    let result = f();
    let time = began.elapsed();
    let mut table = table();
    let row = table.rows.entry(operation).or_default();
    *row = (row.0 + 1, row.1 + time);
    result
}
