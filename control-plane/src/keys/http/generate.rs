//! `POST /key/generate`.

use axum::extract::State;
use proto::NanoUsd;

use crate::access::{AccessError, Actor, Permission, Subject};
use crate::app::App;
use crate::budgets;
use crate::change::{Change, Published, Wait};
use crate::error::{AdminError, Generic};
use crate::http::answer::Changed;
use crate::http::body::Body;
use crate::http::moment;
use crate::keys::rules::Teams;
use crate::keys::view::{self, KeyView, Place};
use crate::keys::{self, Generated, KeyError, Minted, NewKey, Rules, link, organization, rights};
use crate::limits;
use crate::spend::{Owner, Total};
use crate::{teams, users};

type NewKeyBody = Body<NewKey>;

/// Makes a virtual key. Its value is in this answer and nowhere else.
#[utoipa::path(
    post,
    path = "/key/generate",
    tag = "keys",
    params(Wait),
    request_body = NewKeyBody,
    responses((status = 200, body = Generated), crate::error::Refusals),
)]
pub(super) async fn generate(
    State(app): State<App>,
    actor: Actor,
    wait: Wait,
    Body { asked: new, unknown }: NewKeyBody,
) -> Result<Changed<Generated>, Generic> {
    actor.may(Permission::CreateKey, &Subject::Anything)?;
    let (view, published) = make(&app, &actor, wait, new, Maker::Anybody).await?;
    Ok(Changed { view, published, unknown })
}

/// For whom a key is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Maker {
    /// For the user it names, or who makes it.
    Anybody,
    /// For a team alone, which must exist.
    ServiceAccount,
}

/// Makes the key that was asked for, if the actor may.
pub(super) async fn make(
    app: &App,
    actor: &Actor,
    wait: Wait,
    mut new: NewKey,
    maker: Maker,
) -> Result<(Generated, Published), AdminError> {
    let mut change = Change::begin(app, actor).await?;
    let rules = Rules::read(&mut change).await.map_err(KeyError::from)?;
    let own = match actor.key().filter(|_| !actor.is_admin()) {
        Some(own) => Some(link::effective(change.db(), own).await?),
        None => None,
    };
    // A key that shares a budget hands it on.
    new.budget_id = new.budget_id.take().or_else(|| own.as_ref()?.budget_id.clone());
    let budget = match &new.budget_id {
        Some(id) => {
            let row = budgets::shared(change.db(), id).await?.ok_or_else(|| KeyError::UnknownBudget(id.clone()))?;
            link::lend(&mut new, &row);
            Some(row)
        }
        None => None,
    };
    rules.defaults.fill_limits(&mut new, own.as_ref());
    rights::narrow(&mut new, actor, own.as_ref())?;
    match maker {
        Maker::ServiceAccount => new.user_id = None,
        Maker::Anybody => rules.defaults.fill_user(&mut new),
    }
    // Shared: the team is not deleted between this look and the key's insert.
    let team = match &new.team_id {
        Some(team_id) => teams::shared(change.db(), team_id).await?,
        None => None,
    };
    let must_exist = maker == Maker::ServiceAccount || !actor.is_admin() || rules.makers.teams() == Teams::Known;
    if let (Some(team_id), None, true) = (&new.team_id, &team, must_exist) {
        return Err(KeyError::UnknownTeam(team_id.clone()).into());
    }
    actor.may(Permission::CreateKey, &Subject::NewKey { user_id: new.user_id.as_deref(), team: team.as_ref() })?;
    rules.makers.check(&new, team.as_ref(), actor)?;
    let team = match (team, &new.team_id) {
        (None, None) => {
            rules.defaults.fill_team(&mut new);
            match &new.team_id {
                // It need not exist; where it does, its organization is the key's.
                Some(team_id) => teams::shared(change.db(), team_id).await?,
                None => None,
            }
        }
        (team, _) => team,
    };
    rules.defaults.fill_rest(&mut new);
    new.organization_id = organization::of_key(team.as_ref(), new.organization_id)?;
    organization::check(change.db(), new.organization_id.as_deref(), &new.models).await?;

    // Whoever deletes the user waits for the new key and takes it along; who came after them has no key to ask with.
    if let Some(user_id) = &new.user_id {
        users::hold(change.db(), user_id).await?;
    }
    if let Some(own) = actor.key_hash()
        && keys::by_hash(change.db(), &own).await?.is_none()
    {
        return Err(AccessError::Forbidden("The key that asks has just been deleted.".to_owned()).into());
    }

    let spent = limits::usd("spend", new.spend).map_err(KeyError::from)?.unwrap_or(NanoUsd::ZERO);
    let Minted { mut key, value, duration } =
        keys::mint(new, budget.as_ref(), &rules, actor, moment::now(), rand::random())?;
    rights::bound_expiry(&mut key, actor);
    keys::add(&mut change, &key).await?;
    if spent > NanoUsd::ZERO {
        budgets::set_spent(change.db(), Owner::Key, &key.hash.to_string(), spent.nanos()).await?;
    }
    // Most new keys have none, and the table of accounts is not asked for them.
    let has_account = key.max_budget.is_some() || key.budget_duration.is_some() || key.budget_id.is_some();
    let row = match has_account || spent > NanoUsd::ZERO {
        true => view::view(change.db(), key, Place::Live, moment::now()).await?,
        false => KeyView::of(key, Total::default(), Place::Live, moment::now()),
    };
    let published = change.commit(wait).await?;

    Ok((Generated { key: value, token_id: row.token.clone(), duration, row }, published))
}

