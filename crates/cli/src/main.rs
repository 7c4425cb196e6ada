//! `residual`: train, test, explain and ship VGG and ResNet image classifiers.
//!
//! `arguments` is what can be typed, `commands` has a file for each command, `ui` is the only place that prints. Data goes
//! to stdout, talk to stderr. Exit codes: 0 done, 1 failed, 2 wrong usage, 130 after Ctrl-C, 143 after SIGTERM.

mod arguments;
mod commands;
mod interrupt;
mod ui;

use arguments::Arguments;
use clap::Parser;
use residual::{Error, Kind, Result};
use std::process::ExitCode;
use ui::Ui;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return ui::usage::report(&error),
    };
    let mut ui = Ui::new(arguments.json);
    let outcome = set_up(&arguments).and_then(|()| commands::run(&arguments.command, &mut ui));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            ui.failure(&error);
            ExitCode::from(code(error.kind()))
        }
    }
}

fn code(kind: Kind) -> u8 {
    match kind {
        Kind::Usage | Kind::Recipe => 2,
        Kind::Interrupted => interrupt::code(),
        Kind::Data | Kind::Weights | Kind::Training | Kind::Io => 1,
    }
}

/// Threads that can be asked for on any machine: results do not depend on them, and a few hundred on two cores only wait
/// for each other.
const MOST_THREADS: usize = 64;

/// What holds for every command: the instruction set, the number of threads, Ctrl-C.
fn set_up(arguments: &Arguments) -> Result<()> {
    residual_kernels::Isa::from_env().map_err(|error| {
        Error::usage(error.to_string())
            .with_hint("unset RESIDUAL_ISA to take the widest instruction set that this CPU has")
    })?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let most = MOST_THREADS.max(2 * cores);
    if let Some(threads) = arguments.threads.filter(|threads| threads.get() > most) {
        return Err(Error::usage(format!("--threads {threads}: this machine has {cores} cores"))
            .with_hint(format!("at most {most} can be asked for; without --threads there is one for each core")));
    }
    rayon::ThreadPoolBuilder::new()
        .num_threads(arguments.threads.map_or(0, usize::from))
        .thread_name(|i| format!("residual-{i}"))
        .build_global()
        .map_err(|error| Error::new(Kind::Io, format!("cannot start the threads: {error}")))?;
    interrupt::listen()
}
