//! `/team/{team_id}/callback` and `POST /team/{team_id}/disable_logging`.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::managed::{self, finish};
use crate::access::{Actor, Permission, Subject};
use crate::app::App;
use crate::change::{Change, Wait};
use crate::error::Generic;
use crate::http::answer::Changed;
use crate::http::body::Body;
use crate::http::fields::{Field, Form, Issue, Request, Shape, optional, required};
use crate::http::path::Names;
use crate::teams::callbacks::{self, Callback, Logging};
use crate::teams::view::TeamView;
use crate::teams::{Team, TeamError, store};

impl Request for Callback {
    const NAME: &'static str = "NewCallback";
    const FIELDS: &'static [&'static [Field]] = &[&[
        required("callback_name", Shape::Text, "The service: `langfuse`, `langsmith`, `gcs_bucket`."),
        optional("callback_type", Shape::Choice(callbacks::KINDS), "Which calls. Absent: `success_and_failure`."),
        required(
            "callback_vars",
            Shape::TextMap,
            "Settings of the service. What opens something is a reference to the environment: `os.environ/NAME`.",
        ),
    ]];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        let name = form.take::<String>("callback_name").given().unwrap_or_default();
        if name.trim().is_empty() || name.len() > 100 {
            let msg = "Input should be the name of a service, of at most 100 characters";
            return Err(vec![Issue::of_field("value_error", "callback_name", msg, name.into())]);
        }
        let vars = form.take::<Map<String, Value>>("callback_vars").given().unwrap_or_default();
        if let Some(unknown) = vars.keys().find(|var| !callbacks::VARS.contains(&var.as_str())) {
            return Err(vec![Issue {
                kind: "value_error",
                loc: vec!["body".into(), "callback_vars".into(), unknown.as_str().into()],
                msg: format!("Input should be one of {}", callbacks::VARS.join(", ")),
                input: Value::Null,
            }]);
        }
        let kind = form.take("callback_type").given().unwrap_or_else(|| "success_and_failure".to_owned());
        Ok(Self { name, kind, vars })
    }
}

type NewCallback = Body<Callback>;

/// What became of a change.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CallbackAdded {
    status: &'static str,
    data: TeamView,
}

/// What a team logs, and where.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CallbacksShown {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    data: CallbacksOfTeam,
}

/// The places where calls of a team are logged.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CallbacksOfTeam {
    team_id: String,
    success_callbacks: Vec<String>,
    failure_callbacks: Vec<String>,
    #[schema(value_type = Object)]
    callback_vars: Map<String, Value>,
}

fn shown(team_id: String, logging: Logging, message: Option<String>) -> CallbacksShown {
    let Logging { success, failure, vars } = logging;
    let data = CallbacksOfTeam { team_id, success_callbacks: success, failure_callbacks: failure, callback_vars: vars };
    CallbacksShown { status: "success", message, data }
}

/// Adds a place where calls of a team are to be logged. It is kept, and not acted on yet. For admins.
#[utoipa::path(
    post,
    path = "/team/{team_id}/callback",
    tag = "teams",
    params(("team_id" = String, Path, description = "The team."), Wait),
    request_body = NewCallback,
    responses((status = 200, body = CallbackAdded), crate::error::Refusals),
)]
pub(super) async fn add(
    State(app): State<App>,
    actor: Actor,
    names: Names<1>,
    wait: Wait,
    Body { asked: callback, unknown }: NewCallback,
) -> Result<Changed<CallbackAdded>, Generic> {
    let Names([team_id]) = names;
    // A reference reads what the server has in its environment: that is for proxy admins to allow.
    let (change, before) = managed::begin(&app, &actor, Permission::ChangeTeamLogging, &team_id).await?;
    let mut team = before.clone();
    callbacks::add(&mut team, callback)?;
    let (data, published) = finish(change, &before, team, wait).await?;
    Ok(Changed { view: CallbackAdded { status: "success", data }, published, unknown })
}