#[cfg(test)]
mod tests {
    use proto::KeyHash;
    use serde_json::json;

    use crate::fixture::World;

    #[tokio::test]
    async fn a_key_is_shown_once_and_stored_as_its_hash() {
        let world = World::new().await;
        let answer = world.post("/key/generate", json!({})).await;
        assert_eq!(answer.header("x-turnpike-revision"), Some("1"));
        let made = answer.ok();
        let value = made["key"].as_str().unwrap();
        assert!(value.starts_with("sk-") && value.len() == 35, "{value}");
        let hash = KeyHash::of(value).to_string();
        assert_eq!((&made["token"], &made["token_id"]), (&json!(hash), &json!(hash)));
        assert_eq!(made["key_name"], format!("sk-...{}", &value[31..]));
        assert_eq!((&made["user_id"], &made["expires"]), (&json!(null), &json!(null)));
        let stored: String =
            sqlx::query_scalar("select (select k::text from keys k) || (select a::text from audit_log a)")
                .fetch_one(&world.db())
                .await
                .unwrap();
        assert!(stored.contains(&hash) && !stored.contains(value));
    }

    #[tokio::test]
    async fn every_field_is_kept_and_shown_again_and_unknown_ones_are_named() {
        let world = World::new().await;
        let body = json!({
            "key_alias": "ci", "models": ["gpt-4"], "aliases": {"fast": "gpt-4"}, "team_id": "nobody-made-it",
            "user_id": "u1", "max_budget": "1.5", "soft_budget": 1, "budget_duration": "30d", "tpm_limit": 10,
            "rpm_limit": "20", "max_parallel_requests": 3, "metadata": {"owner": "x"}, "tags": ["a", "b"],
            "model_rpm_limit": {"gpt-4": 1}, "model_max_budget": {"gpt-4": {"max_budget": 1, "budget_duration": "1d"}}, "duration": "30d",
            "permissions": {"get_spend_routes": true}, "blocked": false, "spend": 0.25, "key_type": "llm_api",
            "modles": ["typo"], "typo": 1,
        });
        let answer = world.post("/key/generate", body).await;
        assert_eq!(answer.header("x-turnpike-unknown-fields"), Some("modles, typo"));
        let made = answer.ok();
        let expected = json!({
            "key_alias": "ci", "models": ["gpt-4"], "aliases": {"fast": "gpt-4"}, "team_id": "nobody-made-it",
            "user_id": "u1", "max_budget": 1.5, "soft_budget": 1.0, "budget_duration": "30d", "tpm_limit": 10,
            "rpm_limit": 20, "max_parallel_requests": 3, "duration": "30d", "blocked": false, "spend": 0.25,
            "metadata": {"owner": "x", "tags": ["a", "b"], "model_rpm_limit": {"gpt-4": 1}},
            "model_max_budget": {"gpt-4": {"max_budget": 1, "budget_duration": "1d"}}, "permissions": {"get_spend_routes": true},
            "key_type": "llm_api", "allowed_routes": ["llm_api_routes"], "created_by": "default_user_id",
            "status": "active", "config": {}, "budget_id": null, "litellm_budget_table": null,
        });
        for (name, value) in expected.as_object().unwrap() {
            assert_eq!(&made[name], value, "{name}");
        }
        assert!(made["expires"].as_str().unwrap() > made["created_at"].as_str().unwrap());
        let shown = world.get(&format!("/key/info?key={}", made["token"].as_str().unwrap())).await.ok();
        for (name, value) in expected.as_object().unwrap().iter().filter(|(name, _)| *name != "duration") {
            assert_eq!(&shown["info"][name], value, "{name} in /key/info");
        }
    }

