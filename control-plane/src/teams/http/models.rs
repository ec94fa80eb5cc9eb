//! `POST /team/model/add` and `POST /team/model/delete`.

use axum::extract::State;

use super::managed::{self, finish};
use crate::access::{Actor, Permission};
use crate::app::App;
use crate::change::Wait;
use crate::error::Generic;
use crate::http::answer::Changed;
use crate::http::body::Body;
use crate::http::fields::{Field, Form, Issue, Request, Shape, required};
use crate::teams::models;
use crate::teams::view::TeamView;

/// Models of a team.
#[derive(Debug)]
pub(super) struct Named {
    team_id: String,
    models: Vec<String>,
}

impl Request for Named {
    const NAME: &'static str = "ModelsOfTeam";
    const FIELDS: &'static [&'static [Field]] = &[&[
        required("team_id", Shape::Text, "The team."),
        required("models", Shape::Texts, "The models, by the names that calls use."),
    ]];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        Ok(Self {
            team_id: form.take("team_id").given().unwrap_or_default(),
            models: form.take("models").given().unwrap_or_default(),
        })
    }
}

type ModelsOfTeam = Body<Named>;

/// Adds models to those that a team may call. A team that may call all of them goes on to. For admins.
#[utoipa::path(
    post,
    path = "/team/model/add",
    tag = "teams",
    params(Wait),
    request_body = ModelsOfTeam,
    responses((status = 200, body = TeamView), crate::error::Refusals),
)]
pub(super) async fn add(
    State(app): State<App>,
    actor: Actor,
    wait: Wait,
    Body { asked: Named { team_id, models }, unknown }: ModelsOfTeam,
) -> Result<Changed<TeamView>, Generic> {
    // Who administers a team does not widen what it may call.
    let (change, before) = managed::begin(&app, &actor, Permission::ChangeTeam, &team_id).await?;
    let mut team = before.clone();
    models::add(&mut team, models);
    let (view, published) = finish(change, &before, team, wait).await?;
    Ok(Changed { view, published, unknown })
}

/// Takes models from those that a team may call. Without its last one it may call none.
#[utoipa::path(
    post,
    path = "/team/model/delete",
    tag = "teams",
    params(Wait),
    request_body = ModelsOfTeam,
    responses((status = 200, body = TeamView), crate::error::Refusals),
)]
pub(super) async fn delete(
    State(app): State<App>,
    actor: Actor,
    wait: Wait,
    Body { asked: Named { team_id, models }, unknown }: ModelsOfTeam,
) -> Result<Changed<TeamView>, Generic> {
    let (change, before) = managed::begin(&app, &actor, Permission::ManageTeam, &team_id).await?;
    let mut team = before.clone();
    models::remove(&mut team, &models)?;
    let (view, published) = finish(change, &before, team, wait).await?;
    Ok(Changed { view, published, unknown })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::fixture::World;

    async fn world_with(models: Value) -> (World, String) {
        let world = World::new().await;
        let boss = world.user("boss", "internal_user").await;
        let roster = json!([{"role": "admin", "user_id": "boss"}]);
        world.post("/team/new", json!({"team_id": "t", "models": models, "members_with_roles": roster})).await.ok();
        (world, boss)
    }

    fn body(models: Value) -> Value {
        json!({"team_id": "t", "models": models})
    }

    #[tokio::test]
    async fn models_are_added_once_and_never_narrow() {
        let (world, _) = world_with(json!(["a"])).await;
        let row = world.post("/team/model/add", body(json!(["b", "a", "b"]))).await.ok();
        assert_eq!((&row["team_id"], &row["models"]), (&json!("t"), &json!(["a", "b"])));
        assert_eq!(world.count("audit_log where action = 'updated' and noun = 'team'").await, 1);
        let before = world.revision().await;
        world.post("/team/model/add", body(json!(["a"]))).await.ok();
        assert_eq!(world.revision().await, before, "nothing happened");
        world.post("/team/update", json!({"team_id": "t", "models": []})).await.ok();
        let row = world.post("/team/model/add", body(json!(["b"]))).await.ok();
        assert_eq!(row["models"], json!(["all-proxy-models", "b"]));
    }

    #[tokio::test]
    async fn a_team_without_its_last_model_may_call_none() {
        let (world, boss) = world_with(json!(["a", "b"])).await;
        let row = world.post_as(&boss, "/team/model/delete", body(json!(["b", "x"]))).await.ok();
        assert_eq!(row["models"], json!(["a"]));
        let row = world.post_as(&boss, "/team/model/delete", body(json!(["a"]))).await.ok();
        assert_eq!(row["models"], json!(["no-default-models"]));
        let row = world.post_as(&boss, "/team/model/delete", body(json!(["no-default-models"]))).await.ok();
        assert_eq!(row["models"], json!(["no-default-models"]));
        let row = world.post("/team/model/add", body(json!(["c"]))).await.ok();
        assert_eq!(row["models"], json!(["c"]));
    }

    #[tokio::test]
    async fn taking_a_model_from_a_team_that_may_call_all_is_told_to_do_nothing() {
        let (world, _) = world_with(json!([])).await;
        for models in [json!([]), json!(["all-proxy-models", "a"]), json!(["*", "a"])] {
            world.post("/team/update", json!({"team_id": "t", "models": models})).await.ok();
            let error = world.post("/team/model/delete", body(json!(["a"]))).await.refused(400);
            assert!(error["message"].as_str().unwrap().contains("/team/update"), "{models}");
            assert_eq!(world.get("/team/info?team_id=t").await.ok()["team_info"]["models"], models);
        }
        let row = world.post("/team/model/delete", body(json!(["*"]))).await.ok();
        assert_eq!(row["models"], json!(["a"]));
    }

    #[tokio::test]
    async fn team_admins_do_not_widen_and_strangers_do_nothing() {
        let (world, boss) = world_with(json!(["a"])).await;
        let stranger = world.user("u1", "internal_user").await;
        let viewer = world.user("v", "proxy_admin_viewer").await;
        world.post_as(&boss, "/team/model/add", body(json!(["b"]))).await.refused(403);
        world.post_as(&stranger, "/team/model/add", body(json!(["b"]))).await.refused(403);
        world.post_as(&viewer, "/team/model/add", body(json!(["b"]))).await.refused(401);
        world.post_as(&stranger, "/team/model/delete", body(json!(["a"]))).await.refused(401);
        world.post_as(&viewer, "/team/model/delete", body(json!(["a"]))).await.refused(401);
        for path in ["/team/model/add", "/team/model/delete"] {
            world.post(path, json!({"team_id": "none", "models": []})).await.refused(404);
            assert_eq!(
                world.post(path, json!({})).await.issues(),
                [json!(["body", "team_id"]), json!(["body", "models"])]
            );
            assert_eq!(world.post(path, body(json!(["a", 1]))).await.issues(), [json!(["body", "models", 1])]);
            assert_eq!(world.post(path, body(json!("a"))).await.issues(), [json!(["body", "models"])]);
        }
        assert_eq!(world.get("/team/info?team_id=t").await.ok()["team_info"]["models"], json!(["a"]));
        assert_eq!(world.count("audit_log where action = 'updated'").await, 0);
    }
}
