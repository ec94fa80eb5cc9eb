//! `GET /spend/logs`.

use axum::Json;
use axum::extract::State;
use http::HeaderMap;
use http::header::HeaderValue;
use proto::KeyHash;
use serde::Serialize;
use serde_json::Value;
use sqlx::PgConnection;
use time::Date;
use time::macros::format_description;
use utoipa::ToSchema;

use crate::access::{AccessError, Actor, MASTER_KEY_ALIAS, Permission, Subject};
use crate::app::App;
use crate::error::SpendStyle;
use crate::http::fields::{Field, Form, Issue, Request, Shape, optional};
use crate::http::query::Query;
use crate::spend::log::{self, Filter, ROWS};
use crate::spend::view::CallView;
use crate::spend::{SpendError, summary};
use crate::teams;

/// Most days of a summary.
const DAYS: i64 = 3_660;

/// Which calls to show, and how.
#[derive(Debug)]
pub(super) struct Wanted {
    api_key: Option<String>,
    user_id: Option<String>,
    team_id: Option<String>,
    request_id: Option<String>,
    start_date: Option<String>,
    end_date: Option<String>,
    summarize: bool,
}

impl Request for Wanted {
    const NAME: &'static str = "WantedSpend";
    const FIELDS: &'static [&'static [Field]] = &[&[
        optional("api_key", Shape::Text, "Calls with this key: its value or its hash."),
        optional("user_id", Shape::Text, "Calls of this user."),
        optional("team_id", Shape::Text, "Calls of this team."),
        optional("request_id", Shape::Text, "The call with this id: the answer's, or `x-litellm-call-id`."),
        optional("start_date", Shape::Text, "From this day, `YYYY-MM-DD`, UTC."),
        optional("end_date", Shape::Text, "To the beginning of this day, `YYYY-MM-DD`, UTC."),
        optional("summarize", Shape::Truth, "With both dates: sums by day (default), or the calls."),
    ]];

    fn read(mut form: Form) -> Result<Self, Vec<Issue>> {
        Ok(Self {
            api_key: form.take("api_key").given(),
            user_id: form.take("user_id").given(),
            team_id: form.take("team_id").given(),
            request_id: form.take("request_id").given(),
            start_date: form.take("start_date").given(),
            end_date: form.take("end_date").given(),
            summarize: form.take("summarize").given().unwrap_or(true),
        })
    }
}

type WantedSpend = Query<Wanted>;

/// Calls, or days: `{startTime, spend, users, models}`, beside which each key's hash is a name of its own.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum SpendLogs {
    Calls(Vec<CallView>),
    #[schema(value_type = Vec<Object>)]
    Days(Vec<Value>),
}

/// Shows calls, newest first, up to 10,000; or, with both dates, sums by day. Who is no admin sees their own.
#[utoipa::path(
    get,
    path = "/spend/logs",
    tag = "spend",
    params(WantedSpend),
    responses((status = 200, body = SpendLogs), crate::error::Refusals),
)]
pub(super) async fn logs(
    State(app): State<App>,
    actor: Actor,
    Query(wanted): WantedSpend,
) -> Result<(HeaderMap, Json<SpendLogs>), SpendStyle> {
    actor.may(Permission::ReadSpend, &Subject::Anything)?;
    let mut filter = Filter {
        request_id: wanted.request_id,
        key_hash: None,
        master_key: wanted.api_key.as_deref() == Some(MASTER_KEY_ALIAS),
        user_id: wanted.user_id,
        team_id: wanted.team_id,
        from: wanted.start_date.map(|text| day("start_date", text)).transpose()?,
        to: wanted.end_date.map(|text| day("end_date", text)).transpose()?,
    };
    if let Some(text) = wanted.api_key.as_deref().filter(|text| *text != MASTER_KEY_ALIAS) {
        let hash = if text.starts_with("sk-") { Some(KeyHash::of(text)) } else { text.parse().ok() };
        let Some(hash) = hash else { return Ok((HeaderMap::new(), Json(SpendLogs::Calls(Vec::new())))) };
        filter.key_hash = Some(hash);
    }
    let mut db = app.db.acquire().await?;
    narrow(&mut db, &mut filter, &actor).await?;

    if let (Some(from), Some(to), true) = (filter.from, filter.to, wanted.summarize) {
        if (to - from).whole_days() > DAYS {
            return Err(SpendError::TooManyDays { most: DAYS }.into());
        }
        let days = log::days(&mut db, &filter).await?;
        return Ok((HeaderMap::new(), Json(SpendLogs::Days(summary::by_day(days, to)))));
    }
    let rows = log::rows(&mut db, &filter).await?;
    let mut headers = HeaderMap::new();
    if rows.len() >= ROWS {
        headers.insert("x-litellm-spend-logs-truncated", HeaderValue::from_static("true"));
    }
    Ok((headers, Json(SpendLogs::Calls(rows.into_iter().map(CallView::of).collect()))))
}

