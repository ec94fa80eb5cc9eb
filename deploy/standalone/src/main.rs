//! `turnpike`: both planes and a private Postgres in one process.
//!
//! Composition, nothing else: flags become each plane's settings, parts are started in the order in which they
//! need each other, and stopped in the other. What the planes do is theirs.

mod data_dir;
mod flags;
mod import;
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
    data_plane::telemetry::init();
    let done = match &flags.command {
        Some(Command::Check { config }) => return control_plane::check(config),
        Some(Command::Import { import, data_dir, database_url }) => import::run(import, data_dir, database_url.clone()),
        None => run::run(flags, &foreign),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
