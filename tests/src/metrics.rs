//! The metrics of a data plane, as an operator's Prometheus reads them.

use anyhow::Context;

use crate::client::Client;
use crate::planes::Planes;
use crate::ports;

/// Where a data plane serves its metrics.
pub struct Metrics(Client);

impl Metrics {
    /// Restarts a data plane so that it serves metrics and has these settings.
    pub async fn restarted(planes: &mut Planes, data_plane: usize, settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        let port = ports::free()?.to_string();
        let mut settings = settings.to_vec();
        settings.push(("TURNPIKE_METRICS_PORT", &port));
        planes.restart(data_plane, &settings).await?;
        Ok(Self(Client::of(format!("http://127.0.0.1:{port}"))))
    }

    /// How often `limit` was reached.
    pub async fn limit(&self, limit: &str) -> anyhow::Result<u64> {
        self.value(&format!("turnpike_limits_total{{limit=\"{limit}\"}}")).await
    }

    /// The value of a whole series, as it is written.
    pub async fn value(&self, series: &str) -> anyhow::Result<u64> {
        let reply = self.0.get("/metrics").await?;
        let text = String::from_utf8_lossy(&reply.body).into_owned();
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.with_context(|| format!("no series {series}"))?.parse().context("no whole number")
    }
}