/// Shows where calls of a team are to be logged.
#[utoipa::path(
    get,
    path = "/team/{team_id}/callback",
    tag = "teams",
    params(("team_id" = String, Path, description = "The team.")),
    responses((status = 200, body = CallbacksShown), crate::error::Refusals),
)]
pub(super) async fn show(
    State(app): State<App>,
    actor: Actor,
    names: Names<1>,
) -> Result<Json<CallbacksShown>, Generic> {
    let Names([team_id]) = names;
    actor.may(Permission::ReadTeam, &Subject::Anything)?;
    let mut db = app.db.acquire().await?;
    let team = match store::by_id(&mut db, &team_id).await? {
        Some(team) => team,
        None if actor.sees_all() => return Err(TeamError::NotFound(team_id).into()),
        // Who may not see all teams does not learn which there are.
        None => return Err(actor.no_access_to_team(&team_id).into()),
    };
    actor.may(Permission::ReadTeam, &Subject::Team(&team))?;
    Ok(Json(shown(team_id, callbacks::of(&team), None)))
}

/// Takes a place away where calls of a team are to be logged. For admins.
#[utoipa::path(
    delete,
    path = "/team/{team_id}/callback/{callback_name}",
    tag = "teams",
    params(
        ("team_id" = String, Path, description = "The team."),
        ("callback_name" = String, Path, description = "The service."),
        Wait,
    ),
    responses((status = 200, body = CallbacksShown), crate::error::Refusals),
)]
pub(super) async fn delete(
    State(app): State<App>,
    actor: Actor,
    names: Names<2>,
    wait: Wait,
) -> Result<Changed<CallbacksShown>, Generic> {
    let Names([team_id, name]) = names;
    let (change, before) = managed::begin(&app, &actor, Permission::ChangeTeamLogging, &team_id).await?;
    let mut team = before.clone();
    callbacks::remove(&mut team, &name)?;
    store_shown(change, &before, team, wait, format!("Callback {name} removed from team {team_id}")).await
}

/// Says that calls of a team are logged nowhere. For admins.
#[utoipa::path(
    post,
    path = "/team/{team_id}/disable_logging",
    tag = "teams",
    params(("team_id" = String, Path, description = "The team."), Wait),
    responses((status = 200, body = CallbacksShown), crate::error::Refusals),
)]
pub(super) async fn disable(
    State(app): State<App>,
    actor: Actor,
    names: Names<1>,
    wait: Wait,
) -> Result<Changed<CallbacksShown>, Generic> {
    let Names([team_id]) = names;
    let (change, before) = managed::begin(&app, &actor, Permission::ChangeTeamLogging, &team_id).await?;
    let mut team = before.clone();
    callbacks::disable(&mut team);
    store_shown(change, &before, team, wait, format!("Logging disabled for team {team_id}")).await
}

