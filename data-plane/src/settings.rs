//! Process settings of a data plane, from flags and environment, read once. Nothing about models or keys.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, ValueEnum};

use crate::door::limits::Limits;
use crate::limits::redis;

/// `turnpike-data-plane`: serves every model call with what the control plane pushed to it.
#[derive(Debug, Parser)]
#[command(name = "turnpike-data-plane", version, about, long_about = None)]
pub struct Flags {
    /// The control plane's gRPC address. Several that share one database are separated by commas: when one is lost, the
    /// next is taken.
    #[arg(long, env = "TURNPIKE_CONTROL_PLANE", value_name = "https://HOST:4002")]
    control_plane: String,

    /// The join token that `turnpike-control-plane init` wrote; it also pins the control plane's certificate authority.
    #[arg(
        long,
        env = "TURNPIKE_JOIN_TOKEN",
        hide_env_values = true,
        value_name = "TOKEN",
        conflicts_with = "join_token_file"
    )]
    join_token: Option<String>,

    /// A file that holds the join token.
    #[arg(long, env = "TURNPIKE_JOIN_TOKEN_FILE", value_name = "FILE")]
    join_token_file: Option<PathBuf>,

    /// The address to listen on.
    #[arg(long, env = "HOST", default_value = "0.0.0.0")]
    host: IpAddr,

    /// The port to listen on.
    #[arg(long, env = "PORT", default_value_t = 4000)]
    port: u16,

    #[command(flatten)]
    shared: Shared,

    /// Where the snapshot's disk copy and the spool of usage lie.
    #[arg(long, env = "TURNPIKE_STATE_DIR", value_name = "DIR")]
    state_dir: PathBuf,

    /// A file whose content seals the state directory; without it a key is made beside the state, with a warning.
    #[arg(long, env = "TURNPIKE_STATE_KEY_FILE", value_name = "FILE")]
    state_key_file: Option<PathBuf>,

    #[command(flatten)]
    redis: redis::target::RedisFlags,
}

/// Settings that the standalone binary offers too.
#[derive(Clone, Debug, Args)]
pub struct Shared {
    /// How many threads serve calls [default: the number of cores, at most 8].
    #[arg(long, env = "TURNPIKE_THREADS", value_name = "N")]
    pub threads: Option<usize>,

    /// Whether admin paths on this port are forwarded to the control plane.
    #[arg(long, env = "TURNPIKE_FORWARD_ADMIN", value_enum, default_value_t = ForwardAdmin::On)]
    pub forward_admin: ForwardAdmin,

    /// Serves Prometheus metrics on this port, on the same host, without a key. Off unless given.
    #[arg(long, env = "TURNPIKE_METRICS_PORT", value_name = "PORT")]
    pub metrics_port: Option<u16>,

    /// The largest request body that is accepted.
    #[arg(long, env = "TURNPIKE_MAX_BODY_MB", value_name = "MB", default_value_t = 100)]
    pub max_body_mb: u32,

    /// How much usage may wait on disk while the control plane is away. Fractions are allowed.
    #[arg(long = "spool-max-mb", env = "TURNPIKE_SPOOL_MAX_MB", value_name = "MB", default_value = "1024", value_parser = megabytes)]
    pub spool_max_bytes: u64,

    /// What becomes of calls while the spool is full, or cannot be written: refuse them with 503, or serve them without
    /// booking them and count what that costs.
    #[arg(long, env = "TURNPIKE_SPOOL_FULL", value_enum, default_value_t = SpoolFull::Refuse)]
    pub spool_full: SpoolFull,

    /// How long running calls may take to end after SIGTERM.
    #[arg(long, env = "GRACEFUL_SHUTDOWN_TIMEOUT", value_name = "SECONDS", default_value_t = 90)]
    pub drain_seconds: u32,

    /// How long new calls are still accepted after SIGTERM, with readiness already off.
    #[arg(long, env = "TURNPIKE_LINGER_SECONDS", value_name = "SECONDS", default_value_t = 5)]
    pub linger_seconds: u32,

    #[command(flatten)]
    pub limits: Limits,
}

/// What becomes of calls that cannot be booked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SpoolFull {
    /// They are refused with 503: no call goes unbooked.
    Refuse,
    /// They are served. How many, and what they cost by our prices, is counted, logged and shown in the fleet view.
    ServeAndCount,
}

/// Whether admin paths are forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ForwardAdmin {
    On,
    Off,
}

/// What a data plane needs to know about its process.
#[derive(Debug)]
pub struct Settings {
    /// `https://host:port`, several separated by commas, or `unix:/path` in standalone.
    pub control_plane: String,
    pub join_token: Option<String>,
    pub state_dir: PathBuf,
    pub state_key_file: Option<PathBuf>,
    pub forward_admin: ForwardAdmin,
    pub max_body_bytes: usize,
    pub spool_max_bytes: u64,
    pub spool_full: SpoolFull,
    pub drain: Duration,
    pub linger: Duration,
    pub limits: Limits,
    /// Where limits are shared; none where this data plane keeps them by itself.
    pub(crate) redis: Option<redis::Target>,
}

/// Settings that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error("the join token file {path}: {source}")]
    TokenFile { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Redis(#[from] redis::target::TargetError),
}

impl Flags {
    pub fn host(&self) -> IpAddr {
        self.host
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Reads what the flags point to.
    pub fn settings(self) -> Result<Settings, SettingsError> {
        let join_token = match (self.join_token, self.join_token_file) {
            (Some(token), _) => Some(token),
            (None, Some(path)) => {
                let token = std::fs::read_to_string(&path);
                Some(token.map_err(|source| SettingsError::TokenFile { path, source })?)
            }
            (None, None) => None,
        };
        let redis = self.redis.target()?;
        let settings = self.shared.settings(self.control_plane, join_token, self.state_dir, self.state_key_file);
        Ok(Settings { redis, ..settings })
    }
}

impl Shared {
    /// The threads to serve with.
    pub fn threads(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from).min(8);
        self.threads.unwrap_or_else(cores).max(1)
    }

    /// Completes these to a data plane's settings.
    pub fn settings(
        &self,
        control_plane: String,
        join_token: Option<String>,
        state_dir: PathBuf,
        state_key_file: Option<PathBuf>,
    ) -> Settings {
        Settings {
            control_plane,
            join_token,
            state_dir,
            state_key_file,
            forward_admin: self.forward_admin,
            max_body_bytes: usize::try_from(u64::from(self.max_body_mb) << 20).unwrap_or(usize::MAX),
            spool_max_bytes: self.spool_max_bytes,
            spool_full: self.spool_full,
            drain: Duration::from_secs(self.drain_seconds.into()),
            linger: Duration::from_secs(self.linger_seconds.into()),
            limits: self.limits.clone(),
            redis: None,
        }
    }
}

/// Megabytes, also `0.5`, as bytes.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked first")]
fn megabytes(text: &str) -> Result<u64, String> {
    let count: f64 = text.parse().map_err(|_not_a_number| format!("`{text}` is no number of megabytes"))?;
    match (0.001..=1e9).contains(&count) {
        true => Ok((count * f64::from(1 << 20)) as u64),
        false => Err("give from 0.001 to 1000000000 megabytes".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn megabytes_may_be_fractions_and_nothing_else() {
        assert_eq!(megabytes("1024"), Ok(1 << 30));
        assert_eq!(megabytes("0.5"), Ok(1 << 19));
        for wrong in ["", "0", "-1", "NaN", "inf", "1GB"] {
            assert!(megabytes(wrong).is_err(), "{wrong}");
        }
    }
}
