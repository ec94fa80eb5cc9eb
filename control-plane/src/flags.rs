//! The command line of `turnpike-control-plane`. Every flag is an environment variable too.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use proto::channel::{JoinToken, JoinTokenDigest};

use crate::enrol::ServerIdentity;
use crate::secret::Secret;
use crate::settings::Given;
use crate::takeover::flags::Import;

/// Turnpike's control plane: keys, teams, models and spend; decides what the data planes serve.
#[derive(Debug, Parser)]
#[command(name = "turnpike-control-plane", version, args_conflicts_with_subcommands = true)]
pub struct Flags {
    /// What to do instead of serving.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// How to serve.
    #[command(flatten)]
    pub serve: Serve,

    /// How much is logged: a level (`debug`), or filters such as `info,control_plane=debug`.
    #[arg(long, env = "LITELLM_LOG", global = true, default_value = "info", value_name = "LEVEL")]
    pub log: String,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serves. The default.
    Serve(Box<Serve>),
    /// Makes the certificates and the join token that data planes and control planes trust each other by.
    Init {
        /// Where to put them. Nothing there is overwritten.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// A name or address under which data planes reach the control plane; `localhost` is always among them.
        #[arg(long = "host", value_name = "NAME")]
        hosts: Vec<String>,
    },
    /// Reads a configuration and prints everything that is wrong or unknown in it.
    Check {
        /// The configuration to read.
        config: PathBuf,
    },
    /// Copies keys, teams, users, customers, budgets, models, tags and what was spent from the database of a LiteLLM proxy.
    ///
    /// A second import takes what changed there since. What was changed here since is left and named.
    Import {
        /// What and how.
        #[command(flatten)]
        import: Import,
        /// The database to import into.
        #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
        database_url: Option<String>,
    },
    /// Brings the database's schema up to date, and ends.
    Migrate {
        /// The database.
        #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
        database_url: Option<String>,
    },
}

/// How to serve.
#[derive(Debug, Args)]
pub struct Serve {
    /// The configuration, as for the LiteLLM Proxy.
    #[arg(short, long, env = "CONFIG_FILE_PATH", value_name = "FILE")]
    config: Option<PathBuf>,

    /// The database. Also in parts: DATABASE_HOST, DATABASE_PORT, DATABASE_NAME, DATABASE_USERNAME, DATABASE_PASSWORD.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    database_url: Option<String>,

    /// Most connections to the database.
    #[arg(long, env = "TURNPIKE_DATABASE_CONNECTIONS", value_name = "N", default_value_t = crate::settings::DATABASE_CONNECTIONS)]
    database_connections: u32,

    /// Most calls a second of the admin API from one address; more are answered with 429. Without it they are not counted.
    #[arg(long, env = "TURNPIKE_ADMIN_CALLS_PER_SECOND", value_name = "N")]
    admin_calls_per_second: Option<NonZeroU32>,

    /// The address to listen on.
    #[arg(long, env = "HOST", default_value = "0.0.0.0")]
    pub host: IpAddr,

    /// The port of the admin API.
    #[arg(long, env = "TURNPIKE_ADMIN_PORT", default_value_t = 4001, value_name = "PORT")]
    pub admin_port: u16,

    /// The port for data planes.
    #[arg(long, env = "TURNPIKE_GRPC_PORT", default_value_t = 4002, value_name = "PORT")]
    pub grpc_port: u16,

    /// The directory that `turnpike-control-plane init` wrote: certificate, key and join token.
    #[arg(long, env = "TURNPIKE_TLS_DIR", value_name = "DIR")]
    tls_dir: Option<PathBuf>,

    /// A certificate (PEM: the server's, then its authority's) instead of the one in --tls-dir.
    #[arg(long, env = "TURNPIKE_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,

    /// The certificate's key (PEM).
    #[arg(long, env = "TURNPIKE_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,

    /// The join token that data planes must show, instead of the one in --tls-dir.
    #[arg(long, env = "TURNPIKE_JOIN_TOKEN_FILE", value_name = "FILE")]
    join_token_file: Option<PathBuf>,

    /// Starts without a master key: whoever reaches a port may do everything.
    #[arg(long, env = "TURNPIKE_INSECURE_NO_AUTH")]
    insecure_no_auth: bool,
}

/// How data planes know us, and we them.
#[derive(Debug)]
pub struct Enrolment {
    /// Our certificate.
    pub identity: ServerIdentity,
    /// What they must show.
    pub join_token: JoinTokenDigest,
}

