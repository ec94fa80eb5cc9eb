//! `GET /model_group/info`: what clients may ask for, and what is known of it.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use proto::v1 as pb;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::seen;
use crate::access::{Actor, Permission, Subject};
use crate::app::App;
use crate::error::Generic;
use crate::http::fields::{Field, Form, Issue, Request, Shape, optional};
use crate::http::query::Query;
use crate::models::publish::Unavailable;
use crate::models::view::{ModelView, view};
use crate::models::{Deployment, ModelError};

/// Which groups to show.
#[derive(Debug)]
pub(super) struct Which {
    model_group: Option<String>,
}

impl Request for Which {
    const NAME: &'static str = "WhichModelGroups";
    const FIELDS: &'static [&'static [Field]] =
        &[&[optional("model_group", Shape::Text, "Only the models that clients know by this name.")]];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        Ok(Self { model_group: form.take("model_group").given() })
    }
}

type WhichGroups = Query<Which>;

/// All deployments of one public name, taken together.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(super) struct ModelGroup {
    model_group: String,
    providers: Vec<String>,
    /// The most that any of them takes; so are the next three.
    max_input_tokens: Option<f64>,
    max_output_tokens: Option<f64>,
    input_cost_per_token: Option<f64>,
    output_cost_per_token: Option<f64>,
    mode: Option<String>,
    /// What all of them take together.
    tpm: Option<u64>,
    rpm: Option<u64>,
    /// `supports_…`: whether any of them does.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    supports: Map<String, Value>,
    supported_openai_params: Option<Vec<String>>,
    is_public_model_group: bool,
    health_status: Option<String>,
}

/// Groups.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ModelGroupList {
    data: Vec<ModelGroup>,
}

/// Shows what the caller may ask for: the deployments of each public name, taken together. Blocked ones are left out.
#[utoipa::path(
    get,
    path = "/model_group/info",
    tag = "models",
    params(WhichGroups),
    responses((status = 200, body = ModelGroupList), crate::error::Refusals),
)]
pub(super) async fn info(
    State(app): State<App>,
    actor: Actor,
    Query(which): WhichGroups,
) -> Result<Json<ModelGroupList>, Generic> {
    actor.may(Permission::ReadModel, &Subject::Anything)?;
    let mut db = app.db.acquire().await?;
    let mut rows = seen(&mut db, &actor).await?;
    rows.retain(|row| !row.blocked && which.model_group.as_ref().is_none_or(|name| *name == row.public_name()));
    let published = app.publisher.resolve(&mut db, &rows).await.map_err(ModelError::from)?;
    let mut data: Vec<ModelGroup> = Vec::new();
    for (row, published) in rows.iter().zip(&published) {
        let name = row.public_name();
        let known = view(row, published, app.prices);
        let at = data.iter().position(|group| group.model_group == name);
        match at.and_then(|at| data.get_mut(at)) {
            Some(group) => add(group, row, published, &known),
            None => {
                let mut group = ModelGroup { model_group: name, ..ModelGroup::default() };
                add(&mut group, row, published, &known);
                data.push(group);
            }
        }
    }
    Ok(Json(ModelGroupList { data }))
}

