//! `GET /credentials`, `GET /credentials/by_name/{name}` and `GET /credentials/by_model/{model_id}`.

use axum::Json;
use axum::extract::{Path, State};
use serde::Serialize;
use serde_json::Map;
use utoipa::ToSchema;

use crate::access::{Actor, Permission, Subject};
use crate::app::App;
use crate::credentials::view::{CredentialView, view};
use crate::credentials::{self, CredentialError, of_model, store, values};
use crate::error::Generic;

/// All credentials.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CredentialList {
    success: bool,
    credentials: Vec<CredentialView>,
}

/// Shows all credentials, their secrets masked.
#[utoipa::path(
    get,
    path = "/credentials",
    tag = "credentials",
    responses((status = 200, body = CredentialList), crate::error::Refusals),
)]
pub(super) async fn list(State(app): State<App>, actor: Actor) -> Result<Json<CredentialList>, Generic> {
    actor.may(Permission::ReadCredential, &Subject::Anything)?;
    let rows = store::all(&mut *app.db.acquire().await?).await?;
    let vault = app.publisher.vault();
    Ok(Json(CredentialList { success: true, credentials: rows.iter().map(|row| view(row, vault)).collect() }))
}

/// Shows a credential, its secrets masked.
#[utoipa::path(
    get,
    path = "/credentials/by_name/{name}",
    tag = "credentials",
    params(("name" = String, Path, description = "The name of the credential.")),
    responses((status = 200, body = CredentialView), crate::error::Refusals),
)]
pub(super) async fn by_name(
    State(app): State<App>,
    actor: Actor,
    Path(name): Path<String>,
) -> Result<Json<CredentialView>, Generic> {
    actor.may(Permission::ReadCredential, &Subject::Anything)?;
    let mut all = credentials::by_name(&mut *app.db.acquire().await?).await?;
    let row = all.remove(&name).ok_or(CredentialError::NotFound(name))?;
    Ok(Json(view(&row, app.publisher.vault())))
}

/// Shows what of a model would make a credential, its secrets masked.
#[utoipa::path(
    get,
    path = "/credentials/by_model/{model_id}",
    tag = "credentials",
    params(("model_id" = String, Path, description = "The id of the model.")),
    responses((status = 200, body = CredentialView), crate::error::Refusals),
)]
pub(super) async fn by_model(
    State(app): State<App>,
    actor: Actor,
    Path(model_id): Path<String>,
) -> Result<Json<CredentialView>, Generic> {
    actor.may(Permission::ReadCredential, &Subject::Anything)?;
    let mut db = app.db.acquire().await?;
    let (model_name, found) = of_model(&mut db, app.publisher.vault(), &model_id).await?;
    Ok(Json(CredentialView {
        credential_name: format!("{model_name}-credential-{model_id}"),
        display_name: None,
        credential_values: values::masked(&found),
        credential_info: Map::new(),
        unavailable: None,
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::fixture::World;

    #[tokio::test]
    async fn credentials_are_found_by_name_and_by_model() {
        let world = World::new().await;
        assert_eq!(world.get("/credentials").await.ok(), json!({"success": true, "credentials": []}));
        let values = json!({"api_key": "os.environ/HIDDEN_NAME"});
        world.post("/credentials", json!({"credential_name": "a b/c", "credential_values": values})).await.ok();
        let shown = world.get("/credentials/by_name/a%20b%2Fc").await.ok();
        assert_eq!(
            (&shown["credential_name"], &shown["credential_values"]),
            (&json!("a b/c"), &json!({"api_key": "***"}))
        );
        let params = json!({"model": "openai/x", "api_key": "sk-hidden", "api_version": "1"});
        let body = json!({"model_name": "m", "litellm_params": params, "model_info": {"id": "one"}});
        world.post("/model/new", body).await.ok();
        let shown = world.get("/credentials/by_model/one").await.ok();
        assert_eq!(shown["credential_name"], "m-credential-one");
        assert_eq!(shown["credential_values"], json!({"api_key": "***", "api_version": "1"}));
        world.get("/credentials/by_name/nobody").await.refused(404);
        world.get("/credentials/by_model/nobody").await.refused(404);
    }

    #[tokio::test]
    async fn admins_and_viewers_read_and_nobody_else() {
        let world = World::new().await;
        world.post("/credentials", json!({"credential_name": "c", "credential_values": {}})).await.ok();
        let viewer = world.user("viewer", "proxy_admin_viewer").await;
        let user = world.user("u1", "internal_user").await;
        for path in ["/credentials", "/credentials/by_name/c", "/credentials/by_model/nobody"] {
            assert_ne!(world.get_as(&viewer, path).await.status, 401, "{path}");
            world.get_as(&user, path).await.refused(401);
        }
    }

    #[tokio::test]
    async fn what_does_not_open_is_listed_with_the_reason() {
        let world = World::new().await;
        world.post("/credentials", json!({"credential_name": "c", "credential_values": {"api_key": "k"}})).await.ok();
        sqlx::query("update credentials set sealed_values = '\\x0102'").execute(&world.db()).await.unwrap();
        let shown = world.get("/credentials").await.ok();
        assert!(shown["credentials"][0]["unavailable"].is_string(), "{shown}");
    }
}
