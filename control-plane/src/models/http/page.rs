//! `GET /v2/model/info`: deployments page by page, as admin pages list them.

use std::cmp::Ordering;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::seen;
use crate::access::{Actor, Permission, Subject};
use crate::app::App;
use crate::error::Generic;
use crate::http::fields::{Field, Form, Issue, Request, Shape, optional};
use crate::http::query::{Query, in_range};
use crate::models::view::{ModelView, view};
use crate::models::{Deployment, ModelError};

/// Which page of which models to show.
#[derive(Debug)]
pub(super) struct Page {
    page: usize,
    size: usize,
    model: Option<String>,
    search: Option<String>,
    model_id: Option<String>,
    team_id: Option<String>,
    sort_by: Option<String>,
    descending: bool,
}

const COLUMNS: &[&str] = &["model_name", "created_at", "updated_at", "costs", "status"];

impl Request for Page {
    const NAME: &'static str = "ModelPage";
    const FIELDS: &'static [&'static [Field]] = &[&[
        optional("page", Shape::Whole, "From 1."),
        optional("size", Shape::Whole, "Models on a page: 50, at most 1,000."),
        optional("model", Shape::Text, "Only models that clients know by this name."),
        optional("search", Shape::Text, "Only models whose name has this in it."),
        optional("modelId", Shape::Text, "Only the model with this id."),
        optional("teamId", Shape::Text, "Only models of this team."),
        optional("sortBy", Shape::Choice(COLUMNS), "Absent: as they were configured."),
        optional("sortOrder", Shape::Choice(&["asc", "desc"]), "`asc`."),
    ]];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        let page = in_range("page", form.take("page").given().unwrap_or(1), 1, i64::from(u32::MAX))?;
        let size = in_range("size", form.take("size").given().unwrap_or(50), 1, 1_000)?;
        Ok(Self {
            page: usize::try_from(page).unwrap_or(1),
            size: usize::try_from(size).unwrap_or(50),
            model: form.take("model").given(),
            search: form.take::<String>("search").given().map(|text| text.to_lowercase()),
            model_id: form.take("modelId").given(),
            team_id: form.take("teamId").given(),
            sort_by: form.take("sortBy").given(),
            descending: form.take::<String>("sortOrder").given().is_some_and(|order| order == "desc"),
        })
    }
}

impl Page {
    fn shows(&self, row: &Deployment) -> bool {
        self.model.as_ref().is_none_or(|name| *name == row.public_name())
            && self.search.as_ref().is_none_or(|text| row.public_name().to_lowercase().contains(text))
            && self.model_id.as_ref().is_none_or(|id| *id == row.id)
            && self.team_id.as_ref().is_none_or(|id| row.team_id() == Some(id))
    }

    fn order(&self, (one, shown): (&Deployment, &ModelView), (other, beside): (&Deployment, &ModelView)) -> Ordering {
        let cost = |view: &ModelView| {
            let of = |name: &str| view.model_info.get(name).and_then(Value::as_f64).unwrap_or(0.0);
            of("input_cost_per_token") + of("output_cost_per_token")
        };
        let order = match self.sort_by.as_deref() {
            Some("model_name") => one.public_name().cmp(&other.public_name()),
            Some("created_at") => one.created_at.cmp(&other.created_at),
            Some("updated_at") => one.updated_at.cmp(&other.updated_at),
            Some("costs") => cost(shown).total_cmp(&cost(beside)),
            Some("status") => one.origin.name().cmp(other.origin.name()),
            _ => Ordering::Equal,
        };
        if self.descending { order.reverse() } else { order }
    }
}

type ModelPage = Query<Page>;

/// One page.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ModelPageView {
    data: Vec<ModelView>,
    total_count: usize,
    current_page: usize,
    total_pages: usize,
    size: usize,
}

