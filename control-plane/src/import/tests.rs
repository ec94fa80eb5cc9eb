//! Imports into a real database.

use litellm_config::{Reading, Sources};
use sqlx::PgPool;

use super::{ImportError, apply};
use crate::fixture;
use crate::vault::Vault;

fn vault() -> Vault {
    Vault::from_secret(b"test")
}

fn read(text: &str) -> Reading {
    let sources = Sources { environment: &|_| None, include: &|_| Err("no files here".to_owned()) };
    let reading = litellm_config::read(text, &sources);
    assert!(!reading.has_errors(), "{:?}", reading.findings);
    reading
}

async fn import(db: &PgPool, text: &str, digest: u8) -> Result<Option<u64>, ImportError> {
    apply(db, &vault(), &read(text).config, [digest; 32]).await
}

const FILE: &str = r#"
model_list:
  - model_name: smart
    litellm_params: {model: openai/gpt-4o, api_key: sk-literal-secret}
    model_info: {id: one}
  - model_name: referring
    litellm_params: {model: openai/gpt-4o, api_key: os.environ/SOME_KEY}
    model_info: {id: two}
litellm_settings: {num_retries: 3}
general_settings: {master_key: sk-0123456789abcdef}
environment_variables: {SOME_KEY: sk-from-file, OTHER: os.environ/ELSEWHERE}
"#;

async fn ids(db: &PgPool) -> Vec<String> {
    sqlx::query_scalar("select id from deployments order by id").fetch_all(db).await.unwrap()
}

async fn changed_at(db: &PgPool, revision: u64) -> Vec<(String, String)> {
    sqlx::query_as("select kind, object_id from change_log where revision = $1 order by 1, 2")
        .bind(i64::try_from(revision).unwrap())
        .fetch_all(db)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_file_becomes_rows_and_none_of_its_secrets_lies_open() {
    let database = fixture::database().await;
    let db = database.pool();
    let revision = import(&db, FILE, 1).await.unwrap().unwrap();
    assert_eq!(ids(&db).await, ["one", "two"]);
    let pair = |kind: &str, id: &str| (kind.to_owned(), id.to_owned());
    let expected = [pair("deployment", "one"), pair("deployment", "two"), pair("settings", "settings")];
    assert_eq!(changed_at(&db, revision).await, expected);

    let everything: String = sqlx::query_scalar(
        "select string_agg(t, ' ') from (
             select d::text as t from deployments d union all select s::text from settings s
             union all select a::text from audit_log a) rows",
    )
    .fetch_one(&db)
    .await
    .unwrap();
    for secret in ["sk-literal-secret", "sk-from-file", "sk-0123456789abcdef"] {
        assert!(!everything.contains(secret), "{secret} lies open");
        assert!(!everything.contains(&hex::encode(secret)), "{secret} lies open in hex");
    }
    assert!(everything.contains("os.environ/SOME_KEY") && everything.contains("os.environ/ELSEWHERE"));

    let mut connection = db.acquire().await.unwrap();
    let rows = crate::models::all(&mut connection).await.unwrap();
    assert_eq!(rows[0].opened(&vault()).unwrap()["api_key"], "sk-literal-secret");
    let audited: i64 =
        sqlx::query_scalar("select count(*) from audit_log where noun = 'config'").fetch_one(&db).await.unwrap();
    assert_eq!(audited, 1);
}

#[tokio::test]
async fn the_same_file_changes_nothing_and_a_new_one_only_what_it_says_anew() {
    let database = fixture::database().await;
    let db = database.pool();
    import(&db, FILE, 1).await.unwrap().unwrap();
    assert_eq!(import(&db, FILE, 1).await.unwrap(), None);
    assert_eq!(import(&db, &format!("# a comment\n{FILE}"), 2).await.unwrap(), None);

    sqlx::query("insert into deployments (id, model_name, params, origin) values ('api-made', 'm', '{}', 'api')")
        .execute(&db)
        .await
        .unwrap();
    let without_two = FILE.replace("id: two", "id: three");
    let revision = import(&db, &without_two, 3).await.unwrap().unwrap();
    assert_eq!(ids(&db).await, ["api-made", "one", "three"]);
    let pair = |kind: &str, id: &str| (kind.to_owned(), id.to_owned());
    assert_eq!(changed_at(&db, revision).await, [pair("deployment", "three"), pair("deployment", "two")]);

    let settings = FILE.replace("num_retries: 3", "num_retries: 4");
    let settings = settings.replace("id: two", "id: three");
    let revision = import(&db, &settings, 4).await.unwrap().unwrap();
    assert_eq!(changed_at(&db, revision).await, [pair("settings", "settings")]);
}

#[tokio::test]
async fn an_id_that_the_api_owns_stops_the_import_whole() {
    let database = fixture::database().await;
    let db = database.pool();
    sqlx::query("insert into deployments (id, model_name, params, origin) values ('two', 'm', '{}', 'api')")
        .execute(&db)
        .await
        .unwrap();
    let refused = import(&db, FILE, 1).await.unwrap_err();
    assert!(matches!(&refused, ImportError::Taken(ids) if ids == &["two"]), "{refused}");
    assert_eq!(ids(&db).await, ["two"]);
    sqlx::query("delete from deployments").execute(&db).await.unwrap();
    assert!(import(&db, FILE, 1).await.unwrap().is_some(), "the failed try left no digest behind");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_control_planes_that_start_together_one_imports() {
    let database = fixture::database().await;
    let db = database.pool();
    let (one, other) = tokio::join!(import(&db, FILE, 1), import(&db, FILE, 1));
    let published = [one.unwrap(), other.unwrap()];
    assert_eq!(published.iter().flatten().count(), 1, "{published:?}");
}
