//! What clients may take of a data plane: every limit of its port with its default, once. The flags are the table.

use std::time::Duration;

use clap::Args;

/// Limits of the port that serves model calls. Depth of JSON (128) and what may not stand twice are fixed.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Limits for clients")]
pub struct Limits {
    /// How long a request's head may take from its first byte; then 408.
    #[arg(long = "head-seconds", env = "TURNPIKE_HEAD_SECONDS", value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub head: Duration,

    /// How long a connection is kept open without a call.
    #[arg(long = "idle-seconds", env = "TURNPIKE_IDLE_SECONDS", value_name = "SECONDS", default_value = "75", value_parser = seconds)]
    pub idle: Duration,

    /// How old a connection gets before it is closed between calls, give or take a tenth.
    #[arg(long = "connection-age-seconds", env = "TURNPIKE_CONNECTION_AGE_SECONDS", value_name = "SECONDS", default_value = "3600", value_parser = seconds)]
    pub age: Duration,

    /// How long a request's body may take as a whole; then 408.
    #[arg(long = "body-seconds", env = "TURNPIKE_BODY_SECONDS", value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    pub body: Duration,

    /// How long a request's body may come at any pace before the pace counts.
    #[arg(long = "body-grace-seconds", env = "TURNPIKE_BODY_GRACE_SECONDS", value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub body_grace: Duration,

    /// The slowest pace of a request's body after that, on average; then 408.
    #[arg(
        long = "body-bytes-per-second",
        env = "TURNPIKE_BODY_BYTES_PER_SECOND",
        value_name = "BYTES",
        default_value_t = 1024
    )]
    pub body_pace: u32,

    /// How long a client may take no byte of its answer; then it is hung up on, and its stream read on for and booked.
    #[arg(long = "stall-seconds", env = "TURNPIKE_STALL_SECONDS", value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    pub stall: Duration,

    /// Most headers of a request; then 431.
    #[arg(long, env = "TURNPIKE_MAX_HEADERS", value_name = "N", default_value_t = 100)]
    pub max_headers: usize,

    /// The largest head of a request; then 431.
    #[arg(long, env = "TURNPIKE_MAX_HEAD_KB", value_name = "KIB", default_value_t = 64)]
    pub max_head_kb: usize,

    /// The longest address (path and query) of a request; then 414.
    #[arg(long, env = "TURNPIKE_MAX_URI_BYTES", value_name = "BYTES", default_value_t = 8192)]
    pub max_uri_bytes: usize,

    /// Most open connections; more are answered 503 and closed.
    #[arg(long, env = "TURNPIKE_MAX_CONNECTIONS", value_name = "N", default_value_t = 10_000)]
    pub max_connections: u32,

    /// Most open connections of one address; more are answered 503 and closed. 0 is no limit: many clients may share a proxy.
    #[arg(long, env = "TURNPIKE_MAX_CONNECTIONS_PER_IP", value_name = "N", default_value_t = 0)]
    pub max_connections_per_ip: u32,

    /// Most calls at once, shared evenly by the threads; more are answered 503 with `Retry-After: 1`.
    #[arg(long, env = "TURNPIKE_MAX_IN_FLIGHT", value_name = "N", default_value_t = 5_000)]
    pub max_in_flight: u32,
}

impl Limits {
    /// The largest head in bytes.
    pub(crate) fn max_head_bytes(&self) -> usize {
        self.max_head_kb.saturating_mul(1024)
    }

    /// How many calls one of so many threads may serve at once.
    pub(crate) fn in_flight_of_one(&self, threads: usize) -> u32 {
        self.max_in_flight.div_ceil(u32::try_from(threads.max(1)).unwrap_or(u32::MAX))
    }

    /// Until when a body may come of which so much is there, counted from its beginning.
    pub(crate) fn body_until(&self, bytes: usize) -> Duration {
        let earned = (bytes as u64).checked_div(self.body_pace.into()).map_or(self.body, Duration::from_secs);
        self.body.min(self.body_grace.max(earned))
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<u32>() {
        Ok(seconds) if seconds > 0 => Ok(Duration::from_secs(seconds.into())),
        _ => Err("a whole number of seconds, 1 or more".to_owned()),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Only {
        #[command(flatten)]
        limits: Limits,
    }

    pub(crate) fn given(flags: &[&str]) -> Limits {
        Only::parse_from(["test"].iter().chain(flags)).limits
    }

    #[test]
    fn a_body_earns_time_by_its_pace_but_never_more_than_the_whole() {
        let limits = given(&[]);
        assert_eq!(limits.body_until(0), Duration::from_secs(10));
        assert_eq!(limits.body_until(20 * 1024), Duration::from_secs(20));
        assert_eq!(limits.body_until(100 << 20), Duration::from_secs(60));
        assert_eq!(given(&["--body-bytes-per-second", "0"]).body_until(0), Duration::from_secs(60));
    }

    #[test]
    fn a_limit_of_no_time_is_refused() {
        assert!(Only::try_parse_from(["test", "--head-seconds", "0"]).is_err());
    }

    #[test]
    fn calls_are_shared_by_the_threads_and_each_has_one() {
        assert_eq!(given(&[]).in_flight_of_one(4), 1_250);
        assert_eq!(given(&["--max-in-flight", "1"]).in_flight_of_one(8), 1);
    }
}
