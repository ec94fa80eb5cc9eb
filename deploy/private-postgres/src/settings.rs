//! The server's command line: what makes it private, what its durability asks for, and what the caller wants.
//!
//! Everything is said on the command line, so that the cluster's own `postgresql.conf` stays as `initdb` wrote it.

use std::ffi::OsString;
use std::io;

use crate::error::StartError;
use crate::place::Place;
use crate::socket::{PORT, SocketDir};
use crate::{Durability, Options, ROLE};

/// The arguments of `postgres`. Of a setting that comes twice the last one counts, so what keeps the server private is last.
pub(crate) fn arguments(options: &Options, place: &Place, socket: &SocketDir) -> Result<Vec<OsString>, StartError> {
    let access = [("hba_file", hba()), ("ident_file", ident(place))];
    let mut arguments = vec![OsString::from("-D"), place.cluster().into_os_string()];
    let mut set = |name: &str, value: &str| arguments.extend(["-c".into(), format!("{name}={value}").into()]);
    for (name, value) in defaults(options.durability) {
        set(name, value);
    }
    for (name, value) in &options.settings {
        set(name, value);
    }
    for (name, content) in access {
        let file = format!("access.{}.conf", name.trim_end_matches("_file"));
        let path = place.write(&file, &content)?;
        let text = path.to_str().ok_or_else(|| StartError::DataDir {
            path: path.clone(),
            source: io::Error::new(io::ErrorKind::InvalidInput, "the path is not UTF-8"),
        })?;
        set(name, text);
    }
    set("listen_addresses", "");
    set("port", &PORT.to_string());
    // A list, in which quotes keep commas and blanks together.
    set("unix_socket_directories", &format!("\"{}\"", socket.path.to_string_lossy().replace('"', "\"\"")));
    set("unix_socket_permissions", "0700");
    Ok(arguments)
}

fn defaults(durability: Durability) -> Vec<(&'static str, &'static str)> {
    let mut settings = vec![
        ("timezone", "UTC"),
        ("log_timezone", "UTC"),
        ("lc_messages", "C"),
        ("logging_collector", "off"),
        ("log_destination", "stderr"),
        ("log_checkpoints", "off"),
        // No statements and no rows in the log: they may hold what must not be told.
        ("log_min_error_statement", "panic"),
        ("log_error_verbosity", "terse"),
    ];
    match durability {
        Durability::Full => {}
        Durability::Scratch => settings.extend([
            ("fsync", "off"),
            ("synchronous_commit", "off"),
            ("full_page_writes", "off"),
            ("wal_level", "minimal"),
            ("max_wal_senders", "0"),
            ("max_connections", "200"),
            ("shared_buffers", "64MB"),
        ]),
    }
    settings
}

fn hba() -> String {
    format!("# Written at each start.\nlocal all {ROLE} peer map={ROLE}\n")
}

/// Maps our user, and the one who runs the server and so can do everything anyhow, to the role.
fn ident(place: &Place) -> String {
    let mut names = vec![place.ours.name.as_str(), place.account.name.as_str()];
    names.dedup();
    let lines: String = names.iter().map(|name| format!("{ROLE} \"{name}\" {ROLE}\n")).collect();
    format!("# Written at each start.\n{lines}")
}
