//! The gate: who comes in at all, from where, to which routes, and what their calls must have.

use std::time::Duration;

use acceptance::client::Client;
use acceptance::config::Deployment;
use acceptance::planes::{Planes, chat};
use acceptance::price::{STORY, Tokens, usd};
use anyhow::ensure;
use serde_json::{Value, json};

use crate::world::{MODEL, priced, running};

const PATH: &str = "/v1/chat/completions";
const WITHIN: Duration = Duration::from_secs(10);

/// A call with more members.
fn call(more: &Value) -> Value {
    let mut call = chat(MODEL, "[[fake prompt=10 completion=5]]");
    call["max_tokens"] = json!(5);
    for (name, value) in more.as_object().into_iter().flatten() {
        call[name] = value.clone();
    }
    call
}

/// What one of these calls costs, in dollars.
fn cost(calls: u64) -> f64 {
    usd(calls * STORY.of(&Tokens { prompt: 10, completion: 5, ..Tokens::default() }))
}

async fn is_refused(client: &Client, call: &Value, status: u16, kind: &str, says: &str) -> anyhow::Result<()> {
    let refusal = client.post(PATH, call).await?.refusal(status)?;
    ensure!(refusal.kind == kind && refusal.message.contains(says), "{refusal:?} instead of {kind}: {says}");
    Ok(())
}

#[tokio::test]
async fn only_listed_addresses_come_in_on_every_port_and_a_trusted_proxy_is_believed() -> anyhow::Result<()> {
    let (provider, config) = priced()?;
    let config = config.general("use_x_forwarded_for", json!(true)).general("x_forwarded_for_hops", json!(1));
    let planes = Planes::start(&config, 1).await?;
    let key = planes.new_key(json!({})).await?;
    let client = planes.at(0, &key);
    let forwarded = |client: &Client, addresses: &str| client.with_header("x-forwarded-for", addresses);
    client.post(PATH, &call(&json!({}))).await?.ok()?;

    // The first address has to be that of whoever adds it.
    let admin = planes.admin();
    let office = forwarded(&admin, "192.0.2.7");
    let lockout = admin.post("/add/allowed_ip", &json!({ "ip": "192.0.2.0/24" })).await?;
    ensure!(lockout.status == 400, "{lockout}");
    client.post(PATH, &call(&json!({}))).await?.ok()?;
    office.post("/add/allowed_ip?wait=applied", &json!({ "ip": "192.0.2.0/24" })).await?.ok()?;

    is_refused(&client, &call(&json!({})), 403, "auth_error", "IP address 127.0.0.1 not allowed.").await?;
    let lie = forwarded(&client, "192.0.2.7, 203.0.113.9");
    is_refused(&lie, &call(&json!({})), 403, "auth_error", "IP address 203.0.113.9 not allowed.").await?;
    let master = planes.data[0].client().with_key(planes.master_key());
    is_refused(&master, &call(&json!({})), 403, "auth_error", "Access forbidden").await?;
    for stranger in [&admin, &master] {
        ensure!(stranger.get("/key/list").await?.refusal(403)?.message.contains("127.0.0.1"), "on {}", stranger.base());
    }
    ensure!(client.get("/v1/models").await?.status == 403);
    forwarded(&client, "6.6.6.6, 192.0.2.9").post(PATH, &call(&json!({}))).await?.ok()?;
    // Through a data plane, the control plane hears of the same address.
    forwarded(&master, "192.0.2.9").get("/get/allowed_ips").await?.ok()?;
    master.get("/health/liveliness").await?.ok()?;
    planes.booked(3, WITHIN).await?;

    office.post("/delete/allowed_ip?wait=applied", &json!({ "ip": "192.0.2.0/24" })).await?.ok()?;
    client.post(PATH, &call(&json!({}))).await?.ok()?;
    ensure!(provider.ledger().len() == 4, "a refused call reached the provider");
    planes.end()
}

