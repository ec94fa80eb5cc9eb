//! `GET /tag/list`.

use std::collections::HashMap;

use axum::Json;
use axum::extract::State;
use time::Date;
use time::macros::{date, format_description};

use crate::access::{Actor, Permission, Subject};
use crate::app::App;
use crate::error::TagStyle;
use crate::http::fields::{Field, Form, Issue, Request, Shape, optional};
use crate::http::part::{PART, Part};
use crate::http::query::Query;
use crate::tags::store::{self, Days};
use crate::tags::view::{TagView, views};
use crate::tags::{Tag, TagError};

/// Which tags to list.
#[derive(Debug)]
pub(super) struct Wanted {
    start_date: Option<String>,
    end_date: Option<String>,
    part: Part,
}

impl Request for Wanted {
    const NAME: &'static str = "ListedTags";
    const FIELDS: &'static [&'static [Field]] = &[
        &[
            optional("start_date", Shape::Text, "Of tags that were never made, those of calls from this day."),
            optional("end_date", Shape::Text, "And up to this one, as in 2027-01-31."),
        ],
        PART,
    ];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        Ok(Self {
            start_date: form.take("start_date").given(),
            end_date: form.take("end_date").given(),
            part: Part::read(&mut form)?,
        })
    }
}

type ListedTags = Query<Wanted>;

/// Lists tags by name: those that were made, and those that calls carried. Who is no admin sees their own: those of their
/// keys and of their latest calls.
#[utoipa::path(
    get,
    path = "/tag/list",
    tag = "tags",
    params(ListedTags),
    responses((status = 200, body = Vec<TagView>), crate::error::Refusals),
)]
pub(super) async fn list(
    State(app): State<App>,
    actor: Actor,
    Query(wanted): ListedTags,
) -> Result<Json<Vec<TagView>>, TagStyle> {
    actor.may(Permission::ListTags, &Subject::Anything)?;
    let days = days(wanted.start_date, wanted.end_date)?;
    let mut db = app.db.acquire().await?;
    if !actor.sees_all() {
        let names = store::of_own(&mut db, actor.user_id.as_deref(), actor.key_hash(), days, wanted.part).await?;
        let mut stored = by_name(store::among(&mut db, &names).await?);
        let bare = |name: String| match stored.remove(&name) {
            Some(row) => TagView::bare(name, row.description),
            None => TagView::dynamic(name, None),
        };
        return Ok(Json(names.into_iter().map(bare).collect()));
    }
    let names = store::part(&mut db, days, wanted.part).await?;
    let stored = store::among(&mut db, &names).await?;
    let own: Vec<String> = stored.iter().map(|row| row.name.clone()).collect();
    let mut shown: HashMap<String, TagView> = own.into_iter().zip(views(&mut db, stored).await?).collect();
    let used: HashMap<String, _> = store::used(&mut db, &names).await?.into_iter().collect();
    let view = |name: String| match shown.remove(&name) {
        Some(view) => view,
        None => {
            let at = used.get(&name).copied();
            TagView::dynamic(name, at)
        }
    };
    Ok(Json(names.into_iter().map(view).collect()))
}

fn by_name(rows: Vec<Tag>) -> HashMap<String, Tag> {
    rows.into_iter().map(|row| (row.name.clone(), row)).collect()
}

