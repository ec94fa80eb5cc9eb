//! Owners beside keys, teams and users: which slice has the rows of which kind.

use std::collections::BTreeMap;

use sqlx::PgConnection;

use super::resource::Upsert;

/// Those among these resource ids (`customer:ada`) of whom there is something to say.
pub(super) async fn among(_db: &mut PgConnection, ids: &[String]) -> sqlx::Result<Vec<Upsert>> {
    let mut by_kind: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (kind, id) in ids.iter().filter_map(|id| id.split_once(':')) {
        by_kind.entry(kind).or_default().push(id.to_owned());
    }
    // No slice has any yet.
    Ok(Vec::new())
}
