//! Who is let in, over the whole way.

use proto::KeyHash;
use serde_json::json;

use super::MasterKey;
use crate::fixture::World;

async fn with_bearer(world: &World, key: &str) -> (u16, serde_json::Value) {
    let answer = world.get_as(key, "/key/info").await;
    (answer.status, answer.body["error"].clone())
}

#[tokio::test]
async fn nobody_comes_in_without_a_key_that_is_one() {
    let world = World::new().await;
    let key = world.key(json!({})).await;
    let error = world.call("GET", "/key/info", &[], "").await.refused(401);
    assert_eq!(error["message"], "Authentication Error, No api key passed in.");
    let error = world.call("GET", "/key/info", &[("authorization", &key)], "").await.refused(401);
    assert!(error["message"].as_str().unwrap().starts_with("Authentication Error, Malformed API Key passed in."));

    let hash = KeyHash::of(&key).to_string();
    let (status, error) = with_bearer(&world, &hash).await;
    assert_eq!((status, &error["type"]), (401, &json!("auth_error")), "a hash is no credential");
    assert!(error["message"].as_str().unwrap().contains("expected to start with 'sk-'"));
    assert!(!error["message"].as_str().unwrap().contains(&hash));

    let (status, error) = with_bearer(&world, "sk-nobody-knows-this-one").await;
    assert_eq!((status, &error["type"], &error["param"]), (401, &json!("token_not_found_in_db"), &json!("key")));
    assert!(error["message"].as_str().unwrap().contains("Received API Key = sk-...-one, Key Hash (Token) ="));
}

#[tokio::test]
async fn an_expired_key_and_a_key_of_a_blocked_team_are_refused_in_their_own_words() {
    let world = World::new().await;
    world.post("/team/new", json!({"team_id": "t"})).await.ok();
    let (old, of_team) = (world.key(json!({"duration": "30d"})).await, world.key(json!({"team_id": "t"})).await);
    sqlx::query("update keys set expires_at = '2025-01-01Z' where expires_at is not null")
        .execute(&world.db())
        .await
        .unwrap();
    let (status, error) = with_bearer(&world, &old).await;
    assert_eq!((status, &error["type"]), (401, &json!("expired_key")));
    let message = error["message"].as_str().unwrap();
    assert!(message.starts_with("Authentication Error - Expired Key. Key Expiry time 2025-01-01 00:00:00+00:00"));
    assert_eq!(error["param"], format!("sk-...{}", &old[31..]));

    world.post("/team/block", json!({"team_id": "t"})).await.ok();
    let (status, error) = with_bearer(&world, &of_team).await;
    assert_eq!((status, &error["type"]), (401, &json!("auth_error")));
    assert!(error["message"].as_str().unwrap().contains("Team=t is blocked"));
}

#[tokio::test]
async fn a_key_calls_only_the_routes_on_its_list() {
    let world = World::new().await;
    let key = world.key(json!({"key_type": "read_only"})).await;
    world.get_as(&key, "/key/info").await.ok();
    let answer = world.post_as(&key, "/key/generate", json!({})).await;
    assert_eq!(answer.status, 403);
    let detail = answer.body["detail"].as_str().unwrap();
    assert!(detail.contains("Only allowed to call routes: [\"info_routes\"]. Tried to call route: /key/generate"));
}

#[tokio::test]
async fn the_header_that_the_operator_names_replaces_all_others() {
    let world = World::new().await;
    let key = world.key(json!({})).await;
    sqlx::query(
        "insert into settings (section, origin, value)
         values ('general_settings', 'file', '{\"litellm_key_header_name\": \"X-Our-Key\"}')",
    )
    .execute(&world.db())
    .await
    .unwrap();
    world.get_as(&key, "/key/info").await.refused(401);
    let bearer = format!("Bearer {key}");
    world.call("GET", "/key/info", &[("x-our-key", &bearer)], "").await.ok();
}

#[tokio::test]
async fn a_user_who_is_a_proxy_admin_may_what_the_master_key_may_and_a_viewer_may_look() {
    let world = World::new().await;
    let (admin, viewer) = (world.user("a", "proxy_admin").await, world.user("v", "proxy_admin_viewer").await);
    let team = world.post_as(&admin, "/team/new", json!({"team_id": "t"})).await.ok();
    assert_eq!(team["members_with_roles"][0]["user_id"], "a");
    world.get_as(&viewer, "/team/info?team_id=t").await.ok();
    world.get_as(&viewer, "/fleet").await.ok();
    let error = world.post_as(&viewer, "/team/block", json!({"team_id": "t"})).await.refused(401);
    assert!(error["message"].as_str().unwrap().contains("Your role=proxy_admin_viewer"));
}