#[tokio::test]
async fn calls_must_have_what_the_operator_the_team_and_the_key_ask_for() -> anyhow::Result<()> {
    let (provider, config) = priced()?;
    let config = config
        .general("enforced_params", json!(["user"]))
        .general("service_account_settings", json!({ "enforced_params": ["metadata.generation_name"] }))
        .litellm("blocked_user_list", json!(["mallory"]))
        .general("user_header_mappings", json!([{ "header_name": "X-Who", "litellm_user_role": "customer" }]));
    let planes = Planes::start(&config, 1).await?;
    let admin = planes.admin();
    admin
        .post("/team/new?wait=applied", &json!({ "team_id": "t", "enforced_params": ["metadata.cost.centre"] }))
        .await?
        .ok()?;
    let plain = planes.at(0, &planes.new_key(json!({})).await?);
    let own = planes.at(0, &planes.new_key(json!({ "enforced_params": ["seed"] })).await?);
    let of_team = planes.at(0, &planes.new_key(json!({ "team_id": "t" })).await?);
    let robot = json!({ "team_id": "t", "key_alias": "robot" });
    let made = admin.post("/key/service-account/generate?wait=applied", &robot).await?.ok()?;
    let service = planes.data[0].client().with_key(made["key"].as_str().unwrap_or_default());

    let lacks = |name: &str| format!("BadRequest please pass param={name} in request body. This is a required param");
    let user = json!({ "user": "ada" });
    for client in [&plain, &own, &of_team, &service] {
        is_refused(client, &call(&json!({})), 401, "auth_error", &lacks("user")).await?;
    }
    plain.post(PATH, &call(&user)).await?.ok()?;
    is_refused(&own, &call(&user), 401, "auth_error", &lacks("seed")).await?;
    is_refused(&of_team, &call(&user), 401, "auth_error", &lacks("[metadata][cost][centre]")).await?;
    is_refused(&service, &call(&user), 401, "auth_error", &lacks("[metadata][generation_name]")).await?;
    own.post(PATH, &call(&json!({ "user": "ada", "seed": 1 }))).await?.ok()?;
    let metadata = json!({ "generation_name": "g", "cost": { "centre": null } });
    service.post(PATH, &call(&json!({ "user": "ada", "metadata": metadata }))).await?.ok()?;

    // Blocked wherever they are named: in the body, or in the operator's own header.
    let says = "User blocked from making LLM API Calls. User=mallory";
    is_refused(&plain, &call(&json!({ "user": "mallory" })), 400, "invalid_request_error", says).await?;
    let by_header = plain.with_header("x-who", "mallory");
    is_refused(&by_header, &call(&user), 400, "invalid_request_error", says).await?;
    ensure!(provider.ledger().len() == 3, "a refused call reached the provider");
    planes.end()
}

