//! The `tags` table, and tags that only spend knows.

use proto::KeyHash;
use sqlx::PgConnection;
use time::{Date, OffsetDateTime};

use super::Tag;
use crate::http::part::Part;

/// Calls of a user in which their tags are looked for, the newest.
const CALLS: i64 = 10_000;

/// Selects whole rows of tags. Which ones is the caller's to say.
macro_rules! select_tags {
    ($which:tt $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            Tag,
            "select name, description, models, budget_id, created_at, created_by, updated_at, updated_by from tags "
                + $which
            $(, $argument)*
        )
    };
}

/// The tags among these names that have a row.
pub(super) async fn among(db: &mut PgConnection, names: &[String]) -> sqlx::Result<Vec<Tag>> {
    select_tags!("where name = any($1) order by name", names).fetch_all(db).await
}

/// The tag, which nobody changes until the transaction ends.
pub(super) async fn locked(db: &mut PgConnection, name: &str) -> sqlx::Result<Option<Tag>> {
    select_tags!("where name = $1 for update", name).fetch_optional(db).await
}

/// The names of those that are linked to a budget; until the transaction ends, they can be read by all and changed by
/// nobody.
pub(super) async fn linked(db: &mut PgConnection, budget_id: &str) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!("select name from tags where budget_id = $1 order by name for share", budget_id)
        .fetch_all(db)
        .await
}

/// Days of calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Days {
    pub(super) from: Date,
    pub(super) to: Date,
}

/// A part of the names of all, with a row or carried by a call of these days. Each side gives no more than the part can
/// need, out of its index.
pub(super) async fn part(db: &mut PgConnection, days: Option<Days>, part: Part) -> sqlx::Result<Vec<String>> {
    match days {
        Some(Days { from, to }) => {
            let names = sqlx::query_scalar!(
                r#"select name as "name!" from (
                       (select name from tags order by name limit $3::bigint + $4::bigint)
                       union
                       (select owner_id from spend_daily where day between $1 and $2 and kind = 'tag')
                   ) known order by name offset $3 limit $4"#,
                from,
                to,
                part.offset(),
                part.size(),
            );
            names.fetch_all(db).await
        }
        None => {
            let names = sqlx::query_scalar!(
                r#"select name as "name!" from (
                       (select name from tags order by name limit $1::bigint + $2::bigint)
                       union
                       (select owner_id from spend_totals
                        where kind = 'tag' and scope = '' and last_used_at is not null
                        order by owner_id limit $1::bigint + $2::bigint)
                   ) known order by name offset $1 limit $2"#,
                part.offset(),
                part.size(),
            );
            names.fetch_all(db).await
        }
    }
}

/// The tags of somebody's own: those of their keys, and those that their latest calls carried in these days.
pub(super) async fn of_own(
    db: &mut PgConnection,
    user_id: Option<&str>,
    key: Option<KeyHash>,
    days: Option<Days>,
    part: Part,
) -> sqlx::Result<Vec<String>> {
    let names = sqlx::query_scalar!(
        r#"select distinct tag as "tag!" from (
               select jsonb_array_elements_text(metadata -> 'tags') as tag from keys
               where (user_id = $1 or hash = $2) and jsonb_typeof(metadata -> 'tags') = 'array'
               union all
               select unnest(tags) from (
                   (select tags from spend_logs where user_id = $1 and day between $3 and $4
                    order by started_at desc limit $5)
                   union all
                   (select tags from spend_logs where key_hash = $2 and day between $3 and $4
                    order by started_at desc limit $5)
               ) latest
           ) own order by 1 offset $6 limit $7"#,
        user_id,
        key.map(|hash| hash.as_bytes().to_vec()),
        days.map_or(Date::MIN, |days| days.from).max(FIRST),
        days.map_or(LAST, |days| days.to),
        CALLS,
        part.offset(),
        part.size(),
    );
    names.fetch_all(db).await
}

/// Days between which all calls are, and which Postgres can write.
const FIRST: Date = time::macros::date!(1970 - 01 - 01);
const LAST: Date = time::macros::date!(9999 - 12 - 31);

/// When calls first and last carried these tags: by name, with the days as moments.
pub(super) async fn used(db: &mut PgConnection, names: &[String]) -> sqlx::Result<Vec<(String, OffsetDateTime)>> {
    let rows = sqlx::query!(
        r#"select owner_id, last_used_at as "last_used_at!" from spend_totals
           where kind = 'tag' and owner_id = any($1) and scope = '' and last_used_at is not null"#,
        names,
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|row| (row.owner_id, row.last_used_at)).collect())
}

/// Adds a tag. One with its name is a violation of `tags_pkey`.
pub(super) async fn insert(db: &mut PgConnection, row: &Tag) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into tags (name, description, models, budget_id, created_at, created_by, updated_at, updated_by)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
        row.name,
        row.description.as_deref(),
        &row.models,
        row.budget_id.as_deref(),
        row.created_at,
        row.created_by,
        row.updated_at,
        row.updated_by,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Writes a locked row anew.
pub(super) async fn update(db: &mut PgConnection, row: &Tag) -> sqlx::Result<()> {
    sqlx::query!(
        "update tags set description = $2, models = $3, budget_id = $4, updated_at = $5, updated_by = $6 where name = $1",
        row.name,
        row.description.as_deref(),
        &row.models,
        row.budget_id.as_deref(),
        row.updated_at,
        row.updated_by,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Removes a tag. Calls may carry it all the same.
pub(super) async fn delete(db: &mut PgConnection, name: &str) -> sqlx::Result<()> {
    sqlx::query!("delete from tags where name = $1", name).execute(db).await?;
    Ok(())
}
