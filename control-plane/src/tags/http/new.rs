//! `POST /tag/new`.

use axum::extract::State;

use super::WrittenTag;
use crate::access::{Actor, Permission, Subject};
use crate::app::App;
use crate::audit::Action;
use crate::budgets::{self, LIMITS, LINK, Wanted};
use crate::change::{Change, Wait};
use crate::error::TagStyle;
use crate::http::answer::Changed;
use crate::http::body::Body;
use crate::http::fields::{Field, Form, Issue, Request};
use crate::http::moment;
use crate::models;
use crate::tags::view::views;
use crate::tags::{COLUMNS, Columns, Tag, TagError, note, store};

/// What `POST /tag/new` and `POST /tag/update` ask for.
#[derive(Debug)]
pub(super) struct NewTag {
    pub(super) columns: Columns,
    pub(super) budget: Wanted,
}

impl Request for NewTag {
    const NAME: &'static str = "NewTag";
    const FIELDS: &'static [&'static [Field]] = &[COLUMNS, LINK, LIMITS];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        Ok(Self { columns: Columns::read(&mut form), budget: Wanted::read(&mut form)? })
    }
}

pub(super) type NewTagBody = Body<NewTag>;

/// Makes a tag, puts it on the deployments that are named, and gives it a budget of its own or a shared one.
#[utoipa::path(
    post,
    path = "/tag/new",
    tag = "tags",
    params(Wait),
    request_body = NewTagBody,
    responses((status = 200, body = WrittenTag), crate::error::Refusals),
)]
pub(super) async fn new(
    State(app): State<App>,
    actor: Actor,
    wait: Wait,
    Body { asked: NewTag { columns, budget }, unknown }: NewTagBody,
) -> Result<Changed<WrittenTag>, TagStyle> {
    actor.may(Permission::ChangeTag, &Subject::Anything)?;
    let Columns { name, description, models } = columns.named()?;
    let mut change = Change::begin(&app, &actor).await?;
    let (by, now) = (change.author().changed_by.clone(), moment::now());
    let budget = budgets::linked(&mut change, None, budget, now).await?;
    let row = Tag {
        name,
        description,
        models,
        budget_id: budget.as_ref().map(|row| row.budget_id.clone()),
        created_at: now,
        created_by: by.clone(),
        updated_at: now,
        updated_by: by,
    };
    let inserted = store::insert(change.db(), &row).await;
    inserted.map_err(|error| TagError::from_insert(error, &row.name))?;
    models::tag(&mut change, &row.models, &row.name, now).await.map_err(TagError::from)?;
    row.keep_budgets(change.db(), None, budget.as_ref()).await?;
    note(&mut change, Action::Created, None, Some(&row));
    let message = format!("Tag {} created successfully", row.name);
    let tag = views(change.db(), vec![row]).await?.pop();
    let published = change.commit(wait).await?;
    Ok(Changed { view: WrittenTag { message, tag }, published, unknown })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::fixture::{World, settled};

    #[tokio::test]
    async fn a_tag_has_every_field_a_budget_and_models() {
        let world = World::new().await;
        for (id, tags) in [("one", json!(["old"])), ("two", json!(null))] {
            let params = json!({"model": "openai/x", "api_key": "sk-secret", "tags": tags});
            let body = json!({"model_name": "m", "litellm_params": params, "model_info": {"id": id}});
            world.post("/model/new", body).await.ok();
        }
        let body = json!({
            "name": "blue", "description": "the blue ones", "models": ["one", "two", "one"], "max_budget": 5,
            "soft_budget": 4, "budget_duration": "30d", "tpm_limit": 10, "rpm_limit": 2, "max_parallel_requests": 1,
            "model_max_budget": {"m": {"max_budget": 1, "budget_duration": "1d"}}, "odd": 1,
        });
        let before = world.revision().await;
        let answer = world.post("/tag/new", body).await;
        assert_eq!(answer.header("x-turnpike-unknown-fields"), Some("odd"));
        let changing = ["budget_id", "budget_reset_at", "created_at", "updated_at"];
        insta::assert_json_snapshot!(settled(answer.ok(), &changing));
        assert_eq!(world.revision().await, before + 1);
        let one = world.published("one").await.unwrap();
        assert_eq!((one.tags, one.api_key.as_str()), (vec!["old".to_owned(), "blue".to_owned()], "sk-secret"));
        assert_eq!(world.published("two").await.unwrap().tags, ["blue"]);
        assert_eq!(world.count("spend_totals where kind = 'tag' and owner_id = 'blue' and budgeted").await, 2);
        assert_eq!(world.count("audit_log where noun = 'tag' and action = 'created'").await, 1);
        assert_eq!(world.count("audit_log where noun = 'model' and action = 'updated'").await, 2);
        let plain = world.post("/tag/new", json!({"name": "red", "max_budget": null})).await.ok();
        assert_eq!((&plain["tag"]["models"], &plain["tag"]["description"]), (&json!([]), &json!(null)));
        assert_eq!(plain["message"], "Tag red created successfully");
        assert_eq!(world.count("budgets").await, 1);
    }

    #[tokio::test]
    async fn bad_tags_taken_names_and_strangers_are_refused() {
        let world = World::new().await;
        world.post("/tag/new", json!({"name": "blue"})).await.ok();
        let taken = world.post("/tag/new", json!({"name": "blue"})).await;
        assert_eq!(taken.status, 400);
        assert!(taken.body["detail"].as_str().unwrap().starts_with("400: Tag blue already exists"), "{}", taken.body);
        sqlx::query("insert into deployments (id, model_name, params, origin) values ('of-file', 'f', '{\"model\": \"openai/x\"}', 'file')")
            .execute(&world.db()).await.unwrap();
        for body in [
            json!({"name": ""}),
            json!({"name": "a\nb"}),
            json!({"name": "x".repeat(257)}),
            json!({"name": "b", "models": ["unknown"]}),
            json!({"name": "b", "models": ["of-file"]}),
            json!({"name": "b", "max_budget": -1}),
            json!({"name": "b", "budget_duration": "soon"}),
            json!({"name": "b", "budget_id": "unknown"}),
        ] {
            let answer = world.post("/tag/new", body.clone()).await;
            assert_eq!(answer.status, 400, "{body}");
            assert!(answer.body["detail"].as_str().unwrap().starts_with("400: "), "{}", answer.body);
        }
        for (body, field) in [
            (json!({}), "name"),
            (json!({"name": "b", "models": "m"}), "models"),
            (json!({"name": "b", "budget_id": "x", "max_budget": 1}), "budget_id"),
        ] {
            assert_eq!(world.post("/tag/new", body).await.issues(), [json!(["body", field])]);
        }
        for role in ["internal_user", "internal_user_viewer", "proxy_admin_viewer"] {
            let key = world.user(role, role).await;
            world.post_as(&key, "/tag/new", json!({"name": "b"})).await.refused(401);
        }
        assert_eq!((world.count("tags").await, world.count("budgets").await), (1, 0));
        assert_eq!(world.count("spend_totals where kind = 'tag'").await, 0);
        assert_eq!(world.count("audit_log where noun in ('tag', 'model', 'budget')").await, 1);
    }
}
