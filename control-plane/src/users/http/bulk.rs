//! `POST /user/bulk_update`.

use std::collections::{HashMap, HashSet};

use axum::extract::State;
use serde::Serialize;
use serde_json::{Map, Value};
use sqlx::{Connection as _, PgConnection};
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::access::{Actor, Permission, Subject};
use crate::app::App;
use crate::change::{Change, Wait};
use crate::error::Generic;
use crate::http::answer::Changed;
use crate::http::body::Body;
use crate::http::fields::{self, Field, Form, Issue, Request, Shape, optional};
use crate::http::moment;
use crate::users::patch::{self, Anyones, UserPatch};
use crate::users::view::{self, UserView};
use crate::users::{self, Defaults, User, UserError, store};

/// Most users who are named in one call.
const NAMED: usize = 500;

/// Most users whom there may be to change all of them.
const ALL: usize = 10_000;

/// Which users change, and how.
#[derive(Debug)]
pub(super) struct Wanted {
    whom: Whom,
    unknown: Vec<String>,
}

#[derive(Debug)]
enum Whom {
    Named(Vec<UserPatch>),
    All(Box<UserPatch>),
}

impl Request for Wanted {
    const NAME: &'static str = "UserPatches";
    const FIELDS: &'static [&'static [Field]] = &[&[
        optional("users", Shape::Objects, "Up to 500 changes, each as for `/user/update`."),
        optional("all_users", Shape::Truth, "Whether to change all users instead, in the way of `user_updates`."),
        optional("user_updates", Shape::Object, "With `all_users`: what changes."),
    ]];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        let named = form.take::<Vec<Map<String, Value>>>("users").given().filter(|users| !users.is_empty());
        let updates = form.take::<Map<String, Value>>("user_updates").given();
        match (named, form.take("all_users").given().unwrap_or(false), updates) {
            (Some(named), false, None) => {
                let each = fields::each("users", named)?;
                Ok(Self { whom: Whom::Named(each.asked), unknown: each.unknown })
            }
            (None, true, Some(updates)) => {
                let (Anyones(patch), unknown) = fields::nested("user_updates", updates)?;
                Ok(Self { whom: Whom::All(Box::new(patch)), unknown })
            }
            (None, true, None) => Err(vec![Issue::missing("user_updates")]),
            (None, false, None) => Err(vec![Issue::missing("users")]),
            (Some(_), true, _) | (Some(_), false, Some(_)) | (None, false, Some(_)) => {
                let msg = "Give either `users`, or `all_users: true` with `user_updates`";
                Err(vec![Issue::of_body("value_error", msg, Value::Null)])
            }
        }
    }
}

type UserPatches = Body<Wanted>;

/// What became of each change.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Outcomes {
    results: Vec<Outcome>,
    total_requested: usize,
    successful_updates: usize,
    failed_updates: usize,
}

/// What became of one change.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Outcome {
    user_id: Option<String>,
    user_email: Option<String>,
    success: bool,
    /// Why nothing changed.
    error: Option<String>,
    updated_user: Option<UserView>,
}

/// Changes many users, each as `/user/update` does and each whole or not at all; nobody is made. For admins.
#[utoipa::path(
    post,
    path = "/user/bulk_update",
    tag = "users",
    params(Wait),
    request_body = UserPatches,
    responses((status = 200, body = Outcomes), crate::error::Refusals),
)]
pub(super) async fn update(
    State(app): State<App>,
    actor: Actor,
    wait: Wait,
    Body { asked: wanted, mut unknown }: UserPatches,
) -> Result<Changed<Outcomes>, Generic> {
    actor.may(Permission::ChangeUsers, &Subject::Anything)?;
    let now = moment::now();
    let mut change = Change::begin(&app, &actor).await?;
    let defaults = Defaults::read(&mut change).await.map_err(UserError::from)?;
    let targets = match wanted.whom {
        Whom::Named(patches) => named(change.db(), patches).await?,
        Whom::All(patch) => everybody(change.db(), *patch, now).await?,
    };
    let mut results = Vec::with_capacity(targets.len());
    let mut changed = Vec::new();
    let mut seen = HashSet::new();
    for (found, patch) in targets {
        let (user_id, user_email) = (patch.user_id.clone(), patch.email.clone());
        let error = match change_one(&mut change, found, patch, &mut seen, &defaults, now).await {
            Ok(user) => {
                changed.push(user);
                None
            }
            Err(error @ UserError::Database(_)) => return Err(error.into()),
            Err(error) => Some(error.to_string()),
        };
        results.push(Outcome { user_id, user_email, success: error.is_none(), error, updated_user: None });
    }
    let successful_updates = changed.len();
    let mut views = view::views(change.db(), changed).await?.into_iter();
    for outcome in results.iter_mut().filter(|outcome| outcome.success) {
        outcome.updated_user = views.next();
    }
    let published = change.commit(wait).await?;

    unknown.extend(wanted.unknown);
    let total_requested = results.len();
    let failed_updates = total_requested - successful_updates;
    let view = Outcomes { results, total_requested, successful_updates, failed_updates };
    Ok(Changed { view, published, unknown })
}

