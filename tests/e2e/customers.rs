//! Customers and tags: what an admin sets for them holds for calls that name them, whoever's key is used.

use acceptance::client::Client;
use acceptance::planes::chat;
use acceptance::price::{STORY, Tokens, usd};
use anyhow::ensure;
use serde_json::{Value, json};

use crate::world::{MODEL, running};

const PATH: &str = "/v1/chat/completions";

/// A call for a customer, or with a tag, whose cost is known before.
fn call(said: &Value) -> Value {
    let mut call = chat(MODEL, "[[fake prompt=10 completion=5]]");
    call["max_tokens"] = json!(5);
    for (name, value) in said.as_object().into_iter().flatten() {
        call[name] = value.clone();
    }
    call
}

fn pays_for(calls: u64) -> f64 {
    usd(calls * STORY.of(&Tokens { prompt: 10, completion: 5, ..Tokens::default() }))
}

/// Calls until one is refused with this status, whose message says so; gives how many were served.
async fn until_refused(client: &Client, call: &Value, status: u16, says: &str) -> anyhow::Result<usize> {
    for served in 0..20 {
        let reply = client.post(PATH, call).await?;
        if reply.status != 200 {
            let refusal = reply.refusal(status)?;
            ensure!(refusal.message.contains(says), "{refusal:?} instead of {says}");
            return Ok(served);
        }
    }
    anyhow::bail!("twenty calls were served")
}

#[tokio::test]
async fn customers_are_blocked_limited_and_kept_to_their_models_and_money() -> anyhow::Result<()> {
    let (_provider, planes) = running(1).await?;
    let admin = planes.admin();
    let client = planes.at(0, &planes.new_key(json!({})).await?);
    let made = async |body: Value| admin.post("/customer/new?wait=applied", &body).await?.ok();
    made(json!({ "user_id": "thrifty", "max_budget": pays_for(2) })).await?;
    made(json!({ "user_id": "slow", "rpm_limit": 1 })).await?;
    made(json!({ "user_id": "elsewhere", "models": ["another-model"] })).await?;
    made(json!({ "user_id": "gone" })).await?;

    // As LiteLLM does, one more goes through when as much is spent as may be.
    let thrifty = call(&json!({ "user": "thrifty" }));
    ensure!(until_refused(&client, &thrifty, 422, "ExceededBudget: End User=thrifty").await? == 3);
    let slow = call(&json!({ "user": "slow" }));
    ensure!(until_refused(&client, &slow, 429, "Rate limit exceeded for end_user: slow").await? == 1);
    let refusal = client.post(PATH, &call(&json!({ "user": "elsewhere" }))).await?.refusal(403)?;
    ensure!(refusal.kind == "customer_model_access_denied", "{refusal:?}");

    let gone = call(&json!({ "user": "gone" }));
    client.post(PATH, &gone).await?.ok()?;
    admin.post("/customer/block?wait=applied", &json!({ "user_ids": ["gone"] })).await?.ok()?;
    ensure!(until_refused(&client, &gone, 400, "User blocked from making LLM API Calls. User=gone").await? == 0);
    admin.post("/customer/unblock?wait=applied", &json!({ "user_ids": ["gone"] })).await?.ok()?;
    client.post(PATH, &gone).await?.ok()?;
    client.post(PATH, &call(&json!({ "user": "nobody knows them" }))).await?.ok()?;

    // More money for the customer is more money at once.
    admin
        .post("/customer/update?wait=applied", &json!({ "user_id": "thrifty", "max_budget": pays_for(4) }))
        .await?
        .ok()?;
    ensure!(until_refused(&client, &thrifty, 422, "End User=thrifty").await? == 2);
    planes.end()
}

#[tokio::test]
async fn tags_have_budgets_that_many_other_tags_do_not_hide() -> anyhow::Result<()> {
    let (_provider, planes) = running(1).await?;
    let admin = planes.admin();
    let tag = json!({ "name": "batch", "max_budget": pays_for(1) });
    admin.post("/tag/new?wait=applied", &tag).await?.ok()?;
    let client = planes.at(0, &planes.new_key(json!({})).await?);
    let tagged = call(&json!({ "metadata": { "tags": ["batch", "unknown"] } }));
    ensure!(until_refused(&client, &tagged, 422, "Tag=batch").await? == 2);
    client.post(PATH, &call(&json!({}))).await?.ok()?;

    let of_key = planes.at(0, &planes.new_key(json!({ "tags": ["batch"] })).await?);
    let crowd: Vec<String> = (0..200).map(|number| format!("tag-{number}")).collect();
    let crowded = call(&json!({ "metadata": { "tags": crowd } }));
    ensure!(until_refused(&of_key, &crowded, 422, "Tag=batch").await? == 0);
    planes.end()
}
