//! `POST /tag/delete`.

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::{Actor, Permission, Subject};
use crate::app::App;
use crate::audit::Action;
use crate::budgets;
use crate::change::{Change, Wait};
use crate::error::TagStyle;
use crate::http::answer::Changed;
use crate::http::body::Body;
use crate::http::fields::{Field, Form, Issue, Request, Shape, required};
use crate::spend::Owner;
use crate::tags::{TagError, note, store};

/// Which tag to delete.
#[derive(Debug)]
pub(super) struct Which {
    name: String,
}

impl Request for Which {
    const NAME: &'static str = "DeletedTag";
    const FIELDS: &'static [&'static [Field]] = &[&[required("name", Shape::Text, "The tag.")]];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        Ok(Self { name: form.take("name").given().unwrap_or_default() })
    }
}

type WhichTag = Body<Which>;

/// What was done.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RemovedTag {
    message: String,
}

/// Deletes a tag: its budget holds no more. Calls may carry it all the same, and deployments keep it.
#[utoipa::path(
    post,
    path = "/tag/delete",
    tag = "tags",
    params(Wait),
    request_body = WhichTag,
    responses((status = 200, body = RemovedTag), crate::error::Refusals),
)]
pub(super) async fn delete(
    State(app): State<App>,
    actor: Actor,
    wait: Wait,
    Body { asked: Which { name }, unknown }: WhichTag,
) -> Result<Changed<RemovedTag>, TagStyle> {
    actor.may(Permission::ChangeTag, &Subject::Anything)?;
    let mut change = Change::begin(&app, &actor).await?;
    let row = store::locked(change.db(), &name).await?.ok_or(TagError::NotFound(name))?;
    store::delete(change.db(), &row.name).await?;
    budgets::forget(change.db(), Owner::Tag, std::slice::from_ref(&row.name)).await?;
    note(&mut change, Action::Deleted, Some(&row), None);
    let published = change.commit(wait).await?;
    let message = format!("Tag {} deleted successfully", row.name);
    Ok(Changed { view: RemovedTag { message }, published, unknown })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::fixture::World;

    #[tokio::test]
    async fn a_tag_goes_and_what_was_spent_stays_known() {
        let world = World::new().await;
        world.post("/tag/new", json!({"name": "blue", "max_budget": 5})).await.ok();
        sqlx::query("update spend_totals set cost_nano_usd = 7, last_used_at = now()")
            .execute(&world.db())
            .await
            .unwrap();
        let answer = world.post("/tag/delete", json!({"name": "blue"})).await.ok();
        assert_eq!(answer, json!({"message": "Tag blue deleted successfully"}));
        assert_eq!((world.count("tags").await, world.count("spend_totals where budgeted").await), (0, 0));
        assert_eq!(world.count("audit_log where noun = 'tag' and action = 'deleted'").await, 1);
        let left = world.get("/tag/list").await.ok();
        assert_eq!((&left[0]["name"], &left[0]["models"]), (&json!("blue"), &json!(null)), "calls carried it");
    }

    #[tokio::test]
    async fn unknown_tags_and_strangers_are_refused() {
        let world = World::new().await;
        world.post("/tag/new", json!({"name": "blue"})).await.ok();
        let unknown = world.post("/tag/delete", json!({"name": "red"})).await;
        assert_eq!((unknown.status, unknown.body["detail"].as_str().unwrap()), (404, "404: Tag red not found"));
        assert_eq!(world.post("/tag/delete", json!({})).await.issues(), [json!(["body", "name"])]);
        for role in ["internal_user", "proxy_admin_viewer"] {
            let key = world.user(role, role).await;
            for name in ["blue", "red"] {
                world.post_as(&key, "/tag/delete", json!({"name": name})).await.refused(401);
            }
        }
        assert_eq!((world.count("tags").await, world.count("audit_log where action = 'deleted'").await), (1, 0));
    }
}
