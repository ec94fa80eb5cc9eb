//! An organization as a snapshot resource: only one of which there is more to say than that it exists.

use std::future::ready;

use futures_core::Stream;
use futures_util::TryStreamExt as _;
use proto::v1 as pb;
use serde_json::{Value, json};
use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::budgets::publish::{Extra, budgets};
use crate::publish::resource::{Upsert, ceilings};

/// All organizations that data planes need to know, in no order.
pub(crate) fn all(db: &mut PgConnection) -> impl Stream<Item = sqlx::Result<Upsert>> {
    let rows = sqlx::query_as!(
        Row,
        r#"select o.organization_id as "organization_id!", o.models as "models!",
                  b.max_budget_nano_usd as "max_budget_nano_usd?", b.budget_duration as "budget_duration?",
                  b.model_max_budget as "model_max_budget?", b.temp_increase_nano_usd as "temp_increase_nano_usd?",
                  b.temp_expires_at as "temp_expires_at?", b.rpm_limit as "rpm_limit?", b.tpm_limit as "tpm_limit?",
                  b.max_parallel_requests as "max_parallel_requests?"
           from organizations o left join budgets b on b.budget_id = o.budget_id"#,
    );
    rows.fetch(db).try_filter_map(|row| ready(Ok(row.into_upsert())))
}

/// Those among these ids that data planes need to know.
pub(crate) async fn among(db: &mut PgConnection, ids: &[String]) -> sqlx::Result<Vec<Upsert>> {
    let rows = sqlx::query_as!(
        Row,
        r#"select o.organization_id as "organization_id!", o.models as "models!",
                  b.max_budget_nano_usd as "max_budget_nano_usd?", b.budget_duration as "budget_duration?",
                  b.model_max_budget as "model_max_budget?", b.temp_increase_nano_usd as "temp_increase_nano_usd?",
                  b.temp_expires_at as "temp_expires_at?", b.rpm_limit as "rpm_limit?", b.tpm_limit as "tpm_limit?",
                  b.max_parallel_requests as "max_parallel_requests?"
           from organizations o left join budgets b on b.budget_id = o.budget_id
           where o.organization_id = any($1)"#,
        ids,
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().filter_map(Row::into_upsert).collect())
}

struct Row {
    organization_id: String,
    models: Vec<String>,
    max_budget_nano_usd: Option<i64>,
    budget_duration: Option<String>,
    model_max_budget: Option<Value>,
    temp_increase_nano_usd: Option<i64>,
    temp_expires_at: Option<OffsetDateTime>,
    rpm_limit: Option<i64>,
    tpm_limit: Option<i64>,
    max_parallel_requests: Option<i64>,
}

impl Row {
    /// Never a pure addition: teams and keys may belong to it already, and its rules narrow theirs.
    fn into_upsert(self) -> Option<Upsert> {
        let kept = self.model_max_budget.map(|models| json!({"model_max_budget": models}));
        let owner = pb::Owner {
            kind: pb::OwnerKind::Organization.into(),
            id: self.organization_id,
            blocked: false,
            limits: ceilings(self.rpm_limit, self.tpm_limit, self.max_parallel_requests),
            budgets: budgets(
                self.max_budget_nano_usd,
                self.budget_duration.as_deref(),
                kept.as_ref(),
                Extra::until(self.temp_increase_nano_usd, self.temp_expires_at),
            ),
            models: self.models,
            ..pb::Owner::default()
        };
        let is_news = owner.limits.is_some() || !owner.budgets.is_empty() || !owner.models.is_empty();
        is_news.then(|| Upsert::of(pb::resource::Body::Owner(owner), false))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fixture::World;

    #[tokio::test]
    async fn only_organizations_with_rules_are_published_and_lists_ask_for_data_planes_that_keep_to_them() {
        let world = World::new().await;
        for body in [
            json!({"organization_id": "plain", "organization_alias": "x", "soft_budget": 1}),
            json!({"organization_id": "a", "organization_alias": "a", "max_budget": 5, "rpm_limit": 3}),
            json!({"organization_id": "b", "organization_alias": "b", "models": ["m"]}),
        ] {
            world.post("/organization/new", body).await.ok();
        }
        let mut db = world.db().acquire().await.unwrap();
        let mut whole: Vec<Upsert> = all(&mut db).try_collect().await.unwrap();
        let ids = ["a", "b", "plain"].map(str::to_owned);
        let mut named = among(&mut db, &ids).await.unwrap();
        let id = |upsert: &Upsert| crate::publish::resource::id_of(upsert.resource.body.as_ref().unwrap()).1;
        named.sort_by_key(id);
        whole.sort_by_key(id);
        assert_eq!(whole, named, "a change says what the whole says");
        assert_eq!(whole.iter().map(id).collect::<Vec<_>>(), ["organization:a", "organization:b"]);
        assert_eq!(whole[0].resource.required_features, ["limits", "budgets", "owners"]);
        assert_eq!(whole[1].resource.required_features, ["owners", "owner-models"]);
    }
}
