//! Noticing that the revision moved.
//!
//! A commit in this process and `NOTIFY` from another are hints; reading the revision once a second is the truth.

use std::time::Duration;

use sqlx::postgres::PgListener;
use tokio::time::{Instant, sleep, sleep_until};
use uuid::Uuid;

use super::{Parts, Version, feed};

const POLL: Duration = Duration::from_secs(1);

/// Changes that follow each other faster are merged.
const COALESCE: Duration = Duration::from_millis(10);

/// Keeps `parts.reached` current, without end.
pub(super) async fn run(parts: &Parts) {
    tokio::select! {
        () = poll(parts) => {}
        () = listen(parts) => {}
    }
}

async fn poll(parts: &Parts) {
    let mut reachable = true;
    loop {
        let next_poll = Instant::now() + POLL;
        match look(parts).await {
            Ok((epoch, revision)) => {
                let reached = Version { epoch, revision };
                let moved = parts.reached.send_if_modified(|known| known.replace(reached) != Some(reached));
                if moved {
                    tracing::debug!(revision, "publishing a revision");
                    sleep(COALESCE).await;
                }
                if !reachable {
                    tracing::info!("the database is back: publishing goes on");
                }
                reachable = true;
            }
            Err(error) => {
                if reachable {
                    tracing::warn!(%error, "the database is away: data planes keep what they hold");
                }
                reachable = false;
            }
        }
        tokio::select! {
            () = parts.hint.notified() => {}
            () = sleep_until(next_poll) => {}
        }
    }
}

/// The revision, after everybody was told of what was spent before it.
async fn look(parts: &Parts) -> sqlx::Result<(Uuid, u64)> {
    let current = feed::current(&parts.source.db).await?;
    parts.totals.look(&parts.source.db).await?;
    Ok(current)
}

/// Turns notifications into hints. Without a connection there are none, and the poll goes on.
async fn listen(parts: &Parts) {
    loop {
        if let Err(error) = forward_notifications(parts).await {
            tracing::debug!(%error, "not listening for revisions; asking each second instead");
        }
        sleep(POLL).await;
    }
}

async fn forward_notifications(parts: &Parts) -> sqlx::Result<()> {
    let mut listener = PgListener::connect_with(&parts.source.db).await?;
    listener.listen("turnpike_revision").await?;
    loop {
        // None is a lost connection, made anew by the next call: something may have been missed.
        let _notification = listener.try_recv().await?;
        parts.hint.notify_one();
    }
}
