//! A member as a snapshot resource: only one for whom more is set than that they are on a roster.

use std::future::ready;

use futures_core::Stream;
use futures_util::TryStreamExt as _;
use proto::v1 as pb;
use serde_json::{Value, json};
use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::budgets::publish::{Extra, budgets};
use crate::publish::resource::{Upsert, ceilings};

/// All members that data planes need to know, in no order.
pub(crate) fn all(db: &mut PgConnection) -> impl Stream<Item = sqlx::Result<Upsert>> {
    let rows = sqlx::query_as!(
        Row,
        r#"select m.member_id as "member_id!",
                  coalesce(t.metadata ->> 'team_member_budget_id' = m.budget_id, false) as "is_of_all!",
                  b.max_budget_nano_usd as "max_budget_nano_usd?", b.budget_duration as "budget_duration?",
                  b.model_max_budget as "model_max_budget?", b.temp_increase_nano_usd as "temp_increase_nano_usd?",
                  b.temp_expires_at as "temp_expires_at?", b.rpm_limit as "rpm_limit?", b.tpm_limit as "tpm_limit?",
                  b.max_parallel_requests as "max_parallel_requests?", b.allowed_models as "allowed_models!"
           from team_members m join teams t using (team_id) join budgets b on b.budget_id = m.budget_id"#,
    );
    rows.fetch(db).try_filter_map(|row| ready(Ok(row.into_upsert())))
}

/// Those among these members that data planes need to know.
pub(crate) async fn among(db: &mut PgConnection, ids: &[String]) -> sqlx::Result<Vec<Upsert>> {
    let rows = sqlx::query_as!(
        Row,
        r#"select m.member_id as "member_id!",
                  coalesce(t.metadata ->> 'team_member_budget_id' = m.budget_id, false) as "is_of_all!",
                  b.max_budget_nano_usd as "max_budget_nano_usd?", b.budget_duration as "budget_duration?",
                  b.model_max_budget as "model_max_budget?", b.temp_increase_nano_usd as "temp_increase_nano_usd?",
                  b.temp_expires_at as "temp_expires_at?", b.rpm_limit as "rpm_limit?", b.tpm_limit as "tpm_limit?",
                  b.max_parallel_requests as "max_parallel_requests?", b.allowed_models as "allowed_models!"
           from team_members m join teams t using (team_id) join budgets b on b.budget_id = m.budget_id
           where m.member_id = any($1)"#,
        ids,
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().filter_map(Row::into_upsert).collect())
}

struct Row {
    member_id: String,
    is_of_all: bool,
    max_budget_nano_usd: Option<i64>,
    budget_duration: Option<String>,
    model_max_budget: Option<Value>,
    temp_increase_nano_usd: Option<i64>,
    temp_expires_at: Option<OffsetDateTime>,
    rpm_limit: Option<i64>,
    tpm_limit: Option<i64>,
    max_parallel_requests: Option<i64>,
    allowed_models: Vec<String>,
}

impl Row {
    /// Never a pure addition: keys of the member may be older.
    fn into_upsert(self) -> Option<Upsert> {
        let kept = self.model_max_budget.map(|models| json!({"model_max_budget": models}));
        // A budget of 0 for all members is none, one of their own allows nothing.
        let most = self.max_budget_nano_usd.filter(|most| !self.is_of_all || *most != 0);
        let owner = pb::Owner {
            kind: pb::OwnerKind::Member.into(),
            id: self.member_id,
            blocked: false,
            limits: ceilings(self.rpm_limit, self.tpm_limit, self.max_parallel_requests),
            budgets: budgets(
                most,
                self.budget_duration.as_deref(),
                kept.as_ref(),
                Extra::until(self.temp_increase_nano_usd, self.temp_expires_at),
            ),
            models: self.allowed_models,
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

    async fn published(world: &World) -> Vec<pb::Owner> {
        let mut db = world.db().acquire().await.unwrap();
        let mut whole: Vec<Upsert> = all(&mut db).try_collect().await.unwrap();
        let ids: Vec<String> =
            sqlx::query_scalar("select member_id from team_members").fetch_all(&world.db()).await.unwrap();
        let mut named = among(&mut db, &ids).await.unwrap();
        let id = |upsert: &Upsert| crate::publish::resource::id_of(upsert.resource.body.as_ref().unwrap()).1;
        named.sort_by_key(id);
        whole.sort_by_key(id);
        assert_eq!(whole, named, "a change says what the whole says");
        let body = |upsert: Upsert| match upsert.resource.body {
            Some(pb::resource::Body::Owner(owner)) => owner,
            other => panic!("{other:?}"),
        };
        whole.into_iter().map(body).collect()
    }

    #[tokio::test]
    async fn members_are_published_with_their_own_budget_or_the_teams() {
        let world = World::new().await;
        let body = json!({
            "team_id": "t", "members_with_roles": [{"user_id": "a:b"}, {"user_id": "c"}], "team_member_budget": 5,
            "team_member_budget_duration": "1d", "team_member_rpm_limit": 7, "team_member_tpm_limit": 9,
        });
        world.post("/team/new", body).await.ok();
        let own = json!({"team_id": "t", "user_id": "c", "max_budget_in_team": 0, "allowed_models": ["m"]});
        world.post("/team/member_update", own).await.ok();
        let owners = published(&world).await;
        let ids: Vec<&str> = owners.iter().map(|owner| owner.id.as_str()).collect();
        assert_eq!(ids, ["a%3Ab:t", "c:t", "default_user_id:t"]);
        let limits = pb::Ceilings { requests_per_minute: Some(7), tokens_per_minute: Some(9), at_once: None };
        assert!(owners.iter().all(|owner| owner.limits == Some(limits) && owner.kind() == pb::OwnerKind::Member));
        let budget = |at: usize| (owners[at].budgets[0].most_nano_usd, owners[at].budgets[0].window.as_str());
        assert_eq!((budget(0), budget(1)), ((5_000_000_000, "1d"), (0, "")), "a budget of one's own of 0 is one");
        assert_eq!((owners[0].models.len(), owners[1].models[0].as_str()), (0, "m"));

        // Of all, 0 is no limit.
        world.post("/team/update", json!({"team_id": "t", "team_member_budget": 0})).await.ok();
        let owners = published(&world).await;
        assert_eq!((owners[0].budgets.len(), owners[1].budgets.len()), (0, 1));
        world.post("/team/delete", json!({"team_ids": ["t"]})).await.ok();
        assert_eq!(published(&world).await, []);
    }

    #[tokio::test]
    async fn lists_of_models_ask_for_data_planes_that_keep_to_them() {
        let world = World::new().await;
        world.post("/team/new", json!({"team_id": "t"})).await.ok();
        let member = json!({"team_id": "t", "member": {"user_id": "u"}, "allowed_models": ["m"]});
        world.post("/team/member_add", member).await.ok();
        let mut db = world.db().acquire().await.unwrap();
        let upserts: Vec<Upsert> = all(&mut db).try_collect().await.unwrap();
        assert_eq!(upserts.len(), 1);
        assert_eq!(upserts[0].resource.required_features, ["owners", "owner-models"]);
    }
}
