//! A tag as a snapshot resource: only one of whom there is more to say than that they exist.

use std::future::ready;

use futures_core::Stream;
use futures_util::TryStreamExt as _;
use proto::v1 as pb;
use serde_json::{Value, json};
use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::budgets::publish::{Extra, budgets};
use crate::publish::resource::{Upsert, ceilings};

/// All tags that data planes need to know, in no order.
pub(crate) fn all(db: &mut PgConnection) -> impl Stream<Item = sqlx::Result<Upsert>> {
    let rows = sqlx::query_as!(
        Row,
        r#"select t.name as "name!", b.max_budget_nano_usd as "max_budget_nano_usd?",
                  b.budget_duration as "budget_duration?", b.model_max_budget as "model_max_budget?",
                  b.temp_increase_nano_usd as "temp_increase_nano_usd?", b.temp_expires_at as "temp_expires_at?",
                  b.rpm_limit as "rpm_limit?", b.tpm_limit as "tpm_limit?",
                  b.max_parallel_requests as "max_parallel_requests?"
           from tags t left join budgets b on b.budget_id = t.budget_id
           where t.budget_id is not null"#,
    );
    rows.fetch(db).try_filter_map(|row| ready(Ok(row.into_upsert())))
}

/// Those among these names that data planes need to know.
pub(crate) async fn among(db: &mut PgConnection, ids: &[String]) -> sqlx::Result<Vec<Upsert>> {
    let rows = sqlx::query_as!(
        Row,
        r#"select t.name as "name!", b.max_budget_nano_usd as "max_budget_nano_usd?",
                  b.budget_duration as "budget_duration?", b.model_max_budget as "model_max_budget?",
                  b.temp_increase_nano_usd as "temp_increase_nano_usd?", b.temp_expires_at as "temp_expires_at?",
                  b.rpm_limit as "rpm_limit?", b.tpm_limit as "tpm_limit?",
                  b.max_parallel_requests as "max_parallel_requests?"
           from tags t left join budgets b on b.budget_id = t.budget_id
           where t.name = any($1)"#,
        ids,
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().filter_map(Row::into_upsert).collect())
}

struct Row {
    name: String,
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
    /// Never a pure addition: calls name a tag before it exists, and its rules then narrow them.
    fn into_upsert(self) -> Option<Upsert> {
        let kept = self.model_max_budget.map(|models| json!({"model_max_budget": models}));
        let owner = pb::Owner {
            kind: pb::OwnerKind::Tag.into(),
            id: self.name,
            limits: ceilings(self.rpm_limit, self.tpm_limit, self.max_parallel_requests),
            budgets: budgets(
                self.max_budget_nano_usd,
                self.budget_duration.as_deref(),
                kept.as_ref(),
                Extra::until(self.temp_increase_nano_usd, self.temp_expires_at),
            ),
            ..pb::Owner::default()
        };
        let is_news = owner.limits.is_some() || !owner.budgets.is_empty();
        is_news.then(|| Upsert::of(pb::resource::Body::Owner(owner), false))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fixture::World;

    async fn published(world: &World) -> Vec<pb::Owner> {
        let mut db = world.db().acquire().await.unwrap();
        let whole: Vec<Upsert> = all(&mut db).try_collect().await.unwrap();
        let ids: Vec<String> = sqlx::query_scalar("select name from tags").fetch_all(&world.db()).await.unwrap();
        let mut named = among(&mut db, &ids).await.unwrap();
        let id = |upsert: &Upsert| crate::publish::resource::id_of(upsert.resource.body.as_ref().unwrap()).1;
        named.sort_by_key(id);
        let mut owners = whole;
        owners.sort_by_key(id);
        assert_eq!(owners, named, "a change says what the whole says");
        let body = |upsert: Upsert| match upsert.resource.body {
            Some(pb::resource::Body::Owner(owner)) => owner,
            other => panic!("{other:?}"),
        };
        owners.into_iter().map(body).collect()
    }

    #[tokio::test]
    async fn only_tags_with_a_budget_or_a_limit_are_published() {
        let world = World::new().await;
        for body in [
            json!({"name": "plain", "description": "x"}),
            json!({"name": "soft", "soft_budget": 1}),
            json!({"name": "a", "max_budget": 5, "budget_duration": "1d"}),
            json!({"name": "b", "rpm_limit": 1}),
        ] {
            world.post("/tag/new", body).await.ok();
        }
        let owners = published(&world).await;
        let ids: Vec<(&str, pb::OwnerKind)> = owners.iter().map(|owner| (owner.id.as_str(), owner.kind())).collect();
        assert_eq!(ids, [("a", pb::OwnerKind::Tag), ("b", pb::OwnerKind::Tag)]);
        assert_eq!((owners[0].budgets[0].window.as_str(), owners[0].budgets[0].most_nano_usd), ("1d", 5_000_000_000));
        world.post("/tag/delete", json!({"name": "a"})).await.ok();
        assert_eq!(published(&world).await.len(), 1);
    }
}
