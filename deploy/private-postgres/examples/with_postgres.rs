//! Runs a command beside a migrated scratch Postgres, whose URL it finds in `DATABASE_URL`.
//!
//! ```text
//! cargo run -p private-postgres --example with_postgres -- env
//! ```
//!
//! `make sqlx` uses it to check the queries of the control plane. Migrations are applied as the files that they are, in
//! the order of their names; `sqlx`'s record of them is not kept.

use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use private_postgres::{ROLE, Scratch};

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let Some(program) = arguments.next() else {
        eprintln!("usage: with_postgres COMMAND [ARGUMENT…]");
        return Ok(ExitCode::from(2));
    };
    let server = Scratch::start()?;
    for file in migrations()? {
        apply(&server, &file)?;
    }
    run(&server, &program, arguments)
}

fn migrations() -> io::Result<Vec<PathBuf>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations");
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "sql"));
    files.sort();
    Ok(files)
}

fn apply(server: &Scratch, file: &Path) -> Result<(), Box<dyn Error>> {
    let status = server.psql(ROLE)?.arg("--single-transaction").arg("-f").arg(fs::canonicalize(file)?).status()?;
    if status.success() { Ok(()) } else { Err(format!("{} does not apply", file.display()).into()) }
}

fn run(
    server: &Scratch,
    program: &OsString,
    arguments: impl Iterator<Item = OsString>,
) -> Result<ExitCode, Box<dyn Error>> {
    let status = Command::new(program).args(arguments).env("DATABASE_URL", server.url()).status()?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}
