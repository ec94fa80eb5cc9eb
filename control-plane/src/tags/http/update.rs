//! `POST /tag/update`.

use axum::extract::State;

use super::WrittenTag;
use super::new::{NewTag, NewTagBody};
use crate::access::{Actor, Permission, Subject};
use crate::app::App;
use crate::audit::Action;
use crate::budgets;
use crate::change::{Change, Wait};
use crate::error::TagStyle;
use crate::http::answer::Changed;
use crate::http::body::Body;
use crate::http::moment;
use crate::models;
use crate::tags::view::views;
use crate::tags::{Columns, TagError, note, store};

/// Changes a tag. Description and models are what is said, or nothing; limits that are left out stay. Deployments get the
/// tag and none loses it, since one without tags would serve calls that it did not serve before.
#[utoipa::path(
    post,
    path = "/tag/update",
    tag = "tags",
    params(Wait),
    request_body = NewTagBody,
    responses((status = 200, body = WrittenTag), crate::error::Refusals),
)]
pub(super) async fn update(
    State(app): State<App>,
    actor: Actor,
    wait: Wait,
    Body { asked: NewTag { columns, budget }, unknown }: NewTagBody,
) -> Result<Changed<WrittenTag>, TagStyle> {
    actor.may(Permission::ChangeTag, &Subject::Anything)?;
    let Columns { name, description, models } = columns;
    let mut change = Change::begin(&app, &actor).await?;
    let (by, now) = (change.author().changed_by.clone(), moment::now());
    let before = store::locked(change.db(), &name).await?.ok_or(TagError::NotFound(name))?;
    let budget = budgets::linked(&mut change, before.budget_id.as_deref(), budget, now).await?;
    let mut row = before.clone();
    (row.description, row.models) = (description, models);
    row.budget_id = budget.as_ref().map(|row| row.budget_id.clone());
    models::tag(&mut change, &row.models, &row.name, now).await.map_err(TagError::from)?;
    if row != before {
        (row.updated_at, row.updated_by) = (now, by);
        store::update(change.db(), &row).await?;
        note(&mut change, Action::Updated, Some(&before), Some(&row));
    }
    row.keep_budgets(change.db(), before.budget_id.as_deref(), budget.as_ref()).await?;
    let message = format!("Tag {} updated successfully", row.name);
    let tag = views(change.db(), vec![row]).await?.pop();
    let published = change.commit(wait).await?;
    Ok(Changed { view: WrittenTag { message, tag }, published, unknown })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::fixture::World;

    #[tokio::test]
    async fn description_and_models_are_replaced_and_limits_stay() {
        let world = World::new().await;
        for id in ["one", "two"] {
            let body = json!({"model_name": "m", "litellm_params": {"model": "openai/x", "api_key": "sk-x"}, "model_info": {"id": id}});
            world.post("/model/new", body).await.ok();
        }
        let body = json!({"name": "blue", "description": "d", "models": ["one"], "max_budget": 5});
        world.post("/tag/new", body).await.ok();
        let body = json!({"name": "blue", "models": ["two"], "rpm_limit": 3});
        let changed = world.post("/tag/update", body.clone()).await.ok();
        assert_eq!(changed["message"], "Tag blue updated successfully");
        let tag = &changed["tag"];
        assert_eq!((&tag["description"], &tag["model_info"]), (&json!(null), &json!({"two": "m"})));
        let budget = &tag["litellm_budget_table"];
        assert_eq!((&budget["max_budget"], &budget["rpm_limit"]), (&json!(5.0), &json!(3)));
        for id in ["one", "two"] {
            assert_eq!(world.published(id).await.unwrap().tags, ["blue"], "nothing is opened");
        }
        let before = world.revision().await;
        world.post("/tag/update", body).await.ok();
        assert_eq!(world.revision().await, before, "nothing changed");
        let tag = world.post("/tag/update", json!({"name": "blue", "budget_id": null})).await.ok();
        assert_eq!((&tag["tag"]["models"], tag["tag"].get("litellm_budget_table")), (&json!([]), None));
        assert_eq!(world.count("spend_totals where owner_id = 'blue' and budgeted").await, 0);
    }

    #[tokio::test]
    async fn unknown_tags_bad_values_and_strangers_change_nothing() {
        let world = World::new().await;
        world.post("/tag/new", json!({"name": "blue", "description": "d", "max_budget": 5})).await.ok();
        let unknown = world.post("/tag/update", json!({"name": "red"})).await;
        assert_eq!((unknown.status, unknown.body["detail"].as_str().unwrap()), (404, "404: Tag red not found"));
        for body in [
            json!({"name": "blue", "models": ["unknown"]}),
            json!({"name": "blue", "max_budget": -1}),
            json!({"name": "blue", "budget_id": "unknown"}),
        ] {
            assert_eq!(world.post("/tag/update", body).await.status, 400);
        }
        assert_eq!(world.post("/tag/update", json!({})).await.issues(), [json!(["body", "name"])]);
        for role in ["internal_user", "proxy_admin_viewer"] {
            let key = world.user(role, role).await;
            for name in ["blue", "red"] {
                world.post_as(&key, "/tag/update", json!({"name": name})).await.refused(401);
            }
        }
        assert_eq!(world.count("tags where description = 'd'").await, 1);
        assert_eq!(world.count("audit_log where noun in ('tag', 'budget') and action = 'updated'").await, 0);
    }
}
