//! Whatever somebody who is no proxy admin says of a key, it gives nothing that the key with which they ask does not have:
//! each role, each endpoint, each field, and fields together by chance. What is more and what is less is written down here
//! anew, by field, and not taken from the rules.

use std::collections::BTreeSet;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Map, Value, json};

use crate::fixture::World;
use crate::http::fields::{Field, Shape};
use crate::keys::fields::{COLUMNS, KEPT, MAKING, METADATA};

/// Requests with several fields, of each role at each endpoint.
const BY_CHANCE: usize = 60;

/// What the key of each caller is held to.
fn restricted() -> Value {
    json!({
        "models": ["a", "b-*"], "max_budget": 5, "budget_duration": "7d", "rpm_limit": 5, "tpm_limit": 50,
        "max_parallel_requests": 2, "duration": "30d", "tags": ["t"], "guardrails": ["g"], "enforced_params": ["user"],
        "policies": ["p"], "denied_passthrough_routes": ["/d"], "prompts": ["q"], "model_rpm_limit": {"a": 1},
        "model_tpm_limit": {"a": 10}, "tag_rpm_limit": {"t": 1}, "mcp_rpm_limit": {"m": 1}, "tpd_limit": 500,
        "rpm_limit_type": "guaranteed_throughput", "tpm_limit_type": "guaranteed_throughput",
        "budget_limits": [{"budget_duration": "1d", "max_budget": 1}], "project_id": "pr", "agent_id": "ag",
        "model_max_budget": {"a": {"max_budget": 1, "budget_duration": "1d"}}, "allowed_cache_controls": ["no-cache"],
        "object_permission": {"agents": ["x"]}, "end_user_budget_id": "e", "allowed_vector_store_indexes": ["v"],
    })
}

fn fields() -> impl Iterator<Item = &'static Field> {
    [MAKING, COLUMNS, METADATA, KEPT].into_iter().flatten()
}