    #[tokio::test]
    async fn what_nobody_can_have_is_refused_and_nothing_is_made() {
        let world = World::new().await;
        world.key(json!({"key_alias": "taken", "key": "sk-0123456789abcdef"})).await;
        for (body, kind) in [
            (json!({"key_alias": "taken"}), "bad_request_error"),
            (json!({"key_alias": "../up"}), "bad_request_error"),
            (json!({"key": "sk-0123456789abcdef"}), "internal_server_error"),
            (json!({"key": "sk-short"}), "internal_server_error"),
            (json!({"key": "no-prefix-0123456789"}), "internal_server_error"),
            (json!({"duration": "soon"}), "internal_server_error"),
            (json!({"duration": "30"}), "internal_server_error"),
            (json!({"budget_duration": "0d"}), "internal_server_error"),
            (json!({"max_budget": -1}), "internal_server_error"),
            (json!({"max_budget": 1e300}), "internal_server_error"),
            (json!({"rpm_limit": -1}), "internal_server_error"),
        ] {
            let error = world.post("/key/generate", body.clone()).await.refused(400);
            assert_eq!(error["type"], kind, "{body}");
        }
        assert_eq!((world.count("keys").await, world.revision().await), (1, 1));
    }

    #[tokio::test]
    async fn fields_of_the_wrong_type_are_all_listed() {
        let world = World::new().await;
        let issues =
            world.post("/key/generate", json!({"models": "gpt-4", "tpm_limit": "x", "tags": [1]})).await.issues();
        let expected = [json!(["body", "models"]), json!(["body", "tpm_limit"]), json!(["body", "tags", 0])];
        assert_eq!(issues, expected);
        let halves = world.post("/key/generate", json!({"temp_budget_increase": 5})).await.issues();
        assert_eq!(halves, [json!(["body", "temp_budget_expiry"])]);
    }

    #[tokio::test]
    async fn a_user_makes_keys_for_themselves_with_no_more_than_they_have() {
        let world = World::new().await;
        let key = world.user("u1", "internal_user").await;
        let made = world.post_as(&key, "/key/generate", json!({})).await.ok();
        assert_eq!((&made["user_id"], &made["created_by"]), (&json!("u1"), &json!("u1")));
        for body in [
            json!({"user_id": "u2"}),
            json!({"permissions": {"get_spend_routes": true}}),
            json!({"allowed_routes": ["/chat/completions"]}),
            json!({"config": {"any": 1}}),
            json!({"key_type": "management"}),
            json!({"metadata": {"allow_litellm_changed_by_header": true}}),
            json!({"metadata": {"allow_client_mock_response": true}}),
        ] {
            world.post_as(&key, "/key/generate", body).await.refused(403);
        }
        world.post_as(&key, "/key/generate", json!({"team_id": "no-such-team"})).await.refused(400);

        let narrow = world.key(json!({"user_id": "u1", "models": ["gpt-4", "claude-*"], "max_budget": 5})).await;
        let made = world.post_as(&narrow, "/key/generate", json!({})).await.ok();
        assert_eq!((&made["models"], &made["max_budget"]), (&json!(["gpt-4", "claude-*"]), &json!(5.0)));
        world.post_as(&narrow, "/key/generate", json!({"models": ["claude-3"], "max_budget": 1})).await.ok();
        world.post_as(&narrow, "/key/generate", json!({"models": ["other"]})).await.refused(403);
        world.post_as(&narrow, "/key/generate", json!({"max_budget": 6})).await.refused(400);
    }

