//! `GET /config/list`.

use axum::Json;
use axum::extract::State;
use litellm_config::support;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::access::{Actor, Permission, Subject};
use crate::app::App;
use crate::configured::{ConfiguredError, known, said};
use crate::error::Plain;
use crate::http::fields::{Field, Form, Issue, Request, Shape, required};
use crate::http::query::Query;

/// Of which section.
#[derive(Debug)]
pub(super) struct Which;

impl Request for Which {
    const NAME: &'static str = "WhichSettings";
    const FIELDS: &'static [&'static [Field]] =
        &[&[required("config_type", Shape::Choice(&["general_settings"]), "The section.")]];

    fn read(_form: Form) -> Result<Self, Vec<Issue>> {
        Ok(Self)
    }
}

type WhichSettings = Query<Which>;

/// A field that may be set.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SettingField {
    field_name: &'static str,
    field_type: &'static str,
    field_description: &'static str,
    /// What it is set to; `***` in place of a secret.
    #[schema(value_type = Option<Object>)]
    field_value: Value,
    /// Whether the API set it; `false`: `config.yaml` did; null: nobody.
    stored_in_db: Option<bool>,
    #[schema(value_type = Option<Object>)]
    field_default_value: Value,
    premium_field: bool,
    #[schema(value_type = Option<Vec<Object>>)]
    nested_fields: Value,
}

/// Lists what may be set in `general_settings`, and what is.
#[utoipa::path(
    get,
    path = "/config/list",
    tag = "settings",
    params(WhichSettings),
    responses((status = 200, body = Vec<SettingField>), crate::error::Refusals),
)]
pub(super) async fn list(
    State(app): State<App>,
    actor: Actor,
    Query(Which): WhichSettings,
) -> Result<Json<Vec<SettingField>>, Plain> {
    actor.may(Permission::ReadSettings, &Subject::Anything)?;
    let mut db = app.db.acquire().await.map_err(ConfiguredError::from)?;
    let mut said = said(&mut db, app.publisher.vault()).await?;
    let fields = known().map(|field| {
        let said = said.remove(field.name);
        SettingField {
            field_name: field.name,
            field_type: type_of(field.shape),
            field_description: field.note,
            stored_in_db: said.as_ref().map(|said| said.origin == "api"),
            field_value: said.map(|said| said.value).unwrap_or_default(),
            field_default_value: Value::Null,
            premium_field: false,
            nested_fields: Value::Null,
        }
    });
    Ok(Json(fields.collect()))
}

/// The words of LiteLLM's pages.
fn type_of(shape: support::Shape) -> &'static str {
    use support::Shape as S;
    match shape {
        S::Any | S::Text | S::TextOrTexts | S::TextOrMap => "String",
        S::Whole => "Integer",
        S::Number | S::Amount | S::Seconds => "Float",
        S::Flag => "Boolean",
        S::List | S::Texts | S::Maps => "List",
        S::Map | S::TextMap => "Dict",
    }
}
