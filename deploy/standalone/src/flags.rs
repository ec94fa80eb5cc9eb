//! The flags of `turnpike`; each is an environment variable too. LiteLLM's names where it has them.

use std::ffi::OsString;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::{Arg, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use control_plane::flags::{Fate, Foreign, ForeignValue, foreign};
use control_plane::takeover::flags::Import;
use data_plane::settings::Shared;

/// An LLM gateway: one OpenAI-compatible address for every model, with virtual keys and spend. A drop-in for the LiteLLM Proxy.
#[derive(Debug, Parser)]
#[command(name = "turnpike", version, about, long_about = None, args_conflicts_with_subcommands = true)]
pub(crate) struct Flags {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    /// The configuration, as for the LiteLLM Proxy.
    #[arg(short, long, env = "CONFIG_FILE_PATH", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// The address to listen on.
    #[arg(long, env = "HOST", default_value = "0.0.0.0")]
    pub(crate) host: IpAddr,

    /// The port to listen on.
    #[arg(long, env = "PORT", default_value_t = 4000)]
    pub(crate) port: u16,

    /// Where Postgres, the snapshot, the spool and the keys that seal them lie.
    #[arg(long, env = "TURNPIKE_DATA_DIR", default_value = ".turnpike", value_name = "DIR")]
    pub(crate) data_dir: PathBuf,

    /// A Postgres to use instead of a private one.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub(crate) database_url: Option<String>,

    /// Serves the admin API on a TCP port of its own as well; without it only this process reaches it directly.
    #[arg(long, env = "TURNPIKE_ADMIN_PORT", value_name = "PORT")]
    pub(crate) admin_port: Option<u16>,

    /// Most calls a second of the admin API from one address; more are answered with 429. Without it they are not counted.
    #[arg(long, env = "TURNPIKE_ADMIN_CALLS_PER_SECOND", value_name = "N")]
    pub(crate) admin_calls_per_second: Option<NonZeroU32>,

    /// Starts without a master key: whoever reaches the port may do everything.
    #[arg(long, env = "TURNPIKE_INSECURE_NO_AUTH")]
    pub(crate) insecure_no_auth: bool,

    #[command(flatten)]
    pub(crate) shared: Shared,
}

/// What to do instead of serving.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Reads a configuration and prints everything that is wrong or unknown in it.
    Check {
        /// The configuration to read.
        config: PathBuf,
    },
    /// Copies keys, teams, users, customers, budgets, models, tags and what was spent from the database of a LiteLLM proxy.
    ///
    /// A second import takes what changed there since. What was changed here since is left and named. While `turnpike` runs,
    /// it serves what is imported within a second.
    Import {
        #[command(flatten)]
        import: Import,

        /// Where Postgres and the key that seals credentials lie.
        #[arg(long, env = "TURNPIKE_DATA_DIR", default_value = ".turnpike", value_name = "DIR")]
        data_dir: PathBuf,

        /// A Postgres to import into instead of the private one.
        #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
        database_url: Option<String>,
    },
}

/// LiteLLM's variables that stand for one of its flags without effect.
const VARIABLES: [(&str, &str); 4] = [
    ("num_workers", "NUM_WORKERS"),
    ("use_prisma_migrate", "USE_PRISMA_MIGRATE"),
    ("max_requests_before_restart", "MAX_REQUESTS_BEFORE_RESTART"),
    ("keepalive_timeout", "KEEPALIVE_TIMEOUT"),
];

/// Reads the command line: our flags, and those of LiteLLM that were given and do nothing here.
pub(crate) fn read<I, T>(arguments: I) -> Result<(Flags, Vec<Foreign>), clap::Error>
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    let mut command = command();
    let matches = command.try_get_matches_from_mut(arguments)?;
    let flags = Flags::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
    let given = foreign().filter(|flag| matches.contains_id(flag.name)).collect();
    Ok((flags, given))
}

/// Our flags, and LiteLLM's so that start scripts keep working.
fn command() -> clap::Command {
    Flags::command().args(foreign().map(|flag| {
        let (heading, help) = match flag.fate {
            Fate::WithoutEffect(why) => ("Accepted for LiteLLM's sake, without effect", why),
            Fate::Missing(what) => ("LiteLLM's, not there yet: refused", what),
        };
        let variable = VARIABLES.iter().find(|(name, _)| *name == flag.name).map(|(_, variable)| *variable);
        let arg = Arg::new(flag.name).long(flag.name).help(help).help_heading(heading).value_name("VALUE");
        let arg = match flag.value {
            ForeignValue::Needed => arg.num_args(1),
            ForeignValue::Optional => arg.num_args(0..=1).default_missing_value("true"),
        };
        match variable {
            Some(variable) => arg.env(variable),
            None => arg,
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_are_consistent() {
        command().debug_assert();
    }

    #[test]
    fn every_flag_of_litellm_is_understood_and_none_is_passed_over() {
        for flag in foreign() {
            let mut line = vec!["turnpike".to_owned(), format!("--{}", flag.name)];
            line.extend((flag.value == ForeignValue::Needed).then(|| "1".to_owned()));
            let (_, given) = read(line).unwrap();
            assert!(given.iter().any(|other| other.name == flag.name), "--{}", flag.name);
        }
    }

    #[test]
    fn litellms_start_line_keeps_working() {
        let line = ["turnpike", "--config", "c.yaml", "--port", "4100", "--num_workers", "8", "--detailed_debug"];
        let (flags, given) = read(line).unwrap();
        assert_eq!((flags.port, given.len()), (4100, 2));
        assert!(given.iter().all(|flag| matches!(flag.fate, Fate::WithoutEffect(_))));
    }
}