/// Keeps who is no admin to their own calls, or to those of a team that lets them.
async fn narrow(db: &mut PgConnection, filter: &mut Filter, actor: &Actor) -> Result<(), AccessError> {
    if actor.sees_all() {
        return Ok(());
    }
    if let Some(team_id) = &filter.team_id
        && let Some(team) = teams::find(db, team_id).await?
        && actor.may(Permission::ReadSpend, &Subject::Team(&team)).is_ok()
    {
        return Ok(());
    }
    match (&actor.user_id, actor.key_hash()) {
        (Some(user_id), _) => filter.user_id = Some(user_id.clone()),
        (None, Some(own)) if filter.key_hash.is_none_or(|hash| hash == own) => filter.key_hash = Some(own),
        (None, _) => return Err(AccessError::Forbidden("You may see only the spend of your own key.".to_owned())),
    }
    Ok(())
}

fn day(field: &'static str, text: String) -> Result<Date, SpendError> {
    match Date::parse(&text, format_description!("[year]-[month]-[day]")) {
        Ok(day) => Ok(day),
        Err(_) => Err(SpendError::Day { field, text }),
    }
}

#[cfg(test)]
mod tests {
    use proto::KeyHash;
    use serde_json::{Value, json};

    use crate::fixture::World;

    struct Booked<'a> {
        at: &'a str,
        key: Option<&'a str>,
        user: Option<&'a str>,
        team: Option<&'a str>,
        nanos: i64,
    }

    async fn book(world: &World, request: &str, booked: Booked<'_>) {
        sqlx::query(
            "insert into spend_logs
                 (day, event_id, request_id, call_id, call_type, key_hash, master_key, user_id, team_id, model,
                  model_group, deployment_id, provider, api_base, started_at, ended_at, prompt_tokens,
                  completion_tokens, total_tokens, usage_source, price_state, cost_nano_usd, ending, success, status,
                  data_plane_id)
             values ($1::timestamptz::date, gen_random_uuid(), $2, $2 || '-call', 'acompletion', $3, $3 is null, $4, $5,
                     'gpt-4o', 'smart', 'd1', 'openai', 'https://api', $1::timestamptz, $1::timestamptz + interval '1 s',
                     10, 5, 15, 'reported', 'known', $6, 'complete', true, 200, 'dp')",
        )
        .bind(booked.at)
        .bind(request)
        .bind(booked.key.map(|key| KeyHash::of(key).as_bytes().to_vec()))
        .bind(booked.user)
        .bind(booked.team)
        .bind(booked.nanos)
        .execute(&world.db())
        .await
        .unwrap();
    }

    async fn requests(world: &World, key: Option<&str>, query: &str) -> Vec<Value> {
        let path = format!("/spend/logs?{query}");
        let answer = match key {
            Some(key) => world.get_as(key, &path).await,
            None => world.get(&path).await,
        };
        answer.ok().as_array().unwrap().iter().map(|row| row["request_id"].clone()).collect()
    }

    async fn with_calls() -> (World, String) {
        let world = World::new().await;
        let key = world.user("u1", "internal_user").await;
        let (user, team) = (Some("u1"), Some("t1"));
        book(&world, "r1", Booked { at: "2025-01-02T10:00Z", key: Some(&key), user, team, nanos: 500_000_000 }).await;
        book(&world, "r2", Booked { at: "2025-01-03T10:00Z", key: None, user: Some("u2"), team: None, nanos: 1 }).await;
        (world, key)
    }

    #[tokio::test]
    async fn calls_are_found_by_every_filter_newest_first() {
        let (world, key) = with_calls().await;
        assert_eq!(requests(&world, None, "").await, ["r2", "r1"]);
        let by_hash = format!("api_key={}", KeyHash::of(&key));
        let by_key = format!("api_key={key}");
        for query in [
            "request_id=r1",
            "request_id=r1-call",
            &by_hash,
            &by_key,
            "user_id=u1",
            "team_id=t1",
            "end_date=2025-01-03",
            "start_date=2025-01-02&end_date=2025-01-03&summarize=false",
        ] {
            assert_eq!(requests(&world, None, query).await, ["r1"], "{query}");
        }
        assert_eq!(requests(&world, None, "api_key=litellm_proxy_master_key").await, ["r2"]);
        assert_eq!(requests(&world, None, "start_date=2025-01-03").await, ["r2"]);
        assert_eq!(requests(&world, None, "api_key=nonsense").await, [Value::Null; 0]);
    }

    #[tokio::test]
    async fn a_call_has_litellms_names_and_ours_apart() {
        let (world, key) = with_calls().await;
        let row = world.get("/spend/logs?request_id=r1").await.ok()[0].clone();
        assert_eq!((&row["spend"], &row["api_key"]), (&json!(0.5), &json!(KeyHash::of(&key).to_string())));
        assert_eq!((&row["startTime"], &row["status"]), (&json!("2025-01-02T10:00:00Z"), &json!("success")));
        assert_eq!((&row["user"], &row["request_duration_ms"]), (&json!("u1"), &json!(1_000)));
        assert_eq!(row["metadata"]["user_api_key_team_id"], "t1");
        assert_eq!(
            (&row["turnpike"]["price_state"], &row["turnpike"]["ending"]),
            (&json!("known"), &json!("complete"))
        );
    }

    #[tokio::test]
    async fn both_dates_give_sums_by_day() {
        let (world, key) = with_calls().await;
        let days = world.get("/spend/logs?start_date=2025-01-01&end_date=2025-01-04").await.ok();
        let hash = KeyHash::of(&key).to_string();
        assert_eq!(
            days[0],
            json!({
                "startTime": "2025-01-02", "spend": 0.5, "users": {"u1": 0.5}, "models": {"gpt-4o": 0.5}, hash: 0.5,
            })
        );
        assert_eq!(days[1]["litellm_proxy_master_key"], 1e-9);
        assert_eq!((&days[2]["startTime"], &days[2]["spend"]), (&json!("2025-01-04"), &json!(0.0)));
        assert_eq!(days.as_array().unwrap().len(), 3);
    }

    #[tokio::test]
    async fn a_user_sees_their_own_calls_and_a_teams_where_it_lets_them() {
        let (world, key) = with_calls().await;
        let other = world.user("u2", "internal_user").await;
        assert_eq!(requests(&world, Some(&key), "user_id=u2").await, ["r1"]);
        assert_eq!(requests(&world, Some(&other), "request_id=r1").await, [Value::Null; 0]);
        let team = json!({"team_id": "t1", "members_with_roles": [{"user_id": "u2"}], "team_member_permissions": ["/spend/logs"]});
        world.post("/team/new", team).await.ok();
        assert_eq!(requests(&world, Some(&other), "team_id=t1").await, ["r1"]);
        let nobodys = world.key(json!({})).await;
        assert_eq!(requests(&world, Some(&nobodys), "").await, [Value::Null; 0]);
        world.get_as(&nobodys, &format!("/spend/logs?api_key={key}")).await.refused(403);
    }

    #[tokio::test]
    async fn what_is_no_day_is_refused() {
        let (world, _) = with_calls().await;
        for query in ["start_date=yesterday", "end_date=2025-13-01", "start_date=0001-01-01&end_date=9999-01-01"] {
            let error = world.get(&format!("/spend/logs?{query}")).await.refused(400);
            assert_eq!(error["type"], "internal_error", "{query}");
            assert!(error["message"].as_str().unwrap().starts_with("/spend/logs Error"));
        }
        assert_eq!(world.get("/spend/logs?summarize=perhaps").await.issues(), [json!(["query", "summarize"])]);
    }
}
