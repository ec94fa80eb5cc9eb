//! `GET /config/field/info`.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::access::{Actor, Permission, Subject};
use crate::app::App;
use crate::configured::{ConfiguredError, said};
use crate::error::Plain;
use crate::http::fields::{Field, Form, Issue, Request, Shape, required};
use crate::http::query::Query;

/// Which field.
#[derive(Debug)]
pub(super) struct Which {
    field_name: String,
}

impl Request for Which {
    const NAME: &'static str = "WhichSetting";
    const FIELDS: &'static [&'static [Field]] =
        &[&[required("field_name", Shape::Text, "The field of general_settings.")]];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        Ok(Self { field_name: form.take("field_name").given().unwrap_or_default() })
    }
}

type WhichSetting = Query<Which>;

/// A field that is set.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SettingView {
    field_name: String,
    /// `***` in place of a secret.
    #[schema(value_type = Object)]
    field_value: Value,
    /// `config`: said by `config.yaml`. `db`: set through the API.
    source: &'static str,
    /// Whether the API changes it: settings are changed in `config.yaml`.
    editable: bool,
}

/// Shows what a field of `general_settings` is set to.
#[utoipa::path(
    get,
    path = "/config/field/info",
    tag = "settings",
    params(WhichSetting),
    responses((status = 200, body = SettingView), crate::error::Refusals),
)]
pub(super) async fn info(
    State(app): State<App>,
    actor: Actor,
    Query(Which { field_name }): WhichSetting,
) -> Result<Json<SettingView>, Plain> {
    actor.may(Permission::ReadSettings, &Subject::Anything)?;
    let mut db = app.db.acquire().await.map_err(ConfiguredError::from)?;
    let found = said(&mut db, app.publisher.vault()).await?.remove(&field_name);
    let said = found.ok_or_else(|| ConfiguredError::Unset(field_name.clone()))?;
    let source = if said.origin == "api" { "db" } else { "config" };
    Ok(Json(SettingView { field_name, field_value: said.value, source, editable: false }))
}
