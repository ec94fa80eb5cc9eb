//! A private Postgres from the outside: what survives, what is refused, what is cleaned up. Runs as root and as a normal user.

use std::error::Error;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use private_postgres::{Durability, Options, Scratch, Server, ServerBinaries, StartError, StopMode, start};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// A directory that every user can pass through, whatever the umask.
fn open_dir() -> Outcome<tempfile::TempDir> {
    let dir = tempfile::tempdir()?;
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755))?;
    Ok(dir)
}

fn scratch(dir: &Path) -> Options {
    Options { durability: Durability::Scratch, ..Options::new(dir) }
}

fn sql(server: &Server, statement: &str) -> Outcome<String> {
    let output = server.psql("turnpike")?.args(["-A", "-t", "-c", statement]).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

fn wait_until(what: &str, mut condition: impl FnMut() -> bool) -> Outcome<()> {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        if Instant::now() > deadline {
            return Err(format!("waited 30 s in vain: {what}").into());
        }
        thread::park_timeout(Duration::from_millis(20));
    }
    Ok(())
}

/// Whether a process runs; one that only waits for its parent to notice its end does not.
fn runs(pid: u32) -> bool {
    let ended = fs::read_to_string(format!("/proc/{pid}/status")).is_ok_and(|status| status.contains("State:\tZ"));
    !ended && i32::try_from(pid).is_ok_and(|pid| kill(Pid::from_raw(pid), None).is_ok())
}

fn kill_hard(pid: u32) -> Outcome<()> {
    Ok(kill(Pid::from_raw(i32::try_from(pid)?), Signal::SIGKILL)?)
}

#[test]
fn data_and_url_survive_a_restart_and_either_way_of_stopping() -> Outcome<()> {
    let dir = open_dir()?;
    let options = Options::new(dir.path().join("deep/postgres"));
    let server = start(&options)?;
    let url = server.url().to_owned();
    sql(&server, "create table kept (word text); insert into kept values ('first')")?;
    server.stop(StopMode::Immediate)?;

    let server = start(&options)?;
    assert_eq!(sql(&server, "select word from kept")?, "first", "recovered after an immediate stop");
    assert_eq!(server.url(), url);
    let pid = server.pid();
    drop(server);
    assert!(!runs(pid), "dropping stops the server");

    let server = start(&options)?;
    assert_eq!(sql(&server, "select word from kept")?, "first");
    server.stop(StopMode::Fast)?;
    Ok(())
}

#[test]
fn servers_side_by_side_do_not_meet_and_listen_on_no_tcp_port() -> Outcome<()> {
    let (one, two) = (Scratch::start()?, Scratch::start()?);
    assert_ne!(one.url(), two.url());
    sql(&one, "create table only_here ()")?;
    assert_eq!(sql(&two, "select count(*) from pg_tables where tablename = 'only_here'")?, "0");
    assert_eq!(sql(&one, "show listen_addresses")?, "");
    Ok(())
}

#[test]
fn a_second_start_on_the_same_directory_is_refused_and_names_the_holder() -> Outcome<()> {
    let dir = open_dir()?;
    let options = scratch(&dir.path().join("postgres"));
    let first = start(&options)?;
    let error = start(&options).map(|_| ()).unwrap_err();
    assert!(matches!(error, StartError::InUse { pid: Some(pid), .. } if pid == std::process::id()), "{error}");
    assert_eq!(sql(&first, "select 1")?, "1", "the first one is untouched");
    drop(first);
    start(&options)?.stop(StopMode::Immediate)?;
    Ok(())
}

#[test]
fn a_database_of_any_name_is_made_and_its_url_leads_there() -> Outcome<()> {
    let server = Scratch::start()?;
    let name = "odd \"name\" + ü/?";
    let url = server.create_database(name)?;
    let psql = server.binaries().psql().ok_or("no psql")?;
    // A PGPORT of the caller does not lead the URL astray.
    let output = Command::new(psql)
        .env("PGPORT", "1")
        .args(["-X", "-At", "-d", &url, "-c", "select current_database()"])
        .output()?;
    assert_eq!(String::from_utf8(output.stdout)?.trim(), name);

    let error = server.create_database(name).unwrap_err();
    assert!(error.to_string().contains("already exists"), "{error}");
    Ok(())
}

