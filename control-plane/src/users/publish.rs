//! A user row as a snapshot resource.

use futures_core::Stream;
use futures_util::TryStreamExt as _;
use proto::v1 as pb;
use serde_json::Value;
use sqlx::PgConnection;

use crate::budgets::publish::{Extra, budgets};
use crate::publish::resource::{Upsert, ceilings};

/// All users, in no order.
pub(crate) fn all(db: &mut PgConnection) -> impl Stream<Item = sqlx::Result<Upsert>> {
    let rows = sqlx::query_as!(
        Row,
        "select user_id, models, role, max_budget_nano_usd, budget_duration, more, rpm_limit, tpm_limit, max_parallel_requests
         from users",
    );
    rows.fetch(db).map_ok(Row::into_upsert)
}

/// The users among these ids that exist.
pub(crate) async fn among(db: &mut PgConnection, ids: &[String]) -> sqlx::Result<Vec<Upsert>> {
    let rows = sqlx::query_as!(
        Row,
        "select user_id, models, role, max_budget_nano_usd, budget_duration, more, rpm_limit, tpm_limit, max_parallel_requests
         from users where user_id = any($1)",
        ids,
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(Row::into_upsert).collect())
}

struct Row {
    user_id: String,
    models: Vec<String>,
    role: String,
    max_budget_nano_usd: Option<i64>,
    budget_duration: Option<String>,
    more: Value,
    rpm_limit: Option<i64>,
    tpm_limit: Option<i64>,
    max_parallel_requests: Option<i64>,
}

impl Row {
    /// Never a pure addition: keys may name a user before the row exists, and its rules then narrow theirs.
    fn into_upsert(self) -> Upsert {
        let user = pb::User {
            user_id: self.user_id,
            models: self.models,
            role: self.role,
            limits: ceilings(self.rpm_limit, self.tpm_limit, self.max_parallel_requests),
            budgets: budgets(
                self.max_budget_nano_usd,
                self.budget_duration.as_deref(),
                Some(&self.more),
                Extra::default(),
            ),
        };
        Upsert::of(pb::resource::Body::User(user), false)
    }
}
