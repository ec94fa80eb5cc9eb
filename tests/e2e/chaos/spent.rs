//! What data planes believe to be spent is what is booked: whatever died, nothing is counted twice or forgotten.

use std::time::Duration;

use acceptance::planes::{Fleet, Key, chat};
use acceptance::price::nanos;
use acceptance::wait::eventually;
use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::world::MODEL;

/// What one data plane sent the others hear within a second or two, on a busy machine later.
const HEARD_WITHIN: Duration = Duration::from_secs(30);

/// Takes every key's money away, so that each data plane refuses it and says what it knows.
pub(super) async fn is_what_is_booked(fleet: &Fleet, keys: &[Key]) -> anyhow::Result<()> {
    let admin = fleet.admin(0);
    for key in keys {
        let change = admin.post("/key/update", &json!({ "key": key.secret, "max_budget": 0 })).await?;
        change.ok()?;
        // Those of the other control plane hear of it by themselves: none may serve a call that nobody expects.
        let revision: u64 = change.must_have("x-turnpike-revision")?.parse()?;
        for plane in &fleet.data {
            eventually("the change is in force", HEARD_WITHIN, async || {
                let readiness = plane.client().get("/health/readiness").await?.ok()?;
                Ok((readiness["revision"].as_u64() >= Some(revision)).then_some(()))
            })
            .await?;
        }
        let shown = admin.get(&format!("/key/info?key={}", key.hash)).await?.ok()?;
        let booked = nanos(&shown["info"]["spend"]).context("no spend")?;
        ensure!(booked > 0, "the key was never used: {shown}");
        for (number, plane) in fleet.data.iter().enumerate() {
            let client = plane.client().with_key(&key.secret);
            let what = format!("data plane {number} knows that {booked} nano-dollars are spent");
            eventually(&what, HEARD_WITHIN, async || {
                let refusal = client.post("/v1/chat/completions", &chat(MODEL, "[[fake]]")).await?.refusal(422)?;
                let said = refusal.message.split("Current cost: ").nth(1).and_then(|rest| rest.split(',').next());
                let said: f64 = said.with_context(|| refusal.message.clone())?.parse()?;
                let known = nanos(&Value::from(said)).context("a negative amount")?;
                ensure!(known == booked, "it believes that {known} are");
                Ok(Some(()))
            })
            .await?;
        }
    }
    Ok(())
}
