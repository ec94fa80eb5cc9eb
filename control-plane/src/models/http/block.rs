//! `POST /model/block` and `POST /model/unblock`.

use axum::extract::State;
use serde_json::json;

use crate::access::{Actor, Permission, Subject};
use crate::app::App;
use crate::audit::{Action, Entry, Noun};
use crate::change::{Change, Wait};
use crate::error::{AdminError, AuthStyle};
use crate::http::answer::Changed;
use crate::http::body::Body;
use crate::http::fields::{Field, Form, Issue, Request, Shape, required};
use crate::http::moment;
use crate::models::row::{self, ModelRow};
use crate::models::{ModelError, Origin, store};

/// Which model to block.
#[derive(Debug)]
pub(super) struct Which {
    model_id: String,
}

impl Request for Which {
    const NAME: &'static str = "BlockedModel";
    const FIELDS: &'static [&'static [Field]] = &[&[required("model_id", Shape::Text, "The id of the model.")]];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        Ok(Self { model_id: form.take("model_id").given().unwrap_or_default() })
    }
}

type WhichModel = Body<Which>;

/// Blocks a model: it serves nobody from now on.
#[utoipa::path(
    post,
    path = "/model/block",
    tag = "models",
    params(Wait),
    request_body = WhichModel,
    responses((status = 200, body = ModelRow), crate::error::Refusals),
)]
pub(super) async fn block(
    State(app): State<App>,
    actor: Actor,
    wait: Wait,
    body: WhichModel,
) -> Result<Changed<ModelRow>, AuthStyle> {
    Ok(switch(&app, &actor, wait, body, Action::Blocked).await?)
}

/// Unblocks a model.
#[utoipa::path(
    post,
    path = "/model/unblock",
    tag = "models",
    params(Wait),
    request_body = WhichModel,
    responses((status = 200, body = ModelRow), crate::error::Refusals),
)]
pub(super) async fn unblock(
    State(app): State<App>,
    actor: Actor,
    wait: Wait,
    body: WhichModel,
) -> Result<Changed<ModelRow>, AuthStyle> {
    Ok(switch(&app, &actor, wait, body, Action::Unblocked).await?)
}

async fn switch(
    app: &App,
    actor: &Actor,
    wait: Wait,
    Body { asked: Which { model_id }, unknown }: WhichModel,
    action: Action,
) -> Result<Changed<ModelRow>, AdminError> {
    actor.may(Permission::BlockModel, &Subject::Anything)?;
    let mut change = Change::begin(app, actor).await?;
    let found = store::locked(change.db(), std::slice::from_ref(&model_id)).await?.pop();
    let before = found.ok_or_else(|| ModelError::Absent(model_id.clone()))?;
    if before.origin == Origin::File {
        return Err(ModelError::OfFile(model_id).into());
    }
    let mut row = before.clone();
    row.blocked = action == Action::Blocked;
    row.updated_at = moment::now();
    row.updated_by = Some(change.author().changed_by.clone());
    store::update(change.db(), &row).await?;
    change.note(Entry {
        action,
        noun: Noun::Model,
        id: model_id,
        before: Some(row::for_audit(&before)),
        after: Some(json!({"blocked": row.blocked})),
    });
    let published = change.commit(wait).await?;
    Ok(Changed { view: ModelRow::of(&row), published, unknown })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::fixture::World;

    #[tokio::test]
    async fn a_block_is_shown_audited_and_lifted() {
        let world = World::new().await;
        let params = json!({"model": "openai/x", "mock_response": "hi"});
        let body = json!({"model_name": "m", "litellm_params": params, "model_info": {"id": "one"}});
        world.post("/model/new", body).await.ok();
        let row = world.post("/model/block", json!({"model_id": "one"})).await.ok();
        assert_eq!((&row["model_id"], &row["blocked"]), (&json!("one"), &json!(true)));
        assert_eq!(world.get("/model/info").await.ok()["data"][0]["model_info"]["blocked"], true);
        assert_eq!(world.get("/model_group/info").await.ok()["data"], json!([]));
        let row = world.post("/model/unblock", json!({"model_id": "one"})).await.ok();
        assert_eq!(row["blocked"], false);
        assert_eq!(world.count("audit_log where noun = 'model' and action in ('blocked', 'unblocked')").await, 2);
        assert_eq!(world.count("change_log where kind = 'deployment' and object_id = 'one'").await, 3);
    }

    #[tokio::test]
    async fn unknown_models_those_of_the_file_and_strangers_are_refused() {
        let world = World::new().await;
        let insert = "insert into deployments (id, model_name, params, origin) values ('of-file', 'm', '{}', 'file')";
        sqlx::query(insert).execute(&world.db()).await.unwrap();
        let user = world.user("u1", "internal_user").await;
        let before = world.revision().await;
        for path in ["/model/block", "/model/unblock"] {
            world.post(path, json!({"model_id": "nobody"})).await.refused(404);
            world.post(path, json!({"model_id": "of-file"})).await.refused(400);
            assert_eq!(world.post(path, json!({"model_id": 5})).await.issues(), [json!(["body", "model_id"])]);
            for id in ["of-file", "nobody"] {
                world.post_as(&user, path, json!({"model_id": id})).await.refused(401);
            }
        }
        assert_eq!(world.revision().await, before);
    }
}
