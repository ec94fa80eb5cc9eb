//! The `Usage` service: batches in, receipts out.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use proto::channel::DATA_PLANE_ID_HEADER;
use proto::v1 as pb;
use proto::v1::usage_server::{Usage, UsageServer};
use sqlx::PgPool;
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use super::batch::{self, Outcome};
use super::event::{Arrived, day_of};
use super::partitions;

/// Transactions at once, over all data planes: they meet in the same rows, so more only wait.
const AT_ONCE: usize = 4;

/// Receipts that wait to be read.
const WAITING: usize = 8;

/// Batches of 1,000 events have about 1 MiB; metadata may make them larger.
const MESSAGE_BYTES: usize = 32 << 20;

const COME_AGAIN: Duration = Duration::from_secs(1);

/// Takes usage in. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Intake(Arc<Parts>);

struct Parts {
    db: PgPool,
    partitions: partitions::Known,
    turns: Semaphore,
    stop: CancellationToken,
}

impl Intake {
    #[cfg(test)]
    pub(crate) fn new(db: PgPool) -> Self {
        Self::until(db, CancellationToken::new())
    }

    /// Intake whose streams end at `stop`.
    pub(crate) fn until(db: PgPool, stop: CancellationToken) -> Self {
        let turns = Semaphore::new(AT_ONCE);
        Self(Arc::new(Parts { db, partitions: partitions::Known::default(), turns, stop }))
    }

    /// The gRPC service that data planes report to.
    pub(crate) fn service(&self) -> UsageServer<Self> {
        UsageServer::new(self.clone()).max_decoding_message_size(MESSAGE_BYTES)
    }

    /// Books one batch, and says what the data plane may forget.
    pub(crate) async fn take_in(&self, batch: pb::UsageBatch) -> pb::UsageReceipt {
        let sequence = batch.sequence;
        match self.book(batch).await {
            Ok((outcome, totals)) => {
                count(&outcome);
                pb::UsageReceipt {
                    sequence,
                    committed: true,
                    inserted: to_u32(outcome.inserted),
                    known: to_u32(outcome.known),
                    dead_lettered: to_u32(outcome.dead_lettered),
                    retry_after_ms: 0,
                    totals,
                }
            }
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "usage is not booked yet: the data plane keeps it");
                metrics::counter!("turnpike_usage_batches_deferred_total").increment(1);
                let retry_after_ms = u32::try_from(COME_AGAIN.as_millis()).unwrap_or(u32::MAX);
                pb::UsageReceipt { sequence, retry_after_ms, ..pb::UsageReceipt::default() }
            }
        }
    }

    async fn book(&self, batch: pb::UsageBatch) -> anyhow::Result<(Outcome, Vec<pb::Total>)> {
        let _turn = self.0.turns.acquire().await?;
        let events: Vec<Arrived> = batch.events.into_iter().map(Arrived::read).collect();
        let ids = events.iter().filter_map(Arrived::id);
        let days: BTreeSet<_> = ids.filter_map(|id| day_of(&id)).collect();
        self.0.partitions.ensure(&self.0.db, days).await?;
        Ok(batch::take_in(&self.0.db, &batch.data_plane_id, events).await?)
    }
}

#[tonic::async_trait]
impl Usage for Intake {
    type ReportStream = ReceiverStream<Result<pb::UsageReceipt, Status>>;

    async fn report(
        &self,
        request: Request<Streaming<pb::UsageBatch>>,
    ) -> Result<Response<Self::ReportStream>, Status> {
        let id = request.metadata().get(DATA_PLANE_ID_HEADER).and_then(|id| id.to_str().ok());
        let id = id.filter(|id| !id.is_empty()).map(str::to_owned).ok_or_else(|| {
            Status::invalid_argument(format!("send the data plane's id in the header {DATA_PLANE_ID_HEADER}"))
        })?;
        let (receipts, stream) = mpsc::channel(WAITING);
        let intake = self.clone();
        let mut batches = request.into_inner();
        tokio::spawn(async move {
            loop {
                let batch = tokio::select! {
                    () = intake.0.stop.cancelled() => break,
                    batch = batches.next() => batch,
                };
                let Some(Ok(batch)) = batch else { break };
                let receipt = if batch.data_plane_id == id {
                    Ok(intake.take_in(batch).await)
                } else {
                    Err(Status::permission_denied(format!("this connection books for `{id}` only")))
                };
                let over = receipt.is_err();
                if receipts.send(receipt).await.is_err() || over {
                    break;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

fn count(outcome: &Outcome) {
    let figures = [("inserted", outcome.inserted), ("known", outcome.known), ("dead_lettered", outcome.dead_lettered)];
    for (name, events) in figures {
        metrics::counter!("turnpike_usage_events_total", "outcome" => name).increment(events as u64);
    }
}

fn to_u32(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
