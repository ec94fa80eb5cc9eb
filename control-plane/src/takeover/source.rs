//! The database that is imported from: opened to be read only, at one moment, and never trusted to be what we expect.
//!
//! Rows are read as JSON, so that an older or newer version with other columns reads as well as any. Pages follow the
//! primary key: a table of any length needs the memory of one page.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Map, Value};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection, Row as _};

use super::record::Record;
use crate::secret::Secret;

/// A database that does not answer within this is away.
const ANSWERS_WITHIN: Duration = Duration::from_secs(15);

/// Without this table it is no database of LiteLLM's.
const KEYS: &str = "LiteLLM_VerificationToken";

/// What `sqlx` understands of a URL's query. The rest is Prisma's, and some of it is secret.
const UNDERSTOOD: &[&str] =
    &["sslmode", "sslrootcert", "sslcert", "sslkey", "host", "port", "user", "password", "dbname", "application_name"];

/// Why a database cannot be imported from.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SourceError {
    #[error(
        "--from is no Postgres URL: give the DATABASE_URL of the LiteLLM proxy, postgresql://user:password@host:5432/name"
    )]
    Url,
    #[error("the database {place} to import from cannot be reached: check --from, and that Postgres runs there")]
    Unreachable { place: String, source: sqlx::Error },
    #[error("the database {place} to import from did not answer within {} s", ANSWERS_WITHIN.as_secs())]
    Silent { place: String },
    #[error(
        "{place} is no database of LiteLLM's: there is no table {KEYS} in its schema `{schema}`. Give the DATABASE_URL of \
         the LiteLLM proxy; tables in another schema are found with ?schema=NAME"
    )]
    NotLitellm { place: String, schema: String },
    #[error("the table {table} to import from has no column {column}: this version of LiteLLM is not known here")]
    Column { table: &'static str, column: &'static str },
    #[error("{table} of the database to import from cannot be read")]
    Read { table: String, source: sqlx::Error },
}

/// LiteLLM's database, at one moment.
pub(crate) struct Source {
    connection: PgConnection,
    schema: String,
    place: String,
    /// Tables and their columns.
    tables: BTreeMap<String, BTreeSet<String>>,
}

impl Source {
    /// Connects, and begins the one transaction in which everything is read.
    pub(super) async fn open(url: &Secret) -> Result<Self, SourceError> {
        let (url, schema) = cleaned(url.expose()).ok_or(SourceError::Url)?;
        let options: PgConnectOptions = url.parse().map_err(|_holds_a_password| SourceError::Url)?;
        let options = options.application_name("turnpike-import").log_statements(tracing::log::LevelFilter::Off);
        let place = format!("{} on {}", options.get_database().unwrap_or_default(), options.get_host());
        let unreachable = |source| SourceError::Unreachable { place: place.clone(), source };
        let connected = tokio::time::timeout(ANSWERS_WITHIN, PgConnection::connect_with(&options)).await;
        let mut connection =
            connected.map_err(|_late| SourceError::Silent { place: place.clone() })?.map_err(unreachable)?;
        let began = sqlx::raw_sql(
            "begin isolation level repeatable read, read only; set local idle_in_transaction_session_timeout = 0",
        );
        began.execute(&mut connection).await.map_err(unreachable)?;
        let tables = tables(&mut connection, &schema).await.map_err(unreachable)?;
        if !tables.get(KEYS).is_some_and(|columns| columns.contains("token")) {
            return Err(SourceError::NotLitellm { place, schema });
        }
        Ok(Self { connection, schema, place, tables })
    }

    /// Which database it is, without the password.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// Whether this version of LiteLLM has a table.
    pub(crate) fn has(&self, table: &str) -> bool {
        self.tables.contains_key(table)
    }

    /// The next rows of a table by the column `id`, which is unique.
    pub(super) async fn page(
        &mut self,
        table: &'static str,
        id: &'static str,
        after: Option<&str>,
        most: i64,
    ) -> Result<Vec<Record>, SourceError> {
        self.must_have(table, id)?;
        let sql = format!(
            "select to_jsonb(t) from {} t where $1::text is null or t.{id}::text > $1 order by t.{id}::text limit $2",
            self.named(table),
            id = quoted(id),
        );
        let rows = sqlx::query(AssertSqlSafe(sql)).persistent(false).bind(after).bind(most);
        records(rows.fetch_all(&mut self.connection).await, table)
    }

    /// The rows of a table whose column `by` has one of these values; none where there is no such table.
    pub(crate) async fn among(
        &mut self,
        table: &'static str,
        by: &'static str,
        values: &[String],
    ) -> Result<Vec<Record>, SourceError> {
        if values.is_empty() || !self.has(table) {
            return Ok(Vec::new());
        }
        self.must_have(table, by)?;
        let sql = format!("select to_jsonb(t) from {} t where t.{}::text = any($1)", self.named(table), quoted(by));
        let rows = sqlx::query(AssertSqlSafe(sql)).persistent(false).bind(values);
        records(rows.fetch_all(&mut self.connection).await, table)
    }

