//! `POST /model/update` and `PATCH /model/{model_id}/update`.

use axum::extract::{Path, State};
use serde_json::{Map, Value};

use crate::access::{Actor, Permission, Subject};
use crate::app::App;
use crate::change::{Change, Wait};
use crate::error::{AdminError, AuthStyle};
use crate::http::answer::Changed;
use crate::http::body::Body;
use crate::http::fields::{Field, Form, Issue, Request, Shape, optional};
use crate::http::moment;
use crate::models::making::{self, Nulls, Wanted};
use crate::models::row::ModelRow;
use crate::models::{self, ModelError, Origin, check, store};

const MODEL: &[Field] = &[
    optional("model_name", Shape::Text, "What clients ask for."),
    optional(
        "litellm_params",
        Shape::Object,
        "Members of `litellm_params` that are to be different. Secrets are sealed.",
    ),
    optional("model_info", Shape::Object, "Members of `model_info` that are to be different."),
];

fn wanted(form: &mut Form) -> Wanted {
    Wanted {
        model_name: form.take("model_name").given(),
        params: form.take("litellm_params").given().unwrap_or_default(),
        model_info: form.take("model_info").given().unwrap_or_default(),
        blocked: form.take("blocked").given(),
    }
}

/// What `POST /model/update` asks for. Its `model_info.id` says which model.
pub(super) struct ModelUpdate(Wanted);

impl Request for ModelUpdate {
    const NAME: &'static str = "ModelUpdate";
    const FIELDS: &'static [&'static [Field]] = &[MODEL];
    const SEALED: &'static [&'static str] = &["litellm_params"];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        Ok(Self(wanted(&mut form)))
    }
}

/// What `PATCH /model/{model_id}/update` asks for.
pub(super) struct ModelPatch(Wanted);

impl Request for ModelPatch {
    const NAME: &'static str = "ModelPatch";
    const FIELDS: &'static [&'static [Field]] =
        &[MODEL, &[optional("blocked", Shape::Truth, "Whether it serves nobody.")]];
    const SEALED: &'static [&'static str] = &["litellm_params"];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        Ok(Self(wanted(&mut form)))
    }
}

type ModelUpdateBody = Body<ModelUpdate>;
type ModelPatchBody = Body<ModelPatch>;

/// Changes the model that `model_info.id` names: what is left out or `null` stays.
#[utoipa::path(
    post,
    path = "/model/update",
    tag = "models",
    params(Wait),
    request_body = ModelUpdateBody,
    responses((status = 200, body = ModelRow), crate::error::Refusals),
)]
pub(super) async fn update(
    State(app): State<App>,
    actor: Actor,
    wait: Wait,
    Body { asked: ModelUpdate(wanted), unknown }: ModelUpdateBody,
) -> Result<Changed<ModelRow>, AuthStyle> {
    actor.may(Permission::ChangeModel, &Subject::Anything)?;
    let id = id_in(&wanted.model_info).ok_or(ModelError::NoId)?;
    let absent = ModelError::NotFound(id.clone());
    Ok(apply(&app, &actor, wait, Asked { id, absent, wanted, nulls: Nulls::Keep }, unknown).await?)
}

/// Changes a model: what is left out stays, `null` removes a member.
#[utoipa::path(
    patch,
    path = "/model/{model_id}/update",
    tag = "models",
    params(Wait, ("model_id" = String, Path, description = "The id of the model.")),
    request_body = ModelPatchBody,
    responses((status = 200, body = ModelRow), crate::error::Refusals),
)]
pub(super) async fn patch(
    State(app): State<App>,
    actor: Actor,
    Path(id): Path<String>,
    wait: Wait,
    Body { asked: ModelPatch(wanted), unknown }: ModelPatchBody,
) -> Result<Changed<ModelRow>, AuthStyle> {
    actor.may(Permission::ChangeModel, &Subject::Anything)?;
    let absent = ModelError::Absent(id.clone());
    Ok(apply(&app, &actor, wait, Asked { id, absent, wanted, nulls: Nulls::Clear }, unknown).await?)
}

