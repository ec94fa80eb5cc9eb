//! Which Redis, and what to do without it: process settings of a data plane, by LiteLLM's names (admin_api.md 5.4).

use std::fmt;
use std::time::Duration;

use clap::{Args, ValueEnum};
use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _, RedisConnectionInfo};
use serde::Deserialize;

/// Redis as flags and environment name it: an address as URL, or in parts, or the nodes of a cluster.
#[derive(Clone, Args)]
pub(crate) struct RedisFlags {
    /// The Redis through which data planes share limits: redis://, rediss:// or unix:// with user, password and database.
    #[arg(long, env = "REDIS_URL", hide_env_values = true, value_name = "URL")]
    redis_url: Option<String>,

    /// Its host, when there is no URL.
    #[arg(long, env = "REDIS_HOST", value_name = "HOST", conflicts_with = "redis_url")]
    redis_host: Option<String>,

    #[arg(long, env = "REDIS_PORT", value_name = "PORT", default_value_t = 6379)]
    redis_port: u16,

    #[arg(long, env = "REDIS_USERNAME", value_name = "NAME")]
    redis_username: Option<String>,

    /// Its password: an environment variable, so that no list of processes shows it.
    #[arg(env = "REDIS_PASSWORD", hide_env_values = true, hide = true, long = "redis-password")]
    redis_password: Option<String>,

    /// Whether it is reached by TLS.
    #[arg(long, env = "REDIS_SSL", value_name = "BOOL", default_value_t = false, action = clap::ArgAction::Set)]
    redis_ssl: bool,

    /// The first nodes of a cluster, as LiteLLM writes them: [{"host": "10.0.0.1", "port": 6379}].
    #[arg(long, env = "REDIS_CLUSTER_NODES", value_name = "JSON", conflicts_with_all = ["redis_url", "redis_host"])]
    redis_cluster_nodes: Option<String>,

    /// What the names of all keys in it begin with. Gateways that do not share limits need different ones. In a cluster, the
    /// part in braces keeps them in one slot.
    #[arg(long, env = "TURNPIKE_REDIS_PREFIX", value_name = "PREFIX", default_value = "{tp}")]
    redis_prefix: String,

    /// How long a call waits for Redis. After five calls in ten seconds that waited in vain, none waits until it answers again.
    #[arg(long, env = "TURNPIKE_REDIS_PATIENCE_MS", value_name = "MS", default_value_t = 20)]
    redis_patience_ms: u16,

    /// How limits and budgets are kept while Redis does not answer.
    #[arg(long, env = "TURNPIKE_ON_REDIS_DOWN", value_enum, default_value_t = WhenAway::LocalShare)]
    on_redis_down: WhenAway,
}

/// What becomes of limits while Redis does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum WhenAway {
    /// Each data plane admits its part of every limit, and spends its part of what it last heard to be left of a budget.
    LocalShare,
    /// Nothing is limited; what is used is counted.
    Allow,
    /// Calls that have a limit or budget are refused with 503.
    Deny,
}

impl fmt::Display for WhenAway {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::LocalShare => "local_share",
            Self::Allow => "allow",
            Self::Deny => "deny",
        })
    }
}

/// A Redis to share limits through.
#[derive(Clone)]
pub(crate) struct Target {
    pub(super) nodes: Nodes,
    pub(super) prefix: Box<str>,
    pub(super) when_away: WhenAway,
    pub(super) patience: Duration,
    /// Where it is, without passwords.
    pub(super) shown: Box<str>,
}

#[derive(Clone)]
pub(super) enum Nodes {
    One(Box<ConnectionInfo>),
    Cluster(Vec<ConnectionInfo>),
}

/// Settings that name no Redis. The URL is not shown: it may hold a password.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    #[error(
        "REDIS_URL cannot be read: give redis://HOST:PORT/DATABASE, rediss://… for TLS, or unix:///PATH, with user:password@ before the host where it has one"
    )]
    Url,
    #[error("REDIS_CLUSTER_NODES cannot be read ({0}): give [{{\"host\": \"HOST\", \"port\": PORT}}, …]")]
    Nodes(String),
    #[error("REDIS_CLUSTER_NODES names no node")]
    NoNodes,
    #[error(
        "a cluster needs a prefix with a part in braces, such as {{tp}}, which keeps all keys in one slot: --redis-prefix is {0}"
    )]
    Prefix(String),
}

#[derive(Deserialize)]
struct Node {
    host: String,
    port: u16,
}