impl Serve {
    /// What these flags say of the settings.
    pub fn given(&self) -> Given {
        Given {
            config: self.config.clone(),
            database_url: self.database_url.clone().map(Secret::new),
            database_connections: Some(self.database_connections),
            admin_calls_per_second: self.admin_calls_per_second,
            vault_key: None,
            insecure_no_auth: self.insecure_no_auth,
        }
    }

    /// Reads certificate, key and join token.
    pub fn enrolment(&self) -> anyhow::Result<Enrolment> {
        use anyhow::Context as _;
        let in_dir = |file: &str| self.tls_dir.as_ref().map(|dir| dir.join(file));
        let missing = "data planes need TLS to trust us: run `turnpike-control-plane init --out DIR --host NAME` once, \
                       then give --tls-dir DIR (or --tls-cert, --tls-key and --join-token-file)";
        let certificate = self.tls_cert.clone().or_else(|| in_dir("server.pem")).context(missing)?;
        let key = self.tls_key.clone().or_else(|| in_dir("server-key.pem")).context(missing)?;
        let token = self.join_token_file.clone().or_else(|| in_dir("join-token")).context(missing)?;
        let identity = ServerIdentity::load(&certificate, &key)?;
        let named = || format!("the join token in {}", token.display());
        let text = std::fs::read_to_string(&token).with_context(named)?;
        let join_token = text.parse::<JoinToken>().with_context(named)?.digest();
        Ok(Enrolment { identity, join_token })
    }
}

/// A flag of LiteLLM's proxy that this release does nothing with.
#[derive(Debug, Clone, Copy)]
pub struct Foreign {
    /// Its name, without the dashes.
    pub name: &'static str,
    /// Whether a value may follow it.
    pub value: ForeignValue,
    /// What becomes of it.
    pub fate: Fate,
}

/// Whether a foreign flag is followed by a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForeignValue {
    /// Always.
    Needed,
    /// Some scripts give one.
    Optional,
}

/// What becomes of a foreign flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Nothing is lost without it, for this reason: a warning.
    WithoutEffect(&'static str),
    /// This is missing: going on would do less than was asked for, so the start ends.
    Missing(&'static str),
}

/// LiteLLM's flags that this release does nothing with, from the table that the compatibility page is written from.
pub fn foreign() -> impl Iterator<Item = Foreign> {
    use litellm_config::support::{FLAGS, Shape, Support};
    FLAGS.iter().filter_map(|flag| {
        let fate = match flag.support {
            Support::Honoured => return None,
            Support::Ignored(why) => Fate::WithoutEffect(why),
            Support::NotYet(what) | Support::NotEnforced(what) | Support::OpenDoor(what) | Support::Refused(what) => {
                Fate::Missing(what)
            }
        };
        let value = if flag.shape == Shape::Flag { ForeignValue::Optional } else { ForeignValue::Needed };
        Some(Foreign { name: flag.name.trim_start_matches('-'), value, fate })
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_flags_are_consistent() {
        Flags::command().debug_assert();
    }

    #[test]
    fn serving_is_what_is_meant_where_nothing_is_said() {
        let flags = Flags::parse_from(["turnpike-control-plane", "--admin-port", "5001", "--log", "debug"]);
        assert!(flags.command.is_none());
        assert_eq!((flags.serve.admin_port, flags.serve.grpc_port), (5001, 4002));
        let flags = Flags::parse_from(["turnpike-control-plane", "serve", "--grpc-port", "5002"]);
        assert!(matches!(flags.command, Some(Command::Serve(serve)) if serve.grpc_port == 5002));
    }

    #[test]
    fn without_certificates_the_error_says_how_to_make_them() {
        let flags = Flags::parse_from(["turnpike-control-plane"]);
        assert!(flags.serve.enrolment().unwrap_err().to_string().contains("turnpike-control-plane init"));
    }

    #[test]
    fn what_init_writes_is_what_serving_reads() {
        let folder = tempfile::tempdir().unwrap();
        crate::enrol::init(folder.path(), &["cp.example".to_owned()]).unwrap();
        let dir = folder.path().display().to_string();
        let flags = Flags::parse_from(["turnpike-control-plane", "--tls-dir", dir.as_str()]);
        assert!(flags.serve.enrolment().is_ok());
    }
}
