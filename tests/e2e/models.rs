//! Models that come through the API: served within a second, changed, blocked and gone, with credentials of their own or
//! shared ones.

use std::time::Duration;

use acceptance::planes::{Key, Planes, chat};
use acceptance::provider::FakeProvider;
use acceptance::wait::eventually;
use anyhow::ensure;
use serde_json::{Value, json};

use crate::world::running;

const CHAT: &str = "/v1/chat/completions";
const WITHIN: Duration = Duration::from_secs(10);

async fn status_of(planes: &Planes, key: &Key, model: &str) -> anyhow::Result<u16> {
    Ok(planes.at(0, key).post(CHAT, &chat(model, "Hello")).await?.status)
}

fn new_model(name: &str, params: &Value) -> Value {
    json!({ "model_name": name, "litellm_params": params, "model_info": { "id": format!("{name}-id") } })
}

#[tokio::test]
async fn a_model_that_an_admin_adds_is_served_changed_blocked_and_gone() -> anyhow::Result<()> {
    let (_provider, planes) = running(1).await?;
    let other = FakeProvider::start()?;
    let (admin, key) = (planes.admin(), planes.new_key(json!({})).await?);
    ensure!(status_of(&planes, &key, "added").await? == 400, "nobody has it yet");
    let params = json!({ "model": "openai/story-large", "api_base": other.base(), "api_key": "sk-of-the-provider" });
    let made = admin.post("/model/new?wait=applied", &new_model("added", &params)).await?.ok()?;
    ensure!(!made.to_string().contains("sk-of-the-provider"), "{made}");
    ensure!(status_of(&planes, &key, "added").await? == 200);
    ensure!(other.ledger().len() == 1);
    let listed = planes.at(0, &key).get("/v1/models").await?.ok()?;
    ensure!(listed.to_string().contains("\"added\""), "{listed}");

    let misspelt = json!({ "model": "openai/x", "api_bass": "http://127.0.0.1:1" });
    let refusal = admin.post("/model/new", &new_model("misspelt", &misspelt)).await?.refusal(400)?;
    ensure!(refusal.message.contains("api_base"), "{refusal:?}");

    admin.post("/model/block?wait=applied", &json!({ "model_id": "added-id" })).await?.ok()?;
    ensure!(status_of(&planes, &key, "added").await? != 200, "it is blocked");
    admin.post("/model/unblock?wait=applied", &json!({ "model_id": "added-id" })).await?.ok()?;
    ensure!(status_of(&planes, &key, "added").await? == 200);
    admin.post("/model/delete?wait=applied", &json!({ "id": "added-id" })).await?.ok()?;
    ensure!(status_of(&planes, &key, "added").await? == 400);
    planes.end()
}

#[tokio::test]
async fn a_model_takes_its_credential_from_where_it_is_named_and_follows_its_change() -> anyhow::Result<()> {
    let (_provider, planes) = running(1).await?;
    let (one, two) = (FakeProvider::start()?, FakeProvider::start()?);
    let (admin, key) = (planes.admin(), planes.new_key(json!({})).await?);
    let values = |provider: &FakeProvider| json!({ "api_key": "sk-of-the-credential", "api_base": provider.base() });
    let credential = json!({ "credential_name": "shared", "credential_values": values(&one), "credential_info": {} });
    admin.post("/credentials?wait=applied", &credential).await?.ok()?;
    let params = json!({ "model": "openai/story-large", "litellm_credential_name": "shared" });
    admin.post("/model/new?wait=applied", &new_model("lent", &params)).await?.ok()?;
    ensure!(status_of(&planes, &key, "lent").await? == 200 && one.ledger().len() == 1);
    let shown = admin.get("/credentials").await?.ok()?.to_string();
    ensure!(shown.contains("shared") && !shown.contains("sk-of-the-credential"), "{shown}");

    let changed = json!({ "credential_values": values(&two) });
    admin.patch("/credentials/shared?wait=applied", &changed).await?.ok()?;
    eventually("its calls go where the credential says", WITHIN, async || {
        status_of(&planes, &key, "lent").await?;
        Ok((!two.ledger().is_empty()).then_some(()))
    })
    .await?;
    planes.end()
}
