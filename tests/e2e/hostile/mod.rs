//! What strangers send and how they hold on: each limit of the port, shown from a raw socket.
//!
//! Times are shortened by settings, so that the defaults need not be waited for; that the defaults are what they are is
//! shown in `data-plane/tests/help.rs`.

mod crowds;
mod hashes;
mod sizes;
mod slow;
mod smuggling;

use std::time::Duration;

use acceptance::raw::{Raw, post};
use serde_json::json;

use crate::world::MODEL;

const CHAT: &str = "/v1/chat/completions";

/// An answer comes within this time, on a busy machine.
const SOON: Duration = Duration::from_secs(20);

/// A good call, as text.
fn good(key: &str) -> String {
    post(CHAT, key, "", &body("Hello"))
}

fn body(message: &str) -> String {
    json!({ "model": MODEL, "messages": [{ "role": "user", "content": message }] }).to_string()
}

/// The status of a good call on a new connection.
async fn serves(base: &str, key: &str) -> anyhow::Result<()> {
    let mut raw = Raw::connect(base).await?;
    raw.send(good(key)).await?;
    let reply = raw.reply(SOON).await?;
    anyhow::ensure!(reply.status == 200, "a good call: {reply:?}");
    Ok(())
}