type Target = (Option<User>, UserPatch);

/// The users whom the changes name, locked in one order.
async fn named(db: &mut PgConnection, patches: Vec<UserPatch>) -> Result<Vec<Target>, UserError> {
    if patches.len() > NAMED {
        return Err(UserError::TooMany(NAMED));
    }
    let addresses = patches.iter().filter(|patch| patch.user_id.is_none());
    let addresses: Vec<String> = addresses.filter_map(|patch| patch.email.clone()).collect();
    let mut ids: Vec<String> = patches.iter().filter_map(|patch| patch.user_id.clone()).collect();
    ids.extend(store::ids_of_emails(db, &addresses).await?);
    let users = store::all_locked(db, &ids).await?;
    let by_email = users.iter().filter_map(|user| Some((user.email.as_ref()?.to_lowercase(), user)));
    let by_email: HashMap<String, &User> = by_email.collect();
    let by_id: HashMap<&str, &User> = users.iter().map(|user| (user.user_id.as_str(), user)).collect();
    let found = |patch: &UserPatch| match (&patch.user_id, &patch.email) {
        (Some(user_id), _) => by_id.get(user_id.as_str()).copied(),
        (None, Some(email)) => by_email.get(&email.to_lowercase()).copied(),
        (None, None) => None,
    };
    Ok(patches.into_iter().map(|patch| (found(&patch).cloned(), patch)).collect())
}

/// All users, locked in one order.
async fn everybody(db: &mut PgConnection, patch: UserPatch, now: OffsetDateTime) -> Result<Vec<Target>, UserError> {
    // What nobody can have is told once and not of each user.
    patch::apply(User::bare(None, now), patch.clone(), &Defaults::default(), now)?;
    let ids = store::ids(db, i64::try_from(ALL + 1).unwrap_or(i64::MAX)).await?;
    if ids.len() > ALL {
        return Err(UserError::TooMany(ALL));
    }
    let users = store::all_locked(db, &ids).await?;
    let target = |user: User| {
        let mut patch = patch.clone();
        patch.user_id = Some(user.user_id.clone());
        (Some(user), patch)
    };
    Ok(users.into_iter().map(target).collect())
}

