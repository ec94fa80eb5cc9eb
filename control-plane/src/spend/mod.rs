//! What was spent, by whom: the totals that every slice shows, and the log of calls.
//!
//! Spend comes in through `intake`; here it is read.

mod error;
pub(crate) mod http;
mod log;
mod store;
mod summary;
mod view;

use std::collections::HashMap;

use proto::NanoUsd;
use sqlx::PgConnection;
use time::OffsetDateTime;

pub(crate) use error::SpendError;

/// Whose spend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    /// Known by the hash in hex.
    Key,
    Team,
    User,
    /// A client's own customer: LiteLLM's end user.
    Customer,
    /// Known by its name.
    Tag,
    /// A user in a team, known by `proto::owner::member_id`.
    Member,
    Organization,
    /// Everybody together: the one with the id [`PROXY`].
    Proxy,
}

impl Owner {
    /// As `spend_totals` names it.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Team => "team",
            Self::User => "user",
            Self::Customer => "customer",
            Self::Tag => "tag",
            Self::Member => "member",
            Self::Organization => "organization",
            Self::Proxy => "proxy",
        }
    }
}

/// What somebody spent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Total {
    /// In the current window of their budget.
    pub(crate) window: NanoUsd,
    pub(crate) ever: NanoUsd,
    pub(crate) last_used_at: Option<OffsetDateTime>,
    /// When the window ends. None: never.
    pub(crate) resets_at: Option<OffsetDateTime>,
}

/// The id of everybody together.
pub(crate) const PROXY: &str = "proxy";

/// What each of these owners spent; who spent nothing is not there.
pub(crate) async fn totals(
    db: &mut PgConnection,
    owner: Owner,
    ids: &[String],
) -> sqlx::Result<HashMap<String, Total>> {
    match ids.is_empty() {
        true => Ok(HashMap::new()),
        false => store::totals(db, owner.kind(), ids).await,
    }
}

/// What this owner spent.
pub(crate) async fn total(db: &mut PgConnection, owner: Owner, id: &str) -> sqlx::Result<Total> {
    let totals = store::totals(db, owner.kind(), &[id.to_owned()]).await?;
    Ok(totals.into_values().next().unwrap_or_default())
}