#[test]
fn a_statement_of_the_caller_does_not_reach_the_log() -> Outcome<()> {
    let dir = open_dir()?;
    let server = start(&scratch(dir.path()))?;
    sql(&server, "create table words (word text unique); insert into words values ('hush-hush')")?;
    assert!(sql(&server, "insert into words values ('hush-hush')").is_err());
    let place = server.place().to_owned();
    server.stop(StopMode::Fast)?;
    let log = fs::read_to_string(place.join("postgres.log"))?;
    assert!(log.contains("duplicate key value"), "{log}");
    assert!(!log.contains("hush-hush"), "{log}");
    Ok(())
}

#[test]
fn settings_of_the_caller_count_but_do_not_open_the_server() -> Outcome<()> {
    let dir = open_dir()?;
    let settings = [("max_connections", "7"), ("listen_addresses", "*"), ("timezone", "Asia/Tokyo")];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let server = start(&Options { settings, ..scratch(dir.path()) })?;
    assert_eq!(sql(&server, "show max_connections")?, "7");
    assert_eq!(sql(&server, "show timezone")?, "Asia/Tokyo");
    assert_eq!(sql(&server, "show listen_addresses")?, "");
    Ok(())
}

#[test]
fn a_setting_that_the_server_refuses_is_quoted_from_its_log() -> Outcome<()> {
    let dir = open_dir()?;
    let settings = vec![("shared_buffers".to_owned(), "a lot".to_owned())];
    let error = start(&Options { settings, ..scratch(dir.path()) }).map(|_| ()).unwrap_err();
    assert!(matches!(&error, StartError::Ended { log, .. } if log.contains("shared_buffers")), "{error}");
    start(&scratch(dir.path()))?.stop(StopMode::Immediate)?;
    Ok(())
}

#[test]
fn the_pid_file_of_a_dead_server_is_no_obstacle_whoever_has_its_number_now() -> Outcome<()> {
    let dir = open_dir()?;
    let options = scratch(dir.path());
    let mut server = start(&options)?;
    let place = server.place().to_owned();
    kill_hard(server.pid())?;
    wait_until("the server notices that it was killed", || server.ended().is_some())?;
    drop(server);
    assert!(place.join("cluster/postmaster.pid").exists());
    start(&options)?.stop(StopMode::Fast)?;

    // This process has the number, and lives; so does the lock file of the socket.
    let ours = std::process::id();
    fs::write(place.join("cluster/postmaster.pid"), format!("{ours}\n{}\n", place.join("cluster").display()))?;
    fs::write(place.join("run/.s.PGSQL.5432.lock"), format!("{ours}\n"))?;
    start(&options)?.stop(StopMode::Fast)?;
    Ok(())
}

#[test]
fn a_server_that_a_killed_process_left_behind_is_stopped_and_its_data_kept() -> Outcome<()> {
    let dir = open_dir()?;
    let options = Options::new(dir.path().join("postgres"));
    let server = start(&options)?;
    sql(&server, "create table kept (); ")?;
    let (place, owner) = (server.place().to_owned(), file_owner(&server.place().join("cluster"))?);
    let program = server.binaries().program("postgres");
    server.stop(StopMode::Fast)?;

    // The same server, run by nobody: no lock is held and no guard waits.
    let mut leftover = Command::new(program);
    leftover.args(["-c", "listen_addresses=", "-c"]);
    leftover
        .arg(format!("unix_socket_directories={}", place.join("run").display()))
        .arg("-D")
        .arg(place.join("cluster"));
    leftover.stderr(Stdio::null()).current_dir("/");
    std::os::unix::process::CommandExt::uid(&mut leftover, owner);
    let mut leftover = leftover.spawn()?;
    wait_until("the leftover is ready", || {
        fs::read_to_string(place.join("cluster/postmaster.pid")).is_ok_and(|text| text.contains("ready"))
    })?;

    let reaper = thread::spawn(move || leftover.wait());
    let server = start(&options)?;
    assert!(server.notes().iter().any(|note| note.contains("left behind")), "{:?}", server.notes());
    assert!(reaper.join().map_err(|_panic| "the reaper panicked")??.success(), "it was stopped politely");
    assert_eq!(sql(&server, "select count(*) from kept")?, "0");
    Ok(())
}

