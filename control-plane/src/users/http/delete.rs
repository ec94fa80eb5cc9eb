//! `POST /user/delete`.

use axum::extract::State;

use crate::access::{Actor, Permission, Subject};
use crate::app::App;
use crate::audit::{Action, Entry, Noun};
use crate::budgets;
use crate::change::{Change, Wait};
use crate::error::Generic;
use crate::http::answer::Changed;
use crate::http::body::Body;
use crate::http::fields::{Field, Form, Issue, Request, Shape, required};
use crate::http::moment;
use crate::spend::Owner;
use crate::users::{UserError, store, view};
use crate::{keys, organizations, teams};

/// Which users to delete.
#[derive(Debug)]
pub(super) struct Which {
    user_ids: Vec<String>,
}

impl Request for Which {
    const NAME: &'static str = "DeletedUsers";
    const FIELDS: &'static [&'static [Field]] = &[&[required("user_ids", Shape::Texts, "The users.")]];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        let mut user_ids: Vec<String> = form.take("user_ids").given().unwrap_or_default();
        user_ids.sort_unstable();
        user_ids.dedup();
        Ok(Self { user_ids })
    }
}

type WhichUsers = Body<Which>;

/// Deletes users with their keys, and takes them off their teams; all or none. The keys go to the archive. Answers how many
/// users there were.
#[utoipa::path(
    post,
    path = "/user/delete",
    tag = "users",
    params(Wait),
    request_body = WhichUsers,
    responses((status = 200, body = usize), crate::error::Refusals),
)]
pub(super) async fn delete(
    State(app): State<App>,
    actor: Actor,
    wait: Wait,
    Body { asked: Which { user_ids }, unknown }: WhichUsers,
) -> Result<Changed<usize>, Generic> {
    actor.may(Permission::DeleteUser, &Subject::Anything)?;
    let mut change = Change::begin(&app, &actor).await?;
    // Teams first, as everybody locks them before users, and users before keys.
    teams::dismiss(&mut change, &user_ids, moment::now()).await?;
    let users = store::all_locked(change.db(), &user_ids).await?;
    if let Some(unknown) = user_ids.iter().find(|id| users.iter().all(|user| user.user_id != **id)) {
        return Err(UserError::NotFound(unknown.clone()).into());
    }
    // Who joined a team between the first look and the lock would stay on its roster.
    for user in &users {
        if !teams::of_member(change.db(), &user.user_id).await?.is_empty() {
            return Err(UserError::Joining(user.user_id.clone()).into());
        }
    }
    organizations::dismiss(change.db(), &user_ids).await?;
    keys::remove_of_users(&mut change, &user_ids).await?;
    store::delete(change.db(), &user_ids).await?;
    budgets::forget(change.db(), Owner::User, &user_ids).await?;
    for user in &users {
        change.note(Entry {
            action: Action::Deleted,
            noun: Noun::User,
            id: user.user_id.clone(),
            before: Some(view::for_audit(user)),
            after: Some(serde_json::json!({})),
        });
    }
    let published = change.commit(wait).await?;
    Ok(Changed { view: users.len(), published, unknown })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::fixture::World;

    #[tokio::test]
    async fn a_user_goes_with_their_keys_and_leaves_their_teams_at_one_revision() {
        let world = World::new().await;
        let key = world.user("u1", "internal_user").await;
        let roster = json!([{"role": "admin", "user_id": "u1"}, {"role": "user", "user_id": "u2"}]);
        world.post("/team/new", json!({"team_id": "t", "members_with_roles": roster})).await.ok();
        let of_team = world.key(json!({"team_id": "t"})).await;
        let before = world.revision().await;
        let answer = world.post("/user/delete", json!({"user_ids": ["u1", "u1"]})).await;
        assert_eq!(answer.ok(), json!(1));
        assert_eq!(world.revision().await, before + 1);
        world.get_as(&key, "/key/info").await.refused(401);
        world.get_as(&of_team, "/key/info").await.ok();
        assert_eq!(world.count("users where user_id = 'u1'").await, 0);
        let team = world.get("/team/info?team_id=t").await.ok();
        assert!(!team["team_info"]["members_with_roles"].to_string().contains("u1"), "{team}");
        assert!(team["team_info"]["members_with_roles"].to_string().contains("u2"), "{team}");
        assert_eq!(world.count("keys where user_id = 'u1'").await, 0);
        assert_eq!(world.count("audit_log where action = 'deleted' and noun = 'user'").await, 1);
    }

    #[tokio::test]
    async fn a_key_that_is_made_while_its_user_goes_does_not_outlive_them() {
        let world = World::new().await;
        for round in 0..10 {
            let key = world.user("u1", "internal_user").await;
            let (made, deleted) = tokio::join!(
                world.post_as(&key, "/key/generate", json!({})),
                world.post("/user/delete", json!({"user_ids": ["u1"]})),
            );
            deleted.ok();
            assert!(matches!(made.status, 200 | 401 | 403), "round {round}: {}", made.body);
            assert_eq!(world.count("keys where user_id = 'u1'").await, 0, "round {round}");
        }
    }

    #[tokio::test]
    async fn an_unknown_user_stops_all_and_users_delete_nobody() {
        let world = World::new().await;
        let key = world.user("u1", "internal_user").await;
        world.post("/user/delete", json!({"user_ids": ["u1", "nobody"]})).await.refused(404);
        world.post_as(&key, "/user/delete", json!({"user_ids": ["u1"]})).await.refused(401);
        assert_eq!(world.count("users").await, 1);
        world.get_as(&key, "/key/info").await.ok();
        assert_eq!(world.post("/user/delete", json!({})).await.issues(), [json!(["body", "user_ids"])]);
    }
}