    #[tokio::test]
    async fn viewers_and_keys_of_nobody_make_no_keys() {
        let world = World::new().await;
        let viewer = world.user("u1", "internal_user_viewer").await;
        let error = world.post_as(&viewer, "/key/generate", json!({})).await.refused(401);
        assert!(error["message"].as_str().unwrap().contains("Route=/key/generate. Your role=internal_user_viewer"));
        let nobodys = world.key(json!({})).await;
        world.post_as(&nobodys, "/key/generate", json!({})).await.refused(403);
    }

    #[tokio::test]
    async fn a_team_admin_does_not_become_somebody_else_by_a_key() {
        let world = World::new().await;
        let boss = world.user("boss", "internal_user").await;
        world.user("root", "proxy_admin").await;
        let roster = json!([{"role": "admin", "user_id": "boss"}, {"role": "user", "user_id": "root"}]);
        world.post("/team/new", json!({"team_id": "t", "members_with_roles": roster})).await.ok();
        world.post_as(&boss, "/key/generate", json!({"team_id": "t", "user_id": "stranger"})).await.refused(401);
        // For a member it works, and the key calls models: it does not act with the member's role.
        let made = world.post_as(&boss, "/key/generate", json!({"team_id": "t", "user_id": "root"})).await.ok();
        assert_eq!(made["allowed_routes"], json!(["llm_api_routes"]));
        let as_root = made["key"].as_str().unwrap();
        assert_eq!(world.post_as(as_root, "/user/new", json!({"user_id": "mine"})).await.status, 403);
        assert_eq!(world.post_as(as_root, "/key/generate", json!({})).await.status, 403);
    }

    #[tokio::test]
    async fn a_key_does_not_outlive_nor_outrun_the_one_that_made_it() {
        let world = World::new().await;
        world.user("u1", "internal_user").await;
        let own = json!({"user_id": "u1", "duration": "1h", "rpm_limit": 5});
        let own = world.post("/key/generate", own).await.ok();
        let made = world.post_as(own["key"].as_str().unwrap(), "/key/generate", json!({"rpm_limit": 50})).await.ok();
        assert_eq!((&made["expires"], &made["rpm_limit"]), (&own["expires"], &json!(5)));
    }

    #[tokio::test]
    async fn members_make_keys_of_a_team_once_the_team_lets_them() {
        let world = World::new().await;
        let (admin, member) = (world.user("boss", "internal_user").await, world.user("u1", "internal_user").await);
        let roster = json!([{"role": "admin", "user_id": "boss"}, {"role": "user", "user_id": "u1"}]);
        world.post("/team/new", json!({"team_id": "t", "members_with_roles": roster})).await.ok();
        let ask = json!({"team_id": "t"});
        let error = world.post_as(&member, "/key/generate", ask.clone()).await.refused(401);
        assert_eq!(
            (&error["type"], &error["param"]),
            (&json!("team_member_permission_error"), &json!("/key/generate"))
        );
        world.post_as(&admin, "/key/generate", json!({"team_id": "t", "user_id": "u1"})).await.ok();
        world.post("/team/update", json!({"team_id": "t", "team_member_permissions": ["/key/generate"]})).await.ok();
        world.post_as(&member, "/key/generate", ask).await.ok();
    }

    #[tokio::test]
    async fn a_bad_body_is_told_before_a_bad_key() {
        let world = World::new().await;
        let error = world.call("POST", "/key/generate", &[], "{\"models\": [,]}").await.refused(400);
        assert_eq!((&error["type"], &error["param"]), (&json!("invalid_request_error"), &json!("request_body")));
        let answer = world.post("/key/generate", json!([1])).await;
        assert_eq!((answer.status, &answer.body["detail"][0]["loc"]), (422, &json!(["body"])));
    }
}