/// Values of a field: less, more, nothing, and such as nobody can have.
fn values(field: &Field) -> Vec<Value> {
    let durations = || vec![json!("1s"), json!("7d"), json!("200h"), json!("36500d"), json!("-1"), json!("soon")];
    let mut values = match (field.name, field.shape) {
        ("duration" | "budget_duration" | "rotation_interval" | "temp_budget_expiry", _) => durations(),
        ("models", _) => vec![json!([]), json!(["a"]), json!(["b-1"]), json!(["*"]), json!(["all-proxy-models"])],
        ("user_id", _) => vec![json!("caller"), json!("root"), json!("stranger"), json!("")],
        ("team_id", _) => vec![json!("t"), json!("other"), json!("none"), json!("")],
        ("budget_id", _) => vec![json!("wide"), json!("tight"), json!("none"), json!("")],
        ("tags", _) => vec![json!([]), json!(["t", "u"]), json!(["u"])],
        ("key" | "key_alias", _) => return vec![json!("x"), json!(""), json!("../x")],
        ("metadata", _) => {
            let widening = ["throttle_on_budget_exceeded", "allow_client_mock_response", "temp_budget_increase"];
            let all = widening.into_iter().chain(METADATA.iter().map(|field| field.name));
            let mut values = vec![json!({}), json!({"free": 1}), json!({"allow_litellm_changed_by_header": true})];
            values.extend(all.map(|name| json!({name: ["more"]})));
            values
        }
        (_, Shape::Text) => vec![json!("x"), json!("")],
        (_, Shape::Texts) => vec![json!([]), json!(["x"]), json!(["g", "user", "p", "/d", "q", "no-cache", "v"])],
        (_, Shape::Whole) => vec![json!(0), json!(1), json!(1_000_000), json!(-1)],
        (_, Shape::Number | Shape::Usd) => vec![json!(0), json!(1), json!(1e6), json!(-1)],
        (_, Shape::Truth) => vec![json!(true), json!(false)],
        (_, Shape::Choice(words)) => words.iter().map(|word| json!(word)).collect(),
        (_, Shape::Objects) => vec![json!([]), json!([{"budget_duration": "1h", "max_budget": 1e6}])],
        (_, Shape::TextMap) => vec![json!({}), json!({"x": "secret"})],
        (_, Shape::Object | Shape::Any) => {
            vec![json!({}), json!({"a": 1_000}), json!({"a": {"max_budget": 1e6, "budget_duration": "1h"}})]
        }
    };
    values.push(Value::Null);
    values
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// What of a key gives more than the key that asked has.
fn more_than(own: &Value, key: &Value, caller: &str) -> Vec<String> {
    let mut more = Vec::new();
    let mut is_more = |name: &str, is_more: bool| {
        if is_more {
            more.push(format!("{name}: {} beside {}", place(key, name), place(own, name)));
        }
    };
    for name in ["max_budget", "rpm_limit", "tpm_limit", "max_parallel_requests", "tpd_limit"] {
        // What a key has not itself, it has from the budget that it shares.
        let shared = |of: &Value| of["litellm_budget_table"][name].as_f64();
        let limit = |of: &Value| place(of, name).as_f64().or_else(|| shared(of)).unwrap_or(f64::INFINITY);
        is_more(name, limit(key) > limit(own));
    }
    let window = match &key["budget_duration"] {
        Value::Null => &key["litellm_budget_table"]["budget_duration"],
        own => own,
    };
    is_more("budget_duration", !window.is_null() && *window != own["budget_duration"]);
    let end = |of: &Value| of["expires"].as_str().unwrap_or("9999").to_owned();
    is_more("expires", end(key) > end(own));
    let models = texts(&key["models"]);
    is_more("models", models.is_empty() || !models.iter().all(|model| ["a", "b-*", "b-1"].contains(model)));
    for name in ["tags", "guardrails", "enforced_params", "policies", "denied_passthrough_routes"] {
        is_more(name, !texts(place(own, name)).iter().all(|one| texts(place(key, name)).contains(one)));
    }
    for name in ["prompts", "allowed_cache_controls"] {
        let list = texts(place(key, name));
        is_more(name, list.is_empty() || !list.iter().all(|one| texts(place(own, name)).contains(one)));
    }
    for name in [
        "model_rpm_limit",
        "model_tpm_limit",
        "tag_rpm_limit",
        "mcp_rpm_limit",
        "rpm_limit_type",
        "tpm_limit_type",
        "budget_limits",
        "model_max_budget",
        "project_id",
        "agent_id",
        "object_permission",
        "end_user_budget_id",
        "allowed_vector_store_indexes",
        "organization_id",
    ] {
        is_more(name, place(key, name) != place(own, name));
    }
    for name in [
        "temp_budget_increase",
        "temp_budget_expiry",
        "throttle_on_budget_exceeded",
        "allow_client_mock_response",
        "allow_litellm_changed_by_header",
        "disable_global_guardrails",
        "allowed_passthrough_routes",
    ] {
        is_more(name, ![json!(null), json!(false), json!([]), json!("")].contains(place(key, name)));
    }
    is_more("permissions", key["permissions"] != json!({}));
    is_more("config", key["config"] != json!({}));
    is_more("access_group_ids", key["access_group_ids"] != json!([]));
    is_more("spend", key["spend"] != 0.0);
    is_more("key_type", key["key_type"] == "management");
    // Somebody else's calls models and does not act as them; nobody's makes and changes nothing.
    let is_others = !key["user_id"].is_null() && key["user_id"] != caller;
    is_more("user_id", is_others && key["allowed_routes"] != json!(["llm_api_routes"]));
    is_more("team_id", !key["team_id"].is_null() && key["team_id"] != "t");
    more
}

/// A field of a key as the API shows it: one of its own, or in its metadata.
fn place<'a>(key: &'a Value, name: &str) -> &'a Value {
    match METADATA.iter().any(|field| field.name == name) || key.get(name).is_none() {
        true => &key["metadata"][name],
        false => &key[name],
    }
}

struct Caller {
    role: &'static str,
    /// The value of the key with which they ask.
    key: String,
    own: Value,
}

/// A world with a team, a user who is this in it, and a key of theirs that is held to everything.
async fn world_of(role: &'static str) -> (World, Caller) {
    let world = World::new().await;
    let global = if role == "viewer" { "internal_user_viewer" } else { "internal_user" };
    world.user("caller", global).await;
    world.user("root", "proxy_admin").await;
    for (id, most) in [("wide", 1e6), ("tight", 1.0)] {
        let budget = json!({"budget_id": id, "max_budget": most, "rpm_limit": most, "budget_duration": "1h"});
        world.post("/budget/new", budget).await.ok();
    }
    world.post("/team/new", json!({"team_id": "other"})).await.ok();
    let standing = if role == "team admin" { "admin" } else { "user" };
    let roster = json!([{"role": standing, "user_id": "caller"}, {"role": "user", "user_id": "root"}]);
    let granted = ["/key/generate", "/key/update", "/key/regenerate", "/key/service-account/generate"];
    let roster = if role == "owner" { json!([]) } else { roster };
    let team = json!({"team_id": "t", "members_with_roles": roster, "team_member_permissions": granted});
    world.post("/team/new", team).await.ok();
    let mut held = restricted();
    held["user_id"] = json!("caller");
    if role != "owner" {
        held["team_id"] = json!("t");
    }
    let own = world.post("/key/generate", held).await.ok();
    let key = own["key"].as_str().unwrap().to_owned();
    (world, Caller { role, key, own })
}

