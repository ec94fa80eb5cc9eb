//! `PATCH /credentials/{name}`.

use axum::extract::{Path, State};
use serde_json::{Map, Value};

use crate::access::{Actor, Permission, Subject};
use crate::app::App;
use crate::audit::{Entry, Noun};
use crate::change::{Change, Wait};
use crate::credentials::view::{Done, for_audit};
use crate::credentials::{CredentialError, store, values};
use crate::error::Generic;
use crate::http::answer::Changed;
use crate::http::body::Body;
use crate::http::fields::{Field, Form, Issue, Patch, Request, Shape, optional};
use crate::http::moment;

/// What `PATCH /credentials/{name}` asks for.
pub(super) struct CredentialPatch {
    name: Option<String>,
    display_name: Patch<String>,
    info: Map<String, Value>,
    values: Map<String, Value>,
}

impl Request for CredentialPatch {
    const NAME: &'static str = "CredentialPatch";
    const FIELDS: &'static [&'static [Field]] = &[&[
        optional("credential_name", Shape::Text, "Its name, which cannot be another one."),
        optional("display_name", Shape::Text, "For people."),
        optional("credential_info", Shape::Object, "Members that are to be different; `null` removes one."),
        optional("credential_values", Shape::Object, "Members that are to be different; `null` removes one. Sealed."),
    ]];
    const SEALED: &'static [&'static str] = &["credential_values"];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        Ok(Self {
            name: form.take("credential_name").given(),
            display_name: form.take("display_name"),
            info: form.take("credential_info").given().unwrap_or_default(),
            values: form.take("credential_values").given().unwrap_or_default(),
        })
    }
}

type CredentialPatchBody = Body<CredentialPatch>;

/// Changes a credential, and with it every model that names it: what is left out stays.
#[utoipa::path(
    patch,
    path = "/credentials/{name}",
    tag = "credentials",
    params(Wait, ("name" = String, Path, description = "The name of the credential.")),
    request_body = CredentialPatchBody,
    responses((status = 200, body = Done), crate::error::Refusals),
)]
pub(super) async fn update(
    State(app): State<App>,
    actor: Actor,
    Path(name): Path<String>,
    wait: Wait,
    Body { asked: patch, unknown }: CredentialPatchBody,
) -> Result<Changed<Done>, Generic> {
    actor.may(Permission::ChangeCredential, &Subject::Anything)?;
    if patch.name.is_some_and(|said| said != name) {
        return Err(CredentialError::Renamed.into());
    }
    let vault = app.publisher.vault();
    let mut change = Change::begin(&app, &actor).await?;
    let found = store::locked(change.db(), &name).await?;
    let before = found.ok_or_else(|| CredentialError::NotFound(name.clone()))?;
    let old = before.opened(vault).map_err(|source| CredentialError::Sealed { name: name.clone(), source })?;
    let (mut row, mut new) = (before.clone(), old.clone());
    merge(&mut new, patch.values);
    values::check(&new)?;
    merge(&mut row.info, patch.info);
    patch.display_name.apply(&mut row.display_name);
    row.updated_at = moment::now();
    row.updated_by = Some(change.author().changed_by.clone());
    row.seal(vault, &new);
    store::update(change.db(), &row).await?;
    change.note(Entry::updated(Noun::Credential, name, for_audit(&before, &old), for_audit(&row, &new)));
    let published = change.commit(wait).await?;
    Ok(Changed { view: Done::saying("Credential updated successfully"), published, unknown })
}

fn merge(members: &mut Map<String, Value>, said: Map<String, Value>) {
    for (name, value) in said {
        match value {
            Value::Null => _ = members.shift_remove(&name),
            value => _ = members.insert(name, value),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::fixture::World;

    async fn world_with_one_in_use() -> World {
        let world = World::new().await;
        let body = json!({
            "credential_name": "c", "credential_info": {"note": "a"},
            "credential_values": {"api_key": "sk-old", "api_base": "https://old.example/v1"},
        });
        world.post("/credentials", body).await.ok();
        let params = json!({"model": "openai/x", "litellm_credential_name": "c"});
        let body = json!({"model_name": "m", "litellm_params": params, "model_info": {"id": "one"}});
        world.post("/model/new", body).await.ok();
        world
    }

    #[tokio::test]
    async fn a_change_is_merged_and_published_with_its_models() {
        let world = world_with_one_in_use().await;
        let body = json!({"credential_values": {"api_key": "sk-new"}, "credential_info": {"note": null, "b": 1}});
        let answer = world.send("PATCH", "/credentials/c", body).await;
        assert_eq!(answer.header("x-turnpike-revision"), Some("3"));
        assert_eq!(answer.ok()["success"], true);
        // Settings in the log make every deployment be published anew.
        assert_eq!(world.count("change_log where revision = 3 and kind = 'settings'").await, 1);
        let published = world.published("one").await.unwrap();
        assert_eq!((published.api_key.as_str(), published.api_base.as_str()), ("sk-new", "https://old.example/v1"));
        assert_eq!(world.get("/credentials/by_name/c").await.ok()["credential_info"], json!({"b": 1}));
        assert_eq!(world.count("audit_log where noun = 'credential' and action = 'updated'").await, 1);
        assert_eq!(world.count("audit_log where audit_log::text like '%sk-%'").await, 0);
        world.send("PATCH", "/credentials/c", json!({"credential_values": {"api_base": null}})).await.ok();
        assert_eq!(world.published("one").await.unwrap().api_base, "");
    }

    #[tokio::test]
    async fn bad_changes_are_refused_and_change_nothing() {
        let world = world_with_one_in_use().await;
        for body in [
            json!({"credential_name": "other"}),
            json!({"credential_values": {"apikey": "sk-x"}}),
            json!({"credential_values": {"api_key": "***"}}),
            json!({"credential_values": {"model": "openai/y"}}),
            json!({"credential_info": {"api_key": "sk-x"}}),
        ] {
            world.send("PATCH", "/credentials/c", body).await.refused(400);
        }
        world.send("PATCH", "/credentials/nobody", json!({})).await.refused(404);
        let wrong = world.send("PATCH", "/credentials/c", json!({"credential_values": 5})).await;
        assert_eq!(wrong.issues(), [json!(["body", "credential_values"])]);
        let user = world.user("u1", "internal_user").await;
        for name in ["c", "nobody"] {
            world.send_as(&user, "PATCH", &format!("/credentials/{name}"), json!({})).await.refused(401);
        }
        assert_eq!(world.published("one").await.unwrap().api_key, "sk-old");
        assert_eq!(world.count("audit_log where noun = 'credential'").await, 1);
    }
}
