//! The cluster on disk: made once, as a whole or not at all, and run only by the version that made it.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;
use std::process::{Output, Stdio};

use crate::binaries::ServerBinaries;
use crate::error::StartError;
use crate::place::{Place, make_private};
use crate::{Durability, ROLE};

/// Makes the cluster where there is none, and yields the programs that run it.
pub(crate) fn prepare(place: &Place, durability: Durability) -> Result<ServerBinaries, StartError> {
    let cluster = place.cluster();
    let servers = ServerBinaries::all()?;
    if !cluster.exists() {
        let newest = servers.into_iter().next().ok_or(crate::FindError::None(Vec::new()))?;
        initialise(place, &newest, durability)?;
        return Ok(newest);
    }
    let made_by = major_of(&cluster)?;
    let found: Vec<String> =
        servers.iter().map(|server| format!("Postgres {} ({})", server.version(), server.dir().display())).collect();
    servers.into_iter().find(|server| server.major() == made_by).ok_or_else(|| StartError::OtherMajor {
        cluster,
        cluster_major: made_by,
        found: found.join(", "),
    })
}

/// Runs `initdb` and makes our database beside the final name, which the directory gets when both are done.
fn initialise(place: &Place, binaries: &ServerBinaries, durability: Durability) -> Result<(), StartError> {
    let fresh = place.root.join("cluster.new");
    let failed = |source| StartError::DataDir { path: fresh.clone(), source };
    match fs::remove_dir_all(&fresh) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    make_private(&fresh, &place.account).map_err(failed)?;
    run_initdb(place, binaries, &fresh, durability)?;
    make_database(place, binaries, &fresh, durability)?;
    fs::rename(&fresh, place.cluster()).map_err(failed)?;
    File::open(&place.root).and_then(|root| root.sync_all()).map_err(failed)
}

fn run_initdb(
    place: &Place,
    binaries: &ServerBinaries,
    cluster: &Path,
    durability: Durability,
) -> Result<(), StartError> {
    let program = binaries.program("initdb");
    let mut command = place.account.command(&program);
    command.arg("--pgdata").arg(cluster).arg(format!("--username={ROLE}"));
    // The C locale sorts the same on every machine and after every upgrade of it, so indexes stay valid.
    command.args(["--auth-local=peer", "--auth-host=reject", "--encoding=UTF8", "--locale=C", "--no-instructions"]);
    match durability {
        Durability::Full => command.arg("--data-checksums"),
        Durability::Scratch => command.arg("--no-sync"),
    };
    let output = command.output().map_err(|source| StartError::Run { program: program.clone(), source })?;
    succeeded(&program, &output)
}

/// Makes the database in single-user mode: it needs no client, no socket and no port.
fn make_database(
    place: &Place,
    binaries: &ServerBinaries,
    cluster: &Path,
    durability: Durability,
) -> Result<(), StartError> {
    let program = binaries.program("postgres");
    let failed = |source| StartError::Run { program: program.clone(), source };
    let fsync = match durability {
        Durability::Full => "fsync=on",
        Durability::Scratch => "fsync=off",
    };
    let mut single = place
        .account
        .command(&program)
        .args(["--single", "-c", "exit_on_error=on", "-c", fsync, "-D"])
        .arg(cluster)
        .arg("postgres")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    if let Some(mut stdin) = single.stdin.take() {
        // A program that ended early says why on its error output, which is read below.
        let _ = writeln!(stdin, "create database {ROLE}");
    }
    let output = single.wait_with_output().map_err(failed)?;
    succeeded(&program, &output)
}

fn succeeded(program: &Path, output: &Output) -> Result<(), StartError> {
    if output.status.success() {
        return Ok(());
    }
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    Err(StartError::Initialise {
        program: program.to_owned(),
        output: String::from_utf8_lossy(&said).trim().to_owned(),
    })
}

fn major_of(cluster: &Path) -> Result<u32, StartError> {
    let path = cluster.join("PG_VERSION");
    let found = fs::read_to_string(&path).unwrap_or_else(|error| error.to_string());
    // Before version 10 the major version had two parts; those are too old in any case.
    let digits = found.trim().split('.').next().unwrap_or_default();
    digits.parse().map_err(|_not_a_number| StartError::UnknownMajor { path, found: found.trim().to_owned() })
}