/// Both halves of the story: run by cargo it watches, run by itself (with the variable) it holds a server until killed.
#[test]
fn the_server_and_its_scratch_files_go_when_the_process_is_killed() -> Outcome<()> {
    const CHILD: &str = "PRIVATE_POSTGRES_CHILD";
    if std::env::var_os(CHILD).is_some() {
        let server = Scratch::start()?;
        println!("\nholding\t{}\t{}", server.pid(), server.place().display());
        loop {
            thread::park();
        }
    }
    let name = "the_server_and_its_scratch_files_go_when_the_process_is_killed";
    let mut child = Command::new(std::env::current_exe()?)
        .args(["--exact", name, "--nocapture"])
        .env(CHILD, "1")
        .stdout(Stdio::piped())
        .spawn()?;
    let output = BufReader::new(child.stdout.take().ok_or("no output")?);
    let line =
        output.lines().map_while(Result::ok).find(|line| line.starts_with("holding")).ok_or("the child gave up")?;
    let mut fields = line.split('\t').skip(1);
    let pid: u32 = fields.next().ok_or("no pid")?.parse()?;
    let place = PathBuf::from(fields.next().ok_or("no place")?);
    assert!(runs(pid) && place.is_dir());

    child.kill()?;
    child.wait()?;
    wait_until("the server ends", || !runs(pid))?;
    wait_until("its files go", || !place.exists())
}

#[test]
fn a_cluster_of_another_major_version_is_refused_by_naming_both() -> Outcome<()> {
    let dir = open_dir()?;
    let options = scratch(dir.path());
    let server = start(&options)?;
    let version_file = server.place().join("cluster/PG_VERSION");
    server.stop(StopMode::Immediate)?;

    fs::write(&version_file, "9\n")?;
    let message = start(&options).map(|_| ()).unwrap_err().to_string();
    let ours = format!("Postgres {}", ServerBinaries::find()?.version());
    for part in ["made by Postgres 9,", &ours, "pg_upgrade"] {
        assert!(message.contains(part), "`{part}` is missing: {message}");
    }

    fs::write(&version_file, "?")?;
    let error = start(&options).map(|_| ()).unwrap_err();
    assert!(matches!(error, StartError::UnknownMajor { .. }), "{error}");
    Ok(())
}

#[test]
fn a_first_start_that_was_cut_short_leaves_nothing_in_the_way() -> Outcome<()> {
    let dir = open_dir()?;
    fs::create_dir_all(dir.path().join("cluster.new/base"))?;
    fs::write(dir.path().join("cluster.new/PG_VERSION"), "15\n")?;
    let server = start(&scratch(dir.path()))?;
    assert_eq!(sql(&server, "select current_database()")?, "turnpike");
    Ok(())
}

#[test]
fn a_directory_that_cannot_be_used_is_named() -> Outcome<()> {
    let dir = open_dir()?;
    // Root may write anywhere, so for root the obstacle is a file.
    let blocked = dir.path().join("blocked");
    if geteuid().is_root() {
        fs::write(&blocked, "")?;
    } else {
        fs::create_dir(&blocked)?;
        fs::set_permissions(&blocked, fs::Permissions::from_mode(0o500))?;
    }
    let path = blocked.join("postgres");
    let error = start(&scratch(&path)).map(|_| ()).unwrap_err();
    assert!(matches!(&error, StartError::DataDir { path: named, .. } if *named == path), "{error}");
    Ok(())
}

