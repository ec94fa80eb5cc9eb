//! `POST /key/update`.

use axum::extract::State;
use serde::Serialize;
use sqlx::PgConnection;
use utoipa::ToSchema;

use crate::access::{Actor, Permission, Subject};
use crate::app::App;
use crate::audit::{Entry, Noun};
use crate::budgets;
use crate::change::{Change, Wait};
use crate::error::AuthStyle;
use crate::http::answer::Changed;
use crate::http::body::Body;
use crate::http::fields::Patch;
use crate::http::moment;
use crate::keys::patch::{self, KeyPatch};
use crate::keys::view::{self, KeyView, Place};
use crate::keys::{self, Key, KeyError, Rules, identify, link, organization, rights, store};
use crate::limits;
use crate::spend::Owner;
use crate::teams;

type KeyPatchBody = Body<KeyPatch>;

/// A changed key.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct UpdatedKey {
    /// As it was asked for.
    key: String,
    #[serde(flatten)]
    row: KeyView,
}

/// Changes a key: what is left out stays, `null` clears.
#[utoipa::path(
    post,
    path = "/key/update",
    tag = "keys",
    params(Wait),
    request_body = KeyPatchBody,
    responses((status = 200, body = UpdatedKey), crate::error::Refusals),
)]
pub(super) async fn update(
    State(app): State<App>,
    actor: Actor,
    wait: Wait,
    Body { asked: wanted, unknown }: KeyPatchBody,
) -> Result<Changed<UpdatedKey>, AuthStyle> {
    actor.may(Permission::ChangeKey, &Subject::Anything)?;
    let mut change = Change::begin(&app, &actor).await?;
    let before = meant(change.db(), &wanted).await?;
    let team = match &before.team_id {
        Some(team_id) => teams::find(change.db(), team_id).await?,
        None => None,
    };
    actor.may(Permission::ChangeKey, &Subject::Key(&before, team.as_ref()))?;
    rights::check_change(&wanted, &link::effective(change.db(), &before).await?, &actor)?;
    if let Patch::To(team_id) = &wanted.team_id {
        // Shared: the team that the key moves to is not deleted meanwhile.
        teams::shared(change.db(), team_id).await?;
    }

    let said = wanted.key.clone().unwrap_or_else(|| before.hash.to_string());
    let spent = limits::usd("spend", wanted.spend).map_err(KeyError::from)?;
    let rules = Rules::read(&mut change).await.map_err(KeyError::from)?;
    let mut key = patch::apply(before.clone(), wanted, &rules, actor.user_id.as_deref(), moment::now())?;
    organization::settle(change.db(), &before, &mut key).await?;
    keys::put(change.db(), &before, &key).await?;
    if let Some(spent) = spent {
        budgets::set_spent(change.db(), Owner::Key, &key.hash.to_string(), spent.nanos()).await?;
    }
    let row = view::view(change.db(), key.clone(), Place::Live, moment::now()).await?;
    let (old, new) = (view::for_audit(&before), view::for_audit(&key));
    change.note(Entry::updated(Noun::Key, key.hash.to_string(), old, new));
    let published = change.commit(wait).await?;
    Ok(Changed { view: UpdatedKey { key: said, row }, published, unknown })
}

/// The key that a change means, locked.
async fn meant(db: &mut PgConnection, wanted: &KeyPatch) -> Result<Key, KeyError> {
    let hash = match (&wanted.key, &wanted.key_alias) {
        (Some(text), _) => identify::hash(text).ok_or(KeyError::NotFound)?,
        (None, Patch::To(alias)) => {
            let found = store::hashes_of_aliases(db, std::slice::from_ref(alias)).await?;
            match found.as_slice() {
                [(_, hash)] => *hash,
                [] => return Err(KeyError::NoSuchAlias(alias.clone())),
                [_, _, ..] => return Err(KeyError::AliasAmbiguous(alias.clone())),
            }
        }
        (None, Patch::Keep | Patch::Clear) => return Err(KeyError::NotFound),
    };
    store::locked(db, &[hash]).await?.pop().ok_or(KeyError::NotFound)
}

#[cfg(test)]
mod tests {
    use proto::KeyHash;
    use serde_json::{Value, json};

    use crate::fixture::World;

