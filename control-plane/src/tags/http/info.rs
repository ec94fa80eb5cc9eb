//! `POST /tag/info`.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;

use crate::access::{Actor, Permission, Subject};
use crate::app::App;
use crate::error::TagStyle;
use crate::http::body::Body;
use crate::http::fields::{Field, Form, Issue, Request, Shape, required};
use crate::tags::view::{TagView, views};
use crate::tags::{TagError, store};

/// Most tags of one answer.
const MOST: usize = 10_000;

/// Which tags to show.
#[derive(Debug)]
pub(super) struct Which {
    names: Vec<String>,
}

impl Request for Which {
    const NAME: &'static str = "ShownTags";
    const FIELDS: &'static [&'static [Field]] = &[&[required("names", Shape::Texts, "The tags.")]];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        let mut names: Vec<String> = form.take("names").given().unwrap_or_default();
        names.sort_unstable();
        names.dedup();
        Ok(Self { names })
    }
}

type WhichTags = Body<Which>;

/// Shows tags by name; all of them or none.
#[utoipa::path(
    post,
    path = "/tag/info",
    tag = "tags",
    request_body = WhichTags,
    responses((status = 200, body = BTreeMap<String, TagView>), crate::error::Refusals),
)]
pub(super) async fn info(
    State(app): State<App>,
    actor: Actor,
    Body { asked: Which { names }, .. }: WhichTags,
) -> Result<Json<BTreeMap<String, TagView>>, TagStyle> {
    actor.may(Permission::ReadTag, &Subject::Anything)?;
    if names.len() > MOST {
        return Err(TagError::TooMany(MOST).into());
    }
    let mut db = app.db.acquire().await?;
    let rows = store::among(&mut db, &names).await?;
    let found: Vec<String> = rows.iter().map(|row| row.name.clone()).collect();
    let missing: Vec<String> = names.into_iter().filter(|name| !found.contains(name)).take(10).collect();
    if !missing.is_empty() {
        return Err(TagError::NoneSuch(missing.join(", ")).into());
    }
    Ok(Json(found.into_iter().zip(views(&mut db, rows).await?).collect()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::fixture::World;

    #[tokio::test]
    async fn named_tags_are_shown_with_spend_and_budget_to_admins() {
        let world = World::new().await;
        world.post("/tag/new", json!({"name": "blue", "max_budget": 5})).await.ok();
        world.post("/tag/new", json!({"name": "red", "description": "d"})).await.ok();
        sqlx::query("update spend_totals set cost_nano_usd = 1500000000 where owner_id = 'blue'")
            .execute(&world.db())
            .await
            .unwrap();
        let shown = world.post("/tag/info", json!({"names": ["blue", "red", "blue"]})).await.ok();
        assert_eq!(shown.as_object().unwrap().len(), 2);
        assert_eq!((&shown["blue"]["spend"], &shown["red"]["description"]), (&json!(1.5), &json!("d")));
        assert_eq!(shown["blue"]["litellm_budget_table"]["max_budget"], 5.0);
        assert_eq!(world.post("/tag/info", json!({"names": []})).await.ok(), json!({}));
        let missing = world.post("/tag/info", json!({"names": ["blue", "green"]})).await;
        assert_eq!((missing.status, missing.body["detail"].as_str().unwrap()), (404, "404: Tags not found: green"));
        assert_eq!(world.post("/tag/info", json!({})).await.issues(), [json!(["body", "names"])]);
        let (viewer, user) = (world.user("v", "proxy_admin_viewer").await, world.user("u", "internal_user").await);
        world.post_as(&viewer, "/tag/info", json!({"names": ["blue"]})).await.ok();
        world.post_as(&user, "/tag/info", json!({"names": ["blue"]})).await.refused(401);
    }
}