impl fmt::Debug for Target {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Target({}, {})", self.shown, self.when_away)
    }
}

impl fmt::Debug for RedisFlags {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("RedisFlags(…)")
    }
}

impl RedisFlags {
    /// None where no Redis is named.
    pub(crate) fn target(self) -> Result<Option<Target>, TargetError> {
        let nodes = match (&self.redis_url, &self.redis_host, &self.redis_cluster_nodes) {
            (Some(url), _, _) => {
                let info = url.as_str().into_connection_info().map_err(|_shows_it| TargetError::Url)?;
                Nodes::One(Box::new(info))
            }
            (None, Some(host), _) => Nodes::One(Box::new(self.node(host, self.redis_port)?)),
            (None, None, Some(nodes)) => {
                let nodes: Vec<Node> =
                    serde_json::from_str(nodes).map_err(|error| TargetError::Nodes(error.to_string()))?;
                let nodes = nodes.iter().map(|node| self.node(&node.host, node.port));
                Nodes::Cluster(nodes.collect::<Result<_, _>>()?)
            }
            (None, None, None) => return Ok(None),
        };
        let shown = match &nodes {
            Nodes::One(info) => info.addr().to_string(),
            Nodes::Cluster(nodes) => nodes.first().ok_or(TargetError::NoNodes)?.addr().to_string(),
        };
        let is_one_slot =
            self.redis_prefix.split_once('{').is_some_and(|(_, rest)| rest.find('}').is_some_and(|at| at > 0));
        if matches!(nodes, Nodes::Cluster(_)) && !is_one_slot {
            return Err(TargetError::Prefix(self.redis_prefix));
        }
        let (prefix, when_away) = (self.redis_prefix.into(), self.on_redis_down);
        let patience = Duration::from_millis(self.redis_patience_ms.into());
        Ok(Some(Target { nodes, prefix, when_away, patience, shown: shown.into() }))
    }

    fn node(&self, host: &str, port: u16) -> Result<ConnectionInfo, TargetError> {
        let host = host.to_owned();
        let address = match self.redis_ssl {
            true => ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None },
            false => ConnectionAddr::Tcp(host, port),
        };
        let mut settings = RedisConnectionInfo::default();
        if let Some(name) = &self.redis_username {
            settings = settings.set_username(name);
        }
        if let Some(password) = &self.redis_password {
            settings = settings.set_password(password);
        }
        let info = address.into_connection_info().map_err(|_shows_it| TargetError::Url)?;
        Ok(info.set_redis_settings(settings))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Only {
        #[command(flatten)]
        flags: RedisFlags,
    }

    fn target(flags: &[&str]) -> Result<Option<Target>, TargetError> {
        Only::try_parse_from([&["x"], flags].concat()).unwrap().flags.target()
    }

    #[test]
    fn redis_is_named_by_a_url_in_parts_or_by_nodes_and_its_password_is_never_shown() {
        assert!(target(&[]).unwrap().is_none());
        let by_url = target(&["--redis-url", "redis://me:hunter2@db.example:7000/3"]).unwrap().unwrap();
        assert_eq!(format!("{by_url:?}"), "Target(db.example:7000, local_share)");
        let parts =
            ["--redis-host", "h", "--redis-password", "hunter2", "--redis-ssl", "true", "--on-redis-down", "deny"];
        assert_eq!(format!("{:?}", target(&parts).unwrap().unwrap()), "Target(h:6379, deny)");
        let nodes = r#"[{"host": "a", "port": 1}, {"host": "b", "port": 2}]"#;
        let cluster = target(&["--redis-cluster-nodes", nodes]).unwrap().unwrap();
        assert!(matches!(cluster.nodes, Nodes::Cluster(nodes) if nodes.len() == 2));
    }

    #[test]
    fn what_names_no_redis_is_said_without_showing_it() {
        let wrong = target(&["--redis-url", "htp://me:hunter2@db"]).unwrap_err();
        assert_eq!(wrong, TargetError::Url);
        assert!(!wrong.to_string().contains("hunter2"));
        assert!(matches!(target(&["--redis-cluster-nodes", "a:1"]), Err(TargetError::Nodes(_))));
        assert!(matches!(target(&["--redis-cluster-nodes", "[]"]), Err(TargetError::NoNodes)));
        let nodes = r#"[{"host": "a", "port": 1}]"#;
        let apart = target(&["--redis-cluster-nodes", nodes, "--redis-prefix", "tp"]);
        assert!(matches!(apart, Err(TargetError::Prefix(_))));
    }
}
