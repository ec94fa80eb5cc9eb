//! The tables `imported_config` and `settings` (what the file owns of it).

use std::collections::BTreeMap;

use serde_json::Value;
use sqlx::PgConnection;

/// The digest of the file that the file-owned rows match.
pub(super) async fn imported(db: &mut PgConnection) -> sqlx::Result<Option<Vec<u8>>> {
    sqlx::query_scalar!("select sha256 from imported_config").fetch_optional(db).await
}

pub(super) async fn note_import(db: &mut PgConnection, sha256: &[u8]) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into imported_config (sha256) values ($1)
         on conflict (only_row) do update set sha256 = excluded.sha256, imported_at = now()",
        sha256,
    )
    .execute(db)
    .await?;
    Ok(())
}

pub(super) struct Section {
    section: String,
    pub(super) value: Value,
    pub(super) sealed_value: Option<Vec<u8>>,
}

/// The sections that the file owns, by name.
pub(super) async fn sections(db: &mut PgConnection) -> sqlx::Result<BTreeMap<String, Section>> {
    let rows = sqlx::query_as!(Section, "select section, value, sealed_value from settings where origin = 'file'");
    Ok(rows.fetch_all(db).await?.into_iter().map(|row| (row.section.clone(), row)).collect())
}

pub(super) async fn put_section(
    db: &mut PgConnection,
    section: &str,
    value: &Value,
    sealed_value: Option<&[u8]>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into settings (section, origin, value, sealed_value) values ($1, 'file', $2, $3)
         on conflict (section, origin) do update set
             value = excluded.value, sealed_value = excluded.sealed_value, updated_at = now()",
        section,
        value,
        sealed_value,
    )
    .execute(db)
    .await?;
    Ok(())
}

pub(super) async fn delete_sections(db: &mut PgConnection, sections: &[String]) -> sqlx::Result<()> {
    sqlx::query!("delete from settings where origin = 'file' and section = any($1)", sections).execute(db).await?;
    Ok(())
}
