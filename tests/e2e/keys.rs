//! A key works on its first use, and a refusal holds, on every data plane.

use std::time::{Duration, Instant};

use acceptance::client::Refusal;
use acceptance::config::{Config, Deployment};
use acceptance::planes::{Key, Planes, REFUSED_WITHIN, chat};
use acceptance::price::{STORY, Tokens, usd};
use acceptance::wait::eventually;
use anyhow::{Context, ensure};
use serde_json::json;

/// Keys made in the story of first use, and how many are made at once.
const KEYS: usize = 1_000;
const AT_ONCE: usize = 8;

fn mocked() -> Config {
    Config::new().deployment(Deployment::mock("mock", "Hello from the mock."))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_keys_work_on_their_first_use_on_both_data_planes() -> anyhow::Result<()> {
    let _turn = crate::world::TURN.lock().await;
    let planes = std::sync::Arc::new(Planes::start(&mocked(), 2).await?);
    let mut makers = tokio::task::JoinSet::new();
    for maker in 0..AT_ONCE {
        let planes = std::sync::Arc::clone(&planes);
        makers.spawn(async move {
            let mut late = 0;
            for number in (maker..KEYS).step_by(AT_ONCE) {
                let made = planes.admin().post("/key/generate", &json!({ "metadata": { "number": number } })).await?;
                // The answer waits for every data plane, half a second at most, and then names who is late: on a
                // machine that is too busy for that, nothing was promised of this key.
                if made.header("x-turnpike-late").is_some() {
                    late += 1;
                    continue;
                }
                let key = Key::of(&made)?;
                let reply = planes.at(number % 2, &key).post("/v1/chat/completions", &chat("mock", "Hello")).await?;
                ensure!(reply.status == 200, "key {number} on data plane {}: {reply}", number % 2);
            }
            anyhow::Ok(late)
        });
    }
    let mut late = 0;
    while let Some(made) = makers.join_next().await {
        late += made??;
    }
    ensure!(late < KEYS / 10, "{late} of {KEYS} answers came before all data planes had the key");
    std::sync::Arc::into_inner(planes).context("a maker is still at it")?.end()
}

#[tokio::test]
async fn a_key_made_through_one_data_plane_works_at_once_on_the_other() -> anyhow::Result<()> {
    let planes = Planes::start(&mocked(), 2).await?;
    let forwarded = planes.data[0].client().with_key(planes.master_key());
    for _ in 0..20 {
        let key = Key::generate(&forwarded, json!({})).await?;
        for data_plane in [0, 1] {
            planes.at(data_plane, &key).post("/v1/chat/completions", &chat("mock", "Hello")).await?.ok()?;
        }
    }
    planes.end()
}

#[tokio::test]
async fn a_blocked_key_is_refused_on_both_data_planes_within_a_second_and_works_again_when_unblocked()
-> anyhow::Result<()> {
    let planes = Planes::start(&mocked(), 2).await?;
    for _ in 0..5 {
        let key = planes.new_key(json!({})).await?;
        works_on_both(&planes, &key).await?;
        planes.admin().post("/key/block", &json!({ "key": key.secret })).await?.ok()?;
        let refusals = refused_on_both(&planes, &key).await?;
        for refusal in refusals {
            ensure!(refusal.kind == "auth_error" && refusal.message.contains("blocked"), "{refusal:?}");
        }
        planes.admin().post("/key/unblock", &json!({ "key": key.hash })).await?.ok()?;
        eventually("the key works again", REFUSED_WITHIN, async || works_on_both(&planes, &key).await.map(Some))
            .await?;
    }
    planes.end()
}

#[tokio::test]
async fn a_deleted_key_is_unknown_on_both_data_planes_within_a_second() -> anyhow::Result<()> {
    let planes = Planes::start(&mocked(), 2).await?;
    let key = planes.new_key(json!({})).await?;
    works_on_both(&planes, &key).await?;
    planes.admin().post("/key/delete", &json!({ "keys": [key.secret] })).await?.ok()?;
    for refusal in refused_on_both(&planes, &key).await? {
        ensure!(refusal.kind == "token_not_found_in_db", "{refusal:?}");
    }
    planes.end()
}

#[tokio::test]
async fn a_key_of_a_blocked_team_is_refused_on_both_data_planes_within_a_second() -> anyhow::Result<()> {
    let planes = Planes::start(&mocked(), 2).await?;
    planes.admin().post("/team/new", &json!({ "team_id": "builders" })).await?.ok()?;
    let key = planes.new_key(json!({ "team_id": "builders" })).await?;
    works_on_both(&planes, &key).await?;
    planes.admin().post("/team/block", &json!({ "team_id": "builders" })).await?.ok()?;
    for refusal in refused_on_both(&planes, &key).await? {
        ensure!(refusal.kind == "auth_error" && refusal.message.contains("builders"), "{refusal:?}");
    }
    planes.end()
}

#[tokio::test]
async fn a_key_that_has_expired_is_refused_as_expired() -> anyhow::Result<()> {
    let planes = Planes::start(&mocked(), 2).await?;
    let key = planes.new_key(json!({ "duration": "2s" })).await?;
    works_on_both(&planes, &key).await?;
    let within = Duration::from_secs(2) + REFUSED_WITHIN;
    for data_plane in [0, 1] {
        let client = planes.at(data_plane, &key);
        let refusal = eventually("the key has expired", within, async || {
            let reply = client.post("/v1/chat/completions", &chat("mock", "Hello")).await?;
            reply.refusal(401).map(Some)
        })
        .await?;
        ensure!(refusal.kind == "expired_key", "{refusal:?}");
    }
    planes.end()
}

#[tokio::test]
async fn a_stored_hash_opens_no_door() -> anyhow::Result<()> {
    let planes = Planes::start(&mocked(), 1).await?;
    let key = planes.new_key(json!({})).await?;
    let thief = Key { secret: key.hash.clone(), hash: key.hash.clone() };
    planes.at(0, &thief).post("/v1/chat/completions", &chat("mock", "Hello")).await?.refusal(401)?;
    planes.at(0, &thief).get("/v1/models").await?.refusal(401)?;
    planes.control.client().with_key(&key.hash).get("/key/info").await?.refusal(401)?;
    let disguised = planes.data[0].client().with_key(&format!("sk-{}", key.hash));
    disguised.post("/v1/chat/completions", &chat("mock", "Hello")).await?.refusal(401)?;
    planes.end()
}

#[tokio::test]
async fn a_key_is_found_in_every_header_that_litellm_reads() -> anyhow::Result<()> {
    let planes = Planes::start(&mocked(), 1).await?;
    let key = planes.new_key(json!({})).await?;
    let bare = planes.data[0].client();
    for header in ["x-litellm-api-key", "api-key", "x-api-key", "x-goog-api-key", "Ocp-Apim-Subscription-Key"] {
        let client = bare.with_header(header, &key.secret);
        client.post("/v1/chat/completions", &chat("mock", "Hello")).await?.ok().context(header)?;
    }
    // A key that stands there without `Bearer ` is malformed, and shadows the good one below it.
    let shadowed = bare.with_header("authorization", &key.secret).with_header("api-key", &key.secret);
    shadowed.post("/v1/chat/completions", &chat("mock", "Hello")).await?.refusal(401)?;
    planes.end()
}

#[tokio::test]
async fn a_key_for_some_routes_opens_no_others() -> anyhow::Result<()> {
    let planes = Planes::start(&mocked(), 1).await?;
    let reader = planes.new_key(json!({ "allowed_routes": ["/key/info", "/v1/models"] })).await?;
    planes.at(0, &reader).post("/v1/chat/completions", &chat("mock", "Hello")).await?.refusal(403)?;
    planes.at(0, &reader).get("/v1/models").await?.ok()?;
    let caller = planes.new_key(json!({ "key_type": "llm_api" })).await?;
    planes.at(0, &caller).post("/v1/chat/completions", &chat("mock", "Hello")).await?.ok()?;
    planes.end()
}

#[tokio::test]
async fn a_key_and_its_old_value_share_one_budget_on_both_data_planes_until_the_old_one_ends() -> anyhow::Result<()> {
    const CALLS: u64 = 10;
    let (provider, planes) = crate::world::running(2).await?;
    let worth = |calls| calls * STORY.of(&Tokens { prompt: 10, completion: 5, ..Tokens::default() });
    let mut hello = chat(crate::world::MODEL, "[[fake prompt=10 completion=5]]");
    hello["max_tokens"] = json!(5);
    let old = planes.new_key(json!({ "max_budget": usd(worth(CALLS)), "key_alias": "shared" })).await?;
    planes.at(0, &old).post("/v1/chat/completions", &hello).await?.ok()?;
    let path = format!("/key/{}/regenerate?wait=applied", old.secret);
    let new = Key::of(&planes.admin().post(&path, &json!({ "grace_period": "1h" })).await?)?;

    let spent = || provider.ledger().owed(&STORY);
    let clients = [planes.at(0, &old), planes.at(1, &old), planes.at(0, &new), planes.at(1, &new)];
    for client in &clients {
        client.post("/v1/chat/completions", &hello).await?.ok()?;
    }
    eventually("the budget of both is spent", Duration::from_secs(20), async || {
        for client in &clients {
            client.post("/v1/chat/completions", &hello).await?;
        }
        Ok((spent() >= worth(CALLS)).then_some(()))
    })
    .await?;
    for client in &clients {
        eventually("it is known to be spent", Duration::from_secs(20), async || {
            Ok((client.post("/v1/chat/completions", &hello).await?.status == 422).then_some(()))
        })
        .await?;
    }
    ensure!(
        spent() <= worth(CALLS + 1),
        "{} of {}: one call of the other data plane may be beyond",
        spent(),
        worth(CALLS)
    );
    let booked = async || {
        let shown = planes.admin().get(&format!("/key/info?key={}", new.hash)).await?.ok()?;
        Ok((shown["info"]["spend"] == json!(usd(spent()))).then_some(()))
    };
    eventually("all of it is booked on the new value", Duration::from_secs(20), booked).await?;

    // The next one is made without grace: none of the older ones works any more.
    let last =
        Key::of(&planes.admin().post("/key/regenerate", &json!({ "key": new.secret, "max_budget": null })).await?)?;
    for gone in [&old, &new] {
        for refusal in refused_on_both(&planes, gone).await? {
            ensure!(refusal.kind == "token_not_found_in_db", "{refusal:?}");
        }
    }
    for data_plane in [0, 1] {
        planes.at(data_plane, &last).post("/v1/chat/completions", &hello).await?.ok()?;
    }
    planes.end()
}

async fn works_on_both(planes: &Planes, key: &Key) -> anyhow::Result<()> {
    for data_plane in [0, 1] {
        let reply = planes.at(data_plane, key).post("/v1/chat/completions", &chat("mock", "Hello")).await?;
        reply.ok().with_context(|| format!("data plane {data_plane}"))?;
    }
    Ok(())
}

/// The first refusals, which must come within a second of now and hold from then on.
async fn refused_on_both(planes: &Planes, key: &Key) -> anyhow::Result<Vec<Refusal>> {
    let since = Instant::now();
    let mut refusals = Vec::new();
    for data_plane in [0, 1] {
        let client = planes.at(data_plane, key);
        let left = REFUSED_WITHIN.saturating_sub(since.elapsed());
        let refusal = eventually("the key is refused", left, async || {
            client.post("/v1/chat/completions", &chat("mock", "Hello")).await?.refusal(401).map(Some)
        });
        refusals.push(refusal.await?);
    }
    for data_plane in [0, 1, 0, 1] {
        planes.at(data_plane, key).post("/v1/chat/completions", &chat("mock", "Hello")).await?.refusal(401)?;
    }
    Ok(refusals)
}
