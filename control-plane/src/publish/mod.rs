//! Publishing: what admins decided, on every data plane.
//!
//! A commit moves the revision ([`feed`]); [`watch`] notices; each connected data plane's [`session`] asks
//! [`compose`] for the delta or the whole snapshot and pushes it, one at a time; [`fleet`] knows who holds what.
//! Sessions come in through [`serve`]. Rows become resources in their own slices. What is spent of budgets goes its own way ([`totals`]).

mod census;
pub(crate) mod chunks;
pub(crate) mod compose;
mod cut;
pub(crate) mod delta;
pub(crate) mod feed;
pub(crate) mod fleet;
pub(crate) mod gate;
mod owners;
mod paths;
mod refresh;
pub(crate) mod resource;
pub(crate) mod sections;
mod serve;
mod session;
mod shelf;
mod shrink;
pub(crate) mod source;
#[cfg(test)]
mod tests;
mod totals;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use proto::v1 as pb;
use proto::v1::snapshots_server::SnapshotsServer;
use sqlx::{PgConnection, PgPool};
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub(crate) use fleet::DataPlaneView;
pub(crate) use source::{Environment, PublishedSettings};

use crate::vault::Vault;
use crate::{models, prices};

/// Whole snapshots on their way at once; others wait in line.
const TRANSFERS: usize = 8;

/// Between tries to resolve references at the start.
const RETRY: Duration = Duration::from_secs(1);

/// A lineage of the database and a place in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) epoch: Uuid,
    pub(crate) revision: u64,
}

/// Keeps the snapshots of all connected data planes current. Cheap to clone; one per control plane.
#[derive(Clone)]
pub(crate) struct Publisher(Arc<Parts>);

struct Parts {
    source: source::Source,
    shelf: shelf::Shelf,
    fleet: fleet::Fleet,
    /// What the database is known to have come to; nothing before it was first read.
    reached: tokio::sync::watch::Sender<Option<Version>>,
    totals: totals::Teller,
    hint: Notify,
    transfers: Semaphore,
    ack_within: Duration,
    /// Counts how often an admin said that there is meant to be less.
    confirmations: tokio::sync::watch::Sender<u64>,
    /// How many data planes share the limits; nothing before they were counted.
    planes: tokio::sync::watch::Sender<Option<u32>>,
    stop: CancellationToken,
}

impl Publisher {
    /// A publisher that knows nothing yet; [`Publisher::run`] brings it to life.
    pub(crate) fn new(
        db: PgPool,
        vault: Vault,
        prices: &'static prices::Table,
        environment: Environment,
        extras: PublishedSettings,
    ) -> Self {
        Self::with_patience(source::Source { db, vault, prices, environment, extras }, session::ACK_WITHIN)
    }

    fn with_patience(source: source::Source, ack_within: Duration) -> Self {
        Self(Arc::new(Parts {
            source,
            shelf: shelf::Shelf::default(),
            fleet: fleet::Fleet::default(),
            reached: tokio::sync::watch::Sender::new(None),
            totals: totals::Teller::new(),
            hint: Notify::new(),
            transfers: Semaphore::new(TRANSFERS),
            ack_within,
            confirmations: tokio::sync::watch::Sender::new(0),
            planes: tokio::sync::watch::Sender::new(None),
            stop: CancellationToken::new(),
        }))
    }

    /// Says that a commit of this process moved the revision, so that nobody waits for the poll.
    pub(crate) fn hint(&self, revision: u64) {
        tracing::trace!(revision, "the revision moved here");
        self.0.hint.notify_one();
    }

    /// Waits until references were resolved at the start, and the database is watched.
    #[cfg(test)]
    pub(crate) async fn watches(&self) {
        let mut reached = self.0.reached.subscribe();
        let _closed_or_reached = reached.wait_for(Option::is_some).await;
    }

    /// Waits until every connected data plane has applied `revision`, and gives the names of those that have
    /// not when `within` has passed. Empty: all have.
    pub(crate) async fn applied(&self, revision: u64, within: Duration) -> Vec<String> {
        let Some(Version { epoch, .. }) = *self.0.reached.borrow() else { return Vec::new() };
        self.0.fleet.applied(Version { epoch, revision }, within).await
    }

    /// The connected data planes, by id.
    pub(crate) fn fleet(&self) -> Vec<DataPlaneView> {
        self.0.fleet.view()
    }

    /// Lets data planes that refuse a snapshot because so much would be gone have it all the same, and names them.
    pub(crate) fn confirm_shrink(&self) -> Vec<String> {
        let refusing = self.0.fleet.view().into_iter().filter(|view| view.refuses_shrink);
        let refusing = refusing.map(|view| view.id).collect();
        self.0.confirmations.send_modify(|times| *times += 1);
        refusing
    }

    /// Resolves references anew, and watches the database until `shutdown`; then ends all sessions.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let _cut = self.0.stop.clone().drop_guard();
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = self.watch() => {}
            () = census::run(&self.0) => {}
        }
    }

    async fn watch(&self) {
        while let Err(error) = self.refresh().await {
            let error = anyhow::Error::from(error);
            tracing::error!(error = format!("{error:#}"), "references cannot be resolved: nothing is published");
            tokio::time::sleep(RETRY).await;
        }
        watch::run(&self.0).await;
    }

    /// Resolves all references anew (`os.environ/…` may read differently now), and publishes what changed.
    pub(crate) async fn refresh(&self) -> Result<Option<u64>, source::ComposeError> {
        let published = refresh::refresh(&self.0.source).await?;
        if let Some(revision) = published {
            tracing::info!(revision, "references, settings or prices resolve differently than before: published");
            self.hint(revision);
        }
        Ok(published)
    }

    /// What data planes get for each of these deployments, or why they do not get it.
    pub(crate) async fn resolve(
        &self,
        db: &mut PgConnection,
        rows: &[models::Deployment],
    ) -> Result<Vec<Result<pb::Deployment, models::publish::Unavailable>>, source::ComposeError> {
        let sections = sections::read(db, &self.0.source.vault).await?;
        let resolver = models::publish::Resolver::new(&self.0.source, &sections);
        Ok(rows.iter().map(|row| resolver.resolve(row)).collect())
    }

    /// The value with its references resolved, as those of published settings are.
    pub(crate) async fn resolved(
        &self,
        db: &mut PgConnection,
        value: &serde_json::Value,
    ) -> Result<serde_json::Value, source::ComposeError> {
        let sections = sections::read(db, &self.0.source.vault).await?;
        Ok(litellm_config::reference::resolve_all(value, &|name| sections.look_up(&self.0.source.environment, name)))
    }

    /// Whether a deployment, whose params are not sealed, may be stored; the outer error is that nobody can tell.
    pub(crate) async fn check(
        &self,
        db: &mut PgConnection,
        row: &models::Deployment,
    ) -> Result<Result<(), models::publish::Unavailable>, source::ComposeError> {
        let sections = sections::read(db, &self.0.source.vault).await?;
        Ok(models::publish::Resolver::new(&self.0.source, &sections).check(row))
    }

    /// What seals the secrets of rows.
    pub(crate) fn vault(&self) -> &Vault {
        &self.0.source.vault
    }

    /// Cancelled when publishing ends.
    pub(crate) fn stopping(&self) -> CancellationToken {
        self.0.stop.clone()
    }

    /// The gRPC service that data planes subscribe to.
    pub(crate) fn snapshots(&self) -> SnapshotsServer<serve::Subscriptions> {
        SnapshotsServer::new(serve::Subscriptions::new(self.clone()))
    }
}
