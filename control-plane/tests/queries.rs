//! The committed query metadata is what the migrated database says: an offline build checks against today's schema.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, ensure};
use private_postgres::Scratch;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Column as _, Connection as _, Executor as _, PgConnection, SqlSafeStr as _, Statement as _};

#[tokio::test]
async fn every_committed_query_is_what_the_migrated_database_says() -> anyhow::Result<()> {
    let server = tokio::task::spawn_blocking(Scratch::start).await??;
    let mut db = PgConnection::connect(server.url()).await?;
    sqlx::migrate!("../migrations").run(&mut db).await?;

    let mut checked = 0;
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".sqlx"))? {
        let path = entry?.path();
        let committed: Value = serde_json::from_str(&fs::read_to_string(&path)?)?;
        let query = committed["query"].as_str().context("no query")?.to_owned();
        let stale = || format!("{} is stale (run `make sqlx`): {query}", path.display());
        let prepared = db.prepare(AssertSqlSafe(query.clone()).into_sql_str()).await.with_context(stale)?;
        let now: Vec<&str> = prepared.columns().iter().map(|column| column.name()).collect();
        let columns = committed["describe"]["columns"].as_array().context("no columns")?;
        let then: Vec<&str> = columns.iter().filter_map(|column| column["name"].as_str()).collect();
        ensure!(now == then, "{}: {now:?}, not {then:?}", stale());
        checked += 1;
    }
    ensure!(checked > 50, "only {checked} queries were found");
    Ok(())
}
