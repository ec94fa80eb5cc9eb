//! `POST /key/block` and `POST /key/unblock`.

use axum::extract::State;

use crate::access::{Actor, Permission, Subject};
use crate::app::App;
use crate::audit::{Action, Entry, Noun};
use crate::change::{Change, Wait};
use crate::error::{AdminError, Plain};
use crate::http::answer::Changed;
use crate::http::body::Body;
use crate::http::fields::{Field, Form, Issue, Request, Shape, required};
use crate::http::moment;
use crate::keys::view::{self, KeyView, Place};
use crate::keys::{KeyError, identify, store};
use crate::teams;

/// Which key to block.
#[derive(Debug)]
pub(super) struct Which {
    key: String,
}

impl Request for Which {
    const NAME: &'static str = "BlockedKey";
    const FIELDS: &'static [&'static [Field]] = &[&[required("key", Shape::Text, "The key or its hash.")]];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        Ok(Self { key: form.take("key").given().unwrap_or_default() })
    }
}

type WhichKey = Body<Which>;

/// Blocks a key: calls with it are refused from now on.
#[utoipa::path(
    post,
    path = "/key/block",
    tag = "keys",
    params(Wait),
    request_body = WhichKey,
    responses((status = 200, body = KeyView), crate::error::Refusals),
)]
pub(super) async fn block(
    State(app): State<App>,
    actor: Actor,
    wait: Wait,
    body: WhichKey,
) -> Result<Changed<KeyView>, Plain> {
    Ok(switch(&app, &actor, wait, body, Action::Blocked).await?)
}

/// Unblocks a key.
#[utoipa::path(
    post,
    path = "/key/unblock",
    tag = "keys",
    params(Wait),
    request_body = WhichKey,
    responses((status = 200, body = KeyView), crate::error::Refusals),
)]
pub(super) async fn unblock(
    State(app): State<App>,
    actor: Actor,
    wait: Wait,
    body: WhichKey,
) -> Result<Changed<KeyView>, Plain> {
    Ok(switch(&app, &actor, wait, body, Action::Unblocked).await?)
}

async fn switch(
    app: &App,
    actor: &Actor,
    wait: Wait,
    Body { asked, unknown }: WhichKey,
    action: Action,
) -> Result<Changed<KeyView>, AdminError> {
    actor.may(Permission::BlockKey, &Subject::Anything)?;
    let hash = identify::strictly(&asked.key).ok_or(KeyError::Format)?;
    let mut change = Change::begin(app, actor).await?;
    let before = store::locked(change.db(), &[hash]).await?.pop().ok_or(KeyError::NotFound)?;
    let team = match &before.team_id {
        Some(team_id) => teams::find(change.db(), team_id).await?,
        None => None,
    };
    actor.may(Permission::BlockKey, &Subject::Key(&before, team.as_ref()))?;

    let mut key = before.clone();
    key.blocked = Some(action == Action::Blocked);
    key.updated_at = moment::now();
    key.updated_by.clone_from(&actor.user_id);
    store::update(change.db(), &key).await?;
    let view = view::view(change.db(), key, Place::Live, moment::now()).await?;
    change.note(Entry {
        action,
        noun: Noun::Key,
        id: hash.to_string(),
        before: Some(view::for_audit(&before)),
        after: Some(serde_json::json!({})),
    });
    let published = change.commit(wait).await?;
    Ok(Changed { view, published, unknown })
}

#[cfg(test)]
mod tests {
    use proto::KeyHash;
    use serde_json::json;

    use crate::fixture::World;

    #[tokio::test]
    async fn a_blocked_key_is_refused_until_it_is_unblocked() {
        let world = World::new().await;
        let key = world.key(json!({})).await;
        let row = world.post("/key/block", json!({"key": key})).await.ok();
        assert_eq!((&row["blocked"], &row["token"]), (&json!(true), &json!(KeyHash::of(&key).to_string())));
        let error = world.get_as(&key, "/key/info").await.refused(401);
        let message = "Authentication Error, Key is blocked. Update via `/key/unblock` if you're an admin.";
        assert_eq!(
            (&error["message"], &error["type"], &error["param"]),
            (&json!(message), &json!("auth_error"), &json!("None"))
        );
        let row = world.post("/key/unblock", json!({"key": KeyHash::of(&key).to_string()})).await.ok();
        assert_eq!(row["blocked"], false);
        world.get_as(&key, "/key/info").await.ok();
        assert_eq!(world.count("audit_log where action in ('blocked', 'unblocked') and noun = 'key'").await, 2);
        assert_eq!(world.revision().await, 3);
    }

    #[tokio::test]
    async fn what_is_no_key_and_what_no_key_is_are_told_apart() {
        let world = World::new().await;
        let error = world.post("/key/block", json!({"key": "not a key"})).await.refused(400);
        assert_eq!((&error["type"], &error["message"]), (&json!("bad_request_error"), &json!("Invalid key format.")));
        world.post("/key/unblock", json!({"key": "sk-nobody-knows-me"})).await.refused(404);
        assert_eq!(world.post("/key/block", json!({})).await.issues(), [json!(["body", "key"])]);
        assert_eq!(world.post("/key/block", json!({"key": 5})).await.issues(), [json!(["body", "key"])]);
    }

    #[tokio::test]
    async fn owners_do_not_block_and_admins_of_the_team_do() {
        let world = World::new().await;
        let (owner, boss) = (world.user("u1", "internal_user").await, world.user("boss", "internal_user").await);
        let answer = world.post_as(&owner, "/key/block", json!({"key": owner})).await;
        assert_eq!(answer.status, 403);
        assert!(answer.body["detail"]["error"].is_string(), "{}", answer.body);
        let roster = json!([{"role": "admin", "user_id": "boss"}]);
        world.post("/team/new", json!({"team_id": "t", "members_with_roles": roster})).await.ok();
        let of_team = world.key(json!({"team_id": "t"})).await;
        world.post_as(&boss, "/key/block", json!({"key": of_team})).await.ok();
    }
}