#[test]
fn a_path_too_long_for_a_socket_gets_a_short_one_and_keeps_it() -> Outcome<()> {
    let dir = open_dir()?;
    let long = dir.path().join("a-rather-long-name-for-a-directory-".repeat(4));
    let options = scratch(&long);
    let server = start(&options)?;
    let url = server.url().to_owned();
    assert!(url.len() < 120, "{url}");
    assert_eq!(sql(&server, "select 1")?, "1");
    let socket_dir = PathBuf::from(fs::read_to_string(server.place().join("socket-lies-in"))?.trim());
    let metadata = fs::metadata(&socket_dir)?;
    assert_eq!(metadata.permissions().mode() & 0o777, 0o700, "only the server's user enters");
    server.stop(StopMode::Fast)?;
    assert!(!socket_dir.exists());

    assert_eq!(start(&options)?.url(), url);
    Ok(())
}

#[test]
fn no_other_user_may_connect() -> Outcome<()> {
    let server = Scratch::start()?;
    let run = server.place().join("run");
    assert_eq!(fs::metadata(&run)?.permissions().mode() & 0o777, 0o700);
    // Were the directory open, the kernel's word on who is asking would still count.
    let other_role = server.url().replacen("turnpike@", "postgres@", 1);
    let output = server.psql("turnpike")?.args(["-d", &other_role, "-c", "select 1"]).output()?;
    assert!(String::from_utf8_lossy(&output.stderr).contains("pg_hba.conf"), "{output:?}");
    if geteuid().is_root() {
        fs::set_permissions(&run, fs::Permissions::from_mode(0o777))?;
        fs::set_permissions(run.join(".s.PGSQL.5432"), fs::Permissions::from_mode(0o777))?;
        let mut psql = Command::new(server.binaries().psql().ok_or("no psql")?);
        std::os::unix::process::CommandExt::uid(&mut psql, 54_321);
        let output =
            psql.env("HOME", "/").current_dir("/").args(["-X", "-d", server.url(), "-c", "select 1"]).output()?;
        assert!(!output.status.success());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("eer authentication failed"), "{said}");
    }
    Ok(())
}

/// As root, the server's user cannot enter a directory that is closed to it; a normal user is that user.
#[test]
fn a_closed_data_directory_sends_the_cluster_elsewhere_only_for_root() -> Outcome<()> {
    let closed = tempfile::tempdir()?;
    fs::set_permissions(closed.path(), fs::Permissions::from_mode(0o700))?;
    let options = Options::new(closed.path().join("postgres"));
    let server = start(&options)?;
    let place = server.place().to_owned();
    if !geteuid().is_root() {
        assert_eq!(place, fs::canonicalize(&options.data_dir)?);
        assert!(!place.join("lies-in").exists());
        return Ok(());
    }
    let _gone_afterwards = RemoveOnDrop(place.clone());
    assert_eq!(place.parent(), Some(Path::new("/var/lib/turnpike")));
    assert_eq!(fs::read_to_string(options.data_dir.join("lies-in"))?.trim(), place.to_string_lossy());
    assert!(server.notes().iter().any(|note| note.contains("cannot enter")), "{:?}", server.notes());
    assert_ne!(file_owner(&place.join("cluster"))?, 0, "never as root");
    sql(&server, "create table kept ()")?;
    server.stop(StopMode::Fast)?;

    // A moved directory takes its note along.
    let moved = closed.path().join("moved");
    fs::rename(&options.data_dir, &moved)?;
    let options = Options::new(&moved);
    let server = start(&options)?;
    assert_eq!(sql(&server, "select count(*) from kept")?, "0");
    server.stop(StopMode::Fast)?;

    // A note that leads nowhere is no reason to begin with an empty database.
    fs::remove_dir_all(&place)?;
    let error = start(&options).map(|_| ()).unwrap_err();
    assert!(matches!(error, StartError::Lost { .. }), "{error}");
    Ok(())
}

fn file_owner(path: &Path) -> Outcome<u32> {
    Ok(std::os::unix::fs::MetadataExt::uid(&fs::metadata(path)?))
}

struct RemoveOnDrop(PathBuf);

impl Drop for RemoveOnDrop {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
