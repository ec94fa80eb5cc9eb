//! `POST /access_group/new`.

use axum::extract::State;

use super::{MEMBERS, WrittenGroup, members};
use crate::access::{Actor, Permission, Subject};
use crate::access_groups::{AccessGroupError, Members, find, locked, meant, named, put};
use crate::app::App;
use crate::change::{Change, Wait};
use crate::error::Plain;
use crate::http::answer::Changed;
use crate::http::body::Body;
use crate::http::fields::{Field, Form, Issue, Request, Shape, required};

/// What `POST /access_group/new` asks for.
#[derive(Debug)]
pub(super) struct NewGroup {
    name: String,
    members: Members,
}

impl Request for NewGroup {
    const NAME: &'static str = "NewAccessGroup";
    const FIELDS: &'static [&'static [Field]] =
        &[&[required("access_group", Shape::Text, "The name that keys, teams and users list.")], MEMBERS];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        Ok(Self { name: form.take("access_group").given().unwrap_or_default(), members: members(&mut form) })
    }
}

type NewGroupBody = Body<NewGroup>;

/// Makes a group of models that were added through the API.
#[utoipa::path(
    post,
    path = "/access_group/new",
    tag = "access groups",
    params(Wait),
    request_body = NewGroupBody,
    responses((status = 200, body = WrittenGroup), crate::error::Refusals),
)]
pub(super) async fn new(
    State(app): State<App>,
    actor: Actor,
    wait: Wait,
    Body { asked: NewGroup { name, members }, unknown }: NewGroupBody,
) -> Result<Changed<WrittenGroup>, Plain> {
    actor.may(Permission::ChangeAccessGroup, &Subject::Anything)?;
    let name = named(name)?;
    let mut change = Change::begin(&app, &actor).await?;
    let rows = locked(change.db()).await?;
    if find(&rows, &name).is_some() {
        return Err(AccessGroupError::Exists(name).into());
    }
    let model_ids = meant(&rows, &members)?;
    let models_updated = put(&mut change, &rows, &name, &model_ids).await?;
    let published = change.commit(wait).await?;
    let view = WrittenGroup { access_group: name, model_names: members.names, model_ids, models_updated };
    Ok(Changed { view, published, unknown })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::fixture::World;

    /// Two models of the API, one of which has two deployments, and one of the file.
    async fn world_with_models() -> World {
        let world = World::new().await;
        for (id, name) in [("1", "smart"), ("2", "smart"), ("3", "cheap")] {
            let params = json!({"model": "openai/x", "mock_response": "hi", "api_key": "sk-kept"});
            let body = json!({"model_name": name, "litellm_params": params, "model_info": {"id": id}});
            world.post("/model/new", body).await.ok();
        }
        let insert = "insert into deployments (id, model_name, params, model_info, origin) values
                      ('f', 'filed', '{}', '{\"access_groups\": [\"of-file\"]}', 'file')";
        sqlx::query(insert).execute(&world.db()).await.unwrap();
        world
    }

    async fn members(world: &World, group: &str) -> Value {
        world.get(&format!("/access_group/{group}/info")).await.body["model_names"].clone()
    }

    #[tokio::test]
    async fn a_group_is_made_shown_changed_and_deleted() {
        let world = world_with_models().await;
        let made = world.post("/access_group/new", json!({"access_group": "beta", "model_names": ["smart"]})).await;
        assert_eq!(made.header("x-turnpike-revision"), Some("4"));
        let expected =
            json!({"access_group": "beta", "model_names": ["smart"], "model_ids": ["1", "2"], "models_updated": 2});
        assert_eq!(made.ok(), expected);
        assert_eq!(world.count("change_log where kind = 'deployment' and revision = 4").await, 2);
        assert_eq!(world.count("audit_log where noun = 'model' and action = 'updated'").await, 2);
        let list = world.get("/access_group/list").await.ok();
        assert_eq!(
            list["access_groups"][0],
            json!({"access_group": "beta", "model_names": ["smart"], "deployment_count": 2})
        );
        assert_eq!(list["access_groups"][1]["access_group"], "of-file");
        assert_eq!(world.get("/access_group/beta/info").await.ok(), list["access_groups"][0]);
        assert_eq!(world.published("1").await.unwrap().access_groups, ["beta"]);

        let body = json!({"model_ids": ["2", "3"], "model_names": ["nobody"]});
        let changed = world.send("PUT", "/access_group/beta/update", body).await.ok();
        assert_eq!((&changed["models_updated"], &changed["model_ids"]), (&json!(2), &json!(["2", "3"])));
        assert_eq!(members(&world, "beta").await, json!(["smart", "cheap"]));
        assert_eq!(world.published("1").await.unwrap().access_groups, Vec::<String>::new());
        let gone = world.send("DELETE", "/access_group/beta/delete", json!({})).await.ok();
        assert_eq!((&gone["access_group"], &gone["models_updated"]), (&json!("beta"), &json!(2)));
        assert_eq!(world.get("/access_group/beta/info").await.status, 404);
        assert_eq!(world.count("deployments where sealed_params is not null").await, 3, "secrets stay");
    }

    #[tokio::test]
    async fn what_is_not_there_or_not_ours_is_refused_and_changes_nothing() {
        let world = world_with_models().await;
        let before = world.revision().await;
        for (body, status) in [
            (json!({"access_group": "beta"}), 400),
            (json!({"access_group": "beta", "model_names": []}), 400),
            (json!({"access_group": "beta", "model_names": ["smart", "nobody"]}), 400),
            (json!({"access_group": "beta", "model_ids": ["nobody"]}), 400),
            (json!({"access_group": "beta", "model_names": ["smart", "filed"]}), 400),
            (json!({"access_group": " ", "model_names": ["smart"]}), 400),
            (json!({"access_group": "all-proxy-models", "model_names": ["smart"]}), 400),
            (json!({"access_group": "openai/*", "model_names": ["smart"]}), 400),
            (json!({"access_group": "of-file", "model_names": ["smart"]}), 409),
            (json!({"model_names": ["smart"]}), 422),
            (json!({"access_group": "beta", "model_names": "smart"}), 422),
        ] {
            let answer = world.post("/access_group/new", body.clone()).await;
            assert_eq!(answer.status, status, "{body}: {}", answer.body);
            assert!(status == 422 || answer.body["detail"]["error"].is_string(), "{}", answer.body);
        }
        let body = json!({"model_names": ["smart"]});
        assert_eq!(world.send("PUT", "/access_group/nobody/update", body.clone()).await.status, 404);
        assert_eq!(world.send("DELETE", "/access_group/nobody/delete", json!({})).await.status, 404);
        assert_eq!(world.send("DELETE", "/access_group/of-file/delete", json!({})).await.status, 400);
        assert_eq!(world.get("/access_group/nobody/info").await.status, 404);
        assert_eq!(world.revision().await, before);

        let user = world.user("u1", "internal_user").await;
        let viewer = world.user("viewer", "proxy_admin_viewer").await;
        for (method, path) in [
            ("POST", "/access_group/new"),
            ("PUT", "/access_group/of-file/update"),
            ("DELETE", "/access_group/of-file/delete"),
        ] {
            for key in [&user, &viewer] {
                world
                    .send_as(key, method, path, json!({"access_group": "x", "model_names": ["smart"]}))
                    .await
                    .refused(401);
            }
        }
        for path in ["/access_group/list", "/access_group/of-file/info"] {
            world.get_as(&user, path).await.refused(401);
            world.get_as(&viewer, path).await.ok();
        }
        assert_eq!(world.count("audit_log where noun = 'model' and action = 'updated'").await, 0);
    }
}
