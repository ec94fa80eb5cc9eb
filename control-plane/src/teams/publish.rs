//! A team row as a snapshot resource.

use futures_core::Stream;
use futures_util::TryStreamExt as _;
use proto::v1 as pb;
use serde_json::Value;
use sqlx::PgConnection;

use crate::budgets::publish::{Extra, budgets};
use crate::publish::gate::texts;
use crate::publish::resource::{Upsert, ceilings, flag, model_ceilings, name_map, strings};

/// All teams, in no order.
pub(crate) fn all(db: &mut PgConnection) -> impl Stream<Item = sqlx::Result<Upsert>> {
    let rows = sqlx::query_as!(
        Row,
        "select team_id, alias, organization_id, models, model_aliases, metadata, blocked, max_budget_nano_usd,
                budget_duration, more, rpm_limit, tpm_limit, max_parallel_requests
         from teams",
    );
    rows.fetch(db).map_ok(Row::into_upsert)
}

/// The teams among these ids that exist.
pub(crate) async fn among(db: &mut PgConnection, ids: &[String]) -> sqlx::Result<Vec<Upsert>> {
    let rows = sqlx::query_as!(
        Row,
        "select team_id, alias, organization_id, models, model_aliases, metadata, blocked, max_budget_nano_usd,
                budget_duration, more, rpm_limit, tpm_limit, max_parallel_requests
         from teams where team_id = any($1)",
        ids,
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(Row::into_upsert).collect())
}

struct Row {
    team_id: String,
    alias: Option<String>,
    organization_id: Option<String>,
    models: Vec<String>,
    model_aliases: Value,
    metadata: Value,
    blocked: bool,
    max_budget_nano_usd: Option<i64>,
    budget_duration: Option<String>,
    more: Value,
    rpm_limit: Option<i64>,
    tpm_limit: Option<i64>,
    max_parallel_requests: Option<i64>,
}

impl Row {
    /// Never a pure addition: keys may name a team before it exists, and its rules then narrow theirs.
    fn into_upsert(self) -> Upsert {
        let team = pb::Team {
            team_id: self.team_id,
            alias: self.alias.unwrap_or_default(),
            organization_id: self.organization_id.unwrap_or_default(),
            models: self.models,
            model_aliases: name_map(&self.model_aliases),
            tags: strings(self.metadata.get("tags")),
            blocked: self.blocked,
            allow_client_mock_response: flag(self.metadata.get("allow_client_mock_response")),
            limits: ceilings(self.rpm_limit, self.tpm_limit, self.max_parallel_requests),
            model_limits: model_ceilings(self.metadata.get("model_rpm_limit"), self.metadata.get("model_tpm_limit")),
            enforced_params: self.metadata.get("enforced_params").map(texts).unwrap_or_default(),
            budgets: budgets(
                self.max_budget_nano_usd,
                self.budget_duration.as_deref(),
                Some(&self.more),
                Extra::default(),
            ),
        };
        Upsert::of(pb::resource::Body::Team(team), false)
    }
}
