//! `POST /credentials`.

use axum::extract::State;
use serde_json::{Map, Value};

use crate::access::{Actor, Permission, Subject};
use crate::app::App;
use crate::audit::{Action, Entry, Noun};
use crate::change::{Change, Wait};
use crate::credentials::view::{Done, for_audit};
use crate::credentials::{Credential, CredentialError, of_model, store, values};
use crate::error::Generic;
use crate::http::answer::Changed;
use crate::http::body::Body;
use crate::http::fields::{Field, Form, Issue, Request, Shape, optional, required};
use crate::http::moment;

/// Most characters of a name.
const NAME: usize = 256;

/// What `POST /credentials` asks for.
pub(super) struct NewCredential {
    name: String,
    display_name: Option<String>,
    info: Map<String, Value>,
    values: Option<Map<String, Value>>,
    model_id: Option<String>,
}

impl Request for NewCredential {
    const NAME: &'static str = "NewCredential";
    const FIELDS: &'static [&'static [Field]] = &[&[
        required("credential_name", Shape::Text, "What `litellm_credential_name` of models says."),
        optional("display_name", Shape::Text, "For people."),
        optional("credential_info", Shape::Object, "Whatever else is to be shown. No secrets."),
        optional(
            "credential_values",
            Shape::Object,
            "By the names of `litellm_params`: `api_key`, `api_base`, …. Sealed.",
        ),
        optional("model_id", Shape::Text, "Takes the values from this model, where none are given."),
    ]];
    const SEALED: &'static [&'static str] = &["credential_values"];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        Ok(Self {
            name: form.take("credential_name").given().unwrap_or_default(),
            display_name: form.take("display_name").given(),
            info: form.take("credential_info").given().unwrap_or_default(),
            values: form.take("credential_values").given(),
            model_id: form.take("model_id").given(),
        })
    }
}

type NewCredentialBody = Body<NewCredential>;

