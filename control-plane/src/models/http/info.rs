//! `GET /model/info` and `GET /v1/model/info`.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::seen;
use crate::access::{Actor, Permission, Subject};
use crate::app::App;
use crate::error::Generic;
use crate::http::fields::{Field, Form, Issue, Request, Shape, optional};
use crate::http::query::Query;
use crate::models::ModelError;
use crate::models::view::{ModelView, view};

/// Which models to show.
#[derive(Debug)]
pub(super) struct Which {
    id: Option<String>,
    team_id: Option<String>,
}

impl Request for Which {
    const NAME: &'static str = "WhichModels";
    const FIELDS: &'static [&'static [Field]] = &[&[
        optional("litellm_model_id", Shape::Text, "The deployment with this id."),
        optional("teamId", Shape::Text, "Only deployments of this team."),
    ]];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        Ok(Self { id: form.take("litellm_model_id").given(), team_id: form.take("teamId").given() })
    }
}

type WhichModels = Query<Which>;

/// Deployments.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ModelList {
    data: Vec<ModelView>,
}

/// Shows the deployments that the caller may call, without credentials, with prices.
#[utoipa::path(
    get,
    path = "/model/info",
    tag = "models",
    params(WhichModels),
    responses((status = 200, body = ModelList), crate::error::Refusals),
)]
pub(super) async fn info(
    State(app): State<App>,
    actor: Actor,
    Query(which): WhichModels,
) -> Result<Json<ModelList>, Generic> {
    actor.may(Permission::ReadModel, &Subject::Anything)?;
    let mut db = app.db.acquire().await?;
    let mut rows = seen(&mut db, &actor).await?;
    rows.retain(|row| which.team_id.is_none() || row.team_id() == which.team_id.as_deref());
    if let Some(id) = which.id {
        rows.retain(|row| row.id == id);
        if rows.is_empty() {
            return Err(ModelError::NoSuchId(id).into());
        }
    }
    let published = app.publisher.resolve(&mut db, &rows).await.map_err(ModelError::from)?;
    let data = rows.iter().zip(&published).map(|(row, published)| view(row, published, app.prices));
    Ok(Json(ModelList { data: data.collect() }))
}

/// The same under its other address.
#[utoipa::path(
    get,
    path = "/v1/model/info",
    tag = "models",
    params(WhichModels),
    responses((status = 200, body = ModelList), crate::error::Refusals),
)]
pub(super) async fn info_v1(app: State<App>, actor: Actor, which: WhichModels) -> Result<Json<ModelList>, Generic> {
    info(app, actor, which).await
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::fixture::World;

    /// Models as an import would have left them.
    async fn world_with_models() -> World {
        let world = World::new().await;
        let rows = [
            ("a", "smart", json!({"model": "openai/gpt-4o", "api_key": "os.environ/NOT_SET"}), json!({})),
            ("b", "cheap", json!({"model": "openai/x", "mock_response": "hi"}), json!({"team_id": "t"})),
        ];
        for (id, name, params, info) in rows {
            let insert = "insert into deployments (id, model_name, params, model_info, origin)
                          values ($1, $2, $3, $4, 'file')";
            sqlx::query(insert).bind(id).bind(name).bind(params).bind(info).execute(&world.db()).await.unwrap();
        }
        world
    }

    fn ids(body: &Value) -> Vec<&str> {
        body["data"].as_array().unwrap().iter().map(|model| model["model_info"]["id"].as_str().unwrap()).collect()
    }

    #[tokio::test]
    async fn an_admin_sees_every_model_with_prices_and_why_it_is_not_served() {
        let world = world_with_models().await;
        for path in ["/model/info", "/v1/model/info"] {
            let body = world.get(path).await.ok();
            assert_eq!(ids(&body), ["a", "b"]);
            let smart = &body["data"][0];
            assert_eq!(smart["litellm_params"], json!({"model": "openai/gpt-4o"}));
            assert_eq!(
                (&smart["model_info"]["db_model"], &smart["model_info"]["mode"]),
                (&json!(false), &json!("chat"))
            );
            assert!(smart["model_info"]["unavailable"].as_str().unwrap().contains("NOT_SET"), "{smart}");
            assert_eq!(body["data"][1]["model_info"].get("unavailable"), None);
        }
        assert_eq!(ids(&world.get("/model/info?litellm_model_id=b").await.ok()), ["b"]);
        assert_eq!(ids(&world.get("/model/info?teamId=t").await.ok()), ["b"]);
    }

    #[tokio::test]
    async fn a_key_sees_only_what_it_may_call() {
        let world = world_with_models().await;
        let smart = world.key(json!({"models": ["smart"]})).await;
        assert_eq!(ids(&world.get_as(&smart, "/model/info").await.ok()), ["a"]);
        let other = world.key(json!({"models": ["another"]})).await;
        assert_eq!(ids(&world.get_as(&other, "/model/info").await.ok()), Vec::<&str>::new());
        assert_eq!(world.get_as(&smart, "/model/info?litellm_model_id=b").await.status, 400);
    }

    #[tokio::test]
    async fn unknown_ids_and_a_gateway_without_models_are_refused_as_litellm_does() {
        let world = world_with_models().await;
        let refused = world.get("/model/info?litellm_model_id=nobody").await;
        assert_eq!(refused.status, 400);
        assert!(refused.body.to_string().contains("nobody"), "{}", refused.body);
        let empty = World::new().await;
        assert_eq!(empty.get("/model/info").await.status, 500);
        assert_eq!(empty.get_as("sk-no-such-key-in-the-database", "/model/info").await.status, 401);
    }
}
