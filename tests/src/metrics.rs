//! The metrics of a data plane, as an operator's Prometheus reads them.

use std::time::Duration;

use anyhow::Context;

use crate::client::Client;
use crate::planes::{Plane, Planes};
use crate::ports;
use crate::wait::eventually;

/// Where a data plane serves its metrics.
pub struct Metrics(Client);

impl Metrics {
    /// Restarts a data plane so that it serves metrics and has these settings.
    pub async fn restarted(planes: &mut Planes, data_plane: usize, settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        let plane: &mut Plane = planes.data.get_mut(data_plane).context("no such data plane")?;
        let port = ports::free()?;
        plane.kill_nine()?;
        plane.set_env("TURNPIKE_METRICS_PORT", &port.to_string());
        for (name, value) in settings {
            plane.set_env(name, value);
        }
        plane.start().await?;
        let metrics = Self(Client::of(format!("http://127.0.0.1:{port}")));
        // It is ready from its disk copy: keys that are made before it is connected again come later.
        eventually("it is connected again", Duration::from_secs(20), async || {
            Ok((metrics.value("turnpike_control_plane_connected").await? == 1).then_some(()))
        })
        .await?;
        Ok(metrics)
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
