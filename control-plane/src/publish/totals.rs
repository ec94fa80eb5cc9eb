//! What is spent of budgets, on its way to data planes.
//!
//! It has no revision: it changes with every call. Whoever subscribes gets all of it before the first snapshot; after that,
//! what changed is read once for all of them, before it is said that the revision moved, so that an owner's new budget never
//! comes without what they spent.

use std::collections::HashMap;
use std::sync::Arc;

use futures_core::Stream;
use futures_util::TryStreamExt as _;
use proto::v1 as pb;
use sqlx::{PgConnection, PgPool};
use tokio::sync::{Mutex, broadcast};

use crate::budgets::told::{self, Cursor};

/// News that a session may be behind before it reads everything anew.
const BEHIND: usize = 64;

/// Totals in one message.
const IN_A_MESSAGE: usize = 5_000;

/// Reads what changed, and tells all sessions.
pub(super) struct Teller {
    news: broadcast::Sender<Arc<pb::Totals>>,
    known: Mutex<Option<Known>>,
}

/// How far the changes were read.
struct Known {
    cursor: Cursor,
    /// The versions that the last look gave: a long transaction elsewhere shows them again and again.
    versions: HashMap<Name, u64>,
}

type Name = (i32, String, String);

impl Teller {
    pub(super) fn new() -> Self {
        Self { news: broadcast::Sender::new(BEHIND), known: Mutex::default() }
    }

    /// A session that hears what is told from now on.
    pub(super) fn listen(&self) -> Listening {
        Listening { news: self.news.subscribe(), has_all: false }
    }

    /// Reads what changed since the last look. The first one tells nothing: no session has begun, and each begins with
    /// everything. It notes what there is, since a long transaction elsewhere would show it again.
    pub(super) async fn look(&self, db: &PgPool) -> sqlx::Result<()> {
        let mut known = self.known.lock().await;
        let mut db = db.acquire().await?;
        let cursor = told::cursor(&mut db).await?;
        let from = known.as_ref().map_or(&cursor, |known| &known.cursor);
        let changed = told::since(&mut db, from).await?;
        let name = |total: &pb::Total| (total.kind, total.id.clone(), total.scope.clone());
        let versions: HashMap<Name, u64> = changed.iter().map(|total| (name(total), total.version)).collect();
        let last = known.replace(Known { cursor, versions });
        let Some(last) = last else { return Ok(()) };
        let is_news = |total: &pb::Total| last.versions.get(&name(total)) != Some(&total.version);
        let totals: Vec<pb::Total> = changed.into_iter().filter(is_news).collect();
        for part in totals.chunks(IN_A_MESSAGE) {
            // Nobody is connected: whoever comes reads everything.
            drop(self.news.send(Arc::new(pb::Totals { totals: part.to_vec() })));
        }
        Ok(())
    }

    /// Everything there is to tell, a message's worth at a time.
    pub(super) fn all(db: &mut PgConnection) -> impl Stream<Item = sqlx::Result<pb::Totals>> {
        let parts = told::all(db).try_chunks(IN_A_MESSAGE);
        parts.map_ok(|totals| pb::Totals { totals }).map_err(|broken| broken.1)
    }
}

/// One session's place in the news.
pub(super) struct Listening {
    news: broadcast::Receiver<Arc<pb::Totals>>,
    /// Everything was told once, and no news was missed since.
    pub(super) has_all: bool,
}

impl Listening {
    /// The next news; none where some were missed, so that everything has to be told again.
    pub(super) async fn next(listening: &mut Option<Self>) -> Option<Arc<pb::Totals>> {
        let Some(listening) = listening else { return std::future::pending().await };
        match listening.news.recv().await {
            Ok(totals) => Some(totals),
            Err(broadcast::error::RecvError::Lagged(_)) => {
                listening.has_all = false;
                None
            }
            // The teller lives as long as the publisher.
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }

    /// News that are there already.
    pub(super) fn waiting(&mut self) -> Option<Arc<pb::Totals>> {
        match self.news.try_recv() {
            Ok(totals) => Some(totals),
            Err(broadcast::error::TryRecvError::Lagged(_)) => {
                self.has_all = false;
                None
            }
            Err(broadcast::error::TryRecvError::Empty | broadcast::error::TryRecvError::Closed) => None,
        }
    }
}
