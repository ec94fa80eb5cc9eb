//! `turnpike`: both planes and a private Postgres in one process.
//!
//! Composition, nothing else: flags become each plane's settings, parts are started in the order in which they
//! need each other, and stopped in the other. What the planes do is theirs.

mod data_dir;
mod flags;
mod run;

use std::process::ExitCode;

use flags::Command;
use mimalloc::MiMalloc;

/// The data plane's calls allocate and free small pieces on each core.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let (flags, foreign) = match flags::read(std::env::args_os()) {
        Ok(read) => read,
        Err(error) => error.exit(),
    };
    match &flags.command {
        Some(Command::Check { config }) => control_plane::check(config),
        None => {
            data_plane::telemetry::init();
            match run::run(flags, &foreign) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    tracing::error!("{error:#}");
                    ExitCode::FAILURE
                }
            }
        }
    }
}
