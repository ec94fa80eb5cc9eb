//! `POST /key/service-account/generate`.

use axum::extract::State;
use serde_json::Value;
use uuid::Uuid;

use super::generate::{Maker, make};
use crate::access::{Actor, Permission, Subject};
use crate::app::App;
use crate::change::Wait;
use crate::error::Plain;
use crate::http::answer::Changed;
use crate::http::body::Body;
use crate::keys::fields::SERVICE_ACCOUNT;
use crate::keys::{Generated, KeyError, NewKey};

type NewKeyBody = Body<NewKey>;

/// Makes a virtual key that belongs to a team and to nobody in it, so that it outlives them.
#[utoipa::path(
    post,
    path = "/key/service-account/generate",
    tag = "keys",
    params(Wait),
    request_body = NewKeyBody,
    responses((status = 200, body = Generated), crate::error::Refusals),
)]
pub(super) async fn generate(
    State(app): State<App>,
    actor: Actor,
    wait: Wait,
    Body { asked: mut new, unknown }: NewKeyBody,
) -> Result<Changed<Generated>, Plain> {
    actor.may(Permission::CreateKey, &Subject::Anything)?;
    if new.team_id.is_none() {
        return Err(KeyError::NoTeam.into());
    }
    let id = new.key_alias.clone().unwrap_or_else(|| Uuid::new_v4().to_string());
    new.metadata.insert(SERVICE_ACCOUNT.to_owned(), Value::String(id));
    let (view, published) = make(&app, &actor, wait, new, Maker::ServiceAccount).await?;
    Ok(Changed { view, published, unknown })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::fixture::World;

    const PATH: &str = "/key/service-account/generate";

    #[tokio::test]
    async fn a_service_account_belongs_to_its_team_and_to_no_user() {
        let world = World::new().await;
        world.post("/organization/new", json!({"organization_id": "o", "organization_alias": "o"})).await.ok();
        world.post("/team/new", json!({"team_id": "t", "organization_id": "o"})).await.ok();
        let made = world.post(PATH, json!({"team_id": "t", "user_id": "u1", "key_alias": "robot"})).await.ok();
        assert_eq!((&made["user_id"], &made["team_id"]), (&json!(null), &json!("t")));
        assert_eq!(made["metadata"]["service_account_id"], "robot");
        let made = world.post(PATH, json!({"team_id": "t", "metadata": {"service_account_id": "chosen"}})).await.ok();
        assert_eq!(made["metadata"]["service_account_id"].as_str().unwrap().len(), 36);

        let key = made["key"].as_str().unwrap();
        let other = json!({"key": key, "metadata": {"service_account_id": "other"}});
        assert_eq!(world.post("/key/update", other).await.status, 400);
        let changed = world.post("/key/update", json!({"key": key, "metadata": {"a": 1}})).await.ok();
        assert_eq!(changed["metadata"]["service_account_id"], made["metadata"]["service_account_id"]);
    }

    #[tokio::test]
    async fn without_a_team_that_exists_there_is_none() {
        let world = World::new().await;
        for body in [json!({}), json!({"team_id": "unknown"})] {
            let answer = world.post(PATH, body).await;
            assert_eq!(answer.status, 400);
            assert!(answer.body["detail"]["error"].is_string(), "{}", answer.body);
        }
        assert_eq!(world.count("keys").await, 0);
    }

    #[tokio::test]
    async fn admins_of_the_team_make_them_and_members_do_not() {
        let world = World::new().await;
        let (boss, member) = (world.user("boss", "internal_user").await, world.user("m", "internal_user").await);
        let roster = json!([{"role": "admin", "user_id": "boss"}, {"role": "user", "user_id": "m"}]);
        world.post("/team/new", json!({"team_id": "t", "members_with_roles": roster})).await.ok();
        let made = world.post_as(&boss, PATH, json!({"team_id": "t"})).await.ok();
        assert_eq!(made["user_id"], json!(null));
        let answer = world.post_as(&member, PATH, json!({"team_id": "t"})).await;
        assert!(matches!(answer.status, 401 | 403), "{}", answer.status);
    }
}