    #[tokio::test]
    async fn what_is_left_out_stays_and_null_clears() {
        let world = World::new().await;
        let key = world
            .key(json!({
                "key_alias": "ci", "models": ["a"], "max_budget": 5, "metadata": {"owner": "x"}, "tags": ["t"],
                "duration": "30d", "router_settings": {"num_retries": 1}, "rpm_limit": 7,
            }))
            .await;
        let changed = world.post("/key/update", json!({"key": key, "models": ["b"], "tags": ["u"]})).await.ok();
        assert_eq!((&changed["key"], &changed["token"]), (&json!(key), &json!(KeyHash::of(&key).to_string())));
        assert_eq!((&changed["models"], &changed["key_alias"]), (&json!(["b"]), &json!("ci")));
        assert_eq!(changed["metadata"], json!({"owner": "x", "tags": ["u"]}));

        let body = json!({
            "key": key, "key_alias": null, "max_budget": null, "duration": "-1", "router_settings": null, "tags": null,
            "rpm_limit": 8,
        });
        let changed = world.post("/key/update", body).await.ok();
        assert_eq!(
            (&changed["key_alias"], &changed["max_budget"], &changed["expires"]),
            (&Value::Null, &Value::Null, &Value::Null)
        );
        assert_eq!((&changed["router_settings"], &changed["rpm_limit"]), (&json!({}), &json!(8)));
        assert_eq!(changed["metadata"]["tags"], json!(["u"]), "null leaves a field of metadata as it is");
        let changed = world.post("/key/update", json!({"key": key, "metadata": {"new": 1}, "spend": 0.5})).await.ok();
        assert_eq!((&changed["metadata"], &changed["spend"]), (&json!({"new": 1}), &json!(0.5)));
        assert_eq!(changed["blocked"], Value::Null);
    }

    #[tokio::test]
    async fn a_key_may_be_named_by_its_alias() {
        let world = World::new().await;
        world.key(json!({"key_alias": "ci"})).await;
        let changed = world.post("/key/update", json!({"key_alias": "ci", "rpm_limit": 1})).await.ok();
        assert_eq!((&changed["key_alias"], &changed["rpm_limit"]), (&json!("ci"), &json!(1)));
        let error = world.post("/key/update", json!({"key_alias": "nobody"})).await.refused(404);
        assert_eq!(error["type"], "auth_error");
        assert_eq!(world.post("/key/update", json!({"rpm_limit": 1})).await.issues(), [json!(["body", "key"])]);
    }

    #[tokio::test]
    async fn an_unknown_key_a_taken_alias_and_a_wrong_type_are_refused() {
        let world = World::new().await;
        let key = world.key(json!({})).await;
        world.key(json!({"key_alias": "taken"})).await;
        let error = world.post("/key/update", json!({"key": "sk-nobody-knows-me"})).await.refused(404);
        assert_eq!((&error["type"], &error["message"]), (&json!("not_found_error"), &json!("Key not found.")));
        let error = world.post("/key/update", json!({"key": key, "key_alias": "taken"})).await.refused(400);
        assert_eq!(error["param"], "key_alias");
        assert_eq!(
            world.post("/key/update", json!({"key": key, "blocked": "maybe"})).await.issues(),
            [json!(["body", "blocked"])]
        );
        assert_eq!(world.revision().await, 2);
    }

    #[tokio::test]
    async fn an_owner_changes_their_own_keys_but_not_their_budget_block_or_rights() {
        let world = World::new().await;
        let key = world.user("u1", "internal_user").await;
        world.post_as(&key, "/key/update", json!({"key": key, "key_alias": "mine"})).await.ok();
        for field in [
            json!({"max_budget": 1}),
            json!({"spend": 0}),
            json!({"blocked": false}),
            json!({"user_id": "u2"}),
            json!({"team_id": "t"}),
            json!({"permissions": {}}),
            json!({"allowed_routes": []}),
            json!({"config": {}}),
            json!({"metadata": {"allow_client_mock_response": true}}),
        ] {
            let mut body = field.clone();
            body["key"] = json!(key);
            let error = world.post_as(&key, "/key/update", body).await.refused(403);
            assert_eq!(error["type"], "auth_error", "{field}");
        }
        let made_by_admin = world.key(json!({"user_id": "u1", "models": ["a"]})).await;
        world.post_as(&key, "/key/update", json!({"key": made_by_admin, "models": []})).await.refused(403);
        let stranger = world.user("u2", "internal_user").await;
        world.post_as(&stranger, "/key/update", json!({"key": key, "rpm_limit": 1})).await.refused(403);
    }