/// The days that are asked for; all where neither end is said.
fn days(from: Option<String>, to: Option<String>) -> Result<Option<Days>, TagError> {
    if from.is_none() && to.is_none() {
        return Ok(None);
    }
    let day = |field: &'static str, text: Option<String>, default: Date| match text {
        None => Ok(default),
        Some(text) => Date::parse(&text, format_description!("[year]-[month]-[day]"))
            .map_err(|_no_day| TagError::Day { field, value: text }),
    };
    let from = day("start_date", from, date!(1970 - 01 - 01))?;
    let to = day("end_date", to, date!(9999 - 12 - 31))?;
    Ok(Some(Days { from, to }))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::fixture::World;

    fn names(list: &Value) -> Vec<&str> {
        list.as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect()
    }

    #[tokio::test]
    async fn tags_that_were_made_and_tags_of_calls_are_listed_by_name() {
        let world = World::new().await;
        assert_eq!(world.get("/tag/list").await.ok(), json!([]));
        world.post("/tag/new", json!({"name": "blue", "max_budget": 5})).await.ok();
        world.post("/tag/new", json!({"name": "red"})).await.ok();
        let spent = "insert into spend_totals as t (kind, owner_id, cost_nano_usd, last_used_at) values
             ('tag', 'blue', 1500000000, now()), ('tag', 'call', 1, now()), ('customer', 'ada', 1, now())
             on conflict (kind, owner_id, scope) do update set cost_nano_usd = excluded.cost_nano_usd;
             insert into spend_daily (day, kind, owner_id, model, provider) values
             ('2026-01-01', 'tag', 'call', 'm', 'p'), ('2026-01-01', 'customer', 'ada', 'm', 'p')";
        sqlx::raw_sql(spent).execute(&world.db()).await.unwrap();
        let list = world.get("/tag/list").await.ok();
        assert_eq!(names(&list), ["blue", "call", "red"]);
        assert_eq!((&list[0]["spend"], &list[0]["litellm_budget_table"]["max_budget"]), (&json!(1.5), &json!(5.0)));
        assert_eq!((&list[1]["models"], list[1].get("budget_id")), (&json!(null), None));
        assert_eq!(names(&world.get("/tag/list?page_size=2&page=2").await.ok()), ["red"]);
        for (query, expected) in [
            ("start_date=2026-01-01&end_date=2026-01-31", vec!["blue", "call", "red"]),
            ("start_date=2026-01-02", vec!["blue", "red"]),
            ("end_date=2025-12-31", vec!["blue", "red"]),
        ] {
            assert_eq!(names(&world.get(&format!("/tag/list?{query}")).await.ok()), expected, "{query}");
        }
        let bad = world.get("/tag/list?start_date=soon").await;
        assert_eq!((bad.status, bad.body["detail"].is_string()), (400, true));
        assert_eq!(world.get("/tag/list?page=0").await.issues(), [json!(["query", "page"])]);
    }

    #[tokio::test]
    async fn a_user_sees_the_tags_of_their_keys_and_calls_without_figures() {
        let world = World::new().await;
        let (own, other) = (world.user("u1", "internal_user").await, world.user("u2", "internal_user").await);
        world.key(json!({"user_id": "u1", "tags": ["blue", "loose"]})).await;
        world.key(json!({"user_id": "u2", "tags": ["theirs"]})).await;
        let body = json!({"name": "blue", "description": "d", "max_budget": 5});
        world.post("/tag/new", body).await.ok();
        world.post("/tag/new", json!({"name": "red"})).await.ok();
        let call = "insert into spend_logs (day, event_id, request_id, call_id, call_type, user_id, model, model_group,
                 deployment_id, provider, api_base, started_at, ended_at, prompt_tokens, completion_tokens, total_tokens,
                 usage_source, price_state, cost_nano_usd, ending, success, status, tags, data_plane_id)
             values ('2026-01-01', gen_random_uuid(), 'r', 'c', 'chat', 'u1', 'm', 'm', 'd', 'p', 'b', '2026-01-01',
                 '2026-01-01', 1, 1, 2, 'none', 'known', 1, 'complete', true, 200, '{called,blue}', 'dp')";
        sqlx::query(call).execute(&world.db()).await.unwrap();
        let list = world.get_as(&own, "/tag/list").await.ok();
        assert_eq!(names(&list), ["blue", "called", "loose"]);
        assert_eq!((&list[0]["description"], list[0].get("spend")), (&json!("d"), None));
        assert!(list[0].get("litellm_budget_table").is_none() && list[0]["models"].is_null());
        assert_eq!(names(&world.get_as(&own, "/tag/list?start_date=2026-01-02").await.ok()), ["blue", "loose"]);
        assert_eq!(names(&world.get_as(&other, "/tag/list").await.ok()), ["theirs"]);
        let viewer = world.user("v", "proxy_admin_viewer").await;
        assert_eq!(names(&world.get_as(&viewer, "/tag/list").await.ok()), ["blue", "red"]);
    }
}