#[tokio::test]
async fn routes_are_open_closed_public_and_for_admins_by_path_and_by_group() -> anyhow::Result<()> {
    let (_provider, config) = priced()?;
    let open = ["LiteLLMRoutes.llm_api_routes", "/key/*", "/user/new", "/model/info"];
    let config = config
        .general("allowed_routes", json!(open))
        .general("public_routes", json!(["/v1/models", "/model/info"]))
        .general("admin_only_routes", json!(["/v1/embeddings", "/key/generate"]));
    let planes = Planes::start(&config, 1).await?;
    let admin = planes.admin();
    let made = admin.post("/user/new?wait=applied", &json!({ "user_id": "ada", "user_role": "internal_user" })).await?;
    let made = made.ok()?;
    let ada = planes.data[0].client().with_key(made["key"].as_str().unwrap_or_default());

    ada.post(PATH, &call(&json!({}))).await?.ok()?;
    let vectors = json!({ "model": crate::world::EMBEDDING, "input": "hello" });
    let says = "user not allowed to access this route. Route=/v1/embeddings is an admin only route";
    ensure!(ada.post("/v1/embeddings", &vectors).await?.refusal(403)?.message == says);
    planes.data[0].client().with_key(planes.master_key()).post("/v1/embeddings", &vectors).await?.ok()?;
    let refusal = ada.post("/key/generate", &json!({})).await?.refusal(403)?;
    ensure!(refusal.message.contains("Route=/key/generate is an admin only route"), "{refusal:?}");
    let closed = admin.get("/team/list").await?.refusal(403)?;
    ensure!(closed.message == "Access forbidden: Route /team/list not allowed", "{closed:?}");

    let nobody = planes.data[0].client();
    ensure!(nobody.get("/v1/models").await?.ok()?["data"].as_array().is_some_and(|models| !models.is_empty()));
    nobody.get("/model/info").await?.ok()?;
    nobody.get("/key/info").await?.refusal(401)?;
    nobody.post(PATH, &call(&json!({}))).await?.refusal(401)?;

    let reader = planes.at(0, &planes.new_key(json!({ "allowed_routes": ["LiteLLMRoutes.info_routes"] })).await?);
    reader.get("/v1/models").await?.ok()?;
    reader.post(PATH, &call(&json!({}))).await?.refusal(403)?;
    let caller = planes.at(0, &planes.new_key(json!({ "allowed_routes": ["openai_routes"] })).await?);
    caller.post(PATH, &call(&json!({}))).await?.ok()?;
    planes.end()
}

#[tokio::test]
async fn a_customer_has_a_model_for_calls_that_name_none_and_a_region() -> anyhow::Result<()> {
    let (provider, config) = priced()?;
    let config = config
        .deployment(Deployment::on("here", "openai/story-large", &provider).param("region_name", json!("eu-west-1")));
    let planes = Planes::start(&config, 1).await?;
    let admin = planes.admin();
    let made = async |body: Value| admin.post("/customer/new?wait=applied", &body).await?.ok();
    made(json!({ "user_id": "ada", "default_model": "here", "allowed_model_region": "eu" })).await?;
    let client = planes.at(0, &planes.new_key(json!({})).await?);
    let mut without_model = call(&json!({ "user": "ada" }));
    without_model.as_object_mut().map(|call| call.remove("model"));
    client.post(PATH, &without_model).await?.ok()?;
    is_refused(&client, &call(&json!({ "user": "ada" })), 403, "customer_model_access_denied", "region `eu`").await?;
    client.post(PATH, &call(&json!({ "user": "bob" }))).await?.ok()?;
    without_model["user"] = json!("bob");
    client.post(PATH, &without_model).await?.refusal(400)?;
    planes.end()
}

#[tokio::test]
async fn answers_say_what_the_key_spent_and_may_spend() -> anyhow::Result<()> {
    let (_provider, planes) = running(1).await?;
    let wishes = json!({ "max_budget": cost(10), "model_rpm_limit": { MODEL: 3 } });
    let client = planes.at(0, &planes.new_key(wishes).await?);
    for (calls, left) in [(1, "2"), (2, "1")] {
        let reply = client.post(PATH, &call(&json!({}))).await?;
        reply.ok()?;
        let shown = |name: &str| anyhow::Ok(json!(reply.must_have(name)?.parse::<f64>()?));
        ensure!(shown("x-litellm-key-spend")? == json!(cost(calls)), "{:?}", reply.headers);
        ensure!(shown("x-litellm-key-max-budget")? == json!(cost(10)), "{:?}", reply.headers);
        ensure!(reply.must_have(&format!("x-litellm-key-remaining-requests-{MODEL}"))? == left);
    }
    planes.booked(2, WITHIN).await?;
    let free = planes.at(0, &planes.new_key(json!({})).await?);
    let reply = free.post(PATH, &call(&json!({}))).await?;
    ensure!(reply.header("x-litellm-key-spend").is_none(), "nobody counts what has no budget");
    planes.end()
}