    #[tokio::test]
    async fn a_holder_keeps_the_limits_of_models_that_the_key_has() {
        let world = World::new().await;
        let own = world.user("u1", "internal_user").await;
        let limit = json!({"m": 1});
        world.post("/key/update", json!({"key": own, "model_rpm_limit": limit})).await.ok();
        for change in [
            json!({"model_rpm_limit": {"m": 2}}),
            json!({"metadata": {}}),
            json!({"metadata": {"model_rpm_limit": {}}}),
        ] {
            let mut body = change;
            body["key"] = json!(own);
            world.post_as(&own, "/key/update", body).await.refused(403);
        }
        let kept = json!({"key": own, "metadata": {"note": 1, "model_rpm_limit": limit}});
        world.post_as(&own, "/key/update", kept).await.ok();
        world.post_as(&own, "/key/generate", json!({"model_rpm_limit": {"m": 2}})).await.refused(403);
        let made = world.post_as(&own, "/key/generate", json!({})).await.ok();
        assert_eq!(made["metadata"]["model_rpm_limit"], limit);
    }

    #[tokio::test]
    async fn a_holder_ends_a_key_earlier_and_not_later() {
        let world = World::new().await;
        let own = world.user("u1", "internal_user").await;
        let key = world.post_as(&own, "/key/generate", json!({"duration": "2d"})).await.ok()["key"].clone();
        for duration in [json!("-1"), json!("3d"), json!(null)] {
            world.post_as(&own, "/key/update", json!({"key": key, "duration": duration})).await.refused(403);
        }
        world.post_as(&own, "/key/update", json!({"key": key, "duration": "1d"})).await.ok();
        world.post("/key/update", json!({"key": key, "duration": "30d"})).await.ok();
    }

    #[tokio::test]
    async fn a_holder_lowers_a_limit_and_neither_raises_nor_clears_it() {
        let world = World::new().await;
        let key = world.user("u1", "internal_user").await;
        for name in ["rpm_limit", "tpm_limit", "max_parallel_requests"] {
            world.post_as(&key, "/key/update", json!({"key": key, name: 5})).await.ok();
            world.post_as(&key, "/key/update", json!({"key": key, name: 4})).await.ok();
            world.post_as(&key, "/key/update", json!({"key": key, name: 5})).await.refused(403);
            world.post_as(&key, "/key/update", json!({"key": key, name: null})).await.refused(403);
            world.post("/key/update", json!({"key": key, name: null})).await.ok();
        }
    }

    #[tokio::test]
    async fn two_changes_at_once_are_both_kept_each_with_its_revision_and_audit_row() {
        let world = World::new().await;
        let key = world.key(json!({})).await;
        let (one, two) = tokio::join!(
            world.post("/key/update", json!({"key": key, "rpm_limit": 1})),
            world.post("/key/update", json!({"key": key, "tpm_limit": 2})),
        );
        let mut revisions: Vec<_> =
            [&one, &two].iter().map(|answer| answer.header("x-turnpike-revision").unwrap().to_owned()).collect();
        revisions.sort_unstable();
        assert_eq!(revisions, ["2", "3"]);
        let info = world.get_as(&key, "/key/info").await.ok()["info"].clone();
        assert_eq!((&info["rpm_limit"], &info["tpm_limit"]), (&json!(1), &json!(2)));

        type Row = (String, i64, Value, Value);
        let rows: Vec<Row> = sqlx::query_as(
            "select object_id, revision, before_value, updated_values from audit_log where action = 'updated' order by revision",
        )
        .fetch_all(&world.db())
        .await
        .unwrap();
        let hash = KeyHash::of(&key).to_string();
        assert_eq!(
            rows.iter().map(|row| (row.0.as_str(), row.1)).collect::<Vec<_>>(),
            [(hash.as_str(), 2), (hash.as_str(), 3)]
        );
        for (_, _, before, after) in rows {
            assert_eq!(before["token"], hash);
            let names: Vec<_> = after.as_object().unwrap().keys().map(String::as_str).collect();
            assert!(names.contains(&"updated_at") && names.len() == 2, "{names:?}");
        }
    }
}
