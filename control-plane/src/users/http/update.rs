//! `POST /user/update`.

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::{AccessError, Actor, Permission, Subject};
use crate::app::App;
use crate::change::{Change, Wait};
use crate::error::AuthStyle;
use crate::http::answer::Changed;
use crate::http::body::Body;
use crate::http::moment;
use crate::users::patch::{self, UserPatch};
use crate::users::view::{self, UserView};
use crate::users::{self, Defaults, UserError, store};

type UserPatchBody = Body<UserPatch>;

/// A changed user.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct UpdatedUser {
    user_id: String,
    data: UserView,
}

/// Changes a user, named by id or by e-mail address. Admins make one whom nobody knows; users change their own alias and
/// metadata.
#[utoipa::path(
    post,
    path = "/user/update",
    tag = "users",
    params(Wait),
    request_body = UserPatchBody,
    responses((status = 200, body = UpdatedUser), crate::error::Refusals),
)]
pub(super) async fn update(
    State(app): State<App>,
    actor: Actor,
    wait: Wait,
    Body { asked: wanted, unknown }: UserPatchBody,
) -> Result<Changed<UpdatedUser>, AuthStyle> {
    actor.may(Permission::ChangeUser, &Subject::Anything)?;
    let now = moment::now();
    let mut change = Change::begin(&app, &actor).await?;
    let found = match (&wanted.user_id, &wanted.email) {
        (Some(user_id), _) => store::locked(change.db(), user_id).await?,
        (None, Some(email)) => store::locked_by_email(change.db(), email).await?,
        (None, None) => None,
    };
    match &found {
        Some(user) => actor.may(Permission::ChangeUser, &Subject::User(&user.user_id))?,
        None if actor.is_admin() => {}
        // Who may not change others does not learn who there is.
        None => return Err(AccessError::Forbidden("You are not allowed to change this user.".to_owned()).into()),
    }
    if !actor.is_admin() {
        wanted.check_own()?;
    }
    let defaults = Defaults::read(&mut change).await.map_err(UserError::from)?;
    let user = match found {
        Some(before) => {
            let user = patch::apply(before.clone(), wanted, &defaults, now)?;
            store::update(change.db(), &user).await.map_err(|error| UserError::from_insert(error, &user))?;
            user.keep_budgets(change.db(), Some(&before)).await?;
            users::note_update(&mut change, &before, &user);
            user
        }
        None => {
            let mut user = patch::unknown(&wanted, now);
            if !wanted.says_budget() {
                defaults.fill_internal(&mut user);
            }
            let user = patch::apply(user, wanted, &defaults, now)?;
            users::add(&mut change, &user).await?;
            user
        }
    };
    let data = view::view(change.db(), user).await?;
    let published = change.commit(wait).await?;
    Ok(Changed { view: UpdatedUser { user_id: data.user_id.clone(), data }, published, unknown })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::fixture::World;

    #[tokio::test]
    async fn what_is_left_out_stays_and_null_clears_what_can_be_none() {
        let world = World::new().await;
        let body = json!({"user_id": "u1", "user_email": "a@b.c", "models": ["m"], "max_budget": 5, "rpm_limit": 3});
        world.post("/user/new", body).await.ok();
        let body = json!({
            "user_id": "u1", "user_alias": "Ada", "models": [], "metadata": {}, "max_budget": null, "rpm_limit": 7,
            "user_role": "internal_user_viewer",
        });
        let changed = world.post("/user/update", body).await.ok();
        assert_eq!(changed["user_id"], "u1");
        let data = &changed["data"];
        assert_eq!((&data["user_alias"], &data["models"]), (&json!("Ada"), &json!(["m"])));
        assert_eq!((&data["max_budget"], &data["rpm_limit"]), (&json!(null), &json!(7)));
        assert_eq!((&data["user_role"], &data["user_email"]), (&json!("internal_user_viewer"), &json!("a@b.c")));
        let changed = world.post("/user/update", json!({"user_email": "A@B.C", "tpm_limit": 9})).await.ok();
        assert_eq!((&changed["user_id"], &changed["data"]["tpm_limit"]), (&json!("u1"), &json!(9)));
        assert_eq!(world.count("audit_log where action = 'updated' and noun = 'user'").await, 2);
        assert_eq!(world.count("change_log where kind = 'user'").await, 3);
    }

    #[tokio::test]
    async fn admins_make_a_user_whom_nobody_knows() {
        let world = World::new().await;
        let made = world.post("/user/update", json!({"user_id": "new", "rpm_limit": 1})).await.ok();
        assert_eq!((&made["data"]["user_role"], &made["data"]["rpm_limit"]), (&json!("internal_user"), &json!(1)));
        let made = world.post("/user/update", json!({"user_email": "x@y.z"})).await.ok();
        assert_eq!((made["user_id"].as_str().unwrap().len(), &made["data"]["user_email"]), (36, &json!("x@y.z")));
        assert_eq!(world.count("users").await, 2);
    }

    #[tokio::test]
    async fn users_change_their_own_name_and_nothing_that_gives_them_more() {
        let world = World::new().await;
        let key = world.user("u1", "internal_user").await;
        world.user("u2", "internal_user").await;
        let body = json!({"user_id": "u1", "user_alias": "me", "metadata": {"a": 1}});
        world.post_as(&key, "/user/update", body).await.ok();
        for field in [
            json!({"user_role": "proxy_admin"}),
            json!({"models": ["*"]}),
            json!({"max_budget": null}),
            json!({"budget_duration": "1d"}),
            json!({"rpm_limit": 1}),
            json!({"tpm_limit": null}),
            json!({"max_parallel_requests": 9}),
            json!({"user_email": "a@b.c"}),
            json!({"model_max_budget": {}}),
            json!({"sso_user_id": "x"}),
        ] {
            let mut body = field.clone();
            body["user_id"] = json!("u1");
            world.post_as(&key, "/user/update", body).await.refused(403);
        }
        world.post_as(&key, "/user/update", json!({"user_id": "u2", "user_alias": "x"})).await.refused(403);
        world.post_as(&key, "/user/update", json!({"user_id": "nobody"})).await.refused(403);
        assert_eq!(world.count("users where role <> 'internal_user' or cardinality(models) > 0").await, 0);
    }

    #[tokio::test]
    async fn a_taken_address_a_bad_value_and_a_nameless_user_change_nothing() {
        let world = World::new().await;
        world.post("/user/new", json!({"user_id": "u1", "user_email": "a@b.c"})).await.ok();
        world.post("/user/new", json!({"user_id": "u2"})).await.ok();
        world.post("/user/update", json!({"user_id": "u2", "user_email": "A@b.c"})).await.refused(409);
        world.post("/user/update", json!({"user_id": "u2", "rpm_limit": -1})).await.refused(400);
        assert_eq!(world.post("/user/update", json!({"rpm_limit": 1})).await.issues(), [json!(["body", "user_id"])]);
        for field in ["teams", "team_id", "organization_id", "organizations"] {
            let value = if field.ends_with('s') { json!([]) } else { json!("t") };
            let answer = world.post("/user/update", json!({"user_id": "u1", field: value})).await;
            assert_eq!(answer.issues(), [json!(["body", field])]);
        }
        assert_eq!(
            world.post("/user/update", json!({"user_id": "u1", "user_role": "king"})).await.issues(),
            [json!(["body", "user_role"])]
        );
        assert_eq!(world.count("audit_log where action = 'updated'").await, 0);
    }
}