/// Changes one user, or nothing: what fails is undone without the rest.
async fn change_one(
    change: &mut Change,
    found: Option<User>,
    patch: UserPatch,
    seen: &mut HashSet<String>,
    defaults: &Defaults,
    now: OffsetDateTime,
) -> Result<User, UserError> {
    let Some(before) = found else {
        return Err(UserError::NotFound(patch.user_id.or(patch.email).unwrap_or_default()));
    };
    if !seen.insert(before.user_id.clone()) {
        return Err(UserError::Twice(before.user_id));
    }
    let user = patch::apply(before.clone(), patch, defaults, now)?;
    let mut step = change.db().begin().await?;
    store::update(&mut step, &user).await.map_err(|error| UserError::from_insert(error, &user))?;
    user.keep_budgets(&mut step, Some(&before)).await?;
    step.commit().await?;
    users::note_update(change, &before, &user);
    Ok(user)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::fixture::World;

    async fn world_of_three() -> World {
        let world = World::new().await;
        for body in [
            json!({"user_id": "u1", "user_email": "a@b.c", "auto_create_key": false}),
            json!({"user_id": "u2", "user_email": "b@b.c", "auto_create_key": false}),
            json!({"user_id": "u3", "max_budget": 5, "auto_create_key": false}),
        ] {
            world.post("/user/new", body).await.ok();
        }
        world
    }

    fn figures(answer: &Value) -> [Value; 3] {
        ["total_requested", "successful_updates", "failed_updates"].map(|name| answer[name].clone())
    }

    #[tokio::test]
    async fn each_user_changes_or_does_not_and_all_of_it_is_one_revision() {
        let world = world_of_three().await;
        let before = world.revision().await;
        let users = json!([
            {"user_id": "u1", "user_role": "internal_user_viewer", "odd": 1},
            {"user_email": "B@B.C", "rpm_limit": 7},
            {"user_id": "u3", "max_budget": null},
            {"user_id": "nobody", "rpm_limit": 1},
        ]);
        let answer = world.post("/user/bulk_update", json!({"users": users, "even": 2})).await;
        assert_eq!(answer.header("x-turnpike-unknown-fields"), Some("even, odd"));
        let answer = answer.ok();
        assert_eq!(figures(&answer), [json!(4), json!(3), json!(1)]);
        let results = &answer["results"];
        assert_eq!(results[0]["updated_user"]["user_role"], "internal_user_viewer");
        assert_eq!(
            (&results[1]["user_email"], &results[1]["updated_user"]["user_id"]),
            (&json!("B@B.C"), &json!("u2"))
        );
        assert_eq!((&results[2]["success"], &results[2]["updated_user"]["max_budget"]), (&json!(true), &json!(null)));
        assert_eq!((&results[3]["success"], &results[3]["updated_user"]), (&json!(false), &json!(null)));
        assert!(results[3]["error"].as_str().unwrap().contains("nobody"));
        assert_eq!(world.revision().await, before + 1);
        assert_eq!(world.count("audit_log where action = 'updated' and noun = 'user'").await, 3);
        assert_eq!(world.count("users").await, 3, "nobody is made");
    }

    #[tokio::test]
    async fn what_fails_leaves_no_trace_and_does_not_stop_the_rest() {
        let world = world_of_three().await;
        let users = json!([
            {"user_id": "u1", "user_email": "B@b.c", "rpm_limit": 1},
            {"user_id": "u2", "rpm_limit": -1},
            {"user_id": "u3", "rpm_limit": 3},
            {"user_id": "u3", "rpm_limit": 4},
        ]);
        let answer = world.post("/user/bulk_update", json!({"users": users})).await.ok();
        let worked: Vec<_> =
            answer["results"].as_array().unwrap().iter().map(|result| result["success"].clone()).collect();
        assert_eq!(worked, [json!(false), json!(false), json!(true), json!(false)]);
        assert_eq!(world.count("users where rpm_limit is not null").await, 1);
        assert_eq!(world.count("users where user_id = 'u3' and rpm_limit = 3").await, 1);
        assert_eq!(world.count("audit_log where action = 'updated'").await, 1);
        let before = world.revision().await;
        let nothing = json!({"users": [{"user_id": "nobody"}]});
        assert_eq!(figures(&world.post("/user/bulk_update", nothing).await.ok()), [json!(1), json!(0), json!(1)]);
        assert_eq!(world.revision().await, before);
    }

    #[tokio::test]
    async fn all_users_change_in_one_way() {
        let world = world_of_three().await;
        let body = json!({"all_users": true, "user_updates": {"tpm_limit": 9}});
        let answer = world.post("/user/bulk_update", body).await.ok();
        assert_eq!(figures(&answer), [json!(3), json!(3), json!(0)]);
        assert_eq!(answer["results"][0]["updated_user"]["tpm_limit"], 9);
        assert_eq!(world.count("users where tpm_limit = 9").await, 3);
        world
            .post("/user/bulk_update", json!({"all_users": true, "user_updates": {"tpm_limit": -9}}))
            .await
            .refused(400);
        assert_eq!(world.count("users where tpm_limit = 9").await, 3);
    }

    #[tokio::test]
    async fn admins_alone_do_it_and_bad_input_says_where_it_is_bad() {
        let world = world_of_three().await;
        let body = json!({"users": [{"user_id": "u4", "user_role": "proxy_admin"}]});
        for (user, role) in [("u4", "internal_user"), ("u5", "proxy_admin_viewer"), ("u6", "internal_user_viewer")] {
            let key = world.user(user, role).await;
            world.post_as(&key, "/user/bulk_update", body.clone()).await.refused(401);
        }
        let many: Vec<_> = (0..501).map(|number| json!({"user_id": format!("x{number}")})).collect();
        world.post("/user/bulk_update", json!({"users": many})).await.refused(400);
        for (body, place) in [
            (json!({}), json!(["body", "users"])),
            (json!({"users": []}), json!(["body", "users"])),
            (json!({"users": [1]}), json!(["body", "users", 0])),
            (json!({"users": [{"user_id": "u1"}, {"user_role": "king"}]}), json!(["body", "users", 1, "user_role"])),
            (json!({"users": [{"rpm_limit": 1}]}), json!(["body", "users", 0, "user_id"])),
            (json!({"users": [{"user_id": "u1", "teams": []}]}), json!(["body", "users", 0, "teams"])),
            (json!({"users": [{"user_id": "u1", "password": null}]}), json!(["body", "users", 0, "password"])),
            (json!({"all_users": true}), json!(["body", "user_updates"])),
            (
                json!({"all_users": true, "user_updates": {"user_email": "x@y.z"}}),
                json!(["body", "user_updates", "user_email"]),
            ),
            (json!({"all_users": true, "user_updates": {"models": 1}}), json!(["body", "user_updates", "models"])),
            (json!({"users": [{"user_id": "u1"}], "all_users": true}), json!(["body"])),
            (json!({"user_updates": {"models": []}}), json!(["body"])),
        ] {
            assert_eq!(world.post("/user/bulk_update", body.clone()).await.issues(), [place], "{body}");
        }
        assert_eq!(world.count("audit_log where action = 'updated'").await, 0);
    }
}
