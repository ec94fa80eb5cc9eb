//! Every metric of the data plane, once.

use std::net::SocketAddr;
use std::sync::LazyLock;

use metrics::{Counter, Gauge, counter, gauge};
use metrics_exporter_prometheus::PrometheusBuilder;
use proto::v1::Ending;

struct Metrics {
    endings: [Counter; 9],
    refusals: Counter,
    retries: Counter,
    unknown_price: Counter,
    drains: Gauge,
    lost: Counter,
    unbooked: Counter,
    unbooked_nano_usd: Counter,
    rejected: Counter,
    refused_snapshots: Counter,
    revision: Gauge,
    connected: Gauge,
    spool_bytes: Gauge,
    spool_events: Gauge,
    redis_connected: Gauge,
    redis_failed: Counter,
}

static METRICS: LazyLock<Metrics> = LazyLock::new(|| Metrics {
    endings: ENDINGS.map(|ending| counter!("turnpike_calls_total", "ending" => ending_name(ending))),
    refusals: counter!("turnpike_refused_calls_total"),
    retries: counter!("turnpike_retries_total"),
    unknown_price: counter!("turnpike_unknown_price_calls_total"),
    drains: gauge!("turnpike_detached_calls"),
    lost: counter!("turnpike_usage_lost_total"),
    unbooked: counter!("turnpike_unbooked_calls_total"),
    unbooked_nano_usd: counter!("turnpike_unbooked_nano_usd_total"),
    rejected: counter!("turnpike_resources_rejected_total"),
    refused_snapshots: counter!("turnpike_snapshots_refused_total"),
    revision: gauge!("turnpike_snapshot_revision"),
    connected: gauge!("turnpike_control_plane_connected"),
    spool_bytes: gauge!("turnpike_spool_bytes"),
    spool_events: gauge!("turnpike_spool_events"),
    redis_connected: gauge!("turnpike_redis_connected"),
    redis_failed: counter!("turnpike_redis_failures_total"),
});

const ENDINGS: [Ending; 9] = [
    Ending::Unspecified,
    Ending::Complete,
    Ending::ClientLeft,
    Ending::UpstreamCut,
    Ending::UpstreamStalled,
    Ending::LimitReached,
    Ending::Drained,
    Ending::Interrupted,
    Ending::Refused,
];

fn ending_name(ending: Ending) -> &'static str {
    match ending {
        Ending::Unspecified => "unspecified",
        Ending::Complete => "complete",
        Ending::ClientLeft => "client_left",
        Ending::UpstreamCut => "upstream_cut",
        Ending::UpstreamStalled => "upstream_stalled",
        Ending::LimitReached => "limit_reached",
        Ending::Drained => "drained",
        Ending::Interrupted => "interrupted",
        Ending::Refused => "refused",
    }
}

/// Serves the metrics of this process at `address`; without one they are not kept.
pub async fn serve(address: Option<SocketAddr>) -> anyhow::Result<()> {
    let Some(address) = address else { return Ok(()) };
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).map_err(|_twice| anyhow::anyhow!("metrics were started twice"))?;
    LazyLock::force(&METRICS);
    let listener = tokio::net::TcpListener::bind(address)
        .await
        .map_err(|error| anyhow::anyhow!("metrics cannot listen on {address}: {error}"))?;
    tokio::spawn(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            let handle = handle.clone();
            tokio::spawn(async move {
                let answer = hyper::service::service_fn(move |_| {
                    let body = http_body_util::Full::new(bytes::Bytes::from(handle.render()));
                    async move { Ok::<_, std::convert::Infallible>(http::Response::new(body)) }
                });
                let io = hyper_util::rt::TokioIo::new(stream);
                if let Err(error) = hyper::server::conn::http1::Builder::new().serve_connection(io, answer).await {
                    tracing::debug!(%error, "a metrics connection ended");
                }
            });
        }
    });
    Ok(())
}

pub(crate) fn ending(ending: Ending) {
    let index = usize::try_from(i32::from(ending)).unwrap_or(0);
    if let Some(counter) = METRICS.endings.get(index) {
        counter.increment(1);
    }
}

pub(crate) fn refusal() {
    METRICS.refusals.increment(1);
}

pub(crate) fn retry() {
    METRICS.retries.increment(1);
}

pub(crate) fn unknown_price() {
    METRICS.unknown_price.increment(1);
}

/// A call goes on without its client. Steps, not sums: cores that set sums could leave the older one standing.
pub(crate) fn call_detached() {
    METRICS.drains.increment(1);
}

pub(crate) fn detached_call_ended() {
    METRICS.drains.decrement(1);
}

pub(crate) fn usage_lost(events: u64) {
    METRICS.lost.increment(events);
}

/// Whether limits are shared through Redis at the moment.
pub(crate) fn redis_connected(is_connected: bool) {
    METRICS.redis_connected.set(u32::from(is_connected));
}

/// A call was not answered by Redis in time.
pub(crate) fn redis_failed() {
    METRICS.redis_failed.increment(1);
}

/// A call was served that no record tells of: the spool was full, and the setting says to serve on.
pub(crate) fn unbooked_call(nano_usd: u64) {
    METRICS.unbooked.increment(1);
    METRICS.unbooked_nano_usd.increment(nano_usd);
}

pub(crate) fn resources_rejected(count: usize) {
    METRICS.rejected.increment(count as u64);
}

pub(crate) fn snapshot_refused() {
    METRICS.refused_snapshots.increment(1);
}

#[allow(clippy::cast_precision_loss, reason = "gauges are floats")]
pub(crate) fn snapshot_revision(revision: u64) {
    METRICS.revision.set(revision as f64);
}

pub(crate) fn control_plane_connected(is_connected: bool) {
    METRICS.connected.set(u32::from(is_connected));
}

#[allow(clippy::cast_precision_loss, reason = "gauges are floats")]
pub(crate) fn spool(bytes: u64, events: u64) {
    METRICS.spool_bytes.set(bytes as f64);
    METRICS.spool_events.set(events as f64);
}