    /// How many rows a table has, of those where `column` is not null, if one is given.
    pub(super) async fn count(&mut self, table: &'static str, column: Option<&str>) -> Result<i64, SourceError> {
        let known = self.tables.get(table);
        if known.is_none_or(|columns| column.is_some_and(|column| !columns.contains(column))) {
            return Ok(0);
        }
        let what = column.map_or_else(|| "*".to_owned(), quoted);
        let sql = format!("select count({what}) from {}", self.named(table));
        let counted = sqlx::query_scalar(AssertSqlSafe(sql)).persistent(false).fetch_one(&mut self.connection).await;
        counted.map_err(|source| SourceError::Read { table: table.to_owned(), source })
    }

    pub(super) fn must_have(&self, table: &'static str, column: &'static str) -> Result<(), SourceError> {
        match self.tables.get(table).is_some_and(|columns| columns.contains(column)) {
            true => Ok(()),
            false => Err(SourceError::Column { table, column }),
        }
    }

    fn named(&self, table: &str) -> String {
        format!("{}.{}", quoted(&self.schema), quoted(table))
    }
}

async fn tables(db: &mut PgConnection, schema: &str) -> sqlx::Result<BTreeMap<String, BTreeSet<String>>> {
    let rows = sqlx::query(
        "select table_name::text, column_name::text from information_schema.columns
         where table_schema = $1 and table_name like 'LiteLLM\\_%'",
    );
    let mut tables: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for row in rows.persistent(false).bind(schema).fetch_all(db).await? {
        tables.entry(row.try_get(0)?).or_default().insert(row.try_get(1)?);
    }
    Ok(tables)
}

fn records(rows: sqlx::Result<Vec<sqlx::postgres::PgRow>>, table: &'static str) -> Result<Vec<Record>, SourceError> {
    let failed = |source| SourceError::Read { table: table.to_owned(), source };
    let read = |row: sqlx::postgres::PgRow| match row.try_get::<Value, _>(0) {
        Ok(Value::Object(members)) => Ok(Record::of(members)),
        Ok(_) => Ok(Record::of(Map::new())),
        Err(error) => Err(failed(error)),
    };
    rows.map_err(failed)?.into_iter().map(read).collect()
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The URL without what only Prisma understands, and the schema that it names.
fn cleaned(url: &str) -> Option<(String, String)> {
    let url = url.trim().trim_matches('"');
    if !(url.starts_with("postgres://") || url.starts_with("postgresql://")) {
        return None;
    }
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let schema = pairs.clone().find(|(name, _)| *name == "schema").map_or("public", |(_, value)| value);
    let kept: Vec<String> =
        pairs.filter(|(name, _)| UNDERSTOOD.contains(name)).map(|(name, value)| format!("{name}={value}")).collect();
    let query = if kept.is_empty() { String::new() } else { format!("?{}", kept.join("&")) };
    Some((format!("{base}{query}"), schema.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_told_once_and_not_in_every_link_of_the_chain() {
        let source = || sqlx::Error::PoolClosed;
        for error in [
            SourceError::Unreachable { place: "db on h".to_owned(), source: source() },
            SourceError::Read { table: "T".to_owned(), source: source() },
        ] {
            let told = format!("{:#}", anyhow::Error::from(error));
            assert_eq!(told.matches(&source().to_string()).count(), 1, "{told}");
        }
    }

    #[test]
    fn a_url_of_prismas_is_read_and_its_schema_found() {
        let read = cleaned("postgresql://u:p@h:5432/db?schema=proxy&connection_limit=5&sslmode=require&sslpassword=x");
        assert_eq!(read, Some(("postgresql://u:p@h:5432/db?sslmode=require".to_owned(), "proxy".to_owned())));
        assert_eq!(cleaned("postgres://h/db"), Some(("postgres://h/db".to_owned(), "public".to_owned())));
        assert_eq!(cleaned("mysql://u:p@h/db"), None);
        assert_eq!(cleaned(""), None);
    }

    #[test]
    fn a_name_cannot_leave_its_quotes() {
        assert_eq!(quoted("a\"; drop table x; --"), "\"a\"\"; drop table x; --\"");
    }

    #[tokio::test]
    async fn what_cannot_be_opened_is_said_without_the_password() {
        for url in ["mysql://u:hunter2@h/d", "postgresql://u:hunter2@[/d", "postgresql://u:hunter2@127.0.0.1:1/d"] {
            let error = Source::open(&Secret::new(url)).await.err().unwrap().to_string();
            assert!(!error.contains("hunter2") && error.contains("--from"), "{error}");
        }
    }
}
