//! The list in the `settings` table: a member of `general_settings`, once of the file and once of the API.

use serde_json::Value;
use sqlx::PgConnection;

use crate::publish::gate::texts;

/// What each origin says; nothing where it says nothing.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) of_file: Option<Vec<String>>,
    pub(super) of_api: Option<Vec<String>>,
}

impl Stored {
    fn of(rows: Vec<(String, Option<Value>)>) -> Self {
        let said = |wanted: &str| {
            let value = rows.iter().find(|(origin, _)| origin == wanted).and_then(|(_, value)| value.as_ref());
            value.filter(|value| !value.is_null()).map(texts)
        };
        Self { of_file: said("file"), of_api: said("api") }
    }
}

/// Both lists.
pub(super) async fn read(db: &mut PgConnection) -> sqlx::Result<Stored> {
    let rows = sqlx::query!(
        "select origin, value -> 'allowed_ips' as allowed_ips from settings where section = 'general_settings'",
    )
    .fetch_all(db)
    .await?;
    Ok(Stored::of(rows.into_iter().map(|row| (row.origin, row.allowed_ips)).collect()))
}

/// Both lists, locked until the transaction ends.
pub(super) async fn locked(db: &mut PgConnection) -> sqlx::Result<Stored> {
    sqlx::query!(
        "insert into settings (section, origin, value) values ('general_settings', 'api', '{}')
         on conflict (section, origin) do nothing",
    )
    .execute(&mut *db)
    .await?;
    let rows = sqlx::query!(
        "select origin, value -> 'allowed_ips' as allowed_ips from settings where section = 'general_settings'
         order by origin for update",
    )
    .fetch_all(db)
    .await?;
    Ok(Stored::of(rows.into_iter().map(|row| (row.origin, row.allowed_ips)).collect()))
}

/// Writes the API's list; an empty one is none.
pub(super) async fn put(db: &mut PgConnection, list: &[String]) -> sqlx::Result<()> {
    sqlx::query!(
        "update settings
         set value = (value - 'allowed_ips')
                 || case when cardinality($1::text[]) = 0 then '{}' else jsonb_build_object('allowed_ips', $1::text[]) end,
             updated_at = now()
         where section = 'general_settings' and origin = 'api'",
        list,
    )
    .execute(db)
    .await?;
    Ok(())
}