#[tokio::test]
async fn without_authentication_everybody_is_an_admin() {
    let world = World::with(MasterKey::NoAuth).await;
    world.call("POST", "/team/new", &[], "{\"team_id\": \"t\"}").await.ok();
    assert_eq!(world.count("audit_log where changed_by = 'default_user_id' and changed_by_key = ''").await, 1);
}

#[tokio::test]
async fn a_named_author_is_believed_only_of_callers_who_may_name_one() {
    let world = World::new().await;
    let plain = world.user("u1", "proxy_admin").await;
    let flagged = world.key(json!({"user_id": "u1", "metadata": {"allow_litellm_changed_by_header": true}})).await;
    let mut authors = Vec::new();
    for (key, team) in [(plain, "t1"), (flagged, "t2")] {
        let bearer = format!("Bearer {key}");
        let headers = [("authorization", bearer.as_str()), ("litellm-changed-by", "terraform")];
        world.call("POST", "/team/new", &headers, json!({"team_id": team}).to_string()).await.ok();
        let author: String = sqlx::query_scalar("select changed_by from audit_log where object_id = $1")
            .bind(team)
            .fetch_one(&world.db())
            .await
            .unwrap();
        authors.push(author);
    }
    assert_eq!(authors, ["u1", "terraform"]);
}

async fn with_settings(settings: serde_json::Value) -> World {
    let world = World::new().await;
    sqlx::query("insert into settings (section, origin, value) values ('general_settings', 'file', $1)")
        .bind(settings)
        .execute(&world.db())
        .await
        .unwrap();
    world
}

#[tokio::test]
async fn closed_routes_are_closed_to_the_master_key_too_and_probes_stay_open() {
    let world = with_settings(json!({"allowed_routes": ["LiteLLMRoutes.key_management_routes", "/user/new"]})).await;
    let key = world.key(json!({})).await;
    world.get_as(&key, "/key/info").await.ok();
    let error = world.get("/team/list").await.refused(403);
    assert_eq!(error["message"], "Access forbidden: Route /team/list not allowed");
    assert_eq!((&error["type"], &error["param"]), (&json!("auth_error"), &json!("None")));
    world.post("/v2/key/info", json!({"keys": [key]})).await.refused(403);
    world.call("GET", "/health/liveliness", &[], "").await.ok();
}

#[tokio::test]
async fn a_route_for_admins_is_theirs_alone_by_path_prefix_or_group() {
    let lists = json!({"admin_only_routes": ["/key/info", "/team/*", "spend_tracking_routes"]});
    let world = with_settings(lists).await;
    let (admin, user) = (world.user("a", "proxy_admin").await, world.user("u", "internal_user").await);
    for route in ["/key/info", "/team/list", "/spend/logs"] {
        world.get_as(&admin, route).await.ok();
        let error = world.get_as(&user, route).await.refused(403);
        let says = format!("user not allowed to access this route. Route={route} is an admin only route");
        assert_eq!((&error["message"], &error["type"]), (&json!(says), &json!("auth_error")));
    }
    world.get_as(&user, "/user/info").await.ok();
}

#[tokio::test]
async fn a_public_route_is_open_to_everybody_and_nothing_is_changed_or_anybodys_on_it() {
    let public = json!({"public_routes": ["/model/info", "/key/*", "/spend/logs", "/user/available_roles"],
        "admin_only_routes": ["/user/available_roles"]});
    let world = with_settings(public).await;
    let key = world.key(json!({})).await;
    let params = json!({"model": "openai/x", "api_key": "sk-of-the-provider"});
    world.post("/model/new", json!({"model_name": "m", "litellm_params": params})).await.ok();
    let shown = world.call("GET", "/model/info", &[], "").await.ok();
    assert!(shown["data"][0]["model_name"] == "m" && !shown.to_string().contains("sk-of-the-provider"), "{shown}");
    world.get_as("sk-nobody-knows-this-one", "/model/info").await.ok();
    world.get_as(&key, "/key/info").await.ok();
    assert_eq!(world.call("GET", &format!("/key/info?key={key}"), &[], "").await.status, 403);
    assert_eq!(world.call("GET", "/spend/logs", &[], "").await.status, 403);
    for path in ["/key/generate", "/key/update", "/key/delete", "/key/block"] {
        let body = json!({"key": key, "keys": [key]}).to_string();
        world.call("POST", path, &[], body).await.refused(401);
    }
    world.call("GET", "/user/available_roles", &[], "").await.refused(403);
    world.call("GET", "/team/list", &[], "").await.refused(401);
    assert_eq!(world.count("keys").await, 1);
}
