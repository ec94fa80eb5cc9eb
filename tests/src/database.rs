//! A private Postgres for all stories of a test binary, a database for each, and what was booked in it.
//!
//! The rows are read as the witness of promise 5: exactly once, to the nano-dollar. Everything else is asked over HTTP.

use std::str::FromStr;
use std::time::Duration;

use anyhow::Context;
use private_postgres::Scratch;
use serde_json::Value;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, PgPool};
use tokio::sync::OnceCell;

use crate::wait::eventually;

static SHARED: OnceCell<PrivateServer> = OnceCell::const_new();

/// A database of its own.
pub struct Database {
    url: String,
    pool: PgPool,
}

impl Database {
    /// An empty database on the server that all stories share.
    pub async fn fresh() -> anyhow::Result<Self> {
        let server = SHARED.get_or_try_init(PrivateServer::start).await?;
        server.database().await
    }

    /// A database that is there already.
    pub async fn at(url: &str) -> anyhow::Result<Self> {
        Ok(Self { url: url.to_owned(), pool: connect(url, 2).await? })
    }

    pub(crate) fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Its address, as `DATABASE_URL` takes it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Runs statements that a story brings along.
    pub async fn script(&self, statements: &'static str) -> anyhow::Result<()> {
        sqlx::raw_sql(statements).execute(&self.pool).await.context("running a script")?;
        Ok(())
    }

    /// Everything booked, in the order in which it was taken in.
    pub async fn booked(&self) -> anyhow::Result<Vec<Booked>> {
        let rows = sqlx::query_as(
            "select event_id::text, call_id, request_id, call_type, encode(key_hash, 'hex') as key_hash, user_id, team_id, \
             model, model_group, deployment_id, provider, prompt_tokens, completion_tokens, token_details, usage_source, \
             estimate_method, price_state, cost_nano_usd, ending, success, status, streamed, attempt \
             from spend_logs order by taken_in_at, event_id",
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows)
    }

    /// Waits until exactly `count` calls are booked. More than that is an error at once: nothing takes a row away again.
    pub async fn booked_exactly(&self, count: usize, within: Duration) -> anyhow::Result<Vec<Booked>> {
        let what = format!("{count} calls are booked");
        let booked = eventually(&what, within, async || {
            let booked = self.booked().await?;
            anyhow::ensure!(booked.len() >= count, "{} are", booked.len());
            Ok(Some(booked))
        })
        .await?;
        anyhow::ensure!(booked.len() == count, "{} calls are booked instead of {count}: {booked:#?}", booked.len());
        Ok(booked)
    }

    /// All that every text and byte column of every table holds: for stories that look for what must not be there.
    pub async fn dump(&self) -> anyhow::Result<String> {
        let tables: Vec<(String,)> =
            sqlx::query_as("select tablename::text from pg_tables where schemaname = 'public' order by 1")
                .fetch_all(&self.pool)
                .await?;
        let mut dump = String::new();
        for (table,) in tables {
            let rows: Vec<(Value,)> = sqlx::query_as(AssertSqlSafe(format!("select to_jsonb(t) from \"{table}\" t")))
                .fetch_all(&self.pool)
                .await?;
            for (row,) in rows {
                dump.push_str(&format!("{table}: {row}\n"));
            }
        }
        Ok(dump)
    }
}

/// One row of `spend_logs`.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Booked {
    pub event_id: String,
    pub call_id: String,
    pub request_id: String,
    pub call_type: String,
    pub key_hash: Option<String>,
    pub user_id: Option<String>,
    pub team_id: Option<String>,
    pub model: String,
    pub model_group: String,
    pub deployment_id: String,
    pub provider: String,
    pub prompt_tokens: i64,
    pub completion_tokens: i64,
    pub token_details: Value,
    pub usage_source: String,
    pub estimate_method: Option<String>,
    pub price_state: String,
    pub cost_nano_usd: i64,
    pub ending: String,
    pub success: bool,
    pub status: i32,
    pub streamed: bool,
    pub attempt: i32,
}

/// What these calls cost together, in billionths of a dollar.
pub fn sum(booked: &[Booked]) -> u64 {
    booked.iter().filter_map(|row| u64::try_from(row.cost_nano_usd).ok()).sum()
}

/// A Postgres server of our own. It ends when this is dropped, or with the process, however that ends.
pub struct PrivateServer(Scratch);

impl PrivateServer {
    /// Starts one. Nothing it holds is meant to last.
    pub async fn start() -> anyhow::Result<Self> {
        let started = tokio::task::spawn_blocking(Scratch::start).await?;
        Ok(Self(started.context("starting a private Postgres for the stories")?))
    }

    /// A new, empty database.
    pub async fn database(&self) -> anyhow::Result<Database> {
        let name = format!("story_{}", uuid::Uuid::new_v4().simple());
        let admin = connect(self.0.url(), 1).await?;
        sqlx::query(AssertSqlSafe(format!("create database {name}"))).execute(&admin).await?;
        admin.close().await;
        let url = self.0.url_of(&name);
        let pool = connect(&url, 2).await?;
        Ok(Database { url, pool })
    }

    /// Stops the server at once, as a failing machine does. Its data is gone.
    pub async fn stop(self) -> anyhow::Result<()> {
        Ok(tokio::task::spawn_blocking(move || drop(self.0)).await?)
    }
}

async fn connect(url: &str, connections: u32) -> anyhow::Result<PgPool> {
    let options = PgConnectOptions::from_str(url)?;
    Ok(PgPoolOptions::new().max_connections(connections).connect_with(options).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_story_has_a_database_of_its_own() -> anyhow::Result<()> {
        let (one, other) = (Database::fresh().await?, Database::fresh().await?);
        sqlx::query("create table here (x int)").execute(&one.pool).await?;
        sqlx::query("insert into here values (17)").execute(&one.pool).await?;
        anyhow::ensure!(one.dump().await?.contains("here: {\"x\":17}") && other.dump().await?.is_empty());
        let mine = connect(one.url(), 1).await?;
        let row: (i32,) = sqlx::query_as("select x from here").fetch_one(&mine).await?;
        anyhow::ensure!(row.0 == 17);
        Ok(())
    }
}
