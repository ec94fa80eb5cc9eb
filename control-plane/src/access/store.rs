//! What authentication reads beside keys, teams and users.

use serde_json::{Map, Value};
use sqlx::PgConnection;

/// `general_settings` as they are stored: what the API wrote goes over what the file says. Without those that are sealed.
pub(super) async fn general_settings(db: &mut PgConnection) -> sqlx::Result<Map<String, Value>> {
    let origins = sqlx::query_scalar!(
        "select value from settings where section = 'general_settings'
         order by case origin when 'file' then 0 else 1 end",
    )
    .fetch_all(db)
    .await?;
    let mut members = Map::new();
    for value in origins {
        if let Value::Object(own) = value {
            members.extend(own);
        }
    }
    Ok(members)
}
