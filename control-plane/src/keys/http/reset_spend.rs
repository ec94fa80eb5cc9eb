//! `POST /key/{key}/reset_spend`.

use axum::extract::State;
use proto::NanoUsd;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::access::{Actor, Permission, Subject};
use crate::app::App;
use crate::audit::{Action, Entry, Noun};
use crate::budgets;
use crate::change::{Change, Wait};
use crate::error::Plain;
use crate::http::answer::Changed;
use crate::http::body::Body;
use crate::http::fields::{Field, Form, Issue, Request, Shape, required};
use crate::http::moment::Moment;
use crate::http::path::Names;
use crate::keys::{KeyError, identify, store};
use crate::limits;
use crate::spend::{self, Owner};
use crate::teams;

/// What the key is to have spent.
#[derive(Debug)]
pub(super) struct Wanted {
    reset_to: f64,
}

impl Request for Wanted {
    const NAME: &'static str = "ResetSpend";
    const FIELDS: &'static [&'static [Field]] =
        &[&[required("reset_to", Shape::Number, "US dollars, from 0 to what is spent now.")]];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        // Checked to be there; what is no number was refused.
        form.take("reset_to").given().map(|reset_to| Self { reset_to }).ok_or_else(|| vec![Issue::missing("reset_to")])
    }
}

type ResetSpend = Body<Wanted>;

/// What became of the key's spend.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SpendReset {
    key_hash: String,
    spend: f64,
    previous_spend: f64,
    max_budget: Option<f64>,
    budget_reset_at: Option<Moment>,
}

/// Says that less was spent with a key in the current windows of its budgets. What was spent ever stays known. For admins
/// of the proxy and of the key's team.
#[utoipa::path(
    post,
    path = "/key/{key}/reset_spend",
    tag = "keys",
    params(("key" = String, Path, description = "The key or its hash."), Wait),
    request_body = ResetSpend,
    responses((status = 200, body = SpendReset), crate::error::Refusals),
)]
pub(super) async fn reset(
    State(app): State<App>,
    actor: Actor,
    wait: Wait,
    names: Names<1>,
    Body { asked: Wanted { reset_to }, unknown }: ResetSpend,
) -> Result<Changed<SpendReset>, Plain> {
    let Names([said]) = names;
    actor.may(Permission::ResetKeySpend, &Subject::Anything)?;
    let hash = identify::hash(&said).ok_or_else(|| KeyError::unknown(&said))?;
    let mut change = Change::begin(&app, &actor).await?;
    let key = store::locked(change.db(), &[hash]).await?.pop().ok_or_else(|| KeyError::unknown(&said))?;
    let team = match &key.team_id {
        Some(team_id) => teams::find(change.db(), team_id).await?,
        None => None,
    };
    actor.may(Permission::ResetKeySpend, &Subject::Key(&key, team.as_ref()))?;

    let id = hash.to_string();
    let wanted = limits::usd("reset_to", Some(reset_to)).map_err(KeyError::from)?.unwrap_or(NanoUsd::ZERO);
    budgets::lock(change.db(), Owner::Key, &id).await?;
    let before = spend::total(change.db(), Owner::Key, &id).await?;
    for (most, name) in [(Some(before.window), "the current spend"), (key.max_budget, "max_budget")] {
        if let Some(most) = most.filter(|most| wanted > *most) {
            return Err(KeyError::ResetAbove { wanted: reset_to, name, most: most.to_usd() }.into());
        }
    }
    let changed = budgets::reset_spent(change.db(), Owner::Key, &id, wanted.nanos()).await?;
    if changed > 0 {
        let spent = |amount: NanoUsd| Some(json!({"spend": amount.to_usd()}));
        change.note(Entry {
            action: Action::Updated,
            noun: Noun::Key,
            id: id.clone(),
            before: spent(before.window),
            after: spent(wanted),
        });
    }
    let published = change.commit(wait).await?;
    let view = SpendReset {
        key_hash: id,
        spend: wanted.to_usd(),
        previous_spend: before.window.to_usd(),
        max_budget: key.max_budget.map(NanoUsd::to_usd),
        budget_reset_at: before.resets_at.map(Moment),
    };
    Ok(Changed { view, published, unknown })
}

#[cfg(test)]
mod tests {
    use proto::KeyHash;
    use serde_json::{Value, json};

    use crate::fixture::World;

    fn path(key: &str) -> String {
        format!("/key/{key}/reset_spend")
    }

    async fn spent_key(world: &World, more: Value) -> String {
        let mut body = more;
        body["spend"] = json!(4);
        body["budget_limits"] = json!([{"budget_duration": "1d", "max_budget": 9}]);
        body["model_max_budget"] = json!({"gpt-4o": {"max_budget": 9, "budget_duration": "1d"}});
        let key = world.key(body).await;
        for (scope, nanos) in [("window:1d", 3_000_000_000_i64), ("model:gpt-4o", 500_000_000)] {
            sqlx::query("update spend_totals set cost_nano_usd = $1, total_nano_usd = 4000000000 where scope = $2")
                .bind(nanos)
                .bind(scope)
                .execute(&world.db())
                .await
                .unwrap();
        }
        key
    }