/// Requests with one field each, and then with several.
fn requests(rng: &mut StdRng) -> Vec<Map<String, Value>> {
    let alone = fields().flat_map(|field| values(field).into_iter().map(|value| (field.name, value)));
    let mut requests: Vec<_> = alone.map(|(name, value)| Map::from_iter([(name.to_owned(), value)])).collect();
    let all: Vec<&Field> = fields().collect();
    for _ in 0..BY_CHANCE {
        let count = rng.random_range(2..=6);
        let pick = |rng: &mut StdRng| {
            let field = all.choose(rng).unwrap();
            (field.name.to_owned(), values(field).choose(rng).unwrap().clone())
        };
        requests.push((0..count).map(|_| pick(rng)).collect());
    }
    requests
}

async fn nothing_is_widened(role: &'static str) {
    let (world, caller) = world_of(role).await;
    let mut rng = StdRng::seed_from_u64(20_261_121);
    let mut done = BTreeSet::new();
    // One that they made with it, and so may change.
    let mine = world.post_as(&caller.key, "/key/generate", json!({"team_id": caller.own["team_id"]})).await;
    let mut mine = mine.body["key"].as_str().map(str::to_owned);
    for path in ["/key/generate", "/key/service-account/generate", "/key/update", "/key/regenerate", "/key/bulk_update"]
    {
        for mut request in requests(&mut rng) {
            let asked = Value::Object(request.clone());
            let body = match (path, &mine) {
                ("/key/generate", _) => asked.clone(),
                ("/key/service-account/generate", _) => {
                    request.entry("team_id").or_insert_with(|| json!("t"));
                    Value::Object(request)
                }
                (_, mine) => {
                    request.insert("key".to_owned(), json!(mine.as_ref().unwrap_or(&caller.key)));
                    match path {
                        "/key/bulk_update" => json!({"keys": [request]}),
                        _ => Value::Object(request),
                    }
                }
            };
            let answer = world.post_as(&caller.key, path, body).await;
            assert!(matches!(answer.status, 200 | 400 | 401 | 403 | 404 | 422), "{role} {path} {asked}: {answer:?}");
            if answer.status != 200 {
                continue;
            }
            done.insert(path);
            let more = more_than(&caller.own, &answer.body, "caller");
            assert!(more.is_empty(), "{role} {path} {asked} gives more: {more:#?}");
            if path == "/key/regenerate" {
                mine = answer.body["key"].as_str().map(str::to_owned);
            }
        }
    }
    let expected = match caller.role {
        "viewer" => vec![],
        "team admin" => vec!["/key/generate", "/key/regenerate", "/key/service-account/generate", "/key/update"],
        _ => vec!["/key/generate", "/key/regenerate", "/key/update"],
    };
    assert_eq!(Vec::from_iter(done), expected, "where requests of a {role} did something");
}

#[tokio::test]
async fn an_owner_widens_no_right_by_any_field_of_a_key() {
    nothing_is_widened("owner").await;
}

#[tokio::test]
async fn a_team_admin_widens_no_right_by_any_field_of_a_key() {
    nothing_is_widened("team admin").await;
}

#[tokio::test]
async fn a_team_member_widens_no_right_by_any_field_of_a_key() {
    nothing_is_widened("team member").await;
}

#[tokio::test]
async fn a_viewer_makes_and_changes_no_key() {
    nothing_is_widened("viewer").await;
}

#[tokio::test]
async fn a_request_that_nobody_can_make_is_refused_and_changes_nothing() {
    let world = World::new().await;
    let key = world.key(json!({})).await;
    let odd = || {
        let plain = [json!({}), json!([]), json!(""), json!("x"), json!(-1), json!(1e300), json!(1.5), json!(true)];
        plain.into_iter().chain([json!([[]]), json!("\0"), json!({"x": {"y": []}}), json!("-1d"), json!(i64::MIN)])
    };
    for path in ["/key/generate", "/key/update"] {
        for (field, value) in fields().flat_map(|field| odd().map(move |value| (field, value))) {
            let mut body = json!({field.name: value});
            if path == "/key/update" {
                body["key"] = json!(key);
            }
            let before = (world.revision().await, world.count("audit_log").await);
            let answer = world.post(path, body.clone()).await;
            assert!(matches!(answer.status, 200 | 400 | 422), "{path} {body}: {answer:?}");
            if answer.status != 200 {
                let after = (world.revision().await, world.count("audit_log").await);
                assert_eq!(before, after, "{path} {body}");
            }
        }
    }
}