/// Counts one more deployment in.
fn add(group: &mut ModelGroup, row: &Deployment, published: &Result<pb::Deployment, Unavailable>, known: &ModelView) {
    let provider = match published {
        Ok(deployment) => deployment.provider.as_str(),
        Err(_) => row.litellm_model().split_once('/').map_or("", |(provider, _)| provider),
    };
    let providers: BTreeSet<&str> = group.providers.iter().map(String::as_str).chain([provider]).collect();
    group.providers = providers.into_iter().filter(|name| !name.is_empty()).map(str::to_owned).collect();
    let info = &known.model_info;
    let most = |place: &mut Option<f64>, name: &str| {
        if let Some(value) = info.get(name).and_then(Value::as_f64) {
            *place = Some(place.map_or(value, |most| most.max(value)));
        }
    };
    most(&mut group.max_input_tokens, "max_input_tokens");
    most(&mut group.max_output_tokens, "max_output_tokens");
    most(&mut group.input_cost_per_token, "input_cost_per_token");
    most(&mut group.output_cost_per_token, "output_cost_per_token");
    if group.mode.is_none() {
        group.mode = info.get("mode").and_then(Value::as_str).map(str::to_owned);
    }
    let together = |place: &mut Option<u64>, name: &str| {
        if let Some(value) = known.litellm_params.get(name).and_then(Value::as_u64) {
            *place = Some(place.unwrap_or(0).saturating_add(value));
        }
    };
    together(&mut group.tpm, "tpm");
    together(&mut group.rpm, "rpm");
    for (name, value) in info.iter().filter(|(name, value)| name.starts_with("supports_") && value.is_boolean()) {
        let so_far = group.supports.get(name).and_then(Value::as_bool).unwrap_or(false);
        group.supports.insert(name.clone(), Value::Bool(so_far || value.as_bool().unwrap_or(false)));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::fixture::World;

    async fn add(world: &World, name: &str, params: Value, info: Value) {
        let body = json!({"model_name": name, "litellm_params": params, "model_info": info});
        world.post("/model/new", body).await.ok();
    }

    #[tokio::test]
    async fn the_deployments_of_a_name_are_taken_together() {
        let world = World::new().await;
        assert_eq!(world.get("/model_group/info").await.status, 500, "a gateway without models");
        add(&world, "smart", json!({"model": "openai/gpt-4o", "api_key": "k", "rpm": 5, "tpm": 100}), json!({})).await;
        let dear = json!({"model": "groq/x", "api_key": "k", "rpm": 7, "input_cost_per_token": 1});
        add(&world, "smart", dear, json!({})).await;
        add(&world, "cheap", json!({"model": "openai/y", "mock_response": "hi"}), json!({"mode": "embedding"})).await;
        let data = world.get("/model_group/info").await.ok()["data"].clone();
        assert_eq!(data.as_array().unwrap().len(), 2);
        let smart = &data[0];
        assert_eq!((&smart["model_group"], &smart["providers"]), (&json!("smart"), &json!(["groq", "openai"])));
        assert_eq!((&smart["rpm"], &smart["tpm"]), (&json!(12), &json!(100)));
        assert_eq!((&smart["input_cost_per_token"], &smart["mode"]), (&json!(1.0), &json!("chat")));
        assert_eq!((&smart["max_input_tokens"], &smart["supports_vision"]), (&json!(128_000.0), &json!(true)));
        assert_eq!((&data[1]["mode"], &data[1]["rpm"]), (&json!("embedding"), &Value::Null));
        assert_eq!(data[1]["is_public_model_group"], false);
        let one = world.get("/model_group/info?model_group=cheap").await.ok();
        assert_eq!((one["data"].as_array().unwrap().len(), &one["data"][0]["model_group"]), (1, &json!("cheap")));
        assert_eq!(world.get("/model_group/info?model_group=nobody").await.ok(), json!({"data": []}));
    }

    #[tokio::test]
    async fn a_key_sees_what_it_may_ask_for_under_its_team_s_names() {
        let world = World::new().await;
        world.post("/team/new", json!({"team_id": "t"})).await.ok();
        let params = json!({"model": "openai/x", "mock_response": "hi"});
        add(&world, "all", params.clone(), json!({})).await;
        add(&world, "ours", params, json!({"team_id": "t"})).await;
        let groups = |key: String| {
            let world = &world;
            async move {
                let data = world.get_as(&key, "/model_group/info").await.ok()["data"].clone();
                data.as_array().unwrap().iter().map(|group| group["model_group"].clone()).collect::<Vec<_>>()
            }
        };
        assert_eq!(groups(world.key(json!({"team_id": "t"})).await).await, ["all", "ours"]);
        assert_eq!(groups(world.key(json!({})).await).await, ["all"]);
        assert_eq!(groups(world.key(json!({"models": ["other"]})).await).await, Vec::<Value>::new());
    }
}