/// Makes a credential for models to name.
#[utoipa::path(
    post,
    path = "/credentials",
    tag = "credentials",
    params(Wait),
    request_body = NewCredentialBody,
    responses((status = 200, body = Done), crate::error::Refusals),
)]
pub(super) async fn new(
    State(app): State<App>,
    actor: Actor,
    wait: Wait,
    Body { asked: new, unknown }: NewCredentialBody,
) -> Result<Changed<Done>, Generic> {
    actor.may(Permission::ChangeCredential, &Subject::Anything)?;
    let is_name = (1..=NAME).contains(&new.name.trim().chars().count()) && !new.name.chars().any(char::is_control);
    if !is_name {
        return Err(CredentialError::BadName.into());
    }
    let vault = app.publisher.vault();
    let mut change = Change::begin(&app, &actor).await?;
    let mut given = match (new.values, new.model_id) {
        (Some(values), _) => values,
        (None, Some(model_id)) => of_model(change.db(), vault, &model_id).await?.1,
        (None, None) => return Err(CredentialError::Nothing.into()),
    };
    given.retain(|_, value| !value.is_null());
    values::check(&given)?;
    let (now, author) = (moment::now(), Some(change.author().changed_by.clone()));
    let mut row = Credential {
        name: new.name,
        display_name: new.display_name,
        info: new.info,
        sealed_values: Vec::new(),
        created_at: now,
        created_by: author.clone(),
        updated_at: now,
        updated_by: author,
    };
    row.seal(vault, &given);
    let inserted = store::insert(change.db(), &row).await;
    inserted.map_err(|error| CredentialError::from_insert(error, &row.name))?;
    change.note(Entry {
        action: Action::Created,
        noun: Noun::Credential,
        id: row.name.clone(),
        before: None,
        after: Some(for_audit(&row, &given)),
    });
    let published = change.commit(wait).await?;
    Ok(Changed { view: Done::saying("Credential created successfully"), published, unknown })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::fixture::World;

    #[tokio::test]
    async fn a_credential_is_sealed_audited_and_never_shown() {
        let world = World::new().await;
        let body = json!({
            "credential_name": "shared", "display_name": "Shared", "credential_info": {"custom_llm_provider": "openai"},
            "credential_values": {"api_key": "sk-provider-secret", "api_base": "https://host.example/v1"}, "odd": 1,
        });
        let answer = world.post("/credentials", body).await;
        assert_eq!(answer.header("x-turnpike-unknown-fields"), Some("odd"));
        assert_eq!(answer.header("x-turnpike-revision"), Some("1"));
        assert_eq!(answer.ok(), json!({"success": true, "message": "Credential created successfully"}));
        let everything: String = sqlx::query_scalar(
            "select string_agg(t, ' ') from (select c::text as t from credentials c union all
             select a::text from audit_log a) rows",
        )
        .fetch_one(&world.db())
        .await
        .unwrap();
        for text in ["sk-provider-secret", "host.example"] {
            assert!(!everything.contains(text) && !everything.contains(&hex::encode(text)), "{text} lies open");
        }
        let shown = world.get("/credentials").await.ok();
        let expected = json!({"success": true, "credentials": [{
            "credential_name": "shared", "display_name": "Shared",
            "credential_values": {"api_key": "***", "api_base": "https://host.example/v1"},
            "credential_info": {"custom_llm_provider": "openai"},
        }]});
        assert_eq!(shown, expected);
        assert_eq!(world.count("audit_log where noun = 'credential' and action = 'created'").await, 1);
    }

    #[tokio::test]
    async fn a_model_that_names_it_is_served_with_it_and_its_own_params_come_first() {
        let world = World::new().await;
        let values = json!({"api_key": "sk-shared", "api_base": "https://host.example/v1"});
        world.post("/credentials", json!({"credential_name": "shared", "credential_values": values})).await.ok();
        let params =
            json!({"model": "openai/x", "litellm_credential_name": "shared", "api_base": "https://own.example/v1"});
        let body = json!({"model_name": "m", "litellm_params": params, "model_info": {"id": "one"}});
        world.post("/model/new", body).await.ok();
        let published = world.published("one").await.unwrap();
        assert_eq!((published.api_key.as_str(), published.api_base.as_str()), ("sk-shared", "https://own.example/v1"));
    }

    #[tokio::test]
    async fn the_values_of_a_model_make_a_credential() {
        let world = World::new().await;
        let params =
            json!({"model": "openai/x", "api_key": "sk-of-model", "api_base": "https://host.example/v1", "rpm": 5});
        let body = json!({"model_name": "m", "litellm_params": params, "model_info": {"id": "one"}});
        world.post("/model/new", body).await.ok();
        world.post("/credentials", json!({"credential_name": "taken", "model_id": "one"})).await.ok();
        let shown = world.get("/credentials/by_name/taken").await.ok();
        assert_eq!(shown["credential_values"], json!({"api_key": "***", "api_base": "https://host.example/v1"}));
        let error =
            world.post("/credentials", json!({"credential_name": "x", "model_id": "nobody"})).await.refused(404);
        assert!(error["message"].as_str().unwrap().contains("nobody"));
    }

    #[tokio::test]
    async fn bad_credentials_taken_names_and_strangers_are_refused() {
        let world = World::new().await;
        let good = json!({"credential_name": "c", "credential_values": {"api_key": "sk-x"}});
        world.post("/credentials", good.clone()).await.ok();
        world.post("/credentials", good.clone()).await.refused(409);
        for body in [
            json!({"credential_name": "", "credential_values": {}}),
            json!({"credential_name": "x".repeat(257), "credential_values": {}}),
            json!({"credential_name": "a\nb", "credential_values": {}}),
            json!({"credential_name": "d"}),
            json!({"credential_name": "d", "credential_values": {"model": "openai/x"}}),
            json!({"credential_name": "d", "credential_values": {"apikey": "sk-x"}}),
            json!({"credential_name": "d", "credential_values": {"api_key": ["sk-x"]}}),
            json!({"credential_name": "d", "credential_values": {}, "credential_info": {"api_key": "sk-x"}}),
        ] {
            let error = world.post("/credentials", body.clone()).await.refused(400);
            assert!(!error["message"].as_str().unwrap().contains("sk-x"), "{body}: {error}");
        }
        assert_eq!(world.post("/credentials", json!({})).await.issues(), [json!(["body", "credential_name"])]);
        let wrong = json!({"credential_name": "d", "credential_values": "sk-x"});
        let answer = world.post("/credentials", wrong).await;
        assert!(!answer.body.to_string().contains("sk-x"), "{}", answer.body);
        assert_eq!(answer.issues(), [json!(["body", "credential_values"])]);
        for role in ["internal_user", "internal_user_viewer", "proxy_admin_viewer"] {
            let key = world.user(role, role).await;
            world.post_as(&key, "/credentials", good.clone()).await.refused(401);
        }
        assert_eq!(world.count("credentials").await, 1);
        assert_eq!(world.count("audit_log where noun = 'credential'").await, 1);
    }
}
