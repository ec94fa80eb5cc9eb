//! Gateways with little to do: threads share the few connections to providers that there are.

use acceptance::planes::chat;
use anyhow::ensure;
use serde_json::json;

use crate::world::{MODEL, running};

#[tokio::test]
async fn calls_one_after_another_use_one_connection_to_the_provider_whichever_thread_takes_them() -> anyhow::Result<()>
{
    const CALLS: usize = 40;
    let (provider, planes) = running(1).await?;
    let key = planes.new_key(json!({})).await?;
    for _ in 0..CALLS {
        // A client of its own each time: the kernel spreads connections over the threads.
        planes.at(0, &key).post("/v1/chat/completions", &chat(MODEL, "Hello")).await?.ok()?;
    }
    ensure!(provider.ledger().len() == CALLS);
    let connections = provider.connections();
    ensure!(connections * 10 <= CALLS, "{connections} connections for {CALLS} calls");
    planes.end()
}
