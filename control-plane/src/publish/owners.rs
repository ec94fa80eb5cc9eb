//! Owners beside keys, teams and users: which slice has the rows of which kind.

use std::collections::BTreeMap;

use sqlx::PgConnection;

use super::resource::Upsert;
use crate::{customers, organizations, tags, teams};

/// Those among these resource ids (`customer:ada`) of whom there is something to say.
pub(super) async fn among(db: &mut PgConnection, ids: &[String]) -> sqlx::Result<Vec<Upsert>> {
    let mut by_kind: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (kind, id) in ids.iter().filter_map(|id| id.split_once(':')) {
        by_kind.entry(kind).or_default().push(id.to_owned());
    }
    let mut upserts = Vec::new();
    for (kind, ids) in by_kind {
        match kind {
            "customer" => upserts.extend(customers::publish::among(db, &ids).await?),
            "tag" => upserts.extend(tags::publish::among(db, &ids).await?),
            "member" => upserts.extend(teams::members::publish::among(db, &ids).await?),
            "organization" => upserts.extend(organizations::publish::among(db, &ids).await?),
            // Keys, users and teams are resources of their own.
            _ => {}
        }
    }
    Ok(upserts)
}
