//! `DELETE /credentials/{name}`.

use axum::extract::{Path, State};
use serde_json::{Map, Value};

use crate::access::{Actor, Permission, Subject};
use crate::app::App;
use crate::audit::{Action, Entry, Noun};
use crate::change::{Change, Wait};
use crate::credentials::view::{Done, for_audit};
use crate::credentials::{CredentialError, store};
use crate::error::Generic;
use crate::http::answer::Changed;

/// Deletes a credential. Models that name it are left out until there is one of its name again.
#[utoipa::path(
    delete,
    path = "/credentials/{name}",
    tag = "credentials",
    params(Wait, ("name" = String, Path, description = "The name of the credential.")),
    responses((status = 200, body = Done), crate::error::Refusals),
)]
pub(super) async fn delete(
    State(app): State<App>,
    actor: Actor,
    Path(name): Path<String>,
    wait: Wait,
) -> Result<Changed<Done>, Generic> {
    actor.may(Permission::ChangeCredential, &Subject::Anything)?;
    let mut change = Change::begin(&app, &actor).await?;
    let found = store::locked(change.db(), &name).await?;
    let before = found.ok_or_else(|| CredentialError::NotFound(name.clone()))?;
    store::delete(change.db(), &name).await?;
    // One that does not open is deleted all the same: that is how to be rid of it.
    let values = before.opened(app.publisher.vault()).unwrap_or_default();
    change.note(Entry {
        action: Action::Deleted,
        noun: Noun::Credential,
        id: name,
        before: Some(for_audit(&before, &values)),
        after: Some(Value::Object(Map::new())),
    });
    let published = change.commit(wait).await?;
    Ok(Changed { view: Done::saying("Credential deleted successfully"), published, unknown: Vec::new() })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::fixture::World;

    #[tokio::test]
    async fn a_credential_goes_and_its_models_wait_for_another() {
        let world = World::new().await;
        let made = json!({"credential_name": "c", "credential_values": {"api_key": "sk-old"}});
        world.post("/credentials", made.clone()).await.ok();
        let params = json!({"model": "openai/x", "litellm_credential_name": "c"});
        let body = json!({"model_name": "m", "litellm_params": params, "model_info": {"id": "one"}});
        world.post("/model/new", body).await.ok();
        let user = world.user("u1", "internal_user").await;
        world.send_as(&user, "DELETE", "/credentials/c", json!({})).await.refused(401);
        world.send("DELETE", "/credentials/nobody", json!({})).await.refused(404);
        assert_eq!(world.count("audit_log where noun = 'credential' and action = 'deleted'").await, 0);

        let answer = world.send("DELETE", "/credentials/c", json!({})).await;
        assert!(answer.header("x-turnpike-revision").is_some());
        assert_eq!(answer.ok(), json!({"success": true, "message": "Credential deleted successfully"}));
        let reason = world.published("one").await.unwrap_err();
        assert!(reason.contains("`c`"), "{reason}");
        let info = world.get("/model/info").await.ok();
        assert!(info["data"][0]["model_info"]["unavailable"].as_str().unwrap().contains("/credentials"), "{info}");
        assert_eq!(world.count("audit_log where noun = 'credential' and action = 'deleted'").await, 1);
        world.post("/credentials", made).await.ok();
        assert_eq!(world.published("one").await.unwrap().api_key, "sk-old");
    }
}
