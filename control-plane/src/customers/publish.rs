//! A customer as a snapshot resource: only one of whom there is more to say than that they exist.

use std::future::ready;

use futures_core::Stream;
use futures_util::TryStreamExt as _;
use proto::v1 as pb;
use serde_json::{Value, json};
use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::budgets::publish::{Extra, budgets};
use crate::publish::resource::{Upsert, ceilings};

/// All customers that data planes need to know, in no order.
pub(crate) fn all(db: &mut PgConnection) -> impl Stream<Item = sqlx::Result<Upsert>> {
    let rows = sqlx::query_as!(
        Row,
        r#"select c.customer_id as "customer_id!", c.blocked as "blocked!", c.models as "models!",
                  c.default_model as "default_model?", c.allowed_model_region as "allowed_model_region?",
                  b.max_budget_nano_usd as "max_budget_nano_usd?",
                  b.budget_duration as "budget_duration?", b.model_max_budget as "model_max_budget?",
                  b.temp_increase_nano_usd as "temp_increase_nano_usd?", b.temp_expires_at as "temp_expires_at?",
                  b.rpm_limit as "rpm_limit?", b.tpm_limit as "tpm_limit?",
                  b.max_parallel_requests as "max_parallel_requests?"
           from customers c left join budgets b on b.budget_id = c.budget_id
           where c.blocked or c.models <> '{}' or c.budget_id is not null or c.default_model is not null
               or c.allowed_model_region is not null"#,
    );
    rows.fetch(db).try_filter_map(|row| ready(Ok(row.into_upsert())))
}

/// Those among these ids that data planes need to know.
pub(crate) async fn among(db: &mut PgConnection, ids: &[String]) -> sqlx::Result<Vec<Upsert>> {
    let rows = sqlx::query_as!(
        Row,
        r#"select c.customer_id as "customer_id!", c.blocked as "blocked!", c.models as "models!",
                  c.default_model as "default_model?", c.allowed_model_region as "allowed_model_region?",
                  b.max_budget_nano_usd as "max_budget_nano_usd?",
                  b.budget_duration as "budget_duration?", b.model_max_budget as "model_max_budget?",
                  b.temp_increase_nano_usd as "temp_increase_nano_usd?", b.temp_expires_at as "temp_expires_at?",
                  b.rpm_limit as "rpm_limit?", b.tpm_limit as "tpm_limit?",
                  b.max_parallel_requests as "max_parallel_requests?"
           from customers c left join budgets b on b.budget_id = c.budget_id
           where c.customer_id = any($1)"#,
        ids,
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().filter_map(Row::into_upsert).collect())
}

struct Row {
    customer_id: String,
    blocked: bool,
    models: Vec<String>,
    default_model: Option<String>,
    allowed_model_region: Option<String>,
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
    /// Never a pure addition: calls name a customer before it exists, and its rules then narrow them.
    fn into_upsert(self) -> Option<Upsert> {
        let kept = self.model_max_budget.map(|models| json!({"model_max_budget": models}));
        let owner = pb::Owner {
            kind: pb::OwnerKind::Customer.into(),
            id: self.customer_id,
            blocked: self.blocked,
            limits: ceilings(self.rpm_limit, self.tpm_limit, self.max_parallel_requests),
            budgets: budgets(
                self.max_budget_nano_usd,
                self.budget_duration.as_deref(),
                kept.as_ref(),
                Extra::until(self.temp_increase_nano_usd, self.temp_expires_at),
            ),
            models: self.models,
            default_model: self.default_model.unwrap_or_default(),
            allowed_region: self.allowed_model_region.unwrap_or_default(),
        };
        let is_served_elsewhere = !owner.default_model.is_empty() || !owner.allowed_region.is_empty();
        let is_limited = owner.limits.is_some() || !owner.budgets.is_empty() || !owner.models.is_empty();
        let is_news = owner.blocked || is_limited || is_served_elsewhere;
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
        let ids: Vec<String> =
            sqlx::query_scalar("select customer_id from customers").fetch_all(&world.db()).await.unwrap();
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
    async fn only_customers_with_rules_are_published() {
        let world = World::new().await;
        let models = json!({"m": {"max_budget": 1, "budget_duration": "1d"}});
        world.post("/budget/new", json!({"budget_id": "b", "max_budget": 5, "temp_budget_increase": 2, "temp_budget_expiry": "2030-01-01"})).await.ok();
        for body in [
            json!({"user_id": "plain", "alias": "x", "soft_budget": 1}),
            json!({"user_id": "a", "blocked": true}),
            json!({"user_id": "b", "models": ["m"]}),
            json!({"user_id": "c", "rpm_limit": 1, "tpm_limit": 2, "max_parallel_requests": 3}),
            json!({"user_id": "d", "budget_id": "b"}),
            json!({"user_id": "e", "model_max_budget": models}),
            json!({"user_id": "f", "allowed_model_region": "eu"}),
        ] {
            world.post("/customer/new", body).await.ok();
        }
        let owners = published(&world).await;
        let ids: Vec<&str> = owners.iter().map(|owner| owner.id.as_str()).collect();
        assert_eq!(ids, ["a", "b", "c", "d", "e", "f"]);
        assert_eq!(owners[5].allowed_region, "eu");
        assert!(owners.iter().all(|owner| owner.kind() == pb::OwnerKind::Customer));
        let limits = pb::Ceilings { requests_per_minute: Some(1), tokens_per_minute: Some(2), at_once: Some(3) };
        assert_eq!((owners[0].blocked, owners[1].models[0].as_str(), owners[2].limits), (true, "m", Some(limits)));
        let budget = &owners[3].budgets[0];
        assert_eq!((budget.most_nano_usd, budget.extra_nano_usd), (5_000_000_000, 2_000_000_000));
        assert_eq!((budget.extra_until_ms, owners[4].budgets[0].model.as_str()), (1_893_456_000_000, "m"));
    }

    #[tokio::test]
    async fn whoever_follows_a_budget_is_published_at_its_revision() {
        let world = World::new().await;
        world.post("/budget/new", json!({"budget_id": "b"})).await.ok();
        world.post("/customer/new", json!({"user_id": "ada", "budget_id": "b"})).await.ok();
        assert_eq!(published(&world).await, []);
        world.post("/budget/update", json!({"budget_id": "b", "max_budget": 5})).await.ok();
        assert_eq!(published(&world).await.len(), 1);
        world.post("/customer/update", json!({"user_id": "ada", "tpm_limit": 5, "blocked": true})).await.ok();
        world.post("/budget/delete", json!({"id": "b"})).await.ok();
        assert!(published(&world).await[0].blocked);
        let logged: Vec<(i64, String)> =
            sqlx::query_as("select revision, object_id from change_log where kind = 'owner' order by revision")
                .fetch_all(&world.db())
                .await
                .unwrap();
        let expected: Vec<_> = (1..=4).map(|revision| (revision, "customer:ada".to_owned())).collect();
        assert_eq!(logged, expected, "once at each");
    }
}
