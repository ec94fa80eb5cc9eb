//! Many keys at once, put straight into the database, and a new epoch so that every data plane gets everything.
//!
//! Making a million keys over HTTP would take an hour; what is told of them does not depend on how they came.

use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::Value;
use sqlx::{Connection, PgConnection};

use crate::client::Client;
use crate::planes::{Key, Planes};
use crate::wait::eventually;

/// The key of this number, if it is among those that were put in.
pub fn key(number: usize) -> Key {
    let secret = format!("sk-crowd-{number}");
    Key { hash: sha256_hex(&secret), secret }
}

/// Puts in keys 0 to `count`, each with a user, a team's worth of models, and every fourth with aliases.
pub async fn insert(database_url: &str, count: usize) -> anyhow::Result<()> {
    let mut db = PgConnection::connect(database_url).await?;
    sqlx::query(
        "insert into keys (hash, masked, alias, user_id, organization_id, metadata, aliases)
         select sha256(convert_to('sk-crowd-' || n, 'UTF8')), 'sk-...' || right('000' || n, 4), 'crowd-' || n,
                'user-' || n / 3, 'org-' || n % 50, '{\"tags\": [\"production\"]}',
                case when n % 4 = 0 then '{\"fast\": \"story\"}' else '{}' end::jsonb
         from generate_series(0, $1::bigint - 1) n",
    )
    .bind(i64::try_from(count)?)
    .execute(&mut db)
    .await
    .context("putting keys in")?;
    sqlx::query("update installation set epoch = gen_random_uuid(), revision = revision + 1").execute(&mut db).await?;
    db.close().await?;
    Ok(())
}

/// Waits until every one of `data_planes` holds the newest revision, on its disk too.
pub async fn held_by_all(planes: &Planes, within: Duration) -> anyhow::Result<()> {
    eventually("every data plane holds the newest revision durably", within, async || {
        let fleet = fleet(&planes.admin()).await?;
        let views = fleet["data_planes"].as_array().context("no data_planes")?;
        ensure!(views.len() == planes.data.len(), "{} of {} are connected", views.len(), planes.data.len());
        let holds = |view: &Value| view["epoch"] == fleet["epoch"] && view["revision_durable"] == fleet["revision"];
        ensure!(views.iter().all(holds), "not yet: {fleet}");
        Ok(Some(()))
    })
    .await
}

/// `GET /fleet`.
pub async fn fleet(admin: &Client) -> anyhow::Result<Value> {
    admin.get("/fleet").await?.ok()
}

fn sha256_hex(text: &str) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}