fn id_in(model_info: &Map<String, Value>) -> Option<String> {
    model_info.get("id").and_then(Value::as_str).filter(|id| !id.is_empty()).map(str::to_owned)
}

/// A change of one model, and how it is refused where there is none.
struct Asked {
    id: String,
    absent: ModelError,
    wanted: Wanted,
    nulls: Nulls,
}

async fn apply(
    app: &App,
    actor: &Actor,
    wait: Wait,
    Asked { id, absent, wanted, nulls }: Asked,
    unknown: Vec<String>,
) -> Result<Changed<ModelRow>, AdminError> {
    let mut change = Change::begin(app, actor).await?;
    let before = store::locked(change.db(), std::slice::from_ref(&id)).await?.pop().ok_or(absent)?;
    if before.origin == Origin::File {
        return Err(ModelError::OfFile(id).into());
    }
    let vault = app.publisher.vault();
    let now = moment::now();
    let mut row = making::change(before.unsealed(vault)?, wanted, nulls, &change.author().changed_by, now)?;
    check(app, change.db(), &row).await?;
    row.seal(vault);
    models::put(&mut change, &before, &row).await?;
    let published = change.commit(wait).await?;
    Ok(Changed { view: ModelRow::of(&row), published, unknown })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::fixture::World;
    use crate::vault::Vault;

    async fn world_with_a_model() -> World {
        let world = World::new().await;
        let body = json!({
            "model_name": "smart",
            "litellm_params": {"model": "openai/gpt-4o", "api_key": "sk-first-secret", "rpm": 5},
            "model_info": {"id": "one", "tier": "gold"},
        });
        world.post("/model/new", body).await.ok();
        let insert = "insert into deployments (id, model_name, params, origin)
                      values ('of-file', 'm', '{\"model\": \"openai/x\"}', 'file')";
        sqlx::query(insert).execute(&world.db()).await.unwrap();
        world
    }

    async fn stored_params(world: &World) -> Value {
        let mut db = world.db().acquire().await.unwrap();
        let rows = crate::models::among(&mut db, &["one".to_owned()]).await.unwrap();
        Value::Object(rows[0].opened(&Vault::from_secret(b"test")).unwrap())
    }

    #[tokio::test]
    async fn what_is_left_out_or_null_stays_with_its_secrets() {
        let world = world_with_a_model().await;
        let body = json!({
            "model_info": {"id": "one", "tier": null, "mode": "chat"},
            "litellm_params": {"rpm": 7, "api_key": null, "tpm": 9},
        });
        let row = world.post("/model/update", body).await.ok();
        assert_eq!((&row["model_name"], &row["model_info"]["tier"]), (&json!("smart"), &json!("gold")));
        assert_eq!(row["litellm_params"], json!({"model": "openai/gpt-4o", "rpm": 7, "tpm": 9}));
        let expected = json!({"model": "openai/gpt-4o", "rpm": 7, "tpm": 9, "api_key": "sk-first-secret"});
        assert_eq!(stored_params(&world).await, expected);
        world
            .post("/model/update", json!({"model_info": {"id": "one"}, "litellm_params": {"api_key": "sk-second"}}))
            .await
            .ok();
        assert_eq!(stored_params(&world).await["api_key"], "sk-second");
        assert_eq!(world.count("audit_log where noun = 'model' and action = 'updated'").await, 2);
        assert_eq!(world.count("audit_log where audit_log::text like '%sk-%'").await, 0);
        assert_eq!(world.count("change_log where kind = 'deployment'").await, 3);
    }

    #[tokio::test]
    async fn a_patch_clears_with_null_and_blocks() {
        let world = world_with_a_model().await;
        let body = json!({"litellm_params": {"rpm": null}, "model_info": {"tier": null}, "blocked": true, "model_name": "wise"});
        let row = world.send("PATCH", "/model/one/update", body).await.ok();
        assert_eq!((&row["blocked"], &row["model_name"]), (&json!(true), &json!("wise")));
        assert_eq!(row["litellm_params"], json!({"model": "openai/gpt-4o"}));
        assert_eq!(row["model_info"].get("tier"), None);
        assert_eq!(
            world.send("PATCH", "/model/one/update", json!({"litellm_params": {"model": null}})).await.status,
            400
        );
        assert_eq!(world.send("PATCH", "/model/nobody/update", json!({})).await.status, 404);
        assert_eq!(world.send("PATCH", "/model/of-file/update", json!({})).await.status, 400);
        assert_eq!(world.send("PATCH", "/model/one/update", json!({"model_info": {"id": "two"}})).await.status, 400);
        assert_eq!(world.send("PATCH", "/model/one/update", json!({"blocked": "maybe"})).await.status, 422);
    }

    #[tokio::test]
    async fn bad_changes_are_refused_and_change_nothing() {
        let world = world_with_a_model().await;
        let before = stored_params(&world).await;
        for (params, named) in [
            (json!({"model": "nobody/x"}), "nobody"),
            (json!({"modle": "x"}), "modle"),
            (json!({"api_base": "nonsense"}), "called"),
            (json!({"api_base": "***"}), "api_base"),
            (json!({"extra_headers": {"x-key": "***"}}), "extra_headers"),
        ] {
            let body = json!({"model_info": {"id": "one"}, "litellm_params": params});
            let error = world.post("/model/update", body).await.refused(400);
            assert!(error["message"].as_str().unwrap().contains(named), "{error}");
        }
        let error = world.post("/model/update", json!({"model_info": {"id": "nobody"}})).await.refused(400);
        assert!(error["message"].as_str().unwrap().contains("Authentication Error, model not found"), "{error}");
        world.post("/model/update", json!({"model_info": {"id": "of-file"}})).await.refused(400);
        for body in [json!({}), json!({"model_info": {}}), json!({"model_info": {"id": ""}})] {
            world.post("/model/update", body).await.refused(400);
        }
        world.post("/model/update", json!({"model_info": {"id": "one", "team_id": "t"}})).await.refused(400);
        assert_eq!(
            world.post("/model/update", json!({"model_info": 5})).await.issues(),
            [json!(["body", "model_info"])]
        );
        let user = world.user("u1", "internal_user").await;
        let body = json!({"model_info": {"id": "one"}, "litellm_params": {"api_base": "https://evil.example"}});
        world.post_as(&user, "/model/update", body).await.refused(403);
        assert_eq!(stored_params(&world).await, before);
        assert_eq!(world.count("audit_log where noun = 'model' and action = 'updated'").await, 0);
    }

    #[tokio::test]
    async fn a_team_s_model_stays_with_its_team_under_its_name() {
        let world = World::new().await;
        world.post("/team/new", json!({"team_id": "t"})).await.ok();
        let params = json!({"model": "openai/x", "mock_response": "hi"});
        let body = json!({"model_name": "smart", "litellm_params": params, "model_info": {"id": "a", "team_id": "t"}});
        let kept = world.post("/model/new", body).await.ok()["model_name"].clone();
        let same =
            json!({"model_name": "smart", "model_info": {"id": "a", "team_id": "t"}, "litellm_params": {"rpm": 1}});
        assert_eq!(world.post("/model/update", same).await.ok()["model_name"], kept);
        for body in [
            json!({"model_name": "other"}),
            json!({"model_info": {"team_id": "u"}}),
            json!({"model_info": {"team_id": null}}),
            json!({"model_info": {"team_public_model_name": "gpt-4o"}}),
        ] {
            assert_eq!(world.send("PATCH", "/model/a/update", body.clone()).await.status, 400, "{body}");
        }
    }
}
