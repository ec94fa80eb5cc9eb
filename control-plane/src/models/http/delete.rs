//! `POST /model/delete`.

use axum::extract::State;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::access::{Actor, Permission, Subject};
use crate::app::App;
use crate::audit::{Action, Entry, Noun};
use crate::change::{Change, Wait};
use crate::error::AuthStyle;
use crate::http::answer::Changed;
use crate::http::body::Body;
use crate::http::fields::{Field, Form, Issue, Request, Shape, required};
use crate::http::moment;
use crate::models::{ModelError, Origin, row, store};
use crate::teams;

/// Which model to delete.
#[derive(Debug)]
pub(super) struct Which {
    id: String,
}

impl Request for Which {
    const NAME: &'static str = "DeletedModel";
    const FIELDS: &'static [&'static [Field]] = &[&[required("id", Shape::Text, "The id of the model.")]];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        Ok(Self { id: form.take("id").given().unwrap_or_default() })
    }
}

type WhichModel = Body<Which>;

/// What was deleted.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RemovedModel {
    message: String,
}

/// Deletes a model that was added through the API. A team's list of models loses its name with the last one of it.
#[utoipa::path(
    post,
    path = "/model/delete",
    tag = "models",
    params(Wait),
    request_body = WhichModel,
    responses((status = 200, body = RemovedModel), crate::error::Refusals),
)]
pub(super) async fn delete(
    State(app): State<App>,
    actor: Actor,
    wait: Wait,
    Body { asked: Which { id }, unknown }: WhichModel,
) -> Result<Changed<RemovedModel>, AuthStyle> {
    actor.may(Permission::ChangeModel, &Subject::Anything)?;
    let mut change = Change::begin(&app, &actor).await?;
    let found = store::locked(change.db(), std::slice::from_ref(&id)).await?.pop();
    let before = found.ok_or_else(|| ModelError::NotInDatabase(id.clone()))?;
    if before.origin == Origin::File {
        return Err(ModelError::FileNotDatabase(id).into());
    }
    store::delete(change.db(), std::slice::from_ref(&id)).await?;
    if let Some(team_id) = before.team_id() {
        let name = before.public_name();
        let rest = store::all(change.db()).await?;
        if !rest.iter().any(|row| row.team_id() == Some(team_id) && row.public_name() == name) {
            teams::close_to(&mut change, team_id, &name, moment::now()).await?;
        }
    }
    change.note(Entry {
        action: Action::Deleted,
        noun: Noun::Model,
        id: id.clone(),
        before: Some(row::for_audit(&before)),
        after: Some(Value::Object(Map::new())),
    });
    let published = change.commit(wait).await?;
    Ok(Changed { view: RemovedModel { message: format!("Model: {id} deleted successfully") }, published, unknown })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::fixture::World;

    #[tokio::test]
    async fn a_model_goes_and_only_one_of_the_database() {
        let world = World::new().await;
        let params = json!({"model": "openai/x", "mock_response": "hi"});
        let body = json!({"model_name": "m", "litellm_params": params, "model_info": {"id": "one"}});
        world.post("/model/new", body).await.ok();
        let insert = "insert into deployments (id, model_name, params, origin) values ('of-file', 'm', '{}', 'file')";
        sqlx::query(insert).execute(&world.db()).await.unwrap();
        for id in ["nobody", "of-file"] {
            let error = world.post("/model/delete", json!({"id": id})).await.refused(400);
            assert!(
                error["message"].as_str().unwrap().contains(&format!("Model with id={id} not found in db")),
                "{error}"
            );
        }
        assert_eq!(world.post("/model/delete", json!({})).await.issues(), [json!(["body", "id"])]);
        assert_eq!(world.post("/model/delete", json!({"id": ["one"]})).await.issues(), [json!(["body", "id"])]);
        let user = world.user("u1", "internal_user").await;
        for id in ["one", "nobody"] {
            world.post_as(&user, "/model/delete", json!({"id": id})).await.refused(403);
        }
        assert_eq!(world.count("deployments").await, 2);
        let answer = world.post("/model/delete", json!({"id": "one"})).await;
        assert!(answer.header("x-turnpike-revision").is_some());
        assert_eq!(answer.ok(), json!({"message": "Model: one deleted successfully"}));
        assert_eq!(world.count("deployments").await, 1);
        assert_eq!(world.count("audit_log where noun = 'model' and action = 'deleted' and object_id = 'one'").await, 1);
        world.post("/model/delete", json!({"id": "one"})).await.refused(400);
    }
}