async fn store_shown(
    change: Change,
    before: &Team,
    team: Team,
    wait: Wait,
    message: String,
) -> Result<Changed<CallbacksShown>, Generic> {
    let view = shown(team.team_id.clone(), callbacks::of(&team), Some(message));
    let (_, published) = finish(change, before, team, wait).await?;
    Ok(Changed { view, published, unknown: Vec::new() })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::fixture::{MASTER, World};

    async fn world_with_team() -> (World, String) {
        let world = World::new().await;
        let boss = world.user("boss", "internal_user").await;
        let members = json!([{"role": "admin", "user_id": "boss"}]);
        world
            .post("/team/new", json!({"team_id": "t", "metadata": {"a": 1}, "members_with_roles": members}))
            .await
            .ok();
        (world, boss)
    }

    fn langfuse(kind: &str) -> Value {
        let vars = json!({"langfuse_public_key": "pk", "langfuse_secret_key": "os.environ/LF"});
        json!({"callback_name": "langfuse", "callback_type": kind, "callback_vars": vars})
    }

    #[tokio::test]
    async fn callbacks_are_added_shown_removed_and_disabled() {
        let (world, boss) = world_with_team().await;
        let added = world.post("/team/t/callback", langfuse("success")).await.ok();
        assert_eq!((&added["status"], &added["data"]["metadata"]["a"]), (&json!("success"), &json!(1)));
        let both = json!({"callback_name": "gcs_bucket", "callback_vars": {"gcs_bucket_name": "b"}});
        world.post("/team/t/callback", both).await.ok();
        let shown = world.get_as(&boss, "/team/t/callback").await.ok();
        assert_eq!(shown["data"]["team_id"], "t");
        assert_eq!(shown["data"]["success_callbacks"], json!(["langfuse", "gcs_bucket"]));
        assert_eq!(shown["data"]["failure_callbacks"], json!(["gcs_bucket"]));
        let vars = json!({"langfuse_public_key": "pk", "langfuse_secret_key": "os.environ/LF", "gcs_bucket_name": "b"});
        assert_eq!(shown["data"]["callback_vars"], vars);

        world.post("/team/t/callback", langfuse("success")).await.refused(400);
        world.post("/team/t/callback", langfuse("failure")).await.ok();
        let headers = [("authorization", format!("Bearer {MASTER}"))];
        let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
        let gone = world.call("DELETE", "/team/t/callback/langfuse", &headers, "").await.ok();
        assert_eq!(gone["data"]["success_callbacks"], json!(["gcs_bucket"]));
        world.call("DELETE", "/team/t/callback/langfuse", &headers, "").await.refused(404);

        let none = world.post("/team/t/disable_logging", json!({})).await.ok();
        assert_eq!((&none["data"]["success_callbacks"], &none["data"]["failure_callbacks"]), (&json!([]), &json!([])));
        let shown = world.get("/team/t/callback").await.ok();
        assert_eq!((&shown["data"]["success_callbacks"], &shown["data"]["callback_vars"]), (&json!([]), &json!({})));
        assert_eq!(world.count("audit_log where action = 'updated' and noun = 'team'").await, 5);
        let metadata = world.get("/team/info?team_id=t").await.ok()["team_info"]["metadata"].clone();
        assert_eq!((&metadata["logging"], &metadata["a"]), (&json!([]), &json!(1)));
    }

    #[tokio::test]
    async fn a_secret_in_the_clear_and_what_nobody_knows_are_refused() {
        let (world, _) = world_with_team().await;
        let clear = json!({"callback_name": "langfuse", "callback_vars": {"langfuse_secret_key": "sk-lf-clear"}});
        let answer = world.post("/team/t/callback", clear).await;
        assert!(!answer.body.to_string().contains("sk-lf-clear"), "{}", answer.body);
        let error = answer.refused(400);
        assert_eq!(error["param"], "callback_vars.langfuse_secret_key");
        for (body, place) in [
            (json!({}), vec![json!(["body", "callback_name"]), json!(["body", "callback_vars"])]),
            (json!({"callback_name": " ", "callback_vars": {}}), vec![json!(["body", "callback_name"])]),
            (
                json!({"callback_name": "x", "callback_vars": {"odd": "1"}}),
                vec![json!(["body", "callback_vars", "odd"])],
            ),
            (
                json!({"callback_name": "x", "callback_vars": {"langfuse_host": 1}}),
                vec![json!(["body", "callback_vars", "langfuse_host"])],
            ),
            (
                json!({"callback_name": "x", "callback_vars": {}, "callback_type": "all"}),
                vec![json!(["body", "callback_type"])],
            ),
        ] {
            assert_eq!(world.post("/team/t/callback", body.clone()).await.issues(), place, "{body}");
        }
        for number in 0..32 {
            let body = json!({"callback_name": format!("n{number}"), "callback_vars": {}});
            world.post("/team/t/callback", body).await.ok();
        }
        world.post("/team/t/callback", langfuse("success")).await.refused(400);
        assert_eq!(world.count("teams where metadata::text like '%clear%'").await, 0);
    }

    #[tokio::test]
    async fn admins_alone_change_it_and_strangers_see_nothing() {
        let (world, boss) = world_with_team().await;
        let stranger = world.user("u1", "internal_user").await;
        let viewer = world.user("v", "proxy_admin_viewer").await;
        for (key, status) in [(&boss, 403), (&stranger, 403), (&viewer, 401)] {
            for team in ["t", "none"] {
                let (add, off) = (format!("/team/{team}/callback"), format!("/team/{team}/disable_logging"));
                world.post_as(key, &add, langfuse("success")).await.refused(status);
                world.post_as(key, &off, json!({})).await.refused(status);
            }
        }
        world.get_as(&stranger, "/team/t/callback").await.refused(403);
        world.get_as(&stranger, "/team/none/callback").await.refused(403);
        world.get_as(&viewer, "/team/t/callback").await.ok();
        world.get("/team/none/callback").await.refused(404);
        assert_eq!(world.get("/team/a%00b/callback").await.issues(), [json!(["path", "team_id"])]);
        assert_eq!(world.get("/team/%ff/callback").await.status, 422);
        world.post("/team/none/callback", langfuse("success")).await.refused(404);
        world.post("/team/none/disable_logging", json!({})).await.refused(404);
        assert_eq!(world.count("audit_log where action = 'updated'").await, 0);
    }
}