/// Shows a page of the deployments that the caller may call, without credentials, with prices.
#[utoipa::path(
    get,
    path = "/v2/model/info",
    tag = "models",
    params(ModelPage),
    responses((status = 200, body = ModelPageView), crate::error::Refusals),
)]
pub(super) async fn info(
    State(app): State<App>,
    actor: Actor,
    Query(page): ModelPage,
) -> Result<Json<ModelPageView>, Generic> {
    actor.may(Permission::ReadModel, &Subject::Anything)?;
    let mut db = app.db.acquire().await?;
    let mut rows = seen(&mut db, &actor).await?;
    rows.retain(|row| page.shows(row));
    let published = app.publisher.resolve(&mut db, &rows).await.map_err(ModelError::from)?;
    let views = rows.iter().zip(&published).map(|(row, published)| view(row, published, app.prices));
    let mut shown: Vec<(&Deployment, ModelView)> = rows.iter().zip(views).collect();
    if page.sort_by.is_some() {
        shown.sort_by(|(one, shown), (other, beside)| page.order((one, shown), (other, beside)));
    }
    let total_count = shown.len();
    let from = page.size.saturating_mul(page.page - 1);
    let data = shown.into_iter().map(|(_, view)| view).skip(from).take(page.size).collect();
    Ok(Json(ModelPageView {
        data,
        total_count,
        current_page: page.page,
        total_pages: total_count.div_ceil(page.size),
        size: page.size,
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::fixture::World;

    async fn world_with_models() -> World {
        let world = World::new().await;
        for (id, name) in [("1", "b"), ("2", "a"), ("3", "c")] {
            let params = json!({"model": "openai/x", "mock_response": "hi"});
            let body = json!({"model_name": name, "litellm_params": params, "model_info": {"id": id}});
            world.post("/model/new", body).await.ok();
        }
        world
    }

    fn ids(body: &Value) -> Vec<&str> {
        body["data"].as_array().unwrap().iter().map(|model| model["model_info"]["id"].as_str().unwrap()).collect()
    }

    #[tokio::test]
    async fn pages_are_cut_searched_and_sorted() {
        let world = world_with_models().await;
        let all = world.get("/v2/model/info").await.ok();
        assert_eq!(ids(&all), ["1", "2", "3"]);
        assert_eq!((&all["total_count"], &all["total_pages"], &all["size"]), (&json!(3), &json!(1), &json!(50)));
        for (query, expected) in [
            ("size=2", vec!["1", "2"]),
            ("size=2&page=2", vec!["3"]),
            ("size=2&page=9", vec![]),
            ("sortBy=model_name", vec!["2", "1", "3"]),
            ("sortBy=model_name&sortOrder=desc", vec!["3", "1", "2"]),
            ("sortBy=created_at&sortOrder=desc", vec!["3", "2", "1"]),
            ("search=A", vec!["2"]),
            ("model=c", vec!["3"]),
            ("modelId=1", vec!["1"]),
            ("modelId=nobody", vec![]),
            ("teamId=nobody", vec![]),
        ] {
            assert_eq!(ids(&world.get(&format!("/v2/model/info?{query}")).await.ok()), expected, "{query}");
        }
        let second = world.get("/v2/model/info?size=2&page=2").await.ok();
        assert_eq!((&second["current_page"], &second["total_pages"]), (&json!(2), &json!(2)));
    }

    #[tokio::test]
    async fn bad_pages_are_refused_and_keys_see_only_theirs() {
        let world = world_with_models().await;
        for query in ["page=0", "size=0", "size=1001", "page=x", "sortBy=secrets", "sortOrder=up"] {
            assert_eq!(world.get(&format!("/v2/model/info?{query}")).await.status, 422, "{query}");
        }
        let key = world.key(json!({"models": ["a"]})).await;
        let body = world.get_as(&key, "/v2/model/info").await.ok();
        assert_eq!((ids(&body), &body["total_count"]), (vec!["2"], &json!(1)));
        assert_eq!(world.get_as("sk-no-such-key-in-the-database", "/v2/model/info").await.status, 401);
    }
}
