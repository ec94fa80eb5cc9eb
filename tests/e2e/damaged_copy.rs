//! A data plane with a damaged disk copy, without its control plane: it serves what is true, or waits; it never dies of it.
//!
//! Every kind of damage to every file is `data-plane/src/snapshot/disk/damage.rs`; this is the whole program with a few.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use acceptance::planes::{Planes, chat};
use acceptance::wait::eventually;
use anyhow::{Context, ensure};
use serde_json::json;

use crate::world::{MODEL, running};

/// The files of the disk copy whose names end so.
fn files(planes: &Planes, end: &str) -> anyhow::Result<Vec<PathBuf>> {
    let folder = planes.state(0).join("snapshot");
    let files = fs::read_dir(folder)?.map(|entry| Ok(entry?.path()));
    let files = files.collect::<anyhow::Result<Vec<_>>>()?;
    Ok(files.into_iter().filter(|file| file.to_string_lossy().ends_with(end)).collect())
}

/// Starts the data plane, which must live and say that it is not ready.
async fn waits(planes: &mut Planes) -> anyhow::Result<()> {
    planes.data[0].launch()?;
    let client = planes.data[0].client();
    eventually("it answers that it is not ready", Duration::from_secs(40), async || {
        let reply = client.get("/health/readiness").await?;
        ensure!(reply.status == 503, "{reply}");
        Ok(Some(()))
    })
    .await?;
    planes.data[0].must_run()
}

#[tokio::test]
async fn a_log_that_lost_a_block_is_waited_out_and_healed_by_the_control_plane() -> anyhow::Result<()> {
    let (provider, mut planes) = running(1).await?;
    let bad = planes.new_key(json!({})).await?;
    let before: Vec<_> =
        files(&planes, ".log")?.into_iter().map(|file| Ok((fs::read(&file)?, file))).collect::<anyhow::Result<_>>()?;
    planes.admin().post("/key/block?wait=applied", &json!({ "key": bad.secret })).await?.ok()?;
    planes.control.kill_nine()?;
    planes.data[0].kill_nine()?;
    // The file as it was: whole, sealed, and without the block.
    ensure!(!before.is_empty(), "no log");
    for (bytes, file) in before {
        fs::write(file, bytes)?;
    }
    waits(&mut planes).await?;
    let refused = planes.at(0, &bad).post("/v1/chat/completions", &chat(MODEL, "Hello")).await?;
    ensure!(refused.status == 503, "{refused}");

    planes.control.start().await?;
    planes.data[0].ready().await?;
    planes.at(0, &bad).post("/v1/chat/completions", &chat(MODEL, "Hello")).await?.refusal(401)?;
    ensure!(provider.ledger().len() == 0);
    planes.end()
}

#[tokio::test]
async fn a_flipped_bit_or_another_installations_copy_is_never_served_from() -> anyhow::Result<()> {
    let (_provider, mut planes) = running(1).await?;
    let key = planes.new_key(json!({})).await?;
    planes.control.kill_nine()?;
    planes.data[0].kill_nine()?;
    let base = files(&planes, "current.base")?.pop().context("no base")?;
    let whole = fs::read(&base)?;
    let mut flipped = whole.clone();
    let middle = flipped.len() / 2;
    *flipped.get_mut(middle).context("an empty base")? ^= 1;
    for damaged in [flipped, Vec::new(), b"tpsnap2\nnot ours".to_vec()] {
        for file in files(&planes, "previous.base")? {
            fs::remove_file(file)?;
        }
        fs::write(&base, damaged)?;
        waits(&mut planes).await?;
        planes.data[0].kill_nine()?;
    }
    fs::write(&base, whole)?;
    // Three boots that ended so: the only copy is kept back for ten seconds, and serves when nobody gives a better one.
    planes.data[0].start().await?;
    planes.at(0, &key).post("/v1/chat/completions", &chat(MODEL, "Hello")).await?.ok()?;
    planes.end()
}
