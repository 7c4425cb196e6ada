//! `residual`: train, test, explain and ship VGG and ResNet image classifiers.
//!
//! `arguments` defines the command line, `commands` has a file for each command, and only `ui`
//! prints. Results go to stdout, messages to stderr. Exit codes: 0 success, 1 failure, 2 wrong
//! usage, 130 after Ctrl-C, 143 after SIGTERM.

mod arguments;
mod commands;
mod interrupt;
mod precision;
mod ui;

use arguments::Arguments;
use residual::{Error, Kind, Result};
use residual_train::train::machine::{Machine, peak_rss_mb};
use std::process::ExitCode;
use std::time::Instant;
use ui::Ui;
use ui::numbers::{duration, thousands};

fn main() -> ExitCode {
    let began = Instant::now();
    let arguments = match Arguments::parse_command_line() {
        Ok(arguments) => arguments,
        Err(error) => return ui::usage::report(&error),
    };
    let mut ui = Ui::new(arguments.json, arguments.verbosity());
    let outcome = set_up(&arguments).and_then(|()| {
        ui.detail(machine);
        arguments.command.run(&mut ui)
    });
    ui.detail(|| resources(began));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            ui.failure(&error);
            ExitCode::from(code(error.kind()))
        }
    }
}

/// Describes the program and the machine, for `--verbose`.
fn machine() -> String {
    let Machine { cpu, threads, isa, version, .. } = Machine::here();
    format!("residual {version} on {cpu}, {isa}, {threads} threads")
}

/// Describes the resources used so far, for `--verbose`.
fn resources(began: Instant) -> String {
    let peak = peak_rss_mb().map_or_else(String::new, |mb| format!(", peak memory {} MB", thousands(mb)));
    format!("finished after {}{peak}", duration(began.elapsed().as_secs_f64()))
}

/// Returns the exit code of an error.
fn code(kind: Kind) -> u8 {
    match kind {
        Kind::Usage | Kind::Recipe => 2,
        Kind::Interrupted => interrupt::code(),
        Kind::Data | Kind::Weights | Kind::Training | Kind::Io => 1,
    }
}

/// Number of threads that may always be asked for; more than twice the cores only wait for each
/// other.
const MAX_THREADS: usize = 64;

/// Sets up what every command needs: instruction set, thread pool, signal handlers.
fn set_up(arguments: &Arguments) -> Result<()> {
    residual_kernels::Isa::from_env().map_err(|error| {
        Error::usage(error.to_string())
            .with_hint("unset RESIDUAL_ISA to use the widest instruction set of this processor")
    })?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let max = MAX_THREADS.max(2 * cores);
    if let Some(threads) = arguments.threads.filter(|threads| threads.get() > max) {
        return Err(Error::usage(format!("--threads must be at most {max}, got {threads}"))
            .with_hint(format!("this machine has {cores} cores; without --threads there is one thread per core")));
    }
    rayon::ThreadPoolBuilder::new()
        .num_threads(arguments.threads.map_or(0, usize::from))
        .thread_name(|i| format!("residual-{i}"))
        .build_global()
        .map_err(|error| Error::new(Kind::Io, format!("cannot start the thread pool: {error}")))?;
    interrupt::install()
}