    async fn accounts(world: &World) -> Vec<(String, i64)> {
        sqlx::query_as("select scope, cost_nano_usd / 1000000 from spend_totals where kind = 'key' order by scope")
            .fetch_all(&world.db())
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn no_account_of_the_key_has_more_spent_than_that_and_data_planes_hear_of_it() {
        let world = World::new().await;
        let key = spent_key(&world, json!({"max_budget": 10, "budget_duration": "30d"})).await;
        let told = "select max(told_in)::text from spend_totals where kind = 'key'";
        let told_before: String = sqlx::query_scalar(told).fetch_one(&world.db()).await.unwrap();
        let answer = world.post(&path(&key), json!({"reset_to": 1.5, "odd": 1})).await;
        assert_eq!(answer.header("x-turnpike-unknown-fields"), Some("odd"));
        let reset = answer.ok();
        assert_eq!(
            (&reset["key_hash"], &reset["spend"], &reset["previous_spend"], &reset["max_budget"]),
            (&json!(KeyHash::of(&key).to_string()), &json!(1.5), &json!(4.0), &json!(10.0))
        );
        assert!(reset["budget_reset_at"].is_string());
        let expected = [("", 1_500), ("model:gpt-4o", 500), ("window:1d", 1_500)];
        assert_eq!(accounts(&world).await, expected.map(|(scope, milli)| (scope.to_owned(), milli)));
        let told_after: String = sqlx::query_scalar(told).fetch_one(&world.db()).await.unwrap();
        assert_ne!(told_before, told_after);
        assert_eq!(world.count("spend_totals where total_nano_usd = 4000000000 and scope <> ''").await, 2);
        assert_eq!(world.get(&format!("/key/info?key={key}")).await.ok()["info"]["spend"], json!(1.5));
        assert_eq!(world.count("audit_log where updated_values = '{\"spend\": 1.5}'").await, 1);
    }

    #[tokio::test]
    async fn what_changes_nothing_is_answered_and_is_no_change() {
        let world = World::new().await;
        let key = world.key(json!({})).await;
        let reset = world.post(&path(&KeyHash::of(&key).to_string()), json!({"reset_to": 0})).await.ok();
        assert_eq!((&reset["spend"], &reset["max_budget"]), (&json!(0.0), &json!(null)));
        assert_eq!((world.revision().await, world.count("audit_log").await), (1, 1));
    }

    #[tokio::test]
    async fn spend_is_neither_raised_nor_set_to_what_is_no_amount() {
        let world = World::new().await;
        let key = spent_key(&world, json!({"max_budget": 3})).await;
        for (reset_to, says) in [
            (json!(4.5), "the current spend"),
            (json!(3.5), "max_budget"),
            (json!(-1), "from 0 to"),
            (json!(1e300), "from 0 to"),
        ] {
            let answer = world.post(&path(&key), json!({"reset_to": reset_to})).await;
            let error = answer.body["detail"]["error"].as_str().unwrap_or_default();
            assert!(answer.status == 400 && error.contains(says), "{reset_to}: {}", answer.body);
        }
        for body in [json!({}), json!({"reset_to": null}), json!({"reset_to": true}), json!({"reset_to": "much"})] {
            assert_eq!(world.post(&path(&key), body.clone()).await.issues(), [json!(["body", "reset_to"])], "{body}");
        }
        assert_eq!(accounts(&world).await[0].1, 4_000);
    }

    #[tokio::test]
    async fn a_key_that_there_is_not_is_not_found_and_its_value_is_not_repeated() {
        let world = World::new().await;
        for said in ["sk-nobody-knows-me", "nonsense", &"ab".repeat(32)] {
            let answer = world.post(&path(said), json!({"reset_to": 0})).await;
            let error = answer.body["detail"]["error"].as_str().unwrap_or_default();
            assert!(answer.status == 404 && error.ends_with("not found."), "{}", answer.body);
            assert!(!answer.body.to_string().contains("nobody-knows"), "{}", answer.body);
        }
    }

    #[tokio::test]
    async fn admins_of_the_team_reset_and_holders_do_not() {
        let world = World::new().await;
        let (boss, member) = (world.user("boss", "internal_user").await, world.user("m", "internal_user").await);
        let viewer = world.user("v", "proxy_admin_viewer").await;
        let roster = json!([{"role": "admin", "user_id": "boss"}, {"role": "user", "user_id": "m"}]);
        let team = json!({"team_id": "t", "members_with_roles": roster, "team_member_permissions": ["/key/update"]});
        world.post("/team/new", team).await.ok();
        let key = world.key(json!({"team_id": "t", "user_id": "m", "spend": 2})).await;
        for (who, status) in [(&key, 403), (&member, 403), (&viewer, 401)] {
            let answer = world.post_as(who, &path(&key), json!({"reset_to": 0})).await;
            assert_eq!(answer.status, status, "{}", answer.body);
            assert!(!answer.body.to_string().contains(&key), "{}", answer.body);
        }
        world.post_as(&boss, &path(&key), json!({"reset_to": 1})).await.ok();
        let own = world.key(json!({"user_id": "boss", "spend": 2})).await;
        assert_eq!(world.post_as(&own, &path(&own), json!({"reset_to": 0})).await.status, 403);
    }
}
