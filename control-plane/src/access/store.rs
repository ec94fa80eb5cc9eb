//! What authentication reads beside keys, teams and users.

use sqlx::PgConnection;

/// The header that the operator has named to carry keys (`general_settings.litellm_key_header_name`), instead of all
/// others. What the API wrote goes before what the file says.
pub(super) async fn key_header(db: &mut PgConnection) -> sqlx::Result<Option<String>> {
    let names = sqlx::query_scalar!(
        "select value ->> 'litellm_key_header_name' from settings
         where section = 'general_settings'
         order by case origin when 'api' then 0 else 1 end",
    )
    .fetch_all(db)
    .await?;
    let resolved = names.into_iter().flatten().filter_map(|name| match name.strip_prefix("os.environ/") {
        Some(variable) => std::env::var(variable).ok(),
        None => Some(name),
    });
    Ok(resolved.map(|name| name.trim().to_ascii_lowercase()).find(|name| !name.is_empty()))
}
